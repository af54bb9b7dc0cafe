//! What can go wrong, as types: each says what happened, to what, and what to do about it.

use std::{fmt, io, time::Duration};

use crate::{
    Topic, TopicError,
    wire::control::{CloseKind, Refusal},
};

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
                "the bus connection to {target} was lost ({error}): is the hub still running? connect again"
            ),
            Self::Protocol { target, what } => write!(
                f,
                "the hub at {target} broke the protocol ({what}): are both sides of the same release?"
            ),
        }
    }
}

impl std::error::Error for Disconnected {}

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
    /// The hub took it, as far as is known, but did not acknowledge it in time.
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
                "the hub did not acknowledge the event on {topic:?} within {after:?}: it may have been delivered"
            ),
        }
    }
}

impl std::error::Error for EmitError {}

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

impl EmitError {
    pub(super) fn too_large(topic: &str, size: usize, limit: usize) -> Self {
        Self::TooLarge {
            topic: topic.into(),
            size,
            limit,
        }
    }
}

impl From<EmitError> for SubscribeError {
    fn from(why: EmitError) -> Self {
        match why {
            EmitError::Disconnected(why) => Self::Disconnected(why),
            why => Self::NotSent(why),
        }
    }
}

impl From<EmitError> for RequestError {
    fn from(why: EmitError) -> Self {
        match why {
            EmitError::Disconnected(why) => Self::Disconnected(why),
            why => Self::NotSent(why),
        }
    }
}

/// A topic that was checked before: the panic-free way from text.
pub(super) fn topic_of(text: &str) -> Option<Topic> {
    Topic::new(text).ok()
}
