//! The paths of one master.

use std::{
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use ostler_bus::WorkerId;
use rustix::fs::{CWD, Mode};

use super::{
    HomeError, MasterName,
    open::{Whose, open_checked, open_or_create},
};
use crate::{
    config::{
        address::LONGEST_SOCKET_PATH,
        app::{AppDefinition, AppName},
    },
    lock,
};

/// Who can reach an app's sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The master's own user.
    Owner,
    /// Workers of another user too: each socket still belongs to those it is for alone.
    Workers,
}

impl Reach {
    /// Who must be able to reach the sockets of `app`.
    #[must_use]
    pub fn of(app: &AppDefinition) -> Self {
        match app.process.credentials() {
            Some(_) => Self::Workers,
            None => Self::Owner,
        }
    }
}

/// The paths of one master. None of them need exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MasterHome {
    dir: PathBuf,
    name: MasterName,
}

impl MasterHome {
    pub(super) fn new(home: &Path, name: &MasterName) -> Self {
        Self {
            dir: home.join(name.as_str()),
            name: name.clone(),
        }
    }

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

    /// Where a master in the background writes its log: beside its directory, as it outlives it.
    #[must_use]
    pub fn log_file(&self) -> PathBuf {
        self.dir.with_file_name(format!("{}.log", self.name))
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

    /// Creates an app's directory, or checks the one there is. The master's own must exist: take the lock first. Where
    /// workers run as another user, `reach` opens the way to it: to pass through, not to read or to write.
    ///
    /// # Errors
    /// If it can't be created or trusted.
    pub fn create_app_dir(&self, app: &AppName, reach: Reach) -> Result<PathBuf, HomeError> {
        let apps = self.dir.join("apps");
        let master = open_checked(CWD, &self.dir, &self.dir, Whose::Ours)?;
        let (apps_fd, _) = open_or_create(&master, Path::new("apps"), &apps, 0o700)?;
        let dir = self.app_dir(app);
        let (app_fd, _) = open_or_create(&apps_fd, Path::new(app.as_str()), &dir, 0o700)?;
        if reach == Reach::Workers {
            for (fd, path) in [(&master, &self.dir), (&apps_fd, &apps), (&app_fd, &dir)] {
                rustix::fs::fchmod(fd, Mode::from_raw_mode(0o711))
                    .map_err(|error| HomeError::io("set the permissions of", path, error))?;
            }
        }
        Ok(dir)
    }
}
