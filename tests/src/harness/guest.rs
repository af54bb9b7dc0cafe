//! Somebody who isn't root: rights hide no fault from root, and refuse it nothing.

use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use super::{Cli, PrivateDir};

/// The user and group that nobody has files of.
const NOBODY: u32 = 65_534;

/// An unprivileged user with a directory of its own: this very user, or if this is root, another one.
#[derive(Debug)]
pub struct Guest {
    dir: PrivateDir,
    ostler: PathBuf,
    /// Its user and group, if it isn't this very user.
    other: Option<u32>,
}

impl Guest {
    /// The guest, with the given `ostler`, copied to where it may be run from.
    ///
    /// # Panics
    /// If the directory can't be prepared.
    #[must_use]
    pub fn new(ostler: &str) -> Self {
        Self::of(ostler, NOBODY)
    }

    /// The same, as this user and group if another one is needed.
    ///
    /// # Panics
    /// If the directory can't be prepared.
    #[must_use]
    pub fn of(ostler: &str, user: u32) -> Self {
        let dir = PrivateDir::new();
        let other = rustix::process::geteuid().is_root().then_some(user);
        let copy = dir.at("ostler");
        copy_program(ostler, &copy);
        let public = PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(dir.path(), public).expect("a directory of one's own");
        let guest = Self {
            ostler: copy,
            dir,
            other,
        };
        guest.own(guest.dir.path().into());
        guest
    }

    /// Whether the guest is another user than the test's. Where it isn't, nothing can be refused for being another's.
    #[must_use]
    pub fn is_another(&self) -> bool {
        self.other.is_some()
    }

    /// Its directory.
    #[must_use]
    pub fn dir(&self) -> &PrivateDir {
        &self.dir
    }

    /// Gives it a file or directory.
    ///
    /// # Panics
    /// If it can't be given.
    pub fn own(&self, path: PathBuf) {
        if self.other.is_some() {
            let given = std::os::unix::fs::chown(path, self.other, self.other);
            given.expect("root may give files away");
        }
    }

    /// A command of another program, which is copied to where it may be run from.
    ///
    /// # Panics
    /// If it can't be copied.
    pub fn program(&self, program: &str, args: &[&str]) -> Cli {
        let copy = self.dir.at("program");
        copy_program(program, &copy);
        self.run(&copy, args)
    }

    fn run(&self, program: &Path, args: &[&str]) -> Cli {
        let cli = Cli::new(program).dir(self.dir.path());
        let cli = cli.env("OSTLER_HOME", self.dir.at("home")).args(args);
        match self.other {
            Some(user) => cli.user(user, user),
            None => cli,
        }
    }

    /// A command of `ostler` run by it, with its home in its directory.
    pub fn ostler(&self, args: &[&str]) -> Cli {
        self.run(&self.ostler, args)
    }
}

/// Copies a program so that it can be run at once. By a process of its own: were it this one that writes, a child started by
/// another thread meanwhile would hold the file open for writing for a moment, and it could not be run ("text file busy").
///
/// # Panics
/// If it can't be copied.
pub fn copy_program(from: impl AsRef<Path>, to: &Path) {
    let copied = std::process::Command::new("cp")
        .arg(from.as_ref())
        .arg(to)
        .status();
    assert!(copied.expect("cp").success(), "{} is copied", to.display());
}
