//! What a worker finds open besides sockets: files, and its standard input.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What was said of an app's descriptors.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// Files, in the order of their descriptors, which follow those of the sockets and the bus. Default: none.
    pub files: Option<Vec<GivenFile>>,
    /// Standard input. Default: `/dev/null`.
    pub stdin: Option<Stdin>,
}

/// A file that is opened anew for each worker: to be read with the master's rights, to be written with the worker's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenFile {
    /// Its name: one topic token.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// For what it is opened.
    pub mode: FileMode,
}

/// For what a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FileMode {
    /// To be read.
    Read,
    /// To be written from the beginning: made if it isn't there, emptied if it is.
    Write,
    /// To be written at its end: made if it isn't there.
    Append,
    /// To be read and written: made if it isn't there.
    ReadWrite,
}

/// Where a worker's standard input comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stdin {
    /// Nowhere: it has ended.
    Null,
    /// It is the declared socket of this name.
    Socket(String),
    /// From operators, line by line.
    Lines,
}

impl Given {
    /// This, and `base` where it says nothing.
    #[must_use]
    pub fn or(self, base: Self) -> Self {
        Self {
            files: self.files.or(base.files),
            stdin: self.stdin.or(base.stdin),
        }
    }

    /// The files.
    #[must_use]
    pub fn files(&self) -> &[GivenFile] {
        self.files.as_deref().unwrap_or_default()
    }
}

impl FileMode {
    /// Every mode, by its word in the process file.
    pub const WORDS: [(&str, Self); 4] = [
        ("read", Self::Read),
        ("write", Self::Write),
        ("append", Self::Append),
        ("read-write", Self::ReadWrite),
    ];
}
