//! Colour and width, decided once from where the output goes.

use std::{io::IsTerminal, os::fd::AsFd};

/// How wide a terminal is that doesn't say.
const DEFAULT_WIDTH: usize = 80;

/// How to write to one output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    colour: bool,
    /// Columns; lines of free text end there. Without bound where nothing is cut off at an edge: in files and pipes.
    pub width: usize,
}

impl Style {
    /// No colour, 80 columns: for tests.
    #[must_use]
    pub fn plain() -> Self {
        Self {
            colour: false,
            width: DEFAULT_WIDTH,
        }
    }

    /// Colour, 80 columns.
    #[must_use]
    pub fn coloured() -> Self {
        Self {
            colour: true,
            width: DEFAULT_WIDTH,
        }
    }

    /// For standard output.
    #[must_use]
    pub fn of_stdout() -> Self {
        Self::of(&std::io::stdout())
    }

    /// For standard error.
    #[must_use]
    pub fn of_stderr() -> Self {
        Self::of(&std::io::stderr())
    }

    /// Colour on a terminal that can show it, unless `NO_COLOR` is set to anything.
    fn of(output: &(impl IsTerminal + AsFd)) -> Self {
        let terminal = output.is_terminal();
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let width = rustix::termios::tcgetwinsize(output)
            .map(|size| usize::from(size.ws_col))
            .ok()
            .filter(|columns| *columns >= 20);
        let width = match terminal {
            true => width.unwrap_or(DEFAULT_WIDTH),
            false => usize::MAX,
        };
        Self {
            colour: terminal
                && set("NO_COLOR").is_none()
                && set("TERM").is_none_or(|term| term != "dumb"),
            width,
        }
    }

    fn paint(self, code: &str, text: &str) -> String {
        match self.colour {
            true => format!("\x1b[{code}m{text}\x1b[0m"),
            false => text.to_owned(),
        }
    }

    /// Wrong, or gone.
    #[must_use]
    pub fn red(self, text: &str) -> String {
        self.paint("31", text)
    }

    /// Well.
    #[must_use]
    pub fn green(self, text: &str) -> String {
        self.paint("32", text)
    }

    /// On its way.
    #[must_use]
    pub fn yellow(self, text: &str) -> String {
        self.paint("33", text)
    }

    /// Beside the point.
    #[must_use]
    pub fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    /// A heading.
    #[must_use]
    pub fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }
}
