//! The master's log: its own lines through `tracing`, its workers' lines with their prefix, one thread that writes both.
//!
//! Workers' standard output goes to the master's, all else to its standard error. Only the log's thread may block (on a
//! terminal that was stopped, on a pipe nobody reads); the master itself never waits for its log.

mod bounded;

use std::{
    env,
    ffi::OsStr,
    io::{self, Write},
    path::PathBuf,
};

use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    fmt::MakeWriter,
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

use self::bounded::Bounded;
pub(crate) use self::bounded::open;
use crate::process::{
    LineQueue, LogItem, LogWriter, line_queue, render_human, render_json, write_log,
};

/// Lines and bytes that may wait for the log's thread.
const WAITING: (usize, usize) = (64 << 10, 16 << 20);

/// Which of the master's own lines are written where nothing else was said.
pub const DEFAULT: &str = "info";

/// What is read of a log to tell its last lines, in bytes at most.
pub(crate) const TAIL_BYTES: u64 = 64 << 10;

/// Where the log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Workers' standard output to the master's, all else to its standard error.
    Streams,
    /// All of it to standard error, which is this file, opened to append.
    File(PathBuf),
}

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people; in colour on a terminal.
    Human,
    /// One JSON object per line.
    Json,
}

/// Starts the log's thread and makes it `tracing`'s destination. Which of the master's lines are written is told by
/// `OSTLER_LOG` (as `RUST_LOG`: `debug`, `ostler::bus=debug`), or else by `default`.
///
/// # Errors
/// If no thread can be started.
pub fn start(
    format: Format,
    default: &str,
    destination: Destination,
) -> io::Result<(LineQueue, LogWriter)> {
    let (queue, receiver) = line_queue(WAITING.0, WAITING.1);
    let render: fn(&LogItem, &mut Vec<u8>) = match format {
        Format::Human => render_human,
        Format::Json => render_json,
    };
    let writer = match destination {
        Destination::Streams => write_log(receiver, Some(io::stdout()), io::stderr(), render)?,
        Destination::File(path) => {
            write_log(receiver, None::<io::Sink>, Bounded::stderr(path)?, render)?
        }
    };
    let said = env::var_os("OSTLER_LOG").filter(|said| !said.is_empty());
    let wanted = said.as_deref().map(wanted).transpose();
    let filter = match &wanted {
        Ok(Some(targets)) => targets.clone(),
        Ok(None) | Err(_) => default.parse().unwrap_or_default(),
    };
    let filtered = tracing_subscriber::registry().with(filter);
    let lines = tracing_subscriber::fmt::layer()
        .with_target(false)
        .with_writer(Lines(queue.clone()));
    // Set before: the process that embeds this master has its own log, and keeps it.
    let _kept = match format {
        Format::Human => filtered.with(lines.with_ansi(colour())).try_init(),
        Format::Json => filtered.with(lines.json().flatten_event(true)).try_init(),
    };
    if let Err(wrong) = wanted {
        tracing::warn!("OSTLER_LOG={wrong}; it is left aside, and {default} holds");
    }
    Ok((queue, writer))
}

/// What `OSTLER_LOG` asks for; else what is wrong with it. A word alone is a level: a misspelt one would be taken for a module's
/// name, and silence all others.
fn wanted(said: &OsStr) -> Result<Targets, String> {
    let wrong = |why: String| {
        let said = said.to_string_lossy();
        format!("{said:?} can't be read: {why}. An example: OSTLER_LOG=info,ostler::bus=debug")
    };
    let text = said
        .to_str()
        .ok_or_else(|| wrong("it is no UTF-8".into()))?;
    let mut words = text.split(',').filter(|directive| !directive.contains('='));
    let no_level = |word: &&str| {
        !word.is_empty() && !word.starts_with("ostler") && word.parse::<LevelFilter>().is_err()
    };
    if let Some(word) = words.find(no_level) {
        let levels = "off, error, warn, info, debug, trace";
        return Err(wrong(format!("{word:?} is no level ({levels})")));
    }
    text.parse().map_err(|error| wrong(format!("{error}")))
}

/// Colour is for terminals, unless <https://no-color.org> is heeded.
fn colour() -> bool {
    rustix::termios::isatty(io::stderr())
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Makes a writer for each of `tracing`'s lines.
#[derive(Clone, Debug)]
struct Lines(LineQueue);

/// One line; queued when it is complete.
#[derive(Debug)]
struct Line<'a> {
    queue: &'a LineQueue,
    bytes: Vec<u8>,
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line {
            queue: &self.0,
            bytes: Vec::new(),
        }
    }
}

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        self.queue.own_line(std::mem::take(&mut self.bytes));
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt as _;

    use super::*;

    #[test]
    fn what_is_no_filter_is_told_with_what_is_wrong_in_it() {
        for right in [
            "debug",
            "OFF",
            "3",
            "info,ostler::bus=debug",
            "ostler::bus",
            "hyper=warn",
        ] {
            assert!(wanted(OsStr::new(right)).is_ok(), "{right}");
        }
        for (wrong, why) in [
            ("warning", "\"warning\" is no level (off, error, warn,"),
            ("info,ostler::bus=loud", "expected one of \"off\""),
        ] {
            let told = wanted(OsStr::new(wrong)).expect_err(wrong);
            assert!(
                told.starts_with(&format!("{wrong:?} can't be read: ")),
                "{told}"
            );
            assert!(
                told.contains(why) && told.contains("An example: OSTLER_LOG=info"),
                "{told}"
            );
        }
        let told = wanted(OsStr::from_bytes(b"inf\xff")).expect_err("no text");
        assert!(told.contains("no UTF-8"), "{told}");
    }
}
