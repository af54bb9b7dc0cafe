//! What can go wrong, as types: each says what happened, to what, and what to do about it.

mod connect;
mod emit;
mod request;
mod subscribe;

use std::{fmt, time::Duration};

pub use connect::ConnectError;
pub use emit::EmitError;
pub use request::RequestError;
pub use subscribe::SubscribeError;

use crate::wire::control::{CloseKind, Refusal};

/// Why there is no connection any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disconnected {
    /// This program drained it.
    Drained,
    /// This program dropped the last handle, subscription and call.
    HungUp,
    /// The hub closed it, and said why.
    Closed {
        /// Why.
        kind: CloseKind,
        /// Why, in words, and what to do about it.
        reason: String,
    },
    /// It broke without a word: the hub's process ended, or was killed.
    Lost {
        /// Where the hub was.
        target: String,
        /// What the system said.
        error: String,
    },
    /// The hub sent what is no protocol.
    Protocol {
        /// Where the hub is.
        target: String,
        /// What was wrong.
        what: String,
    },
    /// It was lost, and could not be made again in the time that was allowed.
    GaveUp {
        /// Where the hub was.
        target: String,
        /// How long it was tried.
        after: Duration,
        /// What went wrong last.
        error: String,
    },
    /// It was lost and made again, but the hub would not have this subscription any more. Told to that subscription alone.
    NotResumed {
        /// Why.
        refusal: Refusal,
    },
}

impl fmt::Display for Disconnected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Drained => f.write_str("the bus connection was drained by this program"),
            Self::HungUp => {
                f.write_str("this program dropped its last handle of the bus connection")
            }
            Self::Closed { kind, reason } => {
                write!(f, "the hub closed the bus connection ({kind:?}): {reason}")
            }
            Self::Lost { target, error } => write!(
                f,
                "the bus connection to {target} was lost ({error}): is the hub still running?"
            ),
            Self::Protocol { target, what } => write!(
                f,
                "the hub at {target} broke the protocol ({what}): are both sides of the same release?"
            ),
            Self::GaveUp {
                target,
                after,
                error,
            } => write!(
                f,
                "the bus connection to {target} was lost, and could not be made again within {after:?}: {error}"
            ),
            Self::NotResumed { refusal } => write!(
                f,
                "the bus connection was lost and made again, but the hub refuses this subscription now: {}",
                refusal.reason
            ),
        }
    }
}

impl std::error::Error for Disconnected {}

/// Why draining did not end as it should. The connection is closed all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DrainError {
    /// The hub had not taken everything in time: what it didn't take is lost.
    TimedOut {
        /// How long was waited.
        after: Duration,
    },
    /// The connection ended before.
    Disconnected(Disconnected),
    /// The hub refused.
    Refused(Refusal),
}

impl fmt::Display for DrainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut { after } => write!(
                f,
                "the hub had not taken everything within {after:?}: the last events of this program may be lost"
            ),
            Self::Disconnected(why) => write!(f, "not drained: {why}"),
            Self::Refused(why) => write!(f, "not drained: {}", why.reason),
        }
    }
}

impl std::error::Error for DrainError {}
