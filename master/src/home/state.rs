//! Where what outlives masters is kept: homes are often in memory, and go with the session or the machine.

use std::{
    fs::DirBuilder,
    os::{fd::OwnedFd, unix::fs::DirBuilderExt as _},
    path::{Path, PathBuf},
};

use rustix::fs::CWD;

use super::{
    HomeError, Surroundings,
    open::{Whose, open_checked, open_or_create},
};

/// A directory for what masters leave behind: `$OSTLER_HOME`; else `/var/lib/ostler` (root), `$XDG_STATE_HOME/ostler`,
/// `~/.local/state/ostler`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateDir(PathBuf);

impl StateDir {
    /// Where it is. Nothing is created.
    ///
    /// # Errors
    /// If `$OSTLER_HOME` is relative, or there is no place for it.
    pub fn locate(around: &Surroundings) -> Result<Self, HomeError> {
        if let Some(dir) = &around.ostler_home {
            let dir = PathBuf::from(dir);
            return match dir.is_absolute() {
                true => Ok(Self(dir)),
                false => Err(HomeError::Relative { path: dir }),
            };
        }
        if around.uid == 0 {
            return Ok(Self(PathBuf::from("/var/lib/ostler")));
        }
        let absolute = |value: &Option<_>| {
            value
                .as_ref()
                .map(PathBuf::from)
                .filter(|p| p.is_absolute())
        };
        let state = absolute(&around.xdg_state_home)
            .or_else(|| Some(absolute(&around.home)?.join(".local/state")));
        state
            .map(|dir| Self(dir.join("ostler")))
            .ok_or(HomeError::Nowhere)
    }

    /// Where it is for this process.
    ///
    /// # Errors
    /// As [`Self::locate`].
    pub fn of_this_process() -> Result<Self, HomeError> {
        Self::locate(&Surroundings::of_this_process())
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Opens it for its master, having made it if it wasn't there.
    pub(crate) fn make(&self) -> Result<OwnedFd, HomeError> {
        if let Some(parent) = self.0.parent() {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(parent)
                .map_err(|error| HomeError::io("create", parent, error))?;
        }
        open_or_create(CWD, &self.0, &self.0, 0o700).map(|(directory, _)| directory)
    }

    /// Opens it to read what is there; `None` if nothing ever was.
    pub(crate) fn look(&self) -> Result<Option<OwnedFd>, HomeError> {
        match open_checked(CWD, &self.0, &self.0, Whose::OursOrRootLooks) {
            Err(HomeError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                Ok(None)
            }
            opened => opened.map(Some),
        }
    }
}
