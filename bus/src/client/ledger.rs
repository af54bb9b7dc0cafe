//! Who waits for which reference.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::{announce::Announcement, publishers::Publisher};
use crate::wire::{control::Refusal, data};

/// References under way at once; over it, senders wait for room. As the hub's queue of one subscription.
pub(super) const LEDGER_ENTRIES: usize = 64 << 10;

/// The event's topic, in the way it was addressed: where a lasting refusal is noted.
#[derive(Clone, Debug)]
pub(super) enum Addressee {
    /// The topic announced with a type.
    Announced(Announcement),
    /// A topic by name.
    Topic(Box<str>),
}

/// An answer as it came.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) publisher: Arc<Publisher>,
    pub(super) kind: data::Payload,
    pub(super) payload: Bytes,
}

/// What an answer of the hub means to this side. Dropping one tells its waiter that the connection ended.
#[derive(Debug)]
pub(super) enum Pending {
    /// An acknowledged event.
    Ack {
        to: Addressee,
        answer: oneshot::Sender<Result<u64, Refusal>>,
    },
    /// The first event on a topic, acknowledged behind the emitter's back.
    Probe(Addressee),
    /// A type.
    Announce(Announcement),
    /// A subscription.
    Subscribe {
        sub: u32,
        answer: oneshot::Sender<Result<u64, Refusal>>,
    },
    /// The end of a subscription.
    Unsubscribe { sub: u32 },
    /// A request.
    Request(oneshot::Sender<Result<Answer, Refusal>>),
    /// A drain.
    Drain(oneshot::Sender<Result<u64, Refusal>>),
}

/// The references of one connection: chosen here, growing, never 0.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    last: u64,
    open: HashMap<u64, Pending>,
}

impl Ledger {
    /// A reference nobody waits for.
    pub(super) fn next(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// A reference somebody waits for.
    pub(super) fn open(&mut self, pending: Pending) -> u64 {
        let r#ref = self.next();
        self.open.insert(r#ref, pending);
        r#ref
    }

    /// Takes out what waits for `ref`.
    pub(super) fn close(&mut self, r#ref: u64) -> Option<Pending> {
        self.open.remove(&r#ref)
    }

    pub(super) fn is_full(&self) -> bool {
        self.open.len() >= LEDGER_ENTRIES
    }

    /// Takes out everything: the connection has ended.
    pub(super) fn clear(&mut self) -> HashMap<u64, Pending> {
        std::mem::take(&mut self.open)
    }
}
