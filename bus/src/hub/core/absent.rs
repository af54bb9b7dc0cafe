//! A subscription whose client has lost its connection: what the hub keeps of it, to say later what was missed, and what
//! that takes.

use std::{rc::Rc, time::Instant};

use super::{
    conn::Peer, expiry::Owed, memory::Charge, queue::Told, routes::Routes, types::SharedType,
};
use crate::Pattern;

/// What it needs for a subscription that waits, whatever that is: its places in tables that may be half empty.
const ABSENT_BYTES: usize = 2 * size_of::<((u64, u32), Absent)>() + 2 * size_of::<(u32, u64)>();

/// A subscription whose connection is lost.
#[derive(Debug)]
pub(super) struct Absent {
    pub(super) pattern: Pattern,
    pub(super) reader: Option<Rc<SharedType>>,
    pub(super) peer: Peer,
    /// Events that waited, or came since.
    pub(super) owed: Owed,
    /// What was written.
    pub(super) told: Told,
    /// The number of the one before: its client may not have heard that it had gone on from there.
    pub(super) resumes: Option<u32>,
    pub(super) charge: Charge,
}

impl Absent {
    /// Events that were written, and those that wait or came since and have not ended.
    pub(super) fn matched(&self, now: Instant) -> u64 {
        self.told.count + self.owed.at(now)
    }

    pub(super) fn count(&mut self, events: u64, until: Option<Instant>, now: Instant) {
        self.owed.add(events, until, now);
        if until.is_some() {
            self.recharge();
        }
    }

    /// Counts the memory it takes anew. The reader's type and the client's name are shared with others, and counted there.
    pub(super) fn recharge(&mut self) {
        let text = self.pattern.as_str().len();
        let routes = Routes::held(&self.pattern);
        let held = ABSENT_BYTES + text + routes + self.told.held() + self.owed.held();
        self.charge.set(held);
    }
}
