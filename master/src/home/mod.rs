//! Where masters of one user live on disk: a directory in which each master has one of its own.
//!
//! ```text
//! <home>/                     0711   $OSTLER_HOME; else /run/ostler (root), $XDG_RUNTIME_DIR/ostler, ~/.ostler
//!   <master>.log              0600   what a master in the background says
//!   <master>/                 0700
//!     lock                    0600   locked for the master's life; holds its pid
//!     bus.sock                       clients connect here
//!     apps/<app>/             0700   sockets that the app's workers may reach by path
//!       n<worker id>                 NOTIFY_SOCKET of one worker
//! ```
//!
//! Whoever can write here can pose as a master or its worker. So every directory is opened without following symlinks, must
//! be ours, and must not be writable by others; what fails is refused with a hint, never repaired. For an app that runs as
//! another user the way to its directory is opened to search (0711), and each of its sockets belongs to that user alone: it
//! can use its own, and neither see nor replace another's.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use rustix::fs::{CWD, FileType};

use crate::lock;

mod error;
mod master;
mod name;
mod open;
mod state;
pub use error::HomeError;
pub use master::{MasterHome, Reach};
pub use name::MasterName;
pub(crate) use open::{Found, open_or_create};
use open::{Whose, open_checked};
pub use state::StateDir;

/// What decides where home is, so that tests need no environment of their own.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// `$OSTLER_HOME`.
    pub ostler_home: Option<OsString>,
    /// `$XDG_RUNTIME_DIR`.
    pub xdg_runtime_dir: Option<OsString>,
    /// `$XDG_STATE_HOME`.
    pub xdg_state_home: Option<OsString>,
    /// `$HOME`.
    pub home: Option<OsString>,
    /// The effective user.
    pub uid: u32,
}

impl Surroundings {
    /// Those of this process.
    #[must_use]
    pub fn of_this_process() -> Self {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let mut around = Self {
            ostler_home: set("OSTLER_HOME"),
            xdg_runtime_dir: set("XDG_RUNTIME_DIR"),
            xdg_state_home: set("XDG_STATE_HOME"),
            home: set("HOME"),
            uid: rustix::process::geteuid().as_raw(),
        };
        if let Some(bus) = set(BUS).filter(|_| around.ostler_home.is_none()) {
            around.ostler_home = around.home_of(Path::new(&bus));
        }
        around
    }

    /// The home of the master with this bus socket, if it isn't where it would be anyway.
    fn home_of(&self, bus: &Path) -> Option<OsString> {
        let (home, _) = place_of(bus)?;
        let usual = Home::locate(self).ok();
        usual
            .is_none_or(|usual| usual.dir != home)
            .then(|| home.into())
    }
}

/// Where a worker finds the bus of its master, which is where that master lives.
const BUS: &str = "OSTLER_BUS";

/// A home, and whose bus socket in it this is.
fn place_of(bus: &Path) -> Option<(&Path, MasterName)> {
    let dir = bus
        .parent()
        .filter(|_| bus.is_absolute() && bus.ends_with("bus.sock"))?;
    let name = MasterName::new(dir.file_name()?.to_str()?).ok()?;
    Some((dir.parent()?, name))
}

/// The master of the worker that this process is, or was started by.
#[must_use]
pub fn own_master() -> Option<MasterName> {
    let bus = std::env::var_os(BUS)?;
    place_of(Path::new(&bus)).map(|(_, name)| name)
}

/// The directory of one user's masters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    dir: PathBuf,
}

/// A master that holds its lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveMaster {
    /// Its name.
    pub name: MasterName,
    /// Its process id.
    pub pid: u32,
}

impl Home {
    /// Where home is. Nothing is created.
    ///
    /// # Errors
    /// If `$OSTLER_HOME` is relative, or there is no place for a home.
    pub fn locate(around: &Surroundings) -> Result<Self, HomeError> {
        if let Some(dir) = &around.ostler_home {
            let dir = PathBuf::from(dir);
            return match dir.is_absolute() {
                true => Ok(Self { dir }),
                false => Err(HomeError::Relative { path: dir }),
            };
        }
        if around.uid == 0 {
            let dir = PathBuf::from("/run/ostler");
            return Ok(Self { dir });
        }
        // `su` leaves the variable of the user before: then it is no runtime directory of ours.
        let runtime = around.xdg_runtime_dir.as_deref().map(Path::new);
        if let Some(runtime) = runtime.filter(|dir| dir.is_absolute() && owned(dir, around.uid)) {
            let dir = runtime.join("ostler");
            return Ok(Self { dir });
        }
        match around.home.as_deref().map(Path::new) {
            Some(home) if home.is_absolute() => Ok(Self {
                dir: home.join(".ostler"),
            }),
            Some(_) | None => Err(HomeError::Nowhere),
        }
    }

    /// Where home is for this process.
    ///
    /// # Errors
    /// As [`Home::locate`].
    pub fn of_this_process() -> Result<Self, HomeError> {
        Self::locate(&Surroundings::of_this_process())
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.dir
    }

    /// The paths of a master of this name.
    #[must_use]
    pub fn master(&self, name: &MasterName) -> MasterHome {
        MasterHome::new(&self.dir, name)
    }

    /// The masters that are alive, by name. A home that doesn't exist has none. One that is just starting isn't listed
    /// before it has noted its pid.
    ///
    /// # Errors
    /// If home can't be trusted or read.
    pub fn live_masters(&self) -> Result<Vec<LiveMaster>, HomeError> {
        let home = match open_checked(CWD, &self.dir, &self.dir, Whose::OursOrRootLooks) {
            Err(HomeError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Vec::new());
            }
            opened => opened?,
        };
        let unreadable = |source: rustix::io::Errno| HomeError::io("read", &self.dir, source);
        let mut live = Vec::new();
        for entry in rustix::fs::Dir::read_from(&home).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let name = entry.file_name().to_str().ok().map(MasterName::new);
            let Some(Ok(name)) = name else { continue };
            if let Some(pid) = lock::holder(&home, &name) {
                live.push(LiveMaster { name, pid });
            }
        }
        live.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(live)
    }
}

/// Whether a directory exists and belongs to a user.
fn owned(dir: &Path, uid: u32) -> bool {
    rustix::fs::stat(dir).is_ok_and(|stat| {
        stat.st_uid == uid && FileType::from_raw_mode(stat.st_mode) == FileType::Directory
    })
}

#[cfg(test)]
mod tests;
