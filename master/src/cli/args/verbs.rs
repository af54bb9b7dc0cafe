//! What `run` and the verbs for apps and workers were given.

use std::path::PathBuf;

use clap::Args;
use ostler_bus::vocab::commands::SignalScope;

use super::{super::values, RunArgs, Waiting};

/// What `run` was given.
#[derive(Clone, Debug, Args)]
pub struct RunVerbArgs {
    /// What to run.
    #[command(flatten)]
    pub what: RunArgs,

    /// Stay when nothing is left to run
    #[arg(long)]
    pub stay: bool,

    // What `ostler start` adds: leave the session of whoever started it, and write the log to this file.
    #[arg(long, hide = true, value_name = "LOG")]
    pub(crate) detached: Option<PathBuf>,
}

/// What `start` was given.
#[derive(Clone, Debug, Args)]
pub struct StartArgs {
    /// What to start.
    #[command(flatten)]
    pub what: RunArgs,

    /// Whether to wait.
    #[command(flatten)]
    pub waiting: Waiting,
}

/// What `stop`, `restart` and `reset` were given.
#[derive(Clone, Debug, Args)]
pub struct AppArgs {
    /// Which apps or workers: APP, APP:SLOT, ID, NAMESPACE, a pattern, all [default: all]
    #[arg(value_name = "WHICH", value_parser = values::selector)]
    pub which: Vec<String>,

    /// Whether to wait.
    #[command(flatten)]
    pub waiting: Waiting,
}

impl AppArgs {
    /// The selector; `None` is all.
    #[must_use]
    pub fn selector(&self) -> Option<String> {
        values::joined(&self.which)
    }
}

/// What `delete` was given.
#[derive(Clone, Debug, Args)]
pub struct DeleteArgs {
    /// Which apps: APP, NAMESPACE, a pattern, all
    #[arg(value_name = "WHICH", value_parser = values::selector, required = true)]
    pub which: Vec<String>,

    /// Let go of the workers instead of stopping them: they run on, and nobody looks after them
    #[arg(long)]
    pub keep_running: bool,

    /// Whether to wait.
    #[command(flatten)]
    pub waiting: Waiting,
}

/// What `signal` was given.
#[derive(Clone, Debug, Args)]
pub struct SignalArgs {
    /// Which apps or workers: APP, APP:SLOT, ID, NAMESPACE, a pattern, all
    #[arg(value_name = "WHICH", value_parser = values::selector, required = true)]
    pub which: Vec<String>,

    /// HUP, SIGHUP or 1
    #[arg(value_name = "SIGNAL")]
    pub signal: String,

    /// To the workers' direct children, and not to them
    #[arg(long, conflicts_with = "tree")]
    pub children: bool,

    /// To the workers and all that descend from them
    #[arg(long)]
    pub tree: bool,
}

impl SignalArgs {
    /// To which processes.
    #[must_use]
    pub fn scope(&self) -> SignalScope {
        match (self.children, self.tree) {
            (true, _) => SignalScope::Children,
            (false, true) => SignalScope::Tree,
            (false, false) => SignalScope::Worker,
        }
    }
}
