//! One master per name: a lock on `<home>/<master>/lock`, held for the master's life.
//!
//! It is a lock of the open file description (`F_OFD_SETLK`): it ends with the process however that ends, survives an exec
//! in place, and, unlike `flock`, others can ask whether it is held without taking it even for an instant. Whoever holds it
//! knows that all else in the directory was left by a dead master, and replaces it.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    path::Path,
};

use nix::fcntl::FcntlArg;
use rustix::fs::{AtFlags, CWD, Mode, OFlags};

use crate::home::{self, Found, Home, HomeError, MasterHome, MasterName};

/// The lock's file name in a master's directory.
pub(crate) const FILE: &str = "lock";

/// How often to begin anew when a dying master removes its directory just as we take it.
const ATTEMPTS: usize = 64;

/// The right to be the master of a name. Dropped, it removes all that the master kept in its home.
#[derive(Debug)]
pub struct MasterLock {
    file: OwnedFd,
    home: MasterHome,
    made: Made,
}

/// Which directories we made: those go with us, the others were somebody's wish.
#[derive(Clone, Copy, Debug, Default)]
struct Made {
    home: bool,
    master: bool,
}

impl MasterLock {
    /// Becomes the master of this name: creates what isn't there, takes the lock, notes our pid in it, and removes what a
    /// dead master of this name left.
    ///
    /// # Errors
    /// [`HomeError::Running`] if the name is taken; else why the home can't be used. Nothing is left behind.
    pub fn acquire(home: &Home, name: &MasterName) -> Result<Self, HomeError> {
        let master = home.master(name);
        master.check_lengths([])?;
        let mut made = Made::default();
        let mut outcome = Ok(None);
        for _ in 0..ATTEMPTS {
            outcome = attempt(home, &master, &mut made);
            if !matches!(outcome, Ok(None)) {
                break;
            }
        }
        match outcome {
            Ok(Some(file)) => {
                let lock = Self {
                    file,
                    home: master,
                    made,
                };
                lock.settle_in()?;
                Ok(lock)
            }
            Ok(None) => Err(HomeError::Running {
                name: name.clone(),
                pid: None,
            }),
            Err(error) => {
                // Only what is empty goes: a running master's directory is not.
                remove_made(&master, made);
                Err(error)
            }
        }
    }

    /// The paths of the master that holds this.
    #[must_use]
    pub fn home(&self) -> &MasterHome {
        &self.home
    }

    /// Notes our pid and removes what a dead master left.
    fn settle_in(&self) -> Result<(), HomeError> {
        let path = self.home.lock_file();
        let pid = format!("{}\n", std::process::id());
        let noted = rustix::fs::ftruncate(&self.file, 0)
            .and_then(|()| rustix::io::pwrite(&self.file, pid.as_bytes(), 0));
        match noted {
            Ok(written) if written == pid.len() => {}
            Ok(_) => return Err(HomeError::io("write", path, io::ErrorKind::StorageFull)),
            Err(error) => return Err(HomeError::io("write", path, error)),
        }
        remove_leftovers(&self.home)
    }
}

impl Drop for MasterLock {
    fn drop(&mut self) {
        // Nobody is left to tell, and the next master of this name removes what stays.
        let _ = remove_leftovers(&self.home);
        // Still locked: whoever opened the file meanwhile finds it unlinked once it has the lock, and begins anew.
        let _ = rustix::fs::unlink(self.home.lock_file());
        // A directory of this name is a master's, whoever made it.
        let made = Made {
            master: true,
            ..self.made
        };
        remove_made(&self.home, made);
    }
}

/// Removes the directories that we made, unless others live there.
fn remove_made(master: &MasterHome, made: Made) {
    if made.master {
        let _ = rustix::fs::rmdir(master.dir());
    }
    if let Some(home) = master.dir().parent().filter(|_| made.home) {
        let _ = rustix::fs::rmdir(home);
    }
}

/// One try at the lock; `None` if a dying master removed something under our hands.
fn attempt(
    home: &Home,
    master: &MasterHome,
    made: &mut Made,
) -> Result<Option<OwnedFd>, HomeError> {
    let vanished = |error: &HomeError, doing: &[&str]| {
        matches!(error, HomeError::Io { source, doing: done, .. }
            if source.kind() == io::ErrorKind::NotFound && doing.contains(done))
    };
    // If home can't be created, its parent is missing; if it can't be opened, it was there a moment ago.
    let (root, found) = match home::open_or_create(CWD, home.path(), home.path(), 0o711) {
        Err(error) if vanished(&error, &["open"]) => return Ok(None),
        opened => opened?,
    };
    made.home |= found == Found::Created;
    let name = Path::new(master.name().as_str());
    let (directory, found) = match home::open_or_create(&root, name, master.dir(), 0o700) {
        Err(error) if vanished(&error, &["create", "open"]) => return Ok(None),
        opened => opened?,
    };
    made.master |= found == Found::Created;
    let flags = OFlags::CREATE | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = match rustix::fs::openat(&directory, FILE, flags, Mode::RUSR | Mode::WUSR) {
        Ok(file) => file,
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        Err(rustix::io::Errno::LOOP) => {
            let path = master.lock_file();
            return Err(HomeError::Symlink { path });
        }
        Err(error) => return Err(HomeError::io("open", master.lock_file(), error)),
    };
    match nix::fcntl::fcntl(&file, FcntlArg::F_OFD_SETLK(&whole_file())) {
        Ok(_) => {}
        Err(nix::errno::Errno::EAGAIN | nix::errno::Errno::EACCES) => {
            return Err(HomeError::Running {
                name: master.name().clone(),
                pid: read_pid(&file),
            });
        }
        Err(error) => return Err(HomeError::io("lock", master.lock_file(), error)),
    }
    let ours = rustix::fs::fstat(&file);
    let named = rustix::fs::statat(&directory, FILE, AtFlags::SYMLINK_NOFOLLOW);
    let same =
        matches!((ours, named), (Ok(a), Ok(b)) if (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino));
    Ok(same.then_some(file))
}

/// The pid of the master of this name, if it is alive. `home` is the open home directory.
pub(crate) fn holder(home: impl AsFd, name: &MasterName) -> Option<u32> {
    let path = Path::new(name.as_str()).join(FILE);
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = rustix::fs::openat(&home, path, flags, Mode::empty()).ok()?;
    let mut question = whole_file();
    nix::fcntl::fcntl(&file, FcntlArg::F_OFD_GETLK(&mut question)).ok()?;
    match i32::from(question.l_type) {
        libc::F_UNLCK => None,
        _ => read_pid(&file),
    }
}

/// A write lock on all of a file.
fn whole_file() -> libc::flock {
    libc::flock {
        l_type: libc::F_WRLCK as i16,
        l_whence: libc::SEEK_SET as i16,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}

fn read_pid(file: &OwnedFd) -> Option<u32> {
    let mut buffer = [0; 16];
    let length = rustix::io::pread(file, &mut buffer, 0).ok()?;
    std::str::from_utf8(&buffer[..length])
        .ok()?
        .trim()
        .parse()
        .ok()
}

/// Removes the sockets and app directories of a dead master; nothing that we would not have put there.
fn remove_leftovers(master: &MasterHome) -> Result<(), HomeError> {
    let gone = |result: io::Result<()>, path: &Path| match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(HomeError::io("remove", path, error))
        }
        _ => Ok(()),
    };
    let (bus, apps) = (master.bus_socket(), master.dir().join("apps"));
    gone(std::fs::remove_file(&bus), &bus)?;
    gone(std::fs::remove_dir_all(&apps), &apps)
}
