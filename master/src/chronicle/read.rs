//! Reading chronicles. The files are small enough to be read whole.

use std::{
    fs::File,
    io::{self, Read as _},
    os::fd::OwnedFd,
};

use rustix::fs::{Dir, Mode, OFlags};

use super::{FILE_BYTES, LINE_BYTES, NEWEST, Record, files};
use crate::home::{HomeError, MasterName, StateDir};

/// What a master's files say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Chronicle {
    /// In the order in which they were written.
    pub records: Vec<Record>,
    /// So many lines are none: torn, or of another version.
    pub unreadable: usize,
}

/// A master's chronicle; `None` if there is none.
///
/// # Errors
/// If it is there and can't be read, or trusted.
pub fn read(state: &StateDir, master: &MasterName) -> Result<Option<Chronicle>, HomeError> {
    let Some(directory) = state.look()? else {
        return Ok(None);
    };
    let mut chronicle = None;
    for name in files(master) {
        let text = match text(&directory, &name) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(HomeError::io("read", state.path().join(name), error)),
        };
        let chronicle = chronicle.get_or_insert_with(Chronicle::default);
        let lines = text.split(|byte| *byte == b'\n');
        for line in lines.filter(|line| !line.is_empty()) {
            match serde_json::from_slice(line) {
                Ok(record) => chronicle.records.push(record),
                Err(_) => chronicle.unreadable += 1,
            }
        }
    }
    Ok(chronicle)
}

/// The masters that have one, by name.
///
/// # Errors
/// If the directory is there and can't be read, or trusted.
pub fn masters(state: &StateDir) -> Result<Vec<MasterName>, HomeError> {
    let Some(directory) = state.look()? else {
        return Ok(Vec::new());
    };
    let unreadable = |error| HomeError::io("read", state.path(), error);
    let mut names = Vec::new();
    for entry in Dir::read_from(&directory).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name().to_str().ok();
        let name = name.and_then(|name| MasterName::new(name.strip_suffix(NEWEST)?).ok());
        names.extend(name);
    }
    names.sort();
    Ok(names)
}

fn text(directory: &OwnedFd, name: &str) -> io::Result<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file: File = rustix::fs::openat(directory, name, flags, Mode::empty())?.into();
    let mut text = Vec::new();
    // Whatever stands there instead of ours is not read without end.
    file.take(2 * FILE_BYTES + LINE_BYTES as u64)
        .read_to_end(&mut text)?;
    Ok(text)
}
