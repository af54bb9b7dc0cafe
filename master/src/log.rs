//! The master's log: its own lines through `tracing`, its workers' lines with their prefix, one thread that writes both.
//!
//! Workers' standard output goes to the master's, all else to its standard error. Only the log's thread may block (on a
//! terminal that was stopped, on a pipe nobody reads); the master itself never waits for its log.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use tracing_subscriber::{
    filter::Targets, fmt::MakeWriter, layer::SubscriberExt, util::SubscriberInitExt,
};

use crate::process::{
    LineQueue, LogItem, LogWriter, line_queue, render_human, render_json, write_log,
};

/// Lines and bytes that may wait for the log's thread.
const WAITING: (usize, usize) = (64 << 10, 16 << 20);

/// Which of the master's own lines are written where nothing else was said.
pub const DEFAULT: &str = "info";

/// How large the log of a master in the background grows before it is put aside (`NAME.log.1`), in bytes: so there are never
/// more than twice as many.
const MOST: u64 = 8 << 20;

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
        Destination::Streams => write_log(receiver, io::stdout(), io::stderr(), render)?,
        Destination::File(path) => {
            let file = || Bounded { path: path.clone() };
            write_log(receiver, file(), file(), render)?
        }
    };
    let wanted = std::env::var("OSTLER_LOG")
        .ok()
        .filter(|said| !said.is_empty());
    let wanted = wanted.and_then(|directives| directives.parse::<Targets>().ok());
    let filter = wanted.or_else(|| default.parse().ok()).unwrap_or_default();
    let filtered = tracing_subscriber::registry().with(filter);
    let lines = tracing_subscriber::fmt::layer()
        .with_target(false)
        .with_writer(Lines(queue.clone()));
    // Set before: the process that embeds this master has its own log, and keeps it.
    let _kept = match format {
        Format::Human => filtered.with(lines.with_ansi(colour())).try_init(),
        Format::Json => filtered.with(lines.json().flatten_event(true)).try_init(),
    };
    Ok((queue, writer))
}

/// Standard error that is a file. Once that is too large it is copied aside and emptied; nobody has to open it anew, and what
/// is appended next stands at its beginning.
#[derive(Debug)]
struct Bounded {
    path: PathBuf,
}

impl Bounded {
    fn bound(&self) -> io::Result<()> {
        if rustix::fs::fstat(io::stderr())?.st_size.cast_unsigned() < MOST {
            return Ok(());
        }
        let mut aside = self.path.clone().into_os_string();
        aside.push(".1");
        std::fs::copy(&self.path, aside)?;
        Ok(rustix::fs::ftruncate(io::stderr(), 0)?)
    }
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        io::stderr().write(bytes)
    }

    /// Called after each batch, which is 64 KiB at most.
    fn flush(&mut self) -> io::Result<()> {
        self.bound()
    }
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
