//! What the commands were given that are about what workers print, have printed, and read.

use std::time::Duration;

use clap::Args;
use ostler_bus::vocab::log::LogStream;

use super::{super::values, Target};

/// What `logs` was given.
#[derive(Clone, Debug, Args)]
pub struct LogsArgs {
    /// Which apps or workers: APP, APP:SLOT, ID, NAMESPACE, a pattern, all [default: all]
    #[arg(value_name = "WHICH", value_parser = values::selector)]
    pub which: Vec<String>,

    /// Then print lines as they come, until Ctrl-C
    #[arg(short, long)]
    pub follow: bool,

    /// So many of the last lines
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    pub lines: u32,

    /// Only standard output
    #[arg(long, conflicts_with = "err")]
    pub out: bool,

    /// Only standard error
    #[arg(long)]
    pub err: bool,

    /// Only lines of so long ago or later, as 10m
    #[arg(long, value_name = "DURATION", value_parser = values::duration)]
    pub since: Option<Duration>,

    /// Print JSON, one object per line
    #[arg(long)]
    pub json: bool,
}

impl LogsArgs {
    /// Which stream; `None` is both.
    #[must_use]
    pub fn stream(&self) -> Option<LogStream> {
        match (self.out, self.err) {
            (true, _) => Some(LogStream::Out),
            (false, true) => Some(LogStream::Err),
            (false, false) => None,
        }
    }
}

/// What `flush` was given.
#[derive(Clone, Debug, Args)]
pub struct FlushArgs {
    /// Which apps: APP, NAMESPACE, a pattern, all [default: all]
    #[arg(value_name = "WHICH", value_parser = values::selector)]
    pub which: Vec<String>,
}

/// What `why` was given.
#[derive(Clone, Debug, Args)]
pub struct WhyArgs {
    /// Which app, a slot of it, or which worker by its id [default: all]
    #[arg(value_name = "APP[:SLOT]|ID", value_parser = values::target)]
    pub of: Option<Target>,

    /// So many workers, the last ones
    #[arg(short, long, value_name = "N", default_value_t = 10)]
    pub workers: u32,

    /// So many of the last lines that each printed on standard error
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    pub lines: u32,

    /// Only what has happened so long ago or later, as 10m
    #[arg(long, value_name = "DURATION", value_parser = values::duration)]
    pub since: Option<Duration>,

    /// Print JSON, one object per worker or other event
    #[arg(long)]
    pub json: bool,
}

/// What `send` was given.
#[derive(Clone, Debug, Args)]
pub struct SendArgs {
    /// Which apps or workers, in one word (web:0,17): APP, APP:SLOT, ID, NAMESPACE, a pattern, all
    #[arg(value_name = "WHICH", value_parser = values::selector)]
    pub to: String,

    /// The line
    #[arg(allow_hyphen_values = true)]
    pub line: String,
}
