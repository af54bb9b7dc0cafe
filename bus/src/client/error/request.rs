//! Asking.

use std::{fmt, time::Duration};

use super::{Disconnected, EmitError};
use crate::wire::control::Refusal;

/// Why a request has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestError {
    /// Nobody answers requests on this topic.
    NoResponders {
        /// Where to.
        topic: String,
        /// What the hub said.
        reason: String,
    },
    /// No answer came in time.
    TimedOut {
        /// Where to.
        topic: String,
        /// How long was waited.
        after: Duration,
    },
    /// A rule forbids it.
    Denied {
        /// Where to.
        topic: String,
        /// Which rule.
        reason: String,
    },
    /// Whoever should have answered has gone, or declined.
    Declined {
        /// Where to.
        topic: String,
        /// What it said.
        reason: String,
    },
    /// The request, or the answer, is not of the type the other side reads.
    Misfit {
        /// Where to.
        topic: String,
        /// Why, with both types spelled out, or the path of the first mismatch.
        reason: String,
    },
    /// The hub refused it for another reason.
    Refused {
        /// Where to.
        topic: String,
        /// Why.
        refusal: Refusal,
    },
    /// It could not be sent.
    NotSent(EmitError),
    /// The connection ended before an answer came.
    Disconnected(Disconnected),
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoResponders { topic, reason } => {
                write!(f, "nobody answers requests on {topic:?}: {reason}")
            }
            Self::TimedOut { topic, after } => write!(
                f,
                "no answer on {topic:?} within {after:?}: allow more time, or look at who should answer"
            ),
            Self::Denied { topic, reason } => {
                write!(
                    f,
                    "this program may not send requests to {topic:?}: {reason}"
                )
            }
            Self::Declined { topic, reason } => {
                write!(f, "the request on {topic:?} was declined: {reason}")
            }
            Self::Misfit { topic, reason } => {
                write!(f, "the two sides of {topic:?} disagree on a type: {reason}")
            }
            Self::Refused { topic, refusal } => {
                write!(
                    f,
                    "the hub refuses the request on {topic:?}: {}",
                    refusal.reason
                )
            }
            Self::NotSent(why) => write!(f, "the request was not sent: {why}"),
            Self::Disconnected(why) => write!(f, "the request has no answer: {why}"),
        }
    }
}

impl std::error::Error for RequestError {}

impl From<EmitError> for RequestError {
    fn from(why: EmitError) -> Self {
        match why {
            EmitError::Disconnected(why) => Self::Disconnected(why),
            why => Self::NotSent(why),
        }
    }
}
