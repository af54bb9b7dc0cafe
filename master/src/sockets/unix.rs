//! Unix sockets have a path, which outlives them: it is replaced if nobody listens there any more, and removed at the
//! end if it is still the one that we created.

use std::{
    io,
    os::{
        fd::OwnedFd,
        unix::{
            ffi::OsStrExt,
            fs::{FileTypeExt, MetadataExt},
        },
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::Access,
    io::Errno,
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with},
};

use super::{Problem, holder::holder_of_unix};

/// The longest path that fits a socket's address, in bytes.
const PATH_BYTES: usize = 107;

/// A socket's path that we created. Removed when dropped, unless another has taken its place.
#[derive(Debug)]
pub(super) struct OwnPath {
    path: PathBuf,
    file: (u64, u64),
}

impl Drop for OwnPath {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|file| file == self.file) {
            // Somebody may have removed the directory meanwhile.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Binds a Unix stream socket; it does not listen yet.
pub(super) fn bind_unix(path: &Path) -> Result<(OwnedFd, OwnPath), Problem> {
    let address = address_of(path)?;
    if in_the_way(path, &address)? == InTheWay::Stale {
        remove(path)?;
    }
    let fd = new_socket(SocketFlags::CLOEXEC).map_err(other)?;
    rustix::net::bind(&fd, &address).map_err(|error| match error {
        Errno::ADDRINUSE => Problem::InUse(holder_of_unix(path)),
        Errno::NOENT | Errno::NOTDIR => Problem::NoDirectory,
        Errno::ACCESS | Errno::PERM | Errno::ROFS => Problem::Denied,
        error => other(error),
    })?;
    let file = identity(path).map_err(Problem::Other)?;
    let path = path.to_owned();
    Ok((fd, OwnPath { path, file }))
}

/// Whether a socket could be bound here; nothing is changed.
pub(super) fn look_at(path: &Path) -> Result<(), Problem> {
    in_the_way(path, &address_of(path)?)?;
    let dir = match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        Some(_) | None => Path::new("."),
    };
    let may = rustix::fs::access(dir, Access::WRITE_OK | Access::EXEC_OK);
    may.map_err(|error| match error {
        Errno::NOENT | Errno::NOTDIR => Problem::NoDirectory,
        Errno::ACCESS | Errno::PERM | Errno::ROFS => Problem::Denied,
        error => other(error),
    })
}

fn address_of(path: &Path) -> Result<SocketAddrUnix, Problem> {
    let length = path.as_os_str().as_bytes().len();
    if length > PATH_BYTES {
        return Err(Problem::PathTooLong(length));
    }
    SocketAddrUnix::new(path).map_err(other)
}

/// What is at a path, if a socket may take its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum InTheWay {
    Nothing,
    /// A socket on which nobody listens.
    Stale,
}

/// Refuses whatever must stay.
fn in_the_way(path: &Path, address: &SocketAddrUnix) -> Result<InTheWay, Problem> {
    let there = match std::fs::symlink_metadata(path) {
        Ok(there) => there,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(InTheWay::Nothing),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            return Err(Problem::NoDirectory);
        }
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return Err(Problem::Denied);
        }
        Err(error) => return Err(Problem::Other(error)),
    };
    if !there.file_type().is_socket() {
        return Err(Problem::NotASocket);
    }
    // Non-blocking: a living listener whose queue is full would keep us waiting.
    let probe = new_socket(SocketFlags::CLOEXEC | SocketFlags::NONBLOCK).map_err(other)?;
    match rustix::net::connect(&probe, address) {
        Err(Errno::CONNREFUSED) => Ok(InTheWay::Stale),
        Err(Errno::NOENT) => Ok(InTheWay::Nothing),
        Err(Errno::ACCESS) => Err(Problem::Denied),
        // Connected, or busy, or a socket of another type: somebody has it.
        Ok(()) | Err(_) => Err(Problem::InUse(holder_of_unix(path))),
    }
}

fn remove(path: &Path) -> Result<(), Problem> {
    match std::fs::remove_file(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(Problem::Denied),
        Err(error) => Err(Problem::Other(error)),
    }
}

fn new_socket(flags: SocketFlags) -> rustix::io::Result<OwnedFd> {
    socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = std::fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

fn other(error: Errno) -> Problem {
    Problem::Other(error.into())
}
