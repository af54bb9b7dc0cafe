//! Where masters of one user live on disk: a directory in which each master has one of its own.
//!
//! ```text
//! <home>/                     0711   $OSTLER_HOME; else /run/ostler (root), $XDG_RUNTIME_DIR/ostler, ~/.ostler
//!   <master>/                 0700
//!     lock                    0600   locked for the master's life; holds its pid
//!     bus.sock                       clients connect here
//!     apps/<app>/             0700   sockets that the app's workers may reach by path
//!       bus.sock
//!       n<worker id>                 NOTIFY_SOCKET of one worker
//! ```
//!
//! Whoever can write here can pose as a master or its worker. So every directory is opened without following symlinks, must
//! be ours, and must not be writable by others; what fails is refused with a hint, never repaired. An app that runs as
//! another user will need its way in opened to search (0711); nothing does until then.

use std::{
    ffi::OsString,
    fmt,
    os::{fd::OwnedFd, unix::ffi::OsStrExt as _},
    path::{Path, PathBuf},
};

use ostler_bus::WorkerId;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat};

use crate::{
    config::{address::LONGEST_SOCKET_PATH, app::AppName, errors::Wrong, naming},
    lock,
};

mod error;
pub use error::HomeError;

/// A master's name: one topic token, as an app's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MasterName(std::sync::Arc<str>);

