//! What workers print.

use serde::{Deserialize, Serialize};

use super::control::RefusalKind;
use crate::{Event, Request, Schema, Slot, WorkerId};

/// Which of a worker's streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum LogStream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// A line that a worker printed, on `_log.<app>.<slot>`. Published while somebody listens; that somebody names the first
/// two tokens at least (`_log.>`), as no wildcard stands for one that begins with `_`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Event)]
#[event(topic = "_log")]
pub struct LogLine {
    /// Its app.
    pub app: String,
    /// Its slot.
    pub slot: Slot,
    /// Its id.
    pub worker: WorkerId,
    /// Its process id.
    pub pid: u32,
    /// Which line of this worker, of both streams, from 1 on.
    pub number: u64,
    /// When it was read, in milliseconds since 1970.
    pub time_ms: u64,
    /// Where it was printed.
    pub stream: LogStream,
    /// Its text, without the line ending; bytes that are no UTF-8 are replaced.
    pub line: String,
    /// It goes on in the worker's next line of this stream.
    pub cut: bool,
}

impl LogLine {
    /// The topic of a slot's lines.
    #[must_use]
    pub fn topic(app: &str, slot: Slot) -> String {
        format!("_log.{app}.{slot}")
    }
}

/// What did workers print last? The master remembers 16 KiB for each slot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Request)]
#[request(topic = "app.logs", reply = LogsAnswer)]
pub struct AppLogs {
    /// Which apps or workers: a selector; `None` is all.
    pub app: Option<String>,
    /// Only lines of this slot; the older way to say `web:1` in `app`.
    pub slot: Option<Slot>,
    /// Which stream; `None` is both.
    pub stream: Option<LogStream>,
    /// Only lines read at this moment or later, in milliseconds since 1970.
    pub since_ms: Option<u64>,
    /// At most so many lines, the last ones.
    pub lines: u32,
}

/// What workers printed last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Schema)]
pub enum LogsAnswer {
    /// The lines, oldest first: at most 512 KiB.
    Lines(Vec<LogLine>),
    /// They will not be told.
    Refused {
        /// What kind of refusal: decides the command's exit code.
        kind: RefusalKind,
        /// Why.
        reason: String,
    },
}

/// Forget what workers printed, and empty the log files that are being written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Request)]
#[request(topic = "app.flush", reply = FlushAnswer)]
pub struct AppFlush {
    /// Which apps: a selector; `None` is all.
    pub app: Option<String>,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum FlushAnswer {
    /// Done, or about to be.
    Flushed {
        /// How many files.
        files: u32,
    },
    /// It will not be done.
    Refused {
        /// What kind of refusal: decides the command's exit code.
        kind: RefusalKind,
        /// Why.
        reason: String,
    },
}
