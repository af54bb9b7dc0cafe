//! What waits to be written to one connection.
//!
//! Two queues. The control lane is written first: answers to what the connection itself asked, and events and calls of
//! the control lane. Then data, in the order in which the hub took it, across all subscriptions of the connection; each
//! subscription has bounds of its own, and over them loses its own oldest. The loss is kept with what follows it, so
//! that it is told in its place.
//!
//! Who published what is told when it is written, not when it is queued: what a connection was told is then a matter of
//! its own stream alone.

mod count;
mod lose;
mod write;

use std::{
    collections::{HashMap, HashSet, VecDeque},
    rc::Rc,
};

use bytes::Bytes;

use super::{
    item::{Card, ITEM_BYTES, Item, Run, Whole},
    list::{Key, List},
    memory::{Charge, Tally},
};
use crate::{
    Topic,
    hub::stats::Counts,
    wire::{control::HubOp, hello::Codec},
};

/// A slice this long may keep its read buffer alive; a shorter one is copied if it would keep one more.
const PINNING_BYTES: usize = 32 << 10;

/// An item of the data queue.
#[derive(Debug)]
struct Waiting {
    /// Whose it is; `None` is the connection's own: answers, marks.
    sub: Option<u32>,
    /// Events of `sub` lost just before it.
    lagged: u64,
    item: Item,
    /// Grows along the queue.
    order: u64,
    /// The next item of the same subscription.
    next_of_sub: Option<Key>,
}

#[derive(Debug)]
struct SubQueue {
    head: Option<Key>,
    tail: Option<Key>,
    messages: usize,
    bytes: usize,
    max_messages: usize,
    max_bytes: usize,
    counts: Counts,
}

