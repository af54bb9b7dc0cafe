//! The programs of this package, as masters to be.

use std::path::Path;

use super::{Master, MasterBuilder, Yard};

/// A program that a test can't do without.
///
/// # Panics
/// If it is not on the path: such a test can't be left out silently.
#[must_use]
pub fn installed(program: &'static str) -> &'static str {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|dir| dir.join(program).is_file());
    assert!(
        found,
        "{program} is not on the path, and this test needs it: run tests/interop/setup.sh"
    );
    program
}

/// Where the programs of this package are. Made by [`programs!`](crate::programs), as only a test knows.
#[derive(Clone, Copy, Debug)]
pub struct Programs {
    /// The real `ostler`.
    pub ostler: &'static str,
    /// Workers with bad habits.
    pub misbehave: &'static str,
    /// A worker made with the SDK.
    pub sdk_worker: &'static str,
}

/// [`Programs`](crate::harness::Programs) of the test that says it.
#[macro_export]
macro_rules! programs {
    () => {
        $crate::harness::Programs {
            ostler: env!("CARGO_BIN_EXE_ostler-under-test"),
            misbehave: env!("CARGO_BIN_EXE_misbehave"),
            sdk_worker: env!("CARGO_BIN_EXE_sdk_worker"),
        }
    };
}

impl Programs {
    /// A master to be.
    pub fn master(&self) -> MasterBuilder {
        Master::builder(self.ostler)
    }

    /// A home in which masters are started in the background.
    #[must_use]
    pub fn yard(&self) -> Yard {
        Yard::new(self.ostler)
    }

    /// A master with one app, `web`, of `misbehave` workers with this habit.
    pub fn habit(&self, instances: u32, habit: &[&str]) -> MasterBuilder {
        let app = self.master().name("web").instances(instances);
        app.command([&[self.misbehave], habit].concat())
    }

    /// The lines of a process file that make an app of SDK workers with a socket of their own. Its version file is
    /// `version.txt` in `dir`; further keys of the app may follow.
    #[must_use]
    pub fn sdk_app(&self, name: &str, instances: u32, dir: &Path) -> String {
        let version = dir.join("version.txt");
        if !version.exists() {
            std::fs::write(&version, "v0").expect("a directory of the test's own");
        }
        format!(
            "[app.{name}]\ncommand = [{:?}, {version:?}]\ninstances = {instances}\n\
             listen = {{ http = \"127.0.0.1:0\" }}\nmin_healthy = \"100ms\"\n",
            self.sdk_worker
        )
    }

    /// A master with one app, `web`, of SDK workers; see [`Programs::sdk_app`].
    pub fn sdk(&self, instances: u32) -> MasterBuilder {
        let master = self.master();
        let file = self.sdk_app("web", instances, master.dir().path());
        master.file(&file)
    }

    /// A master with two apps of SDK workers, `left` and `right`, one worker each.
    pub fn sdk_pair(&self) -> MasterBuilder {
        let master = self.master();
        let app = |name| self.sdk_app(name, 1, master.dir().path());
        let file = app("left") + &app("right");
        master.file(&file)
    }
}
