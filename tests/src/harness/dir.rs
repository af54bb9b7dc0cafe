//! A place of a test's own.

use std::path::{Path, PathBuf};

/// A new directory, mode 0700, with a path short enough for Unix sockets within; removed with all it holds on drop.
#[derive(Debug)]
pub struct PrivateDir {
    dir: tempfile::TempDir,
}

impl PrivateDir {
    /// Makes one.
    ///
    /// # Panics
    /// If the temporary directory can't be written.
    #[must_use]
    #[expect(
        clippy::new_without_default,
        reason = "it makes something on disk; a default should not"
    )]
    pub fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("ostler-").tempdir();
        Self {
            dir: dir.expect("a temporary directory"),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The path of `name` in it.
    #[must_use]
    pub fn at(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// Writes a file so that no reader sees half of it; gives its path.
    ///
    /// # Panics
    /// If it can't be written.
    pub fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.at(name);
        let part = self.at(&format!("{name}.part"));
        std::fs::write(&part, content).expect("a file of one's own");
        std::fs::rename(&part, &path).expect("a file of one's own");
        path
    }

    /// Makes a directory in it; gives its path.
    ///
    /// # Panics
    /// If it can't be made.
    pub fn make(&self, name: &str) -> PathBuf {
        let path = self.at(name);
        std::fs::create_dir_all(&path).expect("a directory of one's own");
        path
    }
}