/// An item of the control queue.
#[derive(Debug)]
pub(super) struct Urgent {
    pub(super) item: Item,
    /// For which subscription.
    pub(super) sub: Option<u32>,
    /// Who caused it; `None`: the connection itself.
    pub(super) from: Option<u64>,
    /// What it stands for: one that comes later replaces it.
    pub(super) stands_for: Option<(Topic, Vec<u8>)>,
}

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
    data: List<Waiting>,
    subs: HashMap<u32, SubQueue>,
    order: u64,
    /// What subscriptions counted that are no more.
    past: Counts,
    /// Items of `data` without subscription, and their bytes.
    unowned: (usize, usize),
    known: HashMap<u64, Known>,
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
            data: List::default(),
            subs: HashMap::new(),
            order: 0,
            past: Counts::default(),
            unowned: (0, 0),
            known: HashMap::new(),
            goners: VecDeque::new(),
            charge: tally.charge(0),
            pinning: (0, 0),
        }
    }

    pub(super) fn set_codec(&mut self, codec: Codec) {
        self.codec = codec;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.urgent.is_empty() && self.data.is_empty() && self.goners.is_empty()
    }

    /// Bytes of memory it holds.
    pub(super) fn held(&self) -> usize {
        self.charge.bytes()
    }

    /// Answers that the connection has not taken yet: their number and bytes.
    pub(super) fn unread_answers(&self) -> (usize, usize) {
        (self.own + self.unowned.0, self.unowned.1)
    }

    /// Items of the control lane caused by others.
    pub(super) fn foreign_urgent(&self) -> usize {
        self.urgent.len() - self.own
    }

    /// Whose items fill the control lane, and with how many.
    pub(super) fn senders(&self) -> HashMap<u64, usize> {
        let mut counts: HashMap<u64, usize> = HashMap::new();
        for from in self.urgent.iter().filter_map(|u| u.from) {
            *counts.entry(from).or_default() += 1;
        }
        counts
    }

    pub(super) fn open_sub(&mut self, sub: u32, max_messages: usize, max_bytes: usize) {
        self.subs.insert(
            sub,
            SubQueue {
                head: None,
                tail: None,
                messages: 0,
                bytes: 0,
                max_messages,
                max_bytes,
                counts: Counts::default(),
            },
        );
    }

    /// Drops all that waits for `sub`; the calls among it are returned.
    pub(super) fn close_sub(&mut self, sub: u32) -> Vec<u64> {
        let mut calls = Vec::new();
        let closed = self.subs.remove(&sub);
        self.past
            .add(closed.as_ref().map(|q| q.counts).unwrap_or_default());
        let mut next = closed.and_then(|q| q.head);
        while let Some(key) = next {
            let waiting = self.data.remove(key);
            next = waiting.next_of_sub;
            self.release(&waiting.item);
            calls.extend(call_of(&waiting.item));
        }
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
        while let Some(key) = self.data.front() {
            let waiting = self.data.remove(key);
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
            .is_some_and(|q| q.messages < q.max_messages && q.bytes + bytes <= q.max_bytes)
    }

    /// Queues an item for `sub`, and says how many events were lost to make room.
    pub(super) fn push(&mut self, sub: u32, item: Item) -> u64 {
        if let Item::Misfit {
            missed,
            topic,
            reason,
        } = &item
            && self.adds_to_last_misfit(sub, *missed, topic, reason)
        {
            return 0;
        }
        let (messages, bytes) = (item.messages(), item.bytes());
        if !self.subs.contains_key(&sub) {
            return 0;
        }
        self.hold(&item);
        let key = self.append(Some(sub), item);
        let Some(queue) = self.subs.get_mut(&sub) else {
            return 0;
        };
        queue.messages += messages;
        queue.bytes += bytes;
        let before = queue.tail.replace(key);
        match before {
            Some(before) => self.data.get_mut(before).next_of_sub = Some(key),
            None => queue.head = Some(key),
        }
        self.trim(sub)
    }

    /// Queues something of the connection's own, in order with its data.
    pub(super) fn push_unowned(&mut self, whole: Whole) {
        let item = Item::Whole(whole);
        self.hold(&item);
        self.unowned.0 += 1;
        self.unowned.1 += item.bytes();
        self.append(None, item);
    }

    /// Queues something in the control lane. One that it stands for too is replaced.
    pub(super) fn push_urgent(&mut self, urgent: Urgent) {
        if urgent.stands_for.is_some()
            && let Some(at) = self
                .urgent
                .iter()
                .position(|u| u.stands_for == urgent.stands_for && u.sub == urgent.sub)
            && let Some(old) = self.urgent.remove(at)
        {
            self.release(&old.item);
            self.conflated(&old);
        }
        self.hold(&urgent.item);
        self.own += usize::from(urgent.from.is_none());
        self.urgent.push_back(urgent);
    }

    /// Drops the oldest that `sender` caused, and says for which subscription it was.
    pub(super) fn drop_oldest_urgent(&mut self, sender: u64) -> Option<u32> {
        let at = self.urgent.iter().position(|u| u.from == Some(sender))?;
        let old = self.urgent.remove(at)?;
        self.release(&old.item);
        old.sub
    }

    /// Queues the answer to something the connection asked.
    pub(super) fn push_own(&mut self, r#ref: u64, op: HubOp) {
        let frame = super::output::control_frame(self.codec, r#ref, op);
        self.push_urgent(Urgent {
            item: Item::Whole(Whole::plain(frame)),
            sub: None,
            from: None,
            stands_for: None,
        });
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

    fn append(&mut self, sub: Option<u32>, item: Item) -> Key {
        self.order += 1;
        self.data.push_back(Waiting {
            sub,
            lagged: 0,
            item,
            order: self.order,
            next_of_sub: None,
        })
    }

    /// Counts misfits into those that wait last, if those are the same.
    fn adds_to_last_misfit(
        &mut self,
        sub: u32,
        more: u64,
        topic: &Topic,
        reason: &Rc<str>,
    ) -> bool {
        let last = self.subs.get(&sub).and_then(|q| q.tail);
        let Some(last) = last.map(|key| &mut self.data.get_mut(key).item) else {
            return false;
        };
        match last {
            Item::Misfit {
                missed,
                topic: t,
                reason: r,
            } if t == topic && (Rc::ptr_eq(r, reason) || r == reason) => {
                *missed += more;
                true
            }
            Item::Misfit { .. } | Item::Run(_) | Item::Whole(_) | Item::Gap => false,
        }
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
