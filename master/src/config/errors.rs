//! Errors in what a user wrote. They are collected, not thrown: a file's faults are told all together, each with its
//! place and its fix, so that mending a file takes one round and not five.

use std::{fmt, path::PathBuf};

/// A value that can't be used: what is wrong with it, and what to write in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// What is wrong, naming the value.
    pub problem: String,
    /// What to do about it.
    pub fix: String,
}

impl Wrong {
    /// A fault and its fix.
    pub fn new(problem: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            problem: problem.into(),
            fix: fix.into(),
        }
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.problem, self.fix)
    }
}

impl std::error::Error for Wrong {}

/// A place in a file, for people and editors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1, in characters.
    pub column: usize,
}

impl Place {
    /// Where a text begins.
    pub(super) const FIRST: Self = Self { line: 1, column: 1 };

    /// The place of a byte offset in a text.
    #[must_use]
    pub fn of(text: &str, offset: usize) -> Self {
        let before = &text.as_bytes()[..offset.min(text.len())];
        let start = before
            .iter()
            .rposition(|b| *b == b'\n')
            .map_or(0, |i| i + 1);
        Self {
            line: 1 + before.iter().filter(|b| **b == b'\n').count(),
            column: 1 + String::from_utf8_lossy(&before[start..]).chars().count(),
        }
    }
}

/// One fault of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The file: the process file, one that it includes, or one of variables.
    pub file: PathBuf,
    /// Where; `None` if the whole file is meant.
    pub place: Option<Place>,
    /// Which key ("app.web.instances"); empty where there is none, as for bad syntax.
    pub key: String,
    /// What is wrong and what to do.
    pub wrong: Wrong,
}

/// Every fault of a process file and of those that it includes, in the order of their places. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors {
    /// The process file, as it was named by the user.
    pub file: PathBuf,
    /// The faults.
    pub errors: Vec<ConfigError>,
}

impl ConfigErrors {
    /// The one fault of a file that can't even be read.
    #[must_use]
    pub fn whole_file(file: PathBuf, wrong: Wrong) -> Self {
        let error = ConfigError {
            file: file.clone(),
            place: None,
            key: String::new(),
            wrong,
        };
        Self {
            file,
            errors: vec![error],
        }
    }

    /// How many there are, in words: "ostler.toml has 2 errors".
    #[must_use]
    pub fn summary(&self) -> String {
        let file = self.file.display();
        match self.errors.len() {
            1 => format!("{file} has an error"),
            n => format!("{file} has {n} errors"),
        }
    }

    /// One line for each fault and one for its fix: `FILE:LINE:COLUMN: KEY: PROBLEM`, then `    FIX`.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::with_capacity(2 * self.errors.len());
        for error in &self.errors {
            let file = error.file.display();
            let place = match error.place {
                Some(Place { line, column }) => format!("{file}:{line}:{column}: "),
                None => format!("{file}: "),
            };
            let key = match error.key.as_str() {
                "" => String::new(),
                key => format!("{key}: "),
            };
            lines.push(format!("{place}{key}{}", error.wrong.problem));
            lines.push(format!("    {}", error.wrong.fix));
        }
        lines
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.summary())?;
        for line in self.lines() {
            write!(f, "\n{line}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}
