//! What a subscription yields.

use std::sync::Arc;

use bytes::Bytes;

use crate::{
    Origin, Topic,
    client::{Disconnected, trace::TraceContext},
    wire::{flags, headers::Headers},
};

/// An event, and what the hub knows of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received<T> {
    /// The event.
    pub event: T,
    /// Who sent it; stamped by the hub.
    pub origin: Arc<Origin>,
    /// Its topic.
    pub topic: Topic,
    /// Its number in the hub's order of its lane. Another life of the hub begins anew.
    pub seq: u64,
    pub(super) run_flags: u8,
    /// As they travel; a slice of what was received.
    pub(super) headers: Bytes,
}

impl<T> Received<T> {
    /// An event that no bus has brought: for tests of what reads events.
    pub fn new(event: T, origin: Origin, topic: Topic, seq: u64) -> Self {
        Self {
            event,
            origin: Arc::new(origin),
            topic,
            seq,
            run_flags: 0,
            headers: Bytes::new(),
        }
    }

    /// The same, as if it had come in a RUN with these [flags]: for tests of what reads events.
    #[must_use]
    pub fn with_run_flags(self, run_flags: u8) -> Self {
        Self { run_flags, ..self }
    }

    /// Whether it was published before this subscription, and retained.
    pub fn is_retained(&self) -> bool {
        self.run_flags & flags::RETAINED != 0
    }

    /// Whether it comes from its topic's history: it was published before this subscription, or while it had no connection.
    pub fn is_history(&self) -> bool {
        self.run_flags & flags::HISTORY != 0
    }

    /// Whether another member of the queue group got it before, and ended before it had taken it. It may have been handled.
    pub fn is_redelivered(&self) -> bool {
        self.run_flags & flags::REDELIVERED != 0
    }

    /// Its headers.
    pub fn headers(&self) -> Headers {
        // The hub has checked them.
        Headers::parse(&self.headers).unwrap_or_default()
    }

    /// The trace it is part of, as a step of its own: what is emitted within its
    /// [`scope`](TraceContext::scope) goes on from here. `None` if its publisher was part of none.
    pub fn trace(&self) -> Option<TraceContext> {
        TraceContext::continued(&self.headers)
    }

    /// A span for what is done about it, which goes on with the trace it is part of.
    pub fn span(&self) -> tracing::Span {
        TraceContext::span(&self.headers, "event", self.topic.as_str())
    }
}

/// What a subscription yields. Only the last kind is the last item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery<T> {
    /// An event.
    Event(Received<T>),
    /// This reader was too slow: so many events were dropped at this place.
    Lagged {
        /// How many.
        missed: u64,
    },
    /// Events at this place are of a type this reader doesn't read.
    Misfit {
        /// How many in a row.
        missed: u64,
        /// The topic.
        topic: String,
        /// Why, with both types spelled out, or the path of the first mismatch.
        reason: String,
    },
    /// The connection was lost and made again. The retained values of its topics follow, then what their histories still
    /// have of the time between.
    Reconnected {
        /// How many events between are lost; `None` if the hub doesn't know, because it is another one or the connection was lost for
        /// too long.
        missed: Option<u64>,
    },
    /// The connection has ended. Nothing follows.
    Disconnected(Disconnected),
}
