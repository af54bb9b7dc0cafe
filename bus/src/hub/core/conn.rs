//! What the core knows of one connection.

use std::{
    collections::{HashMap, HashSet},
    rc::Rc,
    time::Instant,
};

use super::{
    item::{Announced, Card},
    memory::Tally,
    owner::Whose,
    path::PathCache,
    queue::Outbox,
    types::SharedType,
};
use crate::{
    Pattern,
    hub::{Admission, Principal, numbered::NumberSet},
    wire::{
        control::{OverflowPolicy, RefusalKind},
        hello::{Codec, Kind},
    },
};

/// How a peer came in, and so what it may be.
#[derive(Clone, Debug)]
pub(crate) enum Door {
    /// Its principal is known.
    Known(Principal),
    /// A worker on the socket it inherited, and what it may show later to come back by path.
    Inherited(Principal, WorkerToken),
    /// It may choose at HELLO, within bounds; a worker that has lost its socket shows its token.
    Path(Admission),
    /// From a network: its token says what it may be.
    Network,
}

/// What a worker shows when it comes back by path.
pub(crate) type WorkerToken = Rc<str>;

/// What a peer says of itself and proves with a token. Whether it is true is not for the core to find out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) conn: u64,
    pub(crate) kind: Kind,
    pub(crate) name: String,
    pub(crate) token: String,
}

/// How far a connection is.
///
/// ```text
/// Greeting ──HELLO──────────────▶ Open ──fault, limit, stop──▶ Closing ──written, or gone──▶ (removed)
///   │ └──HELLO, token──▶ Vouching ──▲                            ▲
///   └───────no agreement, late─┴─────not believed, late──────────┘
/// ```
#[derive(Debug)]
pub(super) enum Phase {
    /// HELLO has not come.
    ///
    /// A peer that came by path has until then to say it. One that inherited its socket has all the time it wants: its
    /// program may load for a minute before it looks at the bus, or may not know that there is one.
    Greeting { door: Door, until: Option<Instant> },
    /// It has said HELLO with a token; until somebody has said whether that holds, nothing more is taken from it.
    Vouching {
        agreed: Agreed,
        until: Option<Instant>,
    },
    /// It takes part.
    Open(Peer),
    /// It was told why, and nothing more is taken from it.
    Closing,
}

impl Phase {
    /// Who takes part, if it has come to that.
    pub(super) fn peer(&self) -> Option<&Peer> {
        match self {
            Self::Open(peer) => Some(peer),
            Self::Greeting { .. } | Self::Vouching { .. } | Self::Closing => None,
        }
    }
}

/// What HELLO settled, whoever the peer is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Agreed {
    /// The protocol's version.
    pub(super) proto: u32,
    pub(super) codec: Codec,
    /// The client across its connections.
    pub(super) instance: Option<u128>,
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
    /// It answers requests rather than hearing events.
    pub(super) serve: bool,
    /// Who lost its connection may go on with it on another.
    pub(super) resumable: bool,
    /// The number of the subscription it goes on from: its client may not have heard yet that it does.
    pub(super) resumes: Option<u32>,
    /// The reader's type; `None` takes everything as it comes.
    pub(super) reader: Option<Rc<SharedType>>,
    /// Its queue group.
    pub(super) group: Option<Rc<str>>,
    /// What happens when its queue is full.
    pub(super) policy: OverflowPolicy,
    /// Calls that wait for its reply.
    pub(super) outstanding: u32,
    /// The last call it got.
    pub(super) last_call: u64,
    /// Events lost since the last notice, and until when there is no other.
    pub(super) unnoticed: u64,
    pub(super) quiet_until: Option<Instant>,
}

#[derive(Debug)]
pub(super) struct Conn {
    pub(super) phase: Phase,
    /// Whose it is, if it came by path or over a network.
    pub(super) whose: Option<Whose>,
    /// Its client across connections, if it said which.
    pub(super) session: Option<u64>,
    /// When it came.
    pub(super) since: Instant,
    pub(super) codec: Codec,
    pub(super) outbox: Outbox,
    pub(super) types: HashMap<u32, Rc<Announced>>,
    pub(super) subs: HashMap<u32, Sub>,
    pub(super) paths: PathCache,
    /// Its calls that wait for a reply.
    pub(super) asks: NumberSet,
    /// Calls that wait for its reply.
    pub(super) serves: NumberSet,
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
            whose: None,
            session: None,
            since: now,
            codec: Codec::Json,
            outbox: Outbox::new(id, tally),
            types: HashMap::new(),
            subs: HashMap::new(),
            paths: PathCache::default(),
            asks: NumberSet::default(),
            serves: NumberSet::default(),
            told: HashSet::new(),
            dirty: false,
        }
    }

    /// Who it is, if it takes part.
    pub(super) fn peer(&self) -> Option<&Peer> {
        self.phase.peer()
    }
}
