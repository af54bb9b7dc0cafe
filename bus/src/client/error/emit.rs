//! Emitting.

use std::{fmt, time::Duration};

use super::Disconnected;
use crate::{TopicError, wire::control::Refusal};

/// Why an event was not emitted, or not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EmitError {
    /// There is no connection.
    Disconnected(Disconnected),
    /// This program is draining the connection.
    Draining,
    /// The hub refused it; or an earlier one on the same topic, for a reason that holds for all.
    Refused {
        /// Where to.
        topic: String,
        /// Why.
        refusal: Refusal,
    },
    /// The outgoing buffer was full for as long as was allowed.
    Full {
        /// How long was waited; zero if waiting was not asked for.
        waited: Duration,
    },
    /// A subscriber with back pressure holds the topic, and didn't let it go for as long as was allowed.
    Held {
        /// Where to.
        topic: String,
        /// How long was waited; zero if waiting was not asked for.
        waited: Duration,
    },
    /// A header can't be: its name, or the size of all of them.
    BadHeader {
        /// Where to.
        topic: String,
        /// What is wrong.
        reason: String,
    },
    /// The payload is larger than the hub allows.
    TooLarge {
        /// Where to.
        topic: String,
        /// Its bytes.
        size: usize,
        /// What is allowed.
        limit: usize,
    },
    /// The topic is not one.
    BadTopic(TopicError),
    /// The value could not be encoded, or the text is not JSON.
    Encoding {
        /// Where to.
        topic: String,
        /// What its serializer said.
        reason: String,
    },
    /// The hub did not acknowledge it in time. It may have been delivered; if not, it still will be once the hub answers
    /// or the connection is made again: to emit it again would make two of it.
    Unanswered {
        /// Where to.
        topic: String,
        /// How long was waited.
        after: Duration,
    },
}

impl fmt::Display for EmitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disconnected(why) => write!(f, "not emitted: {why}"),
            Self::Draining => {
                f.write_str("not emitted: this program is draining its bus connection")
            }
            Self::Refused { topic, refusal } => {
                write!(f, "the hub refuses events on {topic:?}: {}", refusal.reason)
            }
            Self::Full { waited } if waited.is_zero() => {
                f.write_str("not emitted: the outgoing buffer is full; `emit` waits for room")
            }
            Self::Full { waited } => write!(
                f,
                "not emitted: the outgoing buffer was full for {waited:?}; the hub takes nothing, is it hung?"
            ),
            Self::Held { topic, waited } if waited.is_zero() => write!(
                f,
                "not emitted: a subscriber to {topic:?} can't keep up and holds its publishers; `emit` waits for it"
            ),
            Self::Held { topic, waited } => write!(
                f,
                "not emitted: a subscriber to {topic:?} that can't keep up held its publishers for {waited:?}"
            ),
            Self::BadHeader { topic, reason } => {
                write!(f, "the event for {topic:?} can't be sent: {reason}")
            }
            Self::TooLarge { topic, size, limit } => write!(
                f,
                "the payload for {topic:?} has {size} bytes, the hub allows {limit}: send a reference to it instead"
            ),
            Self::BadTopic(why) => why.fmt(f),
            Self::Encoding { topic, reason } => {
                write!(f, "the payload for {topic:?} can't be encoded: {reason}")
            }
            Self::Unanswered { topic, after } => write!(
                f,
                "the hub did not acknowledge the event on {topic:?} within {after:?}: it may have been delivered, or still be"
            ),
        }
    }
}

impl std::error::Error for EmitError {}

impl EmitError {
    pub(in crate::client) fn too_large(topic: &str, size: usize, limit: usize) -> Self {
        Self::TooLarge {
            topic: topic.into(),
            size,
            limit,
        }
    }
}
