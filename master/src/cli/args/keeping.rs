//! What the verbs were given that show a fleet, keep it, and bring it back.

use std::path::PathBuf;

use clap::Args;

use super::{super::values, Waiting};

/// What `describe` was given.
#[derive(Clone, Debug, Args)]
pub struct DescribeArgs {
    /// Which apps or workers: APP, APP:SLOT, ID, NAMESPACE, a pattern, all [default: all]
    #[arg(value_name = "WHICH", value_parser = values::selector)]
    pub which: Vec<String>,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What `save` was given.
#[derive(Clone, Debug, Args)]
pub struct SaveArgs {
    /// A file to write, NAME.toml [default: the master's own, which `resurrect` and `startup` read]
    pub file: Option<PathBuf>,
}

/// What `resurrect` was given.
#[derive(Clone, Debug, Args)]
pub struct ResurrectArgs {
    /// Whether to wait.
    #[command(flatten)]
    pub waiting: Waiting,
}

/// What `startup` was given.
#[derive(Clone, Debug, Args)]
pub struct StartupArgs {
    /// The process file to run [default: what `ostler save` has saved]
    pub file: Option<PathBuf>,

    /// Which environment of the process file
    #[arg(long, value_name = "NAME", requires = "file")]
    pub env: Option<String>,

    /// Write the unit and enable it, instead of printing it
    #[arg(long, conflicts_with = "remove")]
    pub install: bool,

    /// Disable the unit and remove it
    #[arg(long)]
    pub remove: bool,

    /// Of whose systemd: this user's or the machine's.
    #[command(flatten)]
    pub scope: ScopeArgs,
}

/// What `unstartup` was given.
#[derive(Clone, Debug, Args)]
pub struct UnstartupArgs {
    /// The process file that it runs [default: what `ostler save` has saved]
    pub file: Option<PathBuf>,

    /// Of whose systemd: this user's or the machine's.
    #[command(flatten)]
    pub scope: ScopeArgs,
}

/// Of whose systemd.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct ScopeArgs {
    /// A unit of this user's [default, but for root]
    #[arg(long, conflicts_with = "system")]
    pub user: bool,

    /// A unit of the machine's [default for root]
    #[arg(long)]
    pub system: bool,
}
