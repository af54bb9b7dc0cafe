//! What the core knows of one connection.

use std::{
    collections::{HashMap, HashSet},
    rc::Rc,
    time::Instant,
};

use super::{
    item::{Announced, Card},
    memory::Tally,
    path::PathCache,
    queue::Outbox,
    types::SharedType,
};
use crate::{
    Pattern,
    hub::{Admission, Principal},
    wire::{
        control::{RefusalKind, SubscribeOptions},
        hello::Codec,
    },
};

/// How a peer came in, and so what it may be.
#[derive(Clone, Debug)]
pub(crate) enum Door {
    /// Its principal is known.
    Known(Principal),
    /// It may choose at HELLO, within bounds.
    Path(Admission),
}

/// How far a connection is.
///
/// ```text
/// Greeting ──HELLO──▶ Open ──fault, limit, stop──▶ Closing ──written, or gone──▶ (removed)
///     └───────────────no agreement, late──────────────▲
/// ```
#[derive(Debug)]
pub(super) enum Phase {
    /// HELLO has not come.
    ///
    /// A peer that came by path has until then to say it. One that inherited its socket has all the time it wants: its
    /// program may load for a minute before it looks at the bus, or may not know that there is one.
    Greeting { door: Door, until: Option<Instant> },
    /// It takes part.
    Open(Peer),
    /// It was told why, and nothing more is taken from it.
    Closing,
}

/// Who takes part.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    pub(super) principal: Rc<Principal>,
    pub(super) card: Rc<Card>,
}

/// A subscription.
#[derive(Debug)]
pub(super) struct Sub {
    pub(super) pattern: Pattern,
    /// The reader's type; `None` takes everything as it comes.
    pub(super) reader: Option<Rc<SharedType>>,
    /// How it is served, as it asked.
    pub(super) options: SubscribeOptions,
    /// Calls that wait for its reply.
    pub(super) outstanding: u32,
    /// The last call it got.
    pub(super) last_call: u64,
    /// Events lost since the last notice, and when that was.
    pub(super) unnoticed: u64,
    pub(super) noticed_at: Option<Instant>,
}

#[derive(Debug)]
pub(super) struct Conn {
    pub(super) phase: Phase,
    /// When it came.
    pub(super) since: Instant,
    pub(super) codec: Codec,
    pub(super) outbox: Outbox,
    pub(super) types: HashMap<u32, Rc<Announced>>,
    pub(super) subs: HashMap<u32, Sub>,
    pub(super) paths: PathCache,
    /// Its calls that wait for a reply.
    pub(super) asks: HashSet<u64>,
    /// Calls that wait for its reply.
    pub(super) serves: HashSet<u64>,
    /// Refusals without a reference that it was told: each kind once per topic.
    pub(super) told: HashSet<(String, RefusalKind)>,
    /// It is among those with something new to write.
    pub(super) dirty: bool,
}

impl Conn {
    pub(super) fn new(
        id: u64,
        door: Door,
        until: Option<Instant>,
        now: Instant,
        tally: &Tally,
    ) -> Self {
        Self {
            phase: Phase::Greeting { door, until },
            since: now,
            codec: Codec::Json,
            outbox: Outbox::new(id, tally),
            types: HashMap::new(),
            subs: HashMap::new(),
            paths: PathCache::default(),
            asks: HashSet::new(),
            serves: HashSet::new(),
            told: HashSet::new(),
            dirty: false,
        }
    }

    /// Who it is, if it takes part.
    pub(super) fn peer(&self) -> Option<&Peer> {
        match &self.phase {
            Phase::Open(peer) => Some(peer),
            Phase::Greeting { .. } | Phase::Closing => None,
        }
    }
}