impl MasterName {
    /// Checks a name.
    ///
    /// # Errors
    /// If it is not one topic token of 1 to 64 bytes.
    pub fn new(name: &str) -> Result<Self, Wrong> {
        if !naming::is_token(name) {
            return Err(Wrong::new(
                format!("{name:?} is not a master's name"),
                "use 1 to 64 of A-Z a-z 0-9 _ -",
            ));
        }
        Ok(Self(name.into()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MasterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&AppName> for MasterName {
    fn from(app: &AppName) -> Self {
        // An app's name obeys the same rules.
        Self(app.as_str().into())
    }
}

/// What decides where home is, so that tests need no environment of their own.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// `$OSTLER_HOME`.
    pub ostler_home: Option<OsString>,
    /// `$XDG_RUNTIME_DIR`.
    pub xdg_runtime_dir: Option<OsString>,
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
        Self {
            ostler_home: set("OSTLER_HOME"),
            xdg_runtime_dir: set("XDG_RUNTIME_DIR"),
            home: set("HOME"),
            uid: rustix::process::geteuid().as_raw(),
        }
    }
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
        MasterHome {
            dir: self.dir.join(name.as_str()),
            name: name.clone(),
        }
    }

    /// The masters that are alive, by name. A home that doesn't exist has none. One that is just starting isn't listed
    /// before it has noted its pid.
    ///
    /// # Errors
    /// If home can't be trusted or read.
    pub fn live_masters(&self) -> Result<Vec<LiveMaster>, HomeError> {
        let home = match open_checked(CWD, &self.dir, &self.dir) {
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

/// The paths of one master. None of them need exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MasterHome {
    dir: PathBuf,
    name: MasterName,
}

impl MasterHome {
    /// The master's name.
    #[must_use]
    pub fn name(&self) -> &MasterName {
        &self.name
    }

    /// The master's own directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The lock that it holds.
    #[must_use]
    pub fn lock_file(&self) -> PathBuf {
        self.dir.join(lock::FILE)
    }

    /// Where clients connect.
    #[must_use]
    pub fn bus_socket(&self) -> PathBuf {
        self.dir.join("bus.sock")
    }

    /// The directory of an app, for its workers' sockets.
    #[must_use]
    pub fn app_dir(&self, app: &AppName) -> PathBuf {
        self.dir.join("apps").join(app.as_str())
    }

    /// Where workers of an app connect again after losing the bus socket they inherited.
    #[must_use]
    pub fn app_bus_socket(&self, app: &AppName) -> PathBuf {
        self.app_dir(app).join("bus.sock")
    }

    /// Where a worker sends its notifications.
    #[must_use]
    pub fn notify_socket(&self, app: &AppName, worker: WorkerId) -> PathBuf {
        self.app_dir(app).join(format!("n{worker}"))
    }

    /// Checks that every socket of these apps has a path that Linux takes, for any worker id.
    ///
    /// # Errors
    /// With the longest path, if it doesn't fit.
    pub fn check_lengths<'a>(
        &self,
        apps: impl IntoIterator<Item = &'a AppName>,
    ) -> Result<(), HomeError> {
        let sockets = apps
            .into_iter()
            .map(|app| self.notify_socket(app, WorkerId(u64::MAX)))
            .chain([self.bus_socket()]);
        let length = |path: &PathBuf| path.as_os_str().as_bytes().len();
        let longest = sockets.max_by_key(length).unwrap_or_default();
        if length(&longest) > LONGEST_SOCKET_PATH {
            return Err(HomeError::TooLong {
                length: length(&longest),
                path: longest,
            });
        }
        Ok(())
    }

    /// Creates an app's directory, or checks the one there is. The master's own must exist: take the lock first.
    ///
    /// # Errors
    /// If it can't be created or trusted.
    pub fn create_app_dir(&self, app: &AppName) -> Result<PathBuf, HomeError> {
        let apps = self.dir.join("apps");
        let master = open_checked(CWD, &self.dir, &self.dir)?;
        let (apps_fd, _) = open_or_create(&master, Path::new("apps"), &apps, 0o700)?;
        let dir = self.app_dir(app);
        open_or_create(&apps_fd, Path::new(app.as_str()), &dir, 0o700)?;
        Ok(dir)
    }
}

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
    at: impl std::os::fd::AsFd,
    path: &Path,
    shown: &Path,
    mode: u32,
) -> Result<(OwnedFd, Found), HomeError> {
    let found = match rustix::fs::mkdirat(&at, path, Mode::from_raw_mode(mode)) {
        Ok(()) => Found::Created,
        Err(rustix::io::Errno::EXIST) => Found::There,
        Err(error) => return Err(HomeError::io("create", shown, error)),
    };
    let directory = open_checked(&at, path, shown)?;
    if found == Found::Created {
        // The umask may have taken bits away.
        rustix::fs::fchmod(&directory, Mode::from_raw_mode(mode))
            .map_err(|error| HomeError::io("set the permissions of", shown, error))?;
    }
    Ok((directory, found))
}

/// Opens a directory, if it is one, no symlink, ours, and writable by us alone. Root may look into another user's.
pub(crate) fn open_checked(
    at: impl std::os::fd::AsFd,
    path: &Path,
    shown: &Path,
) -> Result<OwnedFd, HomeError> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
    let opened = rustix::fs::openat(&at, path, flags, Mode::empty());
    // Another user's directory may be closed to us: its owner is the better explanation.
    let stat = match &opened {
        Ok(directory) => rustix::fs::fstat(directory),
        Err(_) => rustix::fs::statat(&at, path, AtFlags::SYMLINK_NOFOLLOW),
    };
    if let Ok(stat) = stat {
        check(&stat, shown)?;
    }
    opened.map_err(|error| HomeError::io("open", shown, error))
}

fn check(stat: &Stat, shown: &Path) -> Result<(), HomeError> {
    let path = shown.to_owned();
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => {}
        FileType::Symlink => return Err(HomeError::Symlink { path }),
        _ => return Err(HomeError::NotADirectory { path }),
    }
    let uid = rustix::process::geteuid().as_raw();
    if stat.st_uid != uid && uid != 0 {
        let owner = stat.st_uid;
        return Err(HomeError::WrongOwner { path, owner, uid });
    }
    let mode = stat.st_mode & 0o7777;
    if mode & 0o022 != 0 {
        return Err(HomeError::WritableByOthers { path, mode });
    }
    Ok(())
}

/// Whether a directory exists and belongs to a user.
fn owned(dir: &Path, uid: u32) -> bool {
    rustix::fs::stat(dir).is_ok_and(|stat| {
        stat.st_uid == uid && FileType::from_raw_mode(stat.st_mode) == FileType::Directory
    })
}
