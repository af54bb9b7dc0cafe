//! What waits to be written to one connection.
//!
//! Two queues. The control lane is written first: topics to hold back, answers to what the connection itself asked, and events
//! and calls of the control lane. Then data, in the order in which the hub took it, across all subscriptions of the connection; each
//! subscription has bounds of its own, and over them loses its own oldest. The loss is kept with what follows it, so
//! that it is told in its place. That is how nearly all subscriptions are served; those that ask for more have
//! [a policy of their own](overflow) for when they are full, or [a window](window). What waits for a window waits apart, so
//! that nothing behind it does.
//!
//! Who published what is told when it is written, not when it is queued: what a connection was told is then a matter of
//! its own stream alone.

mod asks;
mod count;
mod lists;
mod lose;
mod misfits;
mod overflow;
mod pressure;
mod sub;
mod told;
mod urgent;
mod window;
mod write;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque},
    rc::Rc,
};

use bytes::Bytes;

use super::{
    item::{Card, ITEM_BYTES, Item, Run, Whole},
    list::{Key, List},
    memory::{Charge, Tally},
};
use crate::{
    hub::{numbered::NumberMap, stats::Counts},
    wire::hello::Codec,
};

pub(super) use self::{
    asks::Ask,
    pressure::Strain,
    sub::{Bounds, Load, Terms},
    told::Told,
    urgent::Urgent,
};
use self::{
    asks::Asks,
    lists::{Extra, Lists, Waiting},
    sub::SubQueue,
    told::Loss,
};

/// A slice this long may keep its read buffer alive; a shorter one is copied if it would keep one more.
const PINNING_BYTES: usize = 32 << 10;

/// What a connection was told of a publisher.
#[derive(Debug)]
struct Known {
    card: Rc<Card>,
    types: HashSet<u32>,
}

#[derive(Debug)]
pub(super) struct Outbox {
    conn: u64,
    codec: Codec,
    urgent: VecDeque<Urgent>,
    /// Of `urgent`: answers to the connection itself.
    own: usize,
    /// Topics that it is still to be told to hold back, or to go on with.
    asks: Asks,
    lists: Lists,
    /// Subscriptions with a window that something may be written for, by what waits first.
    ready: BTreeSet<(u64, u32)>,
    /// Subscriptions that no publisher need be held for any longer.
    eased: Vec<u32>,
    /// Events of the control lane that were lost, by subscription, to be told.
    urgent_lost: BTreeMap<u32, u64>,
    subs: HashMap<u32, SubQueue>,
    order: u64,
    /// What subscriptions counted that are no more.
    past: Counts,
    /// Items of `data` without subscription, and their bytes.
    unowned: (usize, usize),
    known: NumberMap<Known>,
    /// Publishers that have gone, to be forgotten once nothing up to this order is left.
    goners: VecDeque<(u64, u64)>,
    charge: Charge,
    /// How many items keep a read buffer alive, and which the last one was.
    pinning: (usize, u64),
}

impl Outbox {
    pub(super) fn new(conn: u64, tally: &Tally) -> Self {
        Self {
            conn,
            codec: Codec::Json,
            urgent: VecDeque::new(),
            own: 0,
            asks: Asks::default(),
            lists: Lists::default(),
            ready: BTreeSet::new(),
            eased: Vec::new(),
            urgent_lost: BTreeMap::new(),
            subs: HashMap::new(),
            order: 0,
            past: Counts::default(),
            unowned: (0, 0),
            known: NumberMap::default(),
            goners: VecDeque::new(),
            charge: tally.charge(0),
            pinning: (0, 0),
        }
    }

    pub(super) fn set_codec(&mut self, codec: Codec) {
        self.codec = codec;
    }

    pub(super) fn is_empty(&self) -> bool {
        let waits = !self.asks.is_empty()
            || !self.urgent.is_empty()
            || !self.lists.data.is_empty()
            || !self.ready.is_empty();
        // Publishers that have gone are told of as soon as nothing of theirs waits for the reader.
        !waits && (self.goners.is_empty() || !self.lists.parked.is_empty())
    }

    /// Bytes of memory it holds.
    pub(super) fn held(&self) -> usize {
        self.charge.bytes()
    }

    /// Answers that the connection has not taken yet: their number and bytes.
    pub(super) fn unread_answers(&self) -> (usize, usize) {
        (self.own + self.unowned.0, self.unowned.1)
    }

    pub(super) fn open_sub(&mut self, sub: u32, bounds: Bounds, terms: Terms) {
        self.subs.insert(sub, SubQueue::new(bounds, terms));
    }

    /// Whether `sub` has no terms of its own: it loses its oldest, and nobody needs to confirm anything.
    pub(super) fn is_plain(&self, sub: u32) -> bool {
        self.subs.get(&sub).is_none_or(|q| q.care.is_none())
    }

