//! Opening directories that must be ours.

use std::{
    os::fd::{AsFd, OwnedFd},
    path::Path,
};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};

use super::HomeError;

/// Whether a directory was there before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// It was.
    There,
    /// It was made just now.
    Created,
}

/// Opens a directory of ours below `at`, creating it if it isn't there. `shown` is its full path, for errors.
pub(crate) fn open_or_create(
    at: impl AsFd,
    path: &Path,
    shown: &Path,
    mode: u32,
) -> Result<(OwnedFd, Found), HomeError> {
    let found = match rustix::fs::mkdirat(&at, path, Mode::from_raw_mode(mode)) {
        Ok(()) => Found::Created,
        Err(rustix::io::Errno::EXIST) => Found::There,
        Err(error) => return Err(HomeError::io("create", shown, error)),
    };
    let directory = open_checked(&at, path, shown, Whose::Ours)?;
    if found == Found::Created {
        // The umask may have taken bits away.
        rustix::fs::fchmod(&directory, Mode::from_raw_mode(mode))
            .map_err(|error| HomeError::io("set the permissions of", shown, error))?;
    }
    Ok((directory, found))
}

/// Whose directory will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// Only ours: we keep something there.
    Ours,
    /// Root may look into anyone's.
    OursOrRootLooks,
}

/// Opens a directory, if it is one, no symlink, of the right owner, and writable by its owner alone.
pub(super) fn open_checked(
    at: impl AsFd,
    path: &Path,
    shown: &Path,
    whose: Whose,
) -> Result<OwnedFd, HomeError> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
    let opened = rustix::fs::openat(&at, path, flags, Mode::empty());
    // Another user's directory may be closed to us: its owner is the better explanation.
    let stat = match &opened {
        Ok(directory) => rustix::fs::fstat(directory),
        Err(_) => rustix::fs::statat(&at, path, AtFlags::SYMLINK_NOFOLLOW),
    };
    if let Ok(stat) = stat {
        check(&stat, shown, whose)?;
    }
    opened.map_err(|error| HomeError::io("open", shown, error))
}

fn check(stat: &Stat, shown: &Path, whose: Whose) -> Result<(), HomeError> {
    let path = shown.to_owned();
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => {}
        FileType::Symlink => return Err(HomeError::Symlink { path }),
        _ => return Err(HomeError::NotADirectory { path }),
    }
    let uid = rustix::process::geteuid().as_raw();
    let root_looks = whose == Whose::OursOrRootLooks && uid == 0;
    if stat.st_uid != uid && !root_looks {
        let owner = stat.st_uid;
        return Err(HomeError::WrongOwner { path, owner, uid });
    }
    let mode = stat.st_mode & 0o7777;
    if mode & 0o022 != 0 {
        return Err(HomeError::WritableByOthers { path, mode });
    }
    Ok(())
}
