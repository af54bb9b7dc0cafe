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
            // Asked rightly, and not done.
            RefusalKind::WrongState => Self::Failed,
            RefusalKind::BadConfig => Self::Config,
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

#[cfg(test)]
mod tests {
    use std::{io, path::Path};

    use super::*;
    use crate::config;

    #[test]
    fn every_part_has_its_place() {
        let source = io::Error::other("disk on fire");
        let error = CliError::new(Exit::Failed, "can't start")
            .details(["one".to_owned(), "two".to_owned()])
            .because(&source)
            .hint("put it out");
        assert_eq!(
            error.render(Style::plain()),
            "error: can't start\n  one\n  two\n  caused by: disk on fire\n\nhint: put it out\n"
        );
        assert!(
            error
                .render(Style::coloured())
                .starts_with("\x1b[31merror:\x1b[0m can't start\n")
        );
    }

    #[test]
    fn a_bad_file_is_told_line_by_line() {
        let errors =
            config::file::parse(Path::new("f.toml"), "[app.a]\ncommand = 1\ncolour = 2\n", 1);
        let error = CliError::from(errors.unwrap_err());
        assert_eq!(error.exit, Exit::Config);
        let told = error.render(Style::plain());
        let lines: Vec<&str> = told.lines().collect();
        assert_eq!(
            lines[..4],
            [
                "error: f.toml has 2 errors",
                "  f.toml:2:11: app.a.command: the number 1 can't stand here",
                "      write the program and its arguments: [\"node\", \"server.js\"]",
                "  f.toml:3:1: app.a.colour: unknown key",
            ]
        );
    }

    #[test]
    fn strings_of_others_are_escaped() {
        let error =
            CliError::new(Exit::Failed, "worker said \x1b[2J\nerror: forged").hint("a\u{202e}b");
        assert_eq!(
            error.render(Style::plain()),
            "error: worker said \\x1b[2J\\nerror: forged\n\nhint: a\\u{202e}b\n"
        );
    }

    #[test]
    fn exit_codes() {
        let codes = [
            Exit::Done,
            Exit::Failed,
            Exit::Usage,
            Exit::NotRunning,
            Exit::UnknownName,
            Exit::Busy,
            Exit::Config,
        ];
        assert_eq!(codes.map(|exit| exit as u8), [0, 1, 2, 3, 4, 75, 78]);
        assert_eq!(Exit::from(RefusalKind::UnknownName), Exit::UnknownName);
        assert_eq!(Exit::from(RefusalKind::Busy), Exit::Busy);
        assert_eq!(Exit::from(RefusalKind::Invalid), Exit::Usage);
        assert_eq!(Exit::from(RefusalKind::WrongState), Exit::Failed);
        let running = HomeError::Running {
            name: crate::home::MasterName::new("shop").unwrap(),
            pid: Some(7),
        };
        assert_eq!(CliError::from(running).exit, Exit::Busy);
        assert_eq!(CliError::from(HomeError::Nowhere).exit, Exit::Config);
        let full = HomeError::io("write", "/x", io::Error::from(io::ErrorKind::StorageFull));
        assert_eq!(
            CliError::from(full).render(Style::plain()),
            "error: can't write /x\n  caused by: no storage space\n\nhint: make room on the disk, or set OSTLER_HOME to a directory on another one\n"
        );
    }
}
