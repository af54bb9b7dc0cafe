//! `ostler run`: a process file, or one command with flags.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::super::{error::CliError, values};
use crate::config::{
    app::{AppName, Readiness},
    document::Format,
    errors::Wrong,
    flags::AppFlags,
    program,
    settings::Instances,
};

/// What `run` was given.
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    /// The app's name [default: from the command: `node server.js` is named server]
    #[arg(short, long, value_parser = values::app_name)]
    name: Option<AppName>,

    /// How many workers, auto for one per core, -1 for one fewer [default: auto]
    #[arg(short, long, value_name = "N|auto", allow_negative_numbers = true)]
    instances: Option<Instances>,

    /// A socket that all workers share: 8080, :8080, 127.0.0.1:8080, [::1]:8080, unix:PATH; may be repeated
    #[arg(short, long, value_name = "[NAME=]ADDR")]
    listen: Vec<String>,

    /// How a worker is found ready: auto, notify, sdk, delay(2s), http(ADDRESS PATH), tcp(ADDRESS) [default: auto]
    #[arg(long, value_name = "HOW")]
    ready: Option<Readiness>,

    /// Replace the workers when files change, here or in PATH; may be repeated
    #[arg(long, value_name = "PATH", num_args = 0..=1, require_equals = true, default_missing_value = ".")]
    auto_reload: Option<Vec<PathBuf>>,

    /// Which environment of the process file: what it says for this one stands over the rest
    #[arg(long, value_name = "NAME")]
    pub env: Option<String>,

    /// How to write the log
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = LogFormat::Human)]
    pub log_format: LogFormat,

    /// A process file [default: ostler.toml, .yaml, .yml or .json]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,

    // A command without its `--`: taken in so that the error can say so.
    #[arg(hide = true)]
    extra: Vec<String>,

    /// Program and arguments
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// How to write the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people; in colour on a terminal.
    Human,
    /// One JSON object per line.
    Json,
}

/// What to run.
#[derive(Clone, Debug, PartialEq)]
pub enum RunWhat {
    /// The apps of a process file.
    File(PathBuf),
    /// One app, from flags.
    Command(AppFlags),
}

/// The process file that is meant if none is named: the first there is of `ostler.toml`, `.yaml`, `.yml` and `.json`.
pub(crate) fn usual() -> PathBuf {
    let mut names = Format::NAMES.into_iter().map(PathBuf::from);
    names
        .find(|name| name.exists())
        .unwrap_or_else(|| Format::NAMES[0].into())
}

impl RunArgs {
    /// What to run: a file or a command.
    ///
    /// # Errors
    /// If it is both, or neither can be meant.
    pub fn what(&self) -> Result<RunWhat, CliError> {
        if self.command.is_empty() {
            return self
                .process_file()
                .map(RunWhat::File)
                .map_err(CliError::from);
        }
        if let Some(environment) = &self.env {
            return Err(Wrong::new(
                format!("--env {environment} goes with a process file, and a command was given"),
                "leave it out; a variable is set before the command: NAME=value ostler run -- …",
            )
            .into());
        }
        if let Some(file) = &self.file {
            return Err(Wrong::new(
                format!("both a file ({}) and a command were given", file.display()),
                "leave one out; options stand before `--`, and the command after it",
            )
            .into());
        }
        Ok(RunWhat::Command(AppFlags {
            name: self.name.clone(),
            command: self.command.clone(),
            instances: self.instances,
            listen: self.listen.clone(),
            ready: self.ready.clone(),
            auto_reload: self.auto_reload.clone(),
        }))
    }

    /// What was given instead of a process file is most likely a command.
    fn no_process_file(&self, first: &Path) -> Wrong {
        let words = [first.display().to_string()];
        let given = words.iter().chain(&self.extra).map(String::as_str);
        let given = given.collect::<Vec<_>>().join(" ");
        let interpreter =
            program::interpreter(first).map_or(String::new(), |name| format!("{name} "));
        Wrong::new(
            format!("{given:?} is not a process file (FILE.toml, .yaml or .json)"),
            format!("to run a command, put `--` before it: ostler run -- {interpreter}{given}"),
        )
    }

    fn process_file(&self) -> Result<PathBuf, Wrong> {
        let is_known = |path: &PathBuf| Format::of(path).is_some();
        let file = match &self.file {
            None => usual(),
            Some(file) if is_known(file) && self.extra.is_empty() => file.clone(),
            Some(first) => return Err(self.no_process_file(first)),
        };
        let flag = [
            ("-n", self.name.is_some()),
            ("-i", self.instances.is_some()),
            ("-l", !self.listen.is_empty()),
            ("--ready", self.ready.is_some()),
            ("--auto-reload", self.auto_reload.is_some()),
        ]
        .into_iter()
        .find_map(|(flag, given)| given.then_some(flag));
        match flag {
            None => Ok(file),
            Some(flag) => Err(Wrong::new(
                format!("{flag} goes with a command, and none was given"),
                format!(
                    "add it after `--`, or write the setting into {}",
                    file.display()
                ),
            )),
        }
    }
}
