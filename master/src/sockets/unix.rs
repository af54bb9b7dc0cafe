//! Unix sockets have a path, which outlives them: it is replaced if nobody has it any more, and removed at the end if it is
//! still the one that we created.
//!
//! An address holds 107 bytes. A socket whose path is longer is bound through its directory: the kernel is told
//! `/proc/self/fd/N/NAME`, where N is the directory, held open for that moment. Who connects must do the like.

use std::{
    io,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::{
            ffi::OsStrExt,
            fs::{FileTypeExt, MetadataExt, PermissionsExt},
        },
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{Access, AtFlags, Gid, Mode, OFlags, Uid},
    io::Errno,
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with},
};

use super::Problem;
use crate::config::{
    address::LONGEST_SOCKET_PATH,
    app::socket::{SocketFile, SocketKind},
};

/// A socket's path that we created. Removed when dropped, unless another has taken its place.
#[derive(Debug)]
pub(super) struct OwnPath {
    path: PathBuf,
    file: (u64, u64),
}

impl OwnPath {
    /// It isn't removed any more.
    pub(super) fn stay(self) {
        std::mem::forget(self);
    }
}

impl Drop for OwnPath {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|file| file == self.file) {
            // Somebody may have removed the directory meanwhile.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Binds a Unix socket; it does not listen yet.
pub(super) fn bind_unix(
    path: &Path,
    kind: SocketKind,
    file: SocketFile,
) -> Result<(OwnedFd, OwnPath), Problem> {
    let name = Name::of(path)?;
    if in_the_way(path, &name, kind)? == InTheWay::Stale {
        remove(path)?;
    }
    let fd = new_socket(kind, SocketFlags::CLOEXEC).map_err(other)?;
    if let Some(permissions) = file.permissions {
        // What the path is created with, less the umask: nobody gets in before all is as it was said.
        let mode = Mode::from_raw_mode(permissions);
        rustix::fs::fchmod(&fd, mode).map_err(other)?;
    }
    rustix::net::bind(&fd, &name.address).map_err(|error| match error {
        Errno::ADDRINUSE => Problem::InUse(None),
        Errno::NOENT | Errno::NOTDIR => Problem::NoDirectory,
        Errno::ACCESS | Errno::PERM | Errno::ROFS => Problem::Denied,
        error => other(error),
    })?;
    let own = OwnPath {
        path: path.to_owned(),
        file: identity(path).map_err(Problem::Other)?,
    };
    give_away(&own, file)?;
    Ok((fd, own))
}

/// Whether a socket could be bound here; nothing is changed.
pub(super) fn look_at(path: &Path, kind: SocketKind) -> Result<(), Problem> {
    in_the_way(path, &Name::of(path)?, kind)?;
    let may = rustix::fs::access(directory(path), Access::WRITE_OK | Access::EXEC_OK);
    may.map_err(|error| match error {
        Errno::NOENT | Errno::NOTDIR => Problem::NoDirectory,
        Errno::ACCESS | Errno::PERM | Errno::ROFS => Problem::Denied,
        error => other(error),
    })
}

fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        Some(_) | None => Path::new("."),
    }
}

/// A path as an address of the kernel's. One that is too long goes through its directory, which is open as long as this is.
struct Name {
    address: SocketAddrUnix,
    _directory: Option<OwnedFd>,
}

impl Name {
    fn of(path: &Path) -> Result<Self, Problem> {
        let length = path.as_os_str().as_bytes().len();
        if length <= LONGEST_SOCKET_PATH {
            let address = SocketAddrUnix::new(path).map_err(other)?;
            return Ok(Self {
                address,
                _directory: None,
            });
        }
        let name = path.file_name().ok_or(Problem::PathTooLong(length))?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = rustix::fs::open(directory(path), flags, Mode::empty());
        let dir = opened.map_err(|error| match error {
            Errno::NOENT | Errno::NOTDIR => Problem::NoDirectory,
            Errno::ACCESS => Problem::Denied,
            error => other(error),
        })?;
        let short = Path::new("/proc/self/fd").join(dir.as_raw_fd().to_string());
        let short = short.join(name);
        if short.as_os_str().as_bytes().len() > LONGEST_SOCKET_PATH {
            return Err(Problem::PathTooLong(length));
        }
        Ok(Self {
            address: SocketAddrUnix::new(short).map_err(other)?,
            _directory: Some(dir),
        })
    }
}

/// Makes a socket's file whose it should be. Through a descriptor, so that nothing else is given away if another file takes
/// its place meanwhile.
fn give_away(own: &OwnPath, file: SocketFile) -> Result<(), Problem> {
    if file == SocketFile::default() {
        return Ok(());
    }
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = rustix::fs::open(&own.path, flags, Mode::empty()).map_err(other)?;
    let there = rustix::fs::fstat(&fd).map_err(other)?;
    if (there.st_dev, there.st_ino) != own.file {
        return Err(Problem::InUse(None));
    }
    let (uid, gid) = (file.owner.map(Uid::from_raw), file.group.map(Gid::from_raw));
    if uid.is_some() || gid.is_some() {
        rustix::fs::chownat(&fd, "", uid, gid, AtFlags::EMPTY_PATH)
            .map_err(|error| Problem::Option("owner or group", error.into()))?;
    }
    if let Some(permissions) = file.permissions {
        let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
        std::fs::set_permissions(path, PermissionsExt::from_mode(permissions))
            .map_err(|error| Problem::Option("permissions", error))?;
    }
    Ok(())
}

/// What is at a path, if a socket may take its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum InTheWay {
    Nothing,
    /// A socket that nobody has.
    Stale,
}

/// Refuses whatever must stay.
fn in_the_way(path: &Path, name: &Name, kind: SocketKind) -> Result<InTheWay, Problem> {
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
    let probe = new_socket(kind, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK).map_err(other)?;
    match rustix::net::connect(&probe, &name.address) {
        Err(Errno::CONNREFUSED) => Ok(InTheWay::Stale),
        Err(Errno::NOENT) => Ok(InTheWay::Nothing),
        Err(Errno::ACCESS) => Err(Problem::Denied),
        // Connected, or busy, or a socket of another type: somebody has it.
        Ok(()) | Err(_) => Err(Problem::InUse(None)),
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

fn new_socket(kind: SocketKind, flags: SocketFlags) -> rustix::io::Result<OwnedFd> {
    let kind = match kind {
        SocketKind::Stream => SocketType::STREAM,
        SocketKind::Datagram => SocketType::DGRAM,
        SocketKind::Seqpacket => SocketType::SEQPACKET,
    };
    socket_with(AddressFamily::UNIX, kind, flags, None)
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = std::fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

fn other(error: Errno) -> Problem {
    Problem::Other(error.into())
}
