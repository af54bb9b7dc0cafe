//! `ostler run` and `ostler start`: a process file, or one command with flags; or, to be started, what a master knows.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use clap::{Args, ValueEnum};

use super::super::{error::CliError, foreign, values};
use crate::config::{
    app::{AppName, Readiness},
    document::Format,
    errors::Wrong,
    flags::AppFlags,
    program,
    settings::Instances,
};

/// What `--auto-reload` without a path watches.
const HERE: &str = ".";

/// What to run.
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

    /// How a worker is found ready: auto, notify, sdk, delay(2s), http(ADDRESS PATH), tcp(ADDRESS) [default: auto].
    /// Without {id} in the ADDRESS the old worker of a slot goes before the new one comes
    #[arg(long, value_name = "HOW")]
    ready: Option<Readiness>,

    /// Replace the workers when files change, here or in PATH; may be repeated
    #[arg(long, value_name = "PATH", num_args = 0..=1, require_equals = true, default_missing_value = HERE)]
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

    // Which of its apps are to start, for `start`; or a command without its `--`: taken in so that the error can say so.
    #[arg(hide = true)]
    extra: Vec<String>,

    // The same from `ostler start`, for the master that it starts.
    #[arg(long, hide = true, value_parser = values::app_name)]
    only: Vec<AppName>,

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

/// What to start.
#[derive(Clone, Debug, PartialEq)]
pub enum StartWhat {
    /// Nothing was named: all that is known, or else the usual process file.
    Anything,
    /// What a master knows, by a selector.
    Known(Option<String>),
    /// What it may not know yet.
    Run(RunWhat),
}

/// The process file that is meant if none is named: the first there is of `ostler.toml`, `.yaml`, `.yml` and `.json`.
pub(crate) fn usual() -> PathBuf {
    let mut names = Format::NAMES.into_iter().map(PathBuf::from);
    names
        .find(|name| name.exists())
        .unwrap_or_else(|| Format::NAMES[0].into())
}

impl RunArgs {
    /// Those of a process file, and nothing else.
    #[must_use]
    pub fn of_file(file: PathBuf) -> Self {
        Self {
            name: None,
            instances: None,
            listen: Vec::new(),
            ready: None,
            auto_reload: None,
            env: None,
            log_format: LogFormat::Human,
            file: Some(file),
            extra: Vec::new(),
            only: Vec::new(),
            command: Vec::new(),
        }
    }

    /// Which apps of the process file are to start; none: as the file says.
    ///
    /// # Errors
    /// If one is no app's name.
    pub fn only(&self) -> Result<Vec<AppName>, Wrong> {
        let words = self.extra.iter().flat_map(|word| word.split(','));
        let named = words.map(|word| {
            let fix = "behind a process file stand the names of its apps that are to start";
            AppName::new(word).map_err(|problem| Wrong::new(problem, fix))
        });
        let only = self.only.iter().cloned().map(Ok);
        only.chain(named).collect()
    }

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
            let bare = Path::new(HERE);
            let mut watched = self.auto_reload.iter().flatten();
            let fix = match watched.any(|path| path == bare) {
                true => format!(
                    "to watch it, write it behind a `=`: --auto-reload={}",
                    file.display()
                ),
                false => {
                    "leave one out; options stand before `--`, and the command after it".into()
                }
            };
            let problem = format!("both a file ({}) and a command were given", file.display());
            return Err(Wrong::new(problem, fix).into());
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

