//! What the commands were given that are about what workers print, have printed, and read.

use std::time::Duration;

use clap::Args;
use ostler_bus::vocab::log::LogStream;

use super::{super::values, Target};
use crate::config::app::AppName;

/// What `logs` was given.
#[derive(Clone, Debug, Args)]
pub struct LogsArgs {
    /// Which apps, or slots of theirs [default: all]
    #[arg(value_name = "APP[:SLOT]", value_parser = values::target)]
    pub of: Vec<Target>,

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
    /// Which app [default: all]
    #[arg(value_parser = values::app_name)]
    pub app: Option<AppName>,
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
    /// Which app, or one of its slots
    #[arg(value_name = "APP[:SLOT]", value_parser = values::target)]
    pub to: Target,

    /// The line
    #[arg(allow_hyphen_values = true)]
    pub line: String,
}
