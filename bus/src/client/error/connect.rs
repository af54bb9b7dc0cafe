//! Connecting.

use std::{fmt, io, time::Duration};

use crate::wire::control::CloseKind;

/// Why a connection could not be made.
#[derive(Debug)]
pub enum ConnectError {
    /// Nothing listens there.
    NotRunning {
        /// Where.
        target: String,
        /// What the system said.
        source: io::Error,
    },
    /// The way there failed.
    Io {
        /// Where.
        target: String,
        /// What the system said.
        source: io::Error,
    },
    /// The hub, or the system, doesn't let this program in.
    Denied {
        /// Where.
        target: String,
        /// Why.
        reason: String,
    },
    /// The handshake came to nothing: no common version or codec, or something in HELLO that the hub doesn't take.
    NoAgreement {
        /// Where.
        target: String,
        /// What stood in the way.
        reason: String,
    },
    /// The hub refused for another reason, which it gave.
    Refused {
        /// Where.
        target: String,
        /// The kind of reason.
        kind: CloseKind,
        /// The reason.
        reason: String,
    },
    /// What answers there is no hub.
    NotAHub {
        /// Where.
        target: String,
        /// What it sent.
        what: String,
    },
    /// It took too long.
    TimedOut {
        /// Where.
        target: String,
        /// How long was waited.
        after: Duration,
    },
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRunning { target, source } => {
                write!(
                    f,
                    "no hub is running at {target} ({source}): start one with `ostler run`"
                )
            }
            Self::Io { target, source } => {
                write!(f, "cannot connect to the hub at {target}: {source}")
            }
            Self::Denied { target, reason } => write!(
                f,
                "the hub at {target} doesn't let this program in: {reason}"
            ),
            Self::NoAgreement { target, reason } => {
                write!(f, "no agreement with the hub at {target}: {reason}")
            }
            Self::Refused {
                target,
                kind,
                reason,
            } => {
                write!(
                    f,
                    "the hub at {target} refused the connection ({kind:?}): {reason}"
                )
            }
            Self::NotAHub { target, what } => write!(
                f,
                "what answers at {target} is no hub ({what}): check the address"
            ),
            Self::TimedOut { target, after } => write!(
                f,
                "the hub at {target} did not answer within {after:?}: it is hung, or busy; try again, or allow more time"
            ),
        }
    }
}

impl std::error::Error for ConnectError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NotRunning { source, .. } | Self::Io { source, .. } => Some(source),
            Self::Denied { .. }
            | Self::NoAgreement { .. }
            | Self::Refused { .. }
            | Self::NotAHub { .. }
            | Self::TimedOut { .. } => None,
        }
    }
}
