//! The programs of `tests/interop/` that know nothing of Ostler, each test with a copy of its own.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use super::{Language, PrivateDir};

/// Which program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// `app.py` under gunicorn, preloaded, so that it says READY=1 only once the application is loaded.
    Gunicorn,
    /// `asgi.py` under uvicorn, which it says READY=1 for.
    Uvicorn,
    /// The same application under uvicorn in the hands of the Python client's example. To be run in the fixture's directory.
    UvicornWorker,
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
            Program::Uvicorn | Program::UvicornWorker => "asgi.py",
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
        let installed = |name| -> OsString {
            let target = target_tmp.as_ref().parent();
            let target = target.map_or_else(PathBuf::new, Into::into);
            target.join("interop/venv/bin").join(name).into()
        };
        let in_dir = |name, options: &[&str], app: &str| {
            let mut words = vec![installed(name)];
            words.extend(options.iter().map(OsString::from));
            words.extend([self.dir.path().into(), app.into()]);
            words
        };
        match self.program {
            Program::Gunicorn => in_dir("gunicorn", &["--preload", "--chdir"], "app:application"),
            Program::Uvicorn => {
                let options = ["--fd", "3", "--log-level", "warning", "--app-dir"];
                in_dir("uvicorn", &options, "asgi:application")
            }
            Program::UvicornWorker => {
                let example = Language::Python.client().join("example_uvicorn_worker.py");
                vec![
                    installed("python"),
                    example.into(),
                    "asgi:application".into(),
                ]
            }
            Program::Node => vec!["node".into(), self.dir.at("server.js").into()],
        }
    }
}