    /// What to start: what is no process file and no command is known to a master.
    ///
    /// # Errors
    /// If it is several of these, or none of them.
    pub fn start_what(&self) -> Result<StartWhat, CliError> {
        let Some(first) = self.file.as_deref().filter(|_| self.command.is_empty()) else {
            let named = !self.command.is_empty() || self.flag().is_some() || self.env.is_some();
            return match named {
                true => self.what().map(StartWhat::Run),
                false => Ok(StartWhat::Anything),
            };
        };
        if Format::of(first).is_some() {
            self.only()?;
            let file = self.without_flags(first.to_owned())?;
            return Ok(StartWhat::Run(RunWhat::File(file)));
        }
        let is_file = first.is_file();
        if is_file && foreign::is_foreign(first) {
            return Err(self.no_process_file("start", first).into());
        }
        let path = first;
        let first = first.to_string_lossy();
        let words = std::iter::once(&*first).chain(self.extra.iter().map(String::as_str));
        let flag = self.flag().or(self.env.as_ref().map(|_| "--env"));
        if let Some(flag) = flag {
            return Err(Wrong::new(
                format!("{flag} goes with a process file or a command, and {first:?} is neither"),
                "a process file ends in .toml, .yaml, .yml or .json, and a command stands after `--`",
            )
            .into());
        }
        let words: Result<Vec<String>, String> = words.map(values::selector).collect();
        let fix = "what is to be started for the first time: ostler start FILE, or ostler start -- COMMAND";
        let words = words.map_err(|problem| match is_file {
            true => self.no_process_file("start", path),
            false => Wrong::new(problem, fix),
        })?;
        Ok(StartWhat::Known(values::joined(&words)))
    }

    /// The words that say the same to `ostler run`.
    #[must_use]
    pub fn words(&self) -> Vec<OsString> {
        let mut words: Vec<OsString> = Vec::new();
        let mut flag = |name: &str, value: Option<String>| {
            words.extend(value.map(|value| format!("{name}={value}").into()));
        };
        flag("--name", self.name.as_ref().map(ToString::to_string));
        let instances = self.instances.map(|instances| match instances {
            Instances::Exactly(count) => count.to_string(),
            Instances::Auto => "auto".to_owned(),
            Instances::AllBut(left) => format!("-{left}"),
        });
        flag("--instances", instances);
        for socket in &self.listen {
            flag("--listen", Some(socket.clone()));
        }
        flag("--ready", self.ready.as_ref().map(ToString::to_string));
        flag("--env", self.env.clone());
        if self.log_format == LogFormat::Json {
            flag("--log-format", Some("json".to_owned()));
        }
        for path in self.auto_reload.iter().flatten() {
            let mut word = OsString::from("--auto-reload=");
            word.push(path);
            words.push(word);
        }
        for app in self.only().unwrap_or_default() {
            words.push(format!("--only={app}").into());
        }
        words.extend(self.file.iter().map(Into::into));
        if !self.command.is_empty() {
            words.push("--".into());
            words.extend(self.command.iter().map(Into::into));
        }
        words
    }

    /// What was given instead of a process file is most likely a command.
    fn no_process_file(&self, verb: &str, first: &Path) -> Wrong {
        if foreign::is_foreign(first) && self.extra.is_empty() {
            return foreign::given(first);
        }
        let words = [first.display().to_string()];
        let given = words.iter().chain(&self.extra).map(String::as_str);
        let given = given.collect::<Vec<_>>().join(" ");
        let interpreter =
            program::interpreter(first).map_or(String::new(), |name| format!("{name} "));
        Wrong::new(
            format!("{given:?} is not a process file (FILE.toml, .yaml or .json)"),
            format!("to run a command, put `--` before it: ostler {verb} -- {interpreter}{given}"),
        )
    }

    fn process_file(&self) -> Result<PathBuf, Wrong> {
        let is_known = |path: &PathBuf| Format::of(path).is_some();
        let file = match &self.file {
            None => usual(),
            Some(file) if is_known(file) && self.extra.is_empty() => file.clone(),
            Some(first) => return Err(self.no_process_file("run", first)),
        };
        self.without_flags(file)
    }

    /// The process file, if nothing was given that goes with a command.
    fn without_flags(&self, file: PathBuf) -> Result<PathBuf, Wrong> {
        match self.flag() {
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

    /// A flag that goes with a command, if there is one.
    fn flag(&self) -> Option<&'static str> {
        [
            ("-n", self.name.is_some()),
            ("-i", self.instances.is_some()),
            ("-l", !self.listen.is_empty()),
            ("--ready", self.ready.is_some()),
            ("--auto-reload", self.auto_reload.is_some()),
        ]
        .into_iter()
        .find_map(|(flag, given)| given.then_some(flag))
    }
}
