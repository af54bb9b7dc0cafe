//! Failures as the user sees them, and the exit codes, mapped once.

use std::{fmt, process::ExitCode};

use ostler_bus::vocab::control::RefusalKind;

use super::style::Style;
use crate::{
    config::errors::{ConfigErrors, Wrong},
    escape,
    home::HomeError,
    sockets::BindError,
};

/// How a command ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Tried, and failed.
    Failed = 1,
    /// Asked wrongly.
    Usage = 2,
    /// There is no such master, or none at all.
    NotRunning = 3,
    /// The master knows no app, topic or responder of that name.
    UnknownName = 4,
    /// Refused because something else is going on; worth another try.
    Busy = 75,
    /// The configuration can't be used.
    Config = 78,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl From<RefusalKind> for Exit {
    fn from(kind: RefusalKind) -> Self {
        match kind {
            RefusalKind::UnknownName => Self::UnknownName,
            RefusalKind::Busy | RefusalKind::Stopping => Self::Busy,
            RefusalKind::Invalid => Self::Usage,
        }
    }
}

/// A failure: what happened, why, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CliError {
    /// How the command ends.
    pub exit: Exit,
    /// What happened, in one line.
    pub message: String,
    /// Further lines below the message, indented; for lists.
    pub details: Vec<String>,
    /// What caused it, outermost first.
    pub causes: Vec<String>,
    /// What to do.
    pub hint: Option<String>,
}

impl CliError {
    /// A failure without more.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            details: Vec::new(),
            causes: Vec::new(),
            hint: None,
        }
    }

    /// The same with an error and all that caused it as its cause.
    #[must_use]
    pub fn because(mut self, error: &dyn std::error::Error) -> Self {
        let mut next = Some(error);
        while let Some(error) = next {
            self.causes.push(error.to_string());
            next = error.source();
        }
        self
    }

    /// The same with what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same with further lines.
    #[must_use]
    pub fn details(mut self, lines: impl IntoIterator<Item = String>) -> Self {
        self.details.extend(lines);
        self
    }

    /// The failure as text for standard error; strings of others are escaped.
    #[must_use]
    pub fn render(&self, style: Style) -> String {
        let mut out = format!("{} {}\n", style.red("error:"), escape::line(&self.message));
        for line in &self.details {
            out.push_str(&format!("  {}\n", escape::line(line)));
        }
        for cause in &self.causes {
            out.push_str(&format!("  caused by: {}\n", escape::line(cause)));
        }
        if let Some(hint) = &self.hint {
            out.push_str(&format!(
                "\n{} {}\n",
                style.green("hint:"),
                escape::line(hint)
            ));
        }
        out
    }

    /// Prints the failure on standard error and returns how to end.
    pub fn report(&self) -> ExitCode {
        use std::io::Write as _;
        let text = self.render(Style::of_stderr());
        // Where standard error is closed, the exit code still speaks.
        let _ = std::io::stderr().lock().write_all(text.as_bytes());
        self.exit.into()
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for CliError {}

impl From<Wrong> for CliError {
    /// A flag or argument that can't be used.
    fn from(wrong: Wrong) -> Self {
        Self::new(Exit::Usage, wrong.problem).hint(wrong.fix)
    }
}

impl From<ConfigErrors> for CliError {
    fn from(errors: ConfigErrors) -> Self {
        Self::new(Exit::Config, errors.summary()).details(errors.lines())
    }
}

impl From<BindError> for CliError {
    fn from(error: BindError) -> Self {
        let hint = error.hint();
        Self {
            hint,
            ..Self::new(Exit::Failed, error.to_string())
        }
    }
}

impl From<HomeError> for CliError {
    fn from(error: HomeError) -> Self {
        let exit = match &error {
            HomeError::Running { .. } => Exit::Busy,
            HomeError::Io { .. } => Exit::Failed,
            HomeError::Nowhere
            | HomeError::Relative { .. }
            | HomeError::TooLong { .. }
            | HomeError::NotADirectory { .. }
            | HomeError::Symlink { .. }
            | HomeError::WrongOwner { .. }
            | HomeError::WritableByOthers { .. } => Exit::Config,
        };
        let hint = error.hint();
        let failure = Self::new(exit, error.to_string());
        match std::error::Error::source(&error) {
            Some(source) => failure.because(source).hint(hint),
            None => failure.hint(hint),
        }
    }
}
