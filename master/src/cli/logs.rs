//! `logs` and `flush`: what workers printed.

use std::{
    collections::HashMap,
    pin::pin,
    process::ExitCode,
    time::{SystemTime, UNIX_EPOCH},
};

use futures::{StreamExt as _, stream::SelectAll};
use ostler_bus::{
    Slot, WorkerId,
    client::{Bus, Delivery, Disconnected, Subscription},
    vocab::{
        describe::AppDescription,
        log::{AppFlush, AppLogs, FlushAnswer, LogLine, LogStream, LogsAnswer},
    },
};

use super::{
    args::{FlushArgs, LogsArgs},
    bus_errors::{gone, of_master},
    carry_out::refused,
    connect::{self, Wanted},
    describe,
    error::CliError,
    interrupt,
    output::{self, Reader},
    values,
};
use crate::escape;

/// Lines written at once, when many are there.
const AT_ONCE: usize = 256;

/// `ostler logs`
pub(super) fn logs(args: &LogsArgs, wanted: Wanted<'_>) -> Result<ExitCode, CliError> {
    connect::talk(wanted, async |session| {
        let mut interrupt = interrupt::listen()?;
        // Before the last lines are asked for, so that none falls between.
        let heard = match args.follow {
            true => Some(listen(&session.bus, &args.which).await?),
            false => None,
        };
        let mut shown = Shown::default();
        let lines = last(&session.bus, args).await?;
        let text: String = lines
            .iter()
            .filter_map(|line| shown.line(line, args))
            .collect();
        if output::print_later(text).await? == Reader::Gone {
            return Ok(ExitCode::SUCCESS);
        }
        let Some(heard) = heard else {
            return Ok(ExitCode::SUCCESS);
        };
        tokio::select! {
            biased;
            () = interrupt.heard() => Ok(ExitCode::SUCCESS),
            () = output::reader_gone() => Ok(ExitCode::SUCCESS),
            ended = follow(heard, shown, args) => ended,
        }
    })
}

type Heard = SelectAll<Subscription<LogLine>>;

async fn listen(bus: &Bus, which: &[String]) -> Result<Heard, CliError> {
    let patterns = match values::joined(which) {
        None => vec!["_log.>".into()],
        Some(which) => {
            let meant = describe::ask(bus, Some(which)).await?;
            meant.iter().flat_map(topics).collect()
        }
    };
    let mut heard = SelectAll::new();
    for pattern in patterns {
        heard.push(bus.subscribe_to::<LogLine>(&pattern).await?);
    }
    Ok(heard)
}

/// Those of an app's lines, or of its slots that are meant.
fn topics(meant: &AppDescription) -> Vec<String> {
    let app = &meant.name;
    match &meant.slots {
        None => vec![format!("_log.{app}.>")],
        Some(slots) => {
            let topic = |slot: &Slot| LogLine::topic(app, *slot);
            slots.iter().map(topic).collect()
        }
    }
}

/// The last lines of all that was named, in the order of their time.
async fn last(bus: &Bus, args: &LogsArgs) -> Result<Vec<LogLine>, CliError> {
    let since_ms = args.since.map(|ago| {
        let at = SystemTime::now().checked_sub(ago).unwrap_or(UNIX_EPOCH);
        let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    });
    let question = AppLogs {
        app: values::joined(&args.which),
        slot: None,
        stream: args.stream(),
        since_ms,
        lines: args.lines,
    };
    match bus.request(&question).await.map_err(of_master)? {
        LogsAnswer::Lines(lines) => Ok(lines),
        LogsAnswer::Refused { kind, reason } => Err(refused(kind, &reason)),
    }
}

/// Prints until the reader goes, or the master.
async fn follow(heard: Heard, mut shown: Shown, args: &LogsArgs) -> Result<ExitCode, CliError> {
    let mut batches = pin!(heard.ready_chunks(AT_ONCE));
    while let Some(batch) = batches.next().await {
        let mut text = String::new();
        for delivery in &batch {
            match delivery {
                Delivery::Event(event) => text.extend(shown.line(&event.event, args)),
                Delivery::Lagged { missed } => {
                    eprintln!(
                        "note: {missed} lines were lost here: they came faster than they are read"
                    );
                }
                Delivery::Misfit { reason, .. } => eprintln!("note: {}", escape::line(reason)),
                Delivery::Reconnected { .. } => {}
                Delivery::Disconnected(why) => return Err(gone(why)),
            }
        }
        if output::print_later(text).await? == Reader::Gone {
            return Ok(ExitCode::SUCCESS);
        }
    }
    Err(gone(&Disconnected::HungUp))
}

/// What has been shown of each worker: its lines are numbered, so that none is shown twice.
#[derive(Debug, Default)]
struct Shown(HashMap<WorkerId, u64>);

impl Shown {
    fn line(&mut self, line: &LogLine, args: &LogsArgs) -> Option<String> {
        let last = self.0.entry(line.worker).or_default();
        if line.number <= *last {
            return None;
        }
        *last = line.number;
        if args.stream().is_some_and(|stream| stream != line.stream) {
            return None;
        }
        if args.json {
            let json = serde_json::to_string(line);
            return json.ok().map(|json| json + "\n");
        }
        let mark = match line.stream {
            LogStream::Out => '|',
            LogStream::Err => '!',
        };
        let more = if line.cut { "…" } else { "" };
        let text = line
            .line
            .split('\t')
            .map(|part| escape::line(part).into_owned());
        let text = text.collect::<Vec<_>>().join("\t");
        Some(format!("{}.{} {mark} {text}{more}\n", line.app, line.slot))
    }
}

/// `ostler flush`
pub(super) fn flush(args: &FlushArgs, wanted: Wanted<'_>) -> Result<ExitCode, CliError> {
    let request = AppFlush {
        app: values::joined(&args.which),
    };
    connect::talk(wanted, async |session| {
        match session.bus.request(&request).await.map_err(of_master)? {
            FlushAnswer::Flushed { files } => {
                eprintln!("flushed, {files} files emptied");
                Ok(ExitCode::SUCCESS)
            }
            FlushAnswer::Refused { kind, reason } => Err(refused(kind, &reason)),
        }
    })
}
