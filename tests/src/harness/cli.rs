//! One command of a program: what it is given, what it must print, how it must exit.

use std::{
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use super::{Exit, PATIENCE, Process};

/// A command about to be run. Ends with [`Cli::success`], [`Cli::fails_with`] or [`Cli::run`].
#[derive(Debug)]
#[must_use = "nothing runs before success(), fails_with() or run()"]
pub struct Cli {
    command: Command,
    within: Duration,
    expected: Vec<Expected>,
}

#[derive(Debug)]
enum Expected {
    Stdout(String),
    StdoutHas(String),
    StderrHas(String),
    SilentStderr,
}

/// What a command printed, and how it exited.
#[derive(Clone, Debug)]
pub struct Output {
    /// How it exited.
    pub exit: Exit,
    /// Its standard output; line ends as `\n`.
    pub stdout: String,
    /// Its standard error; line ends as `\n`.
    pub stderr: String,
}

impl Output {
    /// Standard output as one JSON value.
    ///
    /// # Panics
    /// If it is none.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        match serde_json::from_str(&self.stdout) {
            Ok(value) => value,
            Err(error) => panic!("not JSON: {error}\n{self:#?}"),
        }
    }

    /// Standard output as JSON, one value a line.
    ///
    /// # Panics
    /// If a line is none.
    #[must_use]
    pub fn json_lines(&self) -> Vec<serde_json::Value> {
        let parsed = self.stdout.lines().map(serde_json::from_str).collect();
        match parsed {
            Ok(values) => values,
            Err(error) => panic!("not JSON lines: {error}\n{self:#?}"),
        }
    }
}

impl Cli {
    /// A command of `program`. Of this process's environment it gets `PATH` and `LANG` only.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(program);
        command.env_clear();
        for name in ["PATH", "LANG"] {
            command.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        Self {
            command,
            within: PATIENCE,
            expected: Vec::new(),
        }
    }

    /// Adds an argument.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    /// Adds arguments.
    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.command.args(args);
        self
    }

    /// Sets a variable.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Sets the working directory.
    pub fn dir(mut self, dir: impl AsRef<Path>) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// Runs it as another user (root only).
    pub fn user(mut self, uid: u32, gid: u32) -> Self {
        use std::os::unix::process::CommandExt;
        self.command.uid(uid).gid(gid);
        self
    }

    /// Sets how long it may take. Default [`PATIENCE`].
    pub fn within(mut self, within: Duration) -> Self {
        self.within = within;
        self
    }

    /// Its standard output must be this.
    pub fn stdout(self, text: impl Into<String>) -> Self {
        self.expect(Expected::Stdout(text.into()))
    }

    /// Its standard output must contain this.
    pub fn stdout_contains(self, text: impl Into<String>) -> Self {
        self.expect(Expected::StdoutHas(text.into()))
    }

    /// Its standard error must contain this.
    pub fn stderr_contains(self, text: impl Into<String>) -> Self {
        self.expect(Expected::StderrHas(text.into()))
    }

    /// It must print nothing on standard error.
    pub fn stderr_empty(self) -> Self {
        self.expect(Expected::SilentStderr)
    }

    fn expect(mut self, expected: Expected) -> Self {
        self.expected.push(expected);
        self
    }

    /// Runs it; it must exit with 0 and print what was said.
    ///
    /// # Panics
    /// If it does otherwise.
    pub async fn success(self) -> Output {
        self.fails_with(0).await
    }

    /// Runs it; it must exit with `code` and print what was said.
    ///
    /// # Panics
    /// If it does otherwise.
    pub async fn fails_with(self, code: i32) -> Output {
        let shown = shown(&self.command);
        let output = self.run().await;
        assert_eq!(output.exit, Exit::Code(code), "{shown}\n{output:#?}");
        output
    }

    /// Runs it; it may exit as it likes, but must print what was said.
    ///
    /// # Panics
    /// If it takes too long or prints otherwise.
    pub async fn run(self) -> Output {
        let Self {
            mut command,
            within,
            expected,
        } = self;
        let shown = shown(&command);
        let mut process = Process::spawn(&mut command);
        let exit = process.wait(within).await;
        process.stdout.ended(within).await;
        process.stderr.ended(within).await;
        let output = Output {
            exit,
            stdout: process.stdout.text(),
            stderr: process.stderr.text(),
        };
        for expected in expected {
            check(&expected, &output, &shown);
        }
        output
    }

    /// Starts it, to be watched while it runs.
    ///
    /// # Panics
    /// If it can't be started.
    #[must_use]
    pub fn start(mut self) -> Process {
        Process::spawn(&mut self.command)
    }

    /// The command, for a caller that starts it in the background.
    pub(super) fn into_command(self) -> Command {
        self.command
    }
}

fn shown(command: &Command) -> String {
    let program = PathBuf::from(command.get_program());
    let name = program.file_name().unwrap_or_default().to_owned();
    let words: Vec<OsString> = std::iter::once(name)
        .chain(command.get_args().map(OsStr::to_owned))
        .collect();
    words.join(OsStr::new(" ")).to_string_lossy().into_owned()
}

fn check(expected: &Expected, output: &Output, shown: &str) {
    match expected {
        Expected::Stdout(text) => assert_eq!(&output.stdout, text, "{shown}\n{output:#?}"),
        Expected::StdoutHas(text) => {
            assert!(
                output.stdout.contains(text),
                "{shown}: no {text:?} in\n{output:#?}"
            );
        }
        Expected::StderrHas(text) => {
            assert!(
                output.stderr.contains(text),
                "{shown}: no {text:?} in\n{output:#?}"
            );
        }
        Expected::SilentStderr => assert_eq!(output.stderr, "", "{shown}\n{output:#?}"),
    }
}