    /// Events that wait for `sub`, one by one: what its [`Counts`] must add up with.
    #[cfg(test)]
    pub(super) fn waiting(&self, sub: u32) -> u64 {
        let lists = [&self.lists.data, &self.lists.parked];
        let keys = lists.into_iter().flat_map(|list| {
            std::iter::successors(list.front(), |key| list.after(*key)).map(|key| list.get(key))
        });
        let waiting = keys.filter(|w| w.sub == Some(sub)).map(|w| w.item.events());
        let urgent = self.urgent.iter().filter(|u| u.sub == Some(sub));
        waiting.sum::<u64>() + urgent.map(|u| u.item.events()).sum::<u64>()
    }

    /// Drops all that waits for `sub`; the calls among it are returned.
    pub(super) fn close_sub(&mut self, sub: u32) -> Vec<u64> {
        let mut calls = Vec::new();
        self.forget_kept(sub);
        while let Some(waiting) = self.take_head(sub) {
            calls.extend(call_of(&waiting.item));
        }
        if let Some(closed) = self.subs.remove(&sub) {
            self.past.add(closed.counts);
            if let Some(order) = closed.ready() {
                self.ready.remove(&(order, sub));
            }
        }
        self.urgent_lost.remove(&sub);
        let mut kept = VecDeque::with_capacity(self.urgent.len());
        for urgent in std::mem::take(&mut self.urgent) {
            if urgent.sub == Some(sub) {
                self.release(&urgent.item);
                calls.extend(call_of(&urgent.item));
            } else {
                kept.push_back(urgent);
            }
        }
        self.urgent = kept;
        calls
    }

    /// Drops all that waits but the answers to the connection itself: it may need them to understand its end.
    pub(super) fn clear(&mut self) {
        let subs: Vec<u32> = self.subs.keys().copied().collect();
        for sub in subs {
            self.close_sub(sub);
        }
        self.forget_asks();
        while let Some(key) = self.lists.data.front() {
            let waiting = self.lists.data.remove(key);
            self.release(&waiting.item);
        }
        self.unowned = (0, 0);
        self.goners.clear();
    }

    /// Whether a slice of `len` bytes of read buffer `input` should be copied before it waits here.
    pub(super) fn wants_copy(&self, input: u64, len: usize) -> bool {
        len < PINNING_BYTES && self.pinning.0 > 0 && self.pinning.1 != input
    }

    /// Whether a message of so many bytes would exceed the bounds of `sub`.
    pub(super) fn has_room(&self, sub: u32, bytes: usize) -> bool {
        self.subs
            .get(&sub)
            .is_some_and(|q| q.messages < q.bounds.messages && q.bytes + bytes <= q.bounds.bytes)
    }

    /// Queues an item for `sub`, and says how many events were lost to make room.
    pub(super) fn push(&mut self, sub: u32, item: Item) -> u64 {
        if self.joins_last_misfit(sub, &item) {
            return 0;
        }
        match self.append_to(sub, item, None) {
            true => self.trim(sub),
            false => 0,
        }
    }

    /// Queues something of the connection's own, in order with its data.
    pub(super) fn push_unowned(&mut self, whole: Whole) {
        let item = Item::Whole(whole);
        self.hold(&item);
        self.unowned.0 += 1;
        self.unowned.1 += item.bytes();
        self.append_unowned(item);
    }

    /// Publisher `conn` has gone: forget it after its last event.
    pub(super) fn forget(&mut self, conn: u64) {
        self.goners.push_back((self.order, conn));
    }

    /// Publishers that this connection was told of; nobody needs to tell it more.
    pub(super) fn leave_all(&mut self) {
        for (_, known) in self.known.drain() {
            known.card.known_to.borrow_mut().remove(&self.conn);
        }
        self.goners.clear();
    }

    fn hold(&mut self, item: &Item) {
        self.charge.add(item.bytes() + ITEM_BYTES);
        if let Item::Run(Run {
            pins: Some(input), ..
        }) = item
        {
            self.pinning = (self.pinning.0 + 1, *input);
        }
    }

    fn release(&mut self, item: &Item) {
        self.charge.sub(item.bytes() + ITEM_BYTES);
        self.pinning.0 -= usize::from(pins(item));
    }
}

fn pins(item: &Item) -> bool {
    match item {
        Item::Run(run) => run.pins.is_some(),
        Item::Whole(_) | Item::Misfit { .. } | Item::Gap => false,
    }
}

fn call_of(item: &Item) -> Option<u64> {
    match item {
        Item::Whole(whole) => whole.call,
        Item::Run(_) | Item::Misfit { .. } | Item::Gap => None,
    }
}

/// Copies a slice into memory of its own.
pub(super) fn copied(slice: &Bytes) -> Bytes {
    Bytes::copy_from_slice(slice)
}
