//! Lines as text. Workers' words are escaped: a terminal must not obey them, and a log line must stay one line.

use std::{fmt::Write as _, time::UNIX_EPOCH};

use serde::Serialize;

use super::{LogItem, OutputLine, Stream};
use crate::process::Identity;

/// `web.0 | text`; `web.0 ! text` for standard error. Ends with a newline.
pub fn render_human(item: &LogItem, out: &mut Vec<u8>) {
    let mut text = String::new();
    match item {
        LogItem::Line(line) => {
            let mark = match line.stream {
                Stream::Stdout => '|',
                Stream::Stderr => '!',
            };
            prefix(&line.worker, mark, &mut text);
            escape(&line.text, &mut text);
            if line.cut {
                text.push('…');
            }
        }
        LogItem::Own(line) => return out.extend_from_slice(line),
        LogItem::End => return,
        LogItem::Lost { worker, count } => {
            prefix(worker, '!', &mut text);
            // Writing to a string can't fail.
            let _ = write!(
                text,
                "({count} lines lost here: they came faster than the log is written)"
            );
        }
        LogItem::Unwritten { count } => text = unwritten(*count),
    }
    text.push('\n');
    out.extend(text.as_bytes());
}

fn unwritten(count: u64) -> String {
    format!("({count} lines lost here: the log could not be written)")
}

fn prefix(worker: &Identity, mark: char, text: &mut String) {
    // Writing to a string can't fail.
    let _ = write!(text, "{}.{} {mark} ", worker.app, worker.slot);
}

/// Appends text with everything that would act on a terminal spelled out. Tabs stay: they indent traces.
fn escape(text: &str, out: &mut String) {
    for (index, part) in text.split('\t').enumerate() {
        if index > 0 {
            out.push('\t');
        }
        out.push_str(&crate::escape::line(part));
    }
}

/// One line of JSON: `{"time_ms":…,"app":…,"slot":…,"worker":…,"generation":…,"pid":…,"stream":…,"line":…}`, with
/// `"cut":true` where the line goes on, and `"lost":N` instead of `stream` and `line` where lines were dropped; where they
/// were anybody's, `{"lost":N,"message":…}`.
pub fn render_json(item: &LogItem, out: &mut Vec<u8>) {
    let record = match item {
        LogItem::Own(line) => return out.extend_from_slice(line),
        LogItem::End => return,
        LogItem::Unwritten { count } => {
            let message = unwritten(*count);
            let note = serde_json::json!({ "lost": count, "message": message });
            return out.extend_from_slice(format!("{note}\n").as_bytes());
        }
        LogItem::Line(line) => Record::of(&line.worker).with(line),
        LogItem::Lost { worker, count } => Record {
            lost: Some(*count),
            ..Record::of(worker)
        },
    };
    // Strings and numbers into memory: it can't fail.
    let _ = serde_json::to_writer(&mut *out, &record);
    out.push(b'\n');
}

#[derive(Serialize)]
struct Record<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    time_ms: Option<u64>,
    app: &'a str,
    slot: u32,
    worker: u64,
    generation: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    cut: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    lost: Option<u64>,
}

impl<'a> Record<'a> {
    fn of(worker: &'a Identity) -> Self {
        Self {
            time_ms: None,
            app: worker.app.as_str(),
            slot: worker.slot.0,
            worker: worker.id.0,
            generation: worker.generation.0,
            pid: None,
            stream: None,
            line: None,
            cut: false,
            lost: None,
        }
    }

    fn with(self, line: &'a OutputLine) -> Self {
        let since = line.at.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            time_ms: u64::try_from(since.as_millis()).ok(),
            pid: Some(line.pid),
            stream: Some(match line.stream {
                Stream::Stdout => "stdout",
                Stream::Stderr => "stderr",
            }),
            line: Some(&line.text),
            cut: line.cut,
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::Arc,
        time::{Duration, SystemTime},
    };

    use ostler_bus::{Generation, Slot, WorkerId};

    use super::*;
    use crate::config::app::AppName;

    fn worker() -> Arc<Identity> {
        Arc::new(Identity {
            app: AppName::new("web").expect("a name"),
            slot: Slot(2),
            id: WorkerId(7),
            generation: Generation(3),
        })
    }

    fn line(text: &str) -> LogItem {
        LogItem::Line(OutputLine {
            worker: worker(),
            pid: 99,
            number: 1,
            stream: Stream::Stderr,
            at: SystemTime::UNIX_EPOCH + Duration::from_millis(1234),
            text: text.into(),
            cut: false,
        })
    }

    fn rendered(item: &LogItem, render: fn(&LogItem, &mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        render(item, &mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn a_terminal_obeys_no_worker() {
        let text = rendered(
            &line("\u{1b}[2Jred\ra\u{202e}b\tc\u{7}\nfake.0 | x"),
            render_human,
        );
        assert_eq!(
            text,
            "web.2 ! \\x1b[2Jred\\ra\\u{202e}b\tc\\x07\\nfake.0 | x\n"
        );
    }

    #[test]
    fn json_names_the_worker() {
        let text = rendered(&line("hi \"you\""), render_json);
        assert_eq!(
            text,
            "{\"time_ms\":1234,\"app\":\"web\",\"slot\":2,\"worker\":7,\"generation\":3,\"pid\":99,\"stream\":\"stderr\",\
             \"line\":\"hi \\\"you\\\"\"}\n"
        );
        let lost = LogItem::Lost {
            worker: worker(),
            count: 9,
        };
        assert_eq!(
            rendered(&lost, render_json),
            "{\"app\":\"web\",\"slot\":2,\"worker\":7,\"generation\":3,\"lost\":9}\n"
        );
        assert!(rendered(&lost, render_human).starts_with("web.2 ! (9 lines lost here"));
    }
}
