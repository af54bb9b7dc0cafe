//! Why a worker can't begin, in words that say what to do.

use std::{fmt, io};

use ostler_bus::client::{ConnectError, RequestError, SubscribeError};

/// Why a worker can't begin.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// The environment contradicts itself.
    Environment(String),
    /// An inherited socket can't be used.
    Socket {
        /// Its name.
        name: String,
        /// What the system said.
        error: io::Error,
    },
    /// Outside Ostler: the fallback address can't be bound.
    Bind {
        /// The socket's name.
        name: String,
        /// The address.
        address: String,
        /// What the system said.
        error: io::Error,
    },
    /// The socket was taken before.
    Taken(String),
    /// No socket of this name was declared.
    Undeclared {
        /// The name asked for.
        name: String,
        /// The names there are.
        declared: Vec<String>,
    },
    /// The hub could not be reached.
    Connect(ConnectError),
    /// The hub did not take a subscription that every worker needs.
    Subscribe(SubscribeError),
    /// The master did not take the word.
    Announce(RequestError),
    /// The in-process hub could not be started, or signals can't be received.
    System(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment(what) => write!(
                f,
                "the environment is not what Ostler gives its workers: {what}; does a wrapper change it?"
            ),
            Self::Socket { name, error } => {
                write!(f, "the inherited socket {name:?} can't be used: {error}")
            }
            Self::Bind {
                name,
                address,
                error,
            } => write!(f, "can't bind {address} for the socket {name:?}: {error}"),
            Self::Taken(name) => write!(
                f,
                "the socket {name:?} was taken before: call listen once for each name"
            ),
            Self::Undeclared { name, declared } if declared.is_empty() => {
                write!(
                    f,
                    "the app has no socket {name:?}: declare it, with `--listen {name}=ADDRESS` or `listen` in the process file"
                )
            }
            Self::Undeclared { name, declared } => write!(
                f,
                "the app has no socket {name:?}, only {}: declare it, or ask for one of those",
                declared.join(", ")
            ),
            Self::Connect(error) => error.fmt(f),
            Self::Subscribe(error) => error.fmt(f),
            Self::Announce(error) => {
                write!(f, "the master did not take the worker's word: {error}")
            }
            Self::System(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Socket { error, .. } | Self::Bind { error, .. } | Self::System(error) => {
                Some(error)
            }
            Self::Connect(error) => Some(error),
            Self::Subscribe(error) => Some(error),
            Self::Announce(error) => Some(error),
            Self::Environment(_) | Self::Taken(_) | Self::Undeclared { .. } => None,
        }
    }
}
