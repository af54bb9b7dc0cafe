//! The programs of `tests/interop/` that know nothing of Ostler, each test with a copy of its own.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use super::PrivateDir;

/// Which program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// `app.py` under gunicorn, preloaded, so that it says READY=1 only once the application is loaded.
    Gunicorn,
    /// `server.js` under Node; with `SYSTEMD_NOTIFY` set to a command it says READY=1.
    Node,
}

/// A copy of a program, with a version of its own to answer with: JSON with `version` and `pid`.
#[derive(Debug)]
pub struct Fixture {
    program: Program,
    dir: PrivateDir,
}

impl Fixture {
    /// A copy of `program` in a new private directory, without a version.
    ///
    /// # Panics
    /// If it can't be copied.
    #[must_use]
    pub fn new(program: Program) -> Self {
        let dir = PrivateDir::new();
        let name = match program {
            Program::Gunicorn => "app.py",
            Program::Node => "server.js",
        };
        let source = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("interop")
            .join(name);
        dir.write(
            name,
            &std::fs::read_to_string(source).expect("a file of this package"),
        );
        Self { program, dir }
    }

    /// Its directory.
    #[must_use]
    pub fn dir(&self) -> &PrivateDir {
        &self.dir
    }

    /// From now on it starts as this version.
    pub fn version(&self, version: &str) {
        self.dir.write("version.txt", version);
    }

    /// From now on it starts badly: `exit` exits at once, `never` never becomes ready, the empty string is well again.
    pub fn fail(&self, how: &str) {
        self.dir.write("fail", how);
    }

    /// The command that starts it on an inherited socket. `target_tmp` is the caller's `env!("CARGO_TARGET_TMPDIR")`, beside
    /// which `tests/interop/setup.sh` installs.
    #[must_use]
    pub fn command(&self, target_tmp: impl AsRef<Path>) -> Vec<OsString> {
        match self.program {
            Program::Gunicorn => {
                let target = target_tmp
                    .as_ref()
                    .parent()
                    .map_or_else(PathBuf::new, Into::into);
                let mut words = vec![target.join("interop/venv/bin/gunicorn").into()];
                words.extend(["--preload", "--chdir"].map(OsString::from));
                words.push(self.dir.path().into());
                words.push("app:application".into());
                words
            }
            Program::Node => vec!["node".into(), self.dir.at("server.js").into()],
        }
    }
}
