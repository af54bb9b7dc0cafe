//! Who waits for which reference.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::{announce::Announcement, publishers::Publisher, request::Gathering};
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
pub(super) struct Answered {
    pub(super) publisher: Arc<Publisher>,
    pub(super) kind: data::Payload,
    pub(super) headers: Bytes,
    pub(super) payload: Bytes,
}

/// Who waits for one number, or why there is none.
pub(super) type Asker<T> = oneshot::Sender<Result<T, Refusal>>;

/// What an answer of the hub means to this side. Dropping one tells its waiter that the connection ended.
#[derive(Debug)]
pub(super) enum Pending {
    /// An acknowledged event.
    Ack { to: Addressee, answer: Asker<u64> },
    /// The first event on a topic, acknowledged behind the emitter's back.
    Probe(Addressee),
    /// A type.
    Announce(Announcement),
    /// A subscription.
    Subscribe { sub: u32, answer: Asker<u64> },
    /// A subscription, on another connection than before.
    Resubscribe { sub: u32 },
    /// The end of a subscription.
    Unsubscribe { sub: u32 },
    /// A request.
    Request(Asker<Answered>),
    /// A request to many.
    Many(Gathering),
    /// A drain.
    Drain(Asker<u64>),
}

/// The references of a client: chosen here, growing over all its connections, never 0.
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

    /// What waits for `ref`.
    pub(super) fn look(&self, r#ref: u64) -> Option<&Pending> {
        self.open.get(&r#ref)
    }

    /// Takes out what waits for `ref`.
    pub(super) fn close(&mut self, r#ref: u64) -> Option<Pending> {
        self.open.remove(&r#ref)
    }

    pub(super) fn is_full(&self) -> bool {
        self.open.len() >= LEDGER_ENTRIES
    }

    /// Puts back what waits for `ref`.
    pub(super) fn put_back(&mut self, r#ref: u64, pending: Pending) {
        self.open.insert(r#ref, pending);
    }

    /// Takes out the questions that `stay` does not name.
    pub(super) fn lose_questions(&mut self, stay: impl Fn(u64) -> bool) -> Vec<Pending> {
        let lost = |r#ref: &u64, pending: &mut Pending| {
            matches!(pending, Pending::Request(_) | Pending::Many(_)) && !stay(*r#ref)
        };
        self.open
            .extract_if(lost)
            .map(|(_, pending)| pending)
            .collect()
    }

    /// Takes out everything.
    pub(super) fn clear(&mut self) -> HashMap<u64, Pending> {
        std::mem::take(&mut self.open)
    }
}
