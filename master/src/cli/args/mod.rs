//! What was asked: the grammar of the command line, and its result.
//!
//! The hidden subcommands (`__zygote`, `__exec` …) are not part of it: they are dispatched before anything is parsed.

use std::{ffi::OsString, path::PathBuf};

use clap::{Args, Parser, Subcommand};
use ostler_bus::vocab::control::ScaleTo;

pub use super::values::Target;
use super::{error::CliError, examples, values};
use crate::{config::errors::Wrong, home::MasterName};

mod bus;
mod config;
mod keeping;
mod lines;
mod reload;
mod run;
mod verbs;
pub use super::filter::Filter;
pub use bus::{BenchArgs, BusArgs, EmitArgs, RequestArgs, TailArgs, TailFormat, WaitArgs};
pub use config::{ImportArgs, InitArgs, PlanArgs, ValidateArgs};
pub use keeping::{DescribeArgs, ResurrectArgs, SaveArgs, ScopeArgs, StartupArgs, UnstartupArgs};
pub use lines::{FlushArgs, LogsArgs, SendArgs, WhyArgs};
pub use reload::ReloadArgs;
pub(crate) use run::usual;
pub use run::{LogFormat, RunArgs, RunWhat, StartWhat};
pub use verbs::{AppArgs, DeleteArgs, RunVerbArgs, SignalArgs, StartArgs};

/// Keeps a fleet of worker processes running, and gives them one event bus
#[derive(Clone, Debug, Parser)]
#[command(name = "ostler", bin_name = "ostler", version, max_term_width = 100, after_help = examples::TOP)]
#[command(arg_required_else_help = true, disable_help_subcommand = true)]
pub struct Cli {
    /// Which master, by name [default: the only one running; for run, the app's or the file's name]
    #[arg(short = 'M', long, global = true, value_name = "NAME", value_parser = values::master_name)]
    pub master: Option<MasterName>,

    /// The way to it, if it is not by name.
    #[command(flatten)]
    pub way: WayArgs,

    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

impl Cli {
    /// Reads a command line, its first word being the program's own name.
    ///
    /// # Errors
    /// What clap says, `--help` and `--version` among it: `error.exit()` prints it and ends with 2, or 0 for those two.
    pub fn read(args: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        Self::try_parse_from(args)
    }
}

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub enum Verb {
    /// Run apps in the foreground: those of a process file, or one command
    #[command(after_help = examples::RUN, override_usage = "ostler run [OPTIONS] [FILE]\n       ostler run [OPTIONS] -- COMMAND [ARGS]...")]
    Run(RunVerbArgs),
    /// Check a process file: every error with its place and its fix
    #[command(after_help = examples::VALIDATE)]
    Validate(ValidateArgs),
    /// Write a commented process file for the project in this directory
    #[command(after_help = examples::INIT)]
    Init(InitArgs),
    /// Print what a PM2 ecosystem file or a Procfile is as a process file
    #[command(after_help = examples::IMPORT)]
    Import(ImportArgs),
    /// Show master, apps and workers
    #[command(visible_aliases = ["list", "status"], after_help = examples::LS)]
    Ls(JsonArgs),
    /// Show all that is known of apps and their workers, and how they are defined
    #[command(visible_alias = "show", after_help = examples::DESCRIBE)]
    Describe(DescribeArgs),
    /// Watch apps and workers, live
    #[command(visible_alias = "top", after_help = examples::MONIT)]
    Monit,
    /// Show sockets: where they are, who has them, what waits there
    #[command(after_help = examples::SOCKETS)]
    Sockets(SocketsArgs),
    /// Replace the workers one by one, without losing a request
    #[command(after_help = examples::RELOAD)]
    Reload(ReloadArgs),
    /// Show what `reload --config` would do, and do nothing
    #[command(after_help = examples::PLAN)]
    Plan(PlanArgs),
    /// Change how many workers an app has
    #[command(after_help = examples::SCALE, override_usage = "ostler scale [OPTIONS] [WHICH]... <N|+N|-N>")]
    Scale(ScaleArgs),
    /// Stop workers; their app stays known
    #[command(after_help = examples::STOP)]
    Stop(AppArgs),
    /// Start what is stopped or has failed; or an app that is new, and a master in the background if none runs
    #[command(after_help = examples::START, override_usage = "ostler start [OPTIONS] [WHICH]...\n       ostler start [OPTIONS] FILE [APP]...\n       ostler start [OPTIONS] -- COMMAND [ARGS]...")]
    Start(StartArgs),
    /// Stop workers, then start them: nobody serves meanwhile (reload loses no request)
    #[command(after_help = examples::RESTART)]
    Restart(AppArgs),
    /// Take apps out of the fleet
    #[command(after_help = examples::DELETE)]
    Delete(DeleteArgs),
    /// Send a signal to workers
    #[command(after_help = examples::SIGNAL)]
    Signal(SignalArgs),
    /// Set an app's counters of restarts and failures to zero
    #[command(after_help = examples::RESET)]
    Reset(AppArgs),
    /// Stop every worker and end the master
    #[command(after_help = examples::KILL)]
    Kill(KillArgs),
    /// Show what workers printed
    #[command(after_help = examples::LOGS)]
    Logs(LogsArgs),
    /// Forget what workers printed, and empty their log files
    #[command(after_help = examples::FLUSH)]
    Flush(FlushArgs),
    /// Tell why workers began and ended, of those that are gone too
    #[command(after_help = examples::WHY)]
    Why(WhyArgs),
    /// Write a line to workers' standard input (stdin = "lines")
    #[command(after_help = examples::SEND)]
    Send(SendArgs),
    /// Write what runs now into a process file
    #[command(after_help = examples::SAVE)]
    Save(SaveArgs),
    /// Bring back what was saved, in a master in the background if none runs
    #[command(after_help = examples::RESURRECT)]
    Resurrect(ResurrectArgs),
    /// Print a systemd unit that runs a master from boot on, or install it
    #[command(after_help = examples::STARTUP)]
    Startup(StartupArgs),
    /// Remove what `startup --install` has installed
    #[command(after_help = examples::UNSTARTUP)]
    Unstartup(UnstartupArgs),
    /// Ask whether the master answers, and how fast
    #[command(after_help = examples::PING)]
    Ping(JsonArgs),
    /// Send an event
    #[command(after_help = examples::EMIT)]
    Emit(EmitArgs),
    /// Send a request and print its reply
    #[command(after_help = examples::REQUEST)]
    Request(RequestArgs),
    /// Show who is on the bus: queues, losses, events a second
    #[command(after_help = examples::BUS)]
    Bus(BusArgs),
    /// Print events as they come
    #[command(after_help = examples::TAIL)]
    Tail(TailArgs),
    /// Wait for one event
    #[command(after_help = examples::WAIT)]
    Wait(WaitArgs),
    /// Measure this machine's bus, with a hub of its own
    #[command(after_help = examples::BENCH)]
    Bench(BenchArgs),
    /// See it work: a small web service with 4 workers, and what to try
    #[command(after_help = examples::DEMO)]
    Demo(DemoArgs),
}

/// How to reach a master over a network.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Over a network")]
pub struct WayArgs {
    /// Its bus: tls://HOST:PORT, or tcp://HOST:PORT on this machine [default: $OSTLER_BUS, if it is such an address]
    #[arg(long, global = true, value_name = "URL", conflicts_with = "master")]
    pub bus: Option<String>,

