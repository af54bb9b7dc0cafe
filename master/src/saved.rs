//! The fleet on paper: what runs, as a process file that brings it back.
//!
//! A master's own saved file is in the [state directory](crate::home::StateDir), `<master>.saved.toml`; what was there before
//! is kept as `<master>.saved.1.toml`. They may hold secrets (`env`), so nobody but their owner reads them. A file is either
//! the old one or the new one, whatever happens while it is written.

mod compose;
mod write;

use std::path::PathBuf;

pub use compose::{Kept, compose};
pub use write::write;

use crate::home::{HomeError, MasterName, StateDir};

/// What the name of each ends in.
const SUFFIX: &str = ".saved.toml";

/// A master's own saved file.
#[must_use]
pub fn file_of(state: &StateDir, master: &MasterName) -> PathBuf {
    state.path().join(format!("{master}{SUFFIX}"))
}

/// The masters that have one, by name.
///
/// # Errors
/// If the directory can't be trusted or read.
pub fn masters(state: &StateDir) -> Result<Vec<MasterName>, HomeError> {
    let Some(directory) = state.look()? else {
        return Ok(Vec::new());
    };
    let unreadable = |source| HomeError::io("read", state.path(), source);
    let mut masters = Vec::new();
    for entry in rustix::fs::Dir::read_from(&directory).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name().to_str().ok();
        let name = name.and_then(|name| name.strip_suffix(SUFFIX));
        masters.extend(name.and_then(|name| MasterName::new(name).ok()));
    }
    masters.sort();
    Ok(masters)
}
