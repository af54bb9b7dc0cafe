//! Subscribing.

use std::{fmt, time::Duration};

use super::{Disconnected, EmitError};
use crate::{TopicError, wire::control::Refusal};

/// Why a subscription was not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubscribeError {
    /// There is no connection.
    Disconnected(Disconnected),
    /// It could not be sent.
    NotSent(EmitError),
    /// The hub refused it.
    Refused {
        /// What was asked for.
        pattern: String,
        /// Why.
        refusal: Refusal,
    },
    /// The pattern is not one.
    BadPattern(TopicError),
    /// The hub did not answer in time.
    Unanswered {
        /// What was asked for.
        pattern: String,
        /// How long was waited.
        after: Duration,
    },
}

impl fmt::Display for SubscribeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disconnected(why) => write!(f, "not subscribed: {why}"),
            Self::NotSent(why) => write!(f, "not subscribed: {why}"),
            Self::Refused { pattern, refusal } => {
                write!(
                    f,
                    "the hub refuses to subscribe this program to {pattern:?}: {}",
                    refusal.reason
                )
            }
            Self::BadPattern(why) => why.fmt(f),
            Self::Unanswered { pattern, after } => write!(
                f,
                "the hub did not answer the subscription to {pattern:?} within {after:?}: it is hung, or busy; try again"
            ),
        }
    }
}

impl std::error::Error for SubscribeError {}

impl From<EmitError> for SubscribeError {
    fn from(why: EmitError) -> Self {
        match why {
            EmitError::Disconnected(why) => Self::Disconnected(why),
            why => Self::NotSent(why),
        }
    }
}