    /// The file with our token
    #[arg(long, global = true, value_name = "FILE", env = "OSTLER_TOKEN_FILE")]
    pub token_file: Option<PathBuf>,

    /// For tls: the certificate of the authority that the master's own is from
    #[arg(long, global = true, value_name = "FILE", env = "OSTLER_BUS_CA")]
    pub ca: Option<PathBuf>,

    /// For a master that asks for one: our certificate and its key
    #[arg(long, global = true, num_args = 2, value_names = ["CERT", "KEY"])]
    pub identity: Option<Vec<PathBuf>>,
}

/// Whether to print JSON.
#[derive(Clone, Copy, Debug, Args)]
pub struct JsonArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What `sockets` was given.
#[derive(Clone, Debug, Args)]
pub struct SocketsArgs {
    /// Which apps: APP, NAMESPACE, a pattern, all [default: all]
    #[arg(value_name = "WHICH", value_parser = values::selector)]
    pub which: Vec<String>,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Whether to wait for what was asked to be done.
#[derive(Clone, Copy, Debug, Args)]
pub struct Waiting {
    /// Return when it is done, and tell how it went [default]
    #[arg(long, overrides_with = "no_wait")]
    wait: bool,

    /// Return as soon as the master has accepted it
    #[arg(long, overrides_with = "wait")]
    no_wait: bool,
}

impl Waiting {
    /// Whether to wait.
    #[must_use]
    pub fn wanted(self) -> bool {
        self.wait || !self.no_wait
    }
}

/// What `scale` was given.
#[derive(Clone, Debug, Args)]
pub struct ScaleArgs {
    // One list, checked below: clap can't express that the first of two is the optional one.
    #[arg(hide = true, allow_negative_numbers = true)]
    words: Vec<String>,

    /// Whether to wait.
    #[command(flatten)]
    pub waiting: Waiting,
}

impl ScaleArgs {
    /// Which apps, as a selector (`None`: the only one), and to what size.
    ///
    /// # Errors
    /// If the size is no size, or the name no name.
    pub fn what(&self) -> Result<(Option<String>, ScaleTo), CliError> {
        let order = "the order is: ostler scale [WHICH]... N, where N may have a sign";
        let Some((size, which)) = self.words.split_last() else {
            return Err(Wrong::new("the number of workers is missing", order).into());
        };
        let which = which.iter().map(|word| values::selector(word));
        let which: Vec<String> = which
            .collect::<Result<_, _>>()
            .map_err(|problem| Wrong::new(problem, order))?;
        Ok((values::joined(&which), values::scale(size)?))
    }
}

/// What `kill` was given.
#[derive(Clone, Copy, Debug, Args)]
pub struct KillArgs {
    /// Kill the workers at once instead of letting them finish
    #[arg(long)]
    pub force: bool,

    /// Whether to wait.
    #[command(flatten)]
    pub waiting: Waiting,
}

/// What `demo` was given.
#[derive(Clone, Copy, Debug, Args)]
pub struct DemoArgs {
    /// How many workers
    #[arg(short, long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub instances: u32,

    /// The port to serve on, at 127.0.0.1; 0 is any free one
    #[arg(long, default_value_t = 0)]
    pub port: u16,
}

#[cfg(test)]
mod tests;
