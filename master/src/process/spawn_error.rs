//! Why a worker could not be started, and what to do about it.

use std::io;

use ostler_bus::vocab::worker::ExitStatus;

use super::{Failure, HANDSHAKE_TIMEOUT};
use crate::shortage;

/// Why a worker could not be started. Nothing of it is left behind.
#[derive(Debug)]
pub enum SpawnError {
    /// The shim could not be run (process table full, out of memory, out of descriptors).
    Shim(io::Error),
    /// The shim could not become the worker.
    Refused(Failure),
    /// The shim ended, or was killed, before it could become the worker.
    Ended(ExitStatus),
    /// The shim took longer than [`HANDSHAKE_TIMEOUT`].
    TimedOut,
}

impl SpawnError {
    /// What to do about it, where that can be told.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Refused(failure) => failure.hint.clone(),
            Self::Shim(error) => match error.raw_os_error()? {
                libc::EAGAIN => Some(
                    "the limit on processes is reached (ulimit -u, or the control group's pids.max)".into(),
                ),
                libc::ENOMEM => Some("the machine is out of memory".into()),
                _ => shortage::hint(error),
            },
            Self::Ended(_) => None,
            Self::TimedOut => {
                Some("is the program or the working directory on a disk that doesn't answer?".into())
            }
        }
    }
}

impl std::fmt::Display for SpawnError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Shim(error) => write!(f, "run the shim: {error}"),
            Self::Refused(failure) => failure.fmt(f),
            Self::Ended(status) => write!(f, "the shim ended before the worker began: {status:?}"),
            Self::TimedOut => write!(
                f,
                "the worker's program did not begin within {} s",
                HANDSHAKE_TIMEOUT.as_secs()
            ),
        }
    }
}

impl std::error::Error for SpawnError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Shim(error) => Some(error),
            Self::Refused(_) | Self::Ended(_) | Self::TimedOut => None,
        }
    }
}
