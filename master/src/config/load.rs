//! Files as text, within a bound.

use std::{
    io::Read as _,
    path::{Path, PathBuf},
};

use super::errors::{ConfigError, Place, Wrong};
use crate::plain_file;

/// The largest file read, in bytes.
pub(super) const LARGEST: u64 = 1 << 20;

/// Why a file can't be read.
#[derive(Debug)]
pub(super) struct Unreadable {
    pub(super) wrong: Wrong,
    place: Option<Place>,
}

impl Unreadable {
    /// As a fault of that file.
    pub(super) fn of(self, file: PathBuf) -> ConfigError {
        ConfigError {
            file,
            place: self.place,
            key: String::new(),
            wrong: self.wrong,
        }
    }
}

impl From<Wrong> for Unreadable {
    fn from(wrong: Wrong) -> Self {
        Self { wrong, place: None }
    }
}

/// A file's text.
pub(super) fn text(path: &Path) -> Result<String, Unreadable> {
    String::from_utf8(bytes(path)?).map_err(|error| {
        let (bytes, at) = (error.as_bytes(), error.utf8_error().valid_up_to());
        let valid = String::from_utf8_lossy(&bytes[..at]);
        Unreadable {
            wrong: Wrong::new("the file is not UTF-8", "save it as UTF-8"),
            place: Some(Place::of(&valid, at)),
        }
    })
}

fn bytes(path: &Path) -> Result<Vec<u8>, Wrong> {
    let cannot = |error: std::io::Error| {
        let fix = match error.kind() {
            std::io::ErrorKind::NotFound => {
                "check the path, or run a command without a file: ostler run -- COMMAND"
            }
            std::io::ErrorKind::IsADirectory => "name a file in it, such as ostler.toml",
            std::io::ErrorKind::Other => "name a plain file: it is read again when it has changed",
            _ => "make it readable",
        };
        Wrong::new(format!("the file can't be read: {error}"), fix)
    };
    let mut bytes = Vec::new();
    let file = plain_file::open(path).map_err(cannot)?;
    file.take(LARGEST + 1)
        .read_to_end(&mut bytes)
        .map_err(cannot)?;
    if bytes.len() as u64 > LARGEST {
        return Err(Wrong::new(
            "the file is larger than 1 MiB",
            "name a process file, such as ostler.toml",
        ));
    }
    Ok(bytes)
}
