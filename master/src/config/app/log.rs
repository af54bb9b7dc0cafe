//! Where an app's lines go.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// What was said of an app's log; `None` where nothing was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogSettings {
    /// Standard output. Default: the master's log.
    pub out: Option<LogTarget>,
    /// Standard error. Default: where standard output goes.
    pub err: Option<LogTarget>,
    /// How lines are written to files. Default: plain.
    pub format: Option<LogFormat>,
    /// What stands before each plain line in a file. Default: nothing.
    pub prefix: Option<Vec<LogField>>,
    /// When a file is put aside. Default: see [`Rotate::default`].
    pub rotate: Option<Rotation>,
    /// Whether files put aside are compressed. Default: false.
    pub compress: Option<bool>,
}

/// Where a stream goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogTarget {
    /// Into the master's log.
    Master,
    /// Nowhere; only the last words before an exit are told.
    Null,
    /// Nowhere but to whoever asks or listens: `ostler logs`, and the bus.
    Bus,
    /// Into systemd's journal.
    Journal,
    /// Into a file: `{app}` and `{slot}` in its path are replaced.
    File(PathBuf),
}

/// How lines are written to a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// As they are.
    #[default]
    Plain,
    /// One JSON object each.
    Json,
}

/// What may stand before a plain line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogField {
    /// When it was read: `2026-01-31T12:00:00.123Z`.
    Time,
    /// `web.0`
    Slot,
    /// The process id.
    Pid,
    /// `out` or `err`.
    Stream,
}

/// Whether files are put aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// Never: something else does it, and sends SIGUSR1.
    Off,
    /// When they are large or old.
    On(Rotate),
}

/// When a file is put aside, and what is kept of those that were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotate {
    /// At this many bytes. Default 10 MiB.
    pub size: u64,
    /// At this age, when the next line comes. Default: never.
    pub age: Option<Duration>,
    /// The bytes of all of the app's files together, those put aside and those being written: the oldest go when there
    /// are more. Default 100 MiB.
    pub keep_total: u64,
}

impl Default for Rotate {
    fn default() -> Self {
        Self {
            size: 10 << 20,
            age: None,
            keep_total: 100 << 20,
        }
    }
}

impl LogSettings {
    /// These, and `base` where they say nothing.
    #[must_use]
    pub fn or(self, base: Self) -> Self {
        Self {
            out: self.out.or(base.out),
            err: self.err.or(base.err),
            format: self.format.or(base.format),
            prefix: self.prefix.or(base.prefix),
            rotate: self.rotate.or(base.rotate),
            compress: self.compress.or(base.compress),
        }
    }

    /// Where standard output and standard error go.
    #[must_use]
    pub fn targets(&self) -> [LogTarget; 2] {
        let out = self.out.clone().unwrap_or(LogTarget::Master);
        let err = self.err.clone().unwrap_or_else(|| out.clone());
        [out, err]
    }

    /// When files are put aside; `None` is never.
    #[must_use]
    pub fn rotate(&self) -> Option<Rotate> {
        match self.rotate {
            None => Some(Rotate::default()),
            Some(Rotation::On(rotate)) => Some(rotate),
            Some(Rotation::Off) => None,
        }
    }
}

/// A path with its placeholders filled in.
#[must_use]
pub fn path_for(template: &Path, app: &str, slot: &str) -> PathBuf {
    let text = template.to_string_lossy();
    PathBuf::from(text.replace("{app}", app).replace("{slot}", slot))
}
