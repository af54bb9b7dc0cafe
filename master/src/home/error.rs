//! Why a home can't be used, and what to do about it.

use std::{fmt, io, path::PathBuf};

use super::MasterName;
use crate::{config::address::LONGEST_SOCKET_PATH, shortage};

/// Why a home can't be used.
#[derive(Debug)]
pub enum HomeError {
    /// There is no place for one.
    Nowhere,
    /// `$OSTLER_HOME` is relative.
    Relative {
        /// Its value.
        path: PathBuf,
    },
    /// A socket's path would not fit.
    TooLong {
        /// The longest path.
        path: PathBuf,
        /// Its length in bytes.
        length: usize,
    },
    /// Something else has the directory's name.
    NotADirectory {
        /// Where.
        path: PathBuf,
    },
    /// A symlink has the directory's name.
    Symlink {
        /// Where.
        path: PathBuf,
    },
    /// It is another user's.
    WrongOwner {
        /// Where.
        path: PathBuf,
        /// Whose.
        owner: u32,
        /// Who asks.
        uid: u32,
    },
    /// Its group or everyone may write into it.
    WritableByOthers {
        /// Where.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// A master of this name is alive.
    Running {
        /// Its name.
        name: MasterName,
        /// Its process id; `None` while it starts.
        pid: Option<u32>,
    },
    /// The system refused.
    Io {
        /// What was tried: "create", "open" …
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

impl HomeError {
    pub(crate) fn io(
        doing: &'static str,
        path: impl Into<PathBuf>,
        error: impl Into<io::Error>,
    ) -> Self {
        Self::Io {
            doing,
            path: path.into(),
            source: error.into(),
        }
    }

    /// What the user can do.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Nowhere => {
                "set OSTLER_HOME to a directory of your own, such as /var/lib/NAME/ostler".into()
            }
            Self::Relative { .. } => "set OSTLER_HOME to an absolute path".into(),
            Self::TooLong { .. } => {
                "set OSTLER_HOME to a shorter directory, or give shorter names with -M and -n"
                    .into()
            }
            Self::NotADirectory { path } => {
                format!(
                    "remove {}, or set OSTLER_HOME to a directory",
                    path.display()
                )
            }
            Self::Symlink { .. } => {
                "set OSTLER_HOME to the real directory: symlinks are not followed here".into()
            }
            Self::WrongOwner { .. } => {
                "set OSTLER_HOME to a directory of your own, or run as its owner".into()
            }
            Self::WritableByOthers { path, .. } => format!(
                "whoever can write there can take over your workers: chmod go-w {}, or set OSTLER_HOME to another directory",
                path.display()
            ),
            Self::Running { name, .. } => format!(
                "see it with `ostler ls -M {name}`, end it with `ostler kill -M {name}`, or name yours with -M"
            ),
            Self::Io { source, path, .. } => io_hint(source, path),
        }
    }
}

fn io_hint(error: &io::Error, path: &std::path::Path) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => format!(
            "create {} first, or set OSTLER_HOME to another directory",
            path.parent().unwrap_or(path).display()
        ),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "make room on the disk, or set OSTLER_HOME to a directory on another one".into()
        }
        io::ErrorKind::NotADirectory => {
            "a part of the path is a file: set OSTLER_HOME to another directory".into()
        }
        _ => shortage::hint(error)
            .unwrap_or_else(|| "set OSTLER_HOME to a directory that you can write to".into()),
    }
}

impl fmt::Display for HomeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nowhere => {
                f.write_str("there is no home directory: XDG_RUNTIME_DIR and HOME are not set")
            }
            Self::Relative { path } => write!(f, "OSTLER_HOME is the relative path {path:?}"),
            Self::TooLong { path, length } => write!(
                f,
                "the socket path {} has {length} bytes; Linux takes {LONGEST_SOCKET_PATH}",
                path.display()
            ),
            Self::NotADirectory { path } => write!(f, "{} is not a directory", path.display()),
            Self::Symlink { path } => write!(f, "{} is a symlink", path.display()),
            Self::WrongOwner { path, owner, uid } => write!(
                f,
                "{} belongs to user {owner}, and you are user {uid}",
                path.display()
            ),
            Self::WritableByOthers { path, mode } => write!(
                f,
                "{} is writable by others (mode {mode:04o})",
                path.display()
            ),
            Self::Running {
                name,
                pid: Some(pid),
            } => {
                write!(f, "a master named {name} is already running, as pid {pid}")
            }
            Self::Running { name, pid: None } => {
                write!(f, "a master named {name} is just starting")
            }
            Self::Io { doing, path, .. } => write!(f, "can't {doing} {}", path.display()),
        }
    }
}

impl std::error::Error for HomeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Nowhere
            | Self::Relative { .. }
            | Self::TooLong { .. }
            | Self::NotADirectory { .. }
            | Self::Symlink { .. }
            | Self::WrongOwner { .. }
            | Self::WritableByOthers { .. }
            | Self::Running { .. } => None,
        }
    }
}
