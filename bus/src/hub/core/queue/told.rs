//! What a subscription's connection was told: with it, whoever comes back after a lost connection learns exactly what it
//! missed.
//!
//! The client says how many events it counted: a prefix of what was written to it. Events told by number alone, as lost or
//! misfit, have a place in that count and no sequence number; the hub remembers theirs, so that a history doesn't bring
//! back what was told as lost.

use std::{collections::VecDeque, time::Instant};

use super::Outbox;
use crate::{
    hub::core::{expiry::Owed, item::Item},
    wire::flags,
};

/// Notices whose sequence numbers are remembered. Those that matter were written but not yet read when the connection was
/// lost; of older ones too few events are brought back, never too many.
const NOTICES: usize = 64;

/// Events lost, to be told with what follows them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Loss {
    pub(super) events: u64,
    /// The last one's sequence number.
    last_seq: u64,
    /// Of them, before the subscription's time.
    past: u64,
}

impl Loss {
    /// Of events without a sequence number in the data lane.
    pub(super) fn of(events: u64) -> Self {
        Self {
            events,
            ..Self::default()
        }
    }

    /// Adds another loss, before or after it.
    pub(super) fn add(&mut self, other: Self) {
        self.events += other.events;
        self.past += other.past;
        self.last_seq = self.last_seq.max(other.last_seq);
    }
}

/// What was written for a subscription.
#[derive(Clone, Debug, Default)]
pub(in crate::hub::core) struct Told {
    /// Events written, and events told as lost or misfit. Retained values aside; history counts if the subscription goes
    /// on where another ended.
    pub(in crate::hub::core) count: u64,
    /// Events after this number are its own to count; those up to it were before its time, or its reader knows of them.
    pub(in crate::hub::core) floor: u64,
    /// History counts.
    pub(in crate::hub::core) resumed: bool,
    /// The count once a notice was written, and the last sequence number it was about.
    notices: VecDeque<(u64, u64)>,
    /// There were more.
    cut: bool,
    /// Which parts of the count are notices of what was before the subscription's time: from, to. For the most part it
    /// begins with one.
    past: Vec<(u64, u64)>,
}

impl Told {
    /// Of a subscription that begins after event `floor`.
    pub(in crate::hub::core) fn begun(floor: u64) -> Self {
        Self {
            floor,
            ..Self::default()
        }
    }

    /// Of a subscription that goes on after event `floor`, where another ended. Its reader has counted `taken`, and knows
    /// of events up to `noticed`; it is told of `missed` more at once.
    pub(in crate::hub::core) fn resumed(floor: u64, taken: u64, noticed: u64, missed: u64) -> Self {
        // What the client says may be any number; this one leaves room to count on.
        let taken = taken.min(u64::MAX >> 2);
        Self {
            floor,
            count: taken + missed.min(u64::MAX >> 2),
            resumed: true,
            notices: VecDeque::from([(taken, noticed)]),
            ..Self::default()
        }
    }

    /// Whether an event was before the subscription's time.
    pub(super) fn is_past(&self, seq: u64) -> bool {
        seq != 0 && seq <= self.floor
    }

    /// The loss of some events, up to this one.
    pub(super) fn loss(&self, events: u64, last_seq: u64) -> Loss {
        Loss {
            events,
            last_seq,
            past: if self.is_past(last_seq) { events } else { 0 },
        }
    }

    /// Counts a loss that is told.
    pub(super) fn lose(&mut self, loss: &Loss) {
        if loss.events > 0 {
            self.notice(loss.events, loss.past, loss.last_seq);
        }
    }

    /// Counts events that are told by their number; `past` of them were before the subscription's time.
    fn notice(&mut self, missed: u64, past: u64, last_seq: u64) {
        let before = self.count;
        self.count += missed;
        let ranges = self.past.len();
        match self.past.last_mut() {
            _ if past == 0 => {}
            Some((_, to)) if *to == before => *to += past,
            // Only the control lane's events come between.
            Some(_) if ranges == NOTICES => {}
            Some(_) | None => self.past.push((before, before + past)),
        }
        if self.notices.len() == NOTICES {
            self.notices.pop_front();
            self.cut = true;
        }
        let last_seq = self.notices.back().map_or(0, |last| last.1).max(last_seq);
        self.notices.push_back((self.count, last_seq));
    }

    /// Counts what is written.
    pub(super) fn write(&mut self, item: &Item) {
        match item {
            Item::Misfit {
                missed, last_seq, ..
            } => {
                let past = if self.is_past(*last_seq) { *missed } else { 0 };
                self.notice(*missed, past, *last_seq);
            }
            Item::Run(_) | Item::Whole(_) | Item::Gap => self.count += self.weight(item),
        }
    }

    /// How many events an item will count as.
    fn weight(&self, item: &Item) -> u64 {
        let (flags, events) = match item {
            Item::Run(run) => (run.flags, u64::from(run.count)),
            Item::Whole(whole) => match whole.event {
                Some(event) => (event.flags, 1),
                None => return 0,
            },
            Item::Misfit { missed, .. } => return *missed,
            Item::Gap => return 0,
        };
        if self.counts(flags) { events } else { 0 }
    }

    /// Whether events with these flags count.
    pub(in crate::hub::core) fn counts(&self, flags: u8) -> bool {
        match (flags & flags::HISTORY != 0, flags & flags::RETAINED != 0) {
            (true, _) => self.resumed,
            (false, retained) => !retained,
        }
    }

    /// How many events an item that waits is owed as.
    pub(in crate::hub::core) fn owes(&self, item: &Item) -> u64 {
        match item {
            Item::Misfit { last_seq, .. } if self.is_past(*last_seq) => 0,
            Item::Misfit { .. } | Item::Run(_) | Item::Whole(_) | Item::Gap => self.weight(item),
        }
    }

    /// Bytes of memory it takes, beside itself.
    pub(in crate::hub::core) fn held(&self) -> usize {
        (self.notices.capacity() + self.past.capacity()) * size_of::<(u64, u64)>()
    }

    /// How much of the count beyond `taken` is not owed to the reader: notices of what was before its time.
    pub(in crate::hub::core) fn past_after(&self, taken: u64) -> u64 {
        let after = |(from, to): &(u64, u64)| to.saturating_sub(taken.max(*from));
        self.past.iter().map(after).sum()
    }

    /// The last sequence number that a reader knows of which has counted `taken`, beside those of events it got.
    pub(in crate::hub::core) fn last_noticed(&self, taken: u64) -> u64 {
        let before = self.notices.iter().rev().find(|(count, _)| *count <= taken);
        match (before, self.notices.front()) {
            (Some((_, seq)), _) => *seq,
            (None, Some((_, first))) if self.cut => *first,
            (None, _) => 0,
        }
    }
}

impl Outbox {
    /// What `sub` was told.
    pub(in crate::hub::core) fn told(&self, sub: u32) -> Option<&Told> {
        self.subs.get(&sub).map(|queue| &queue.told)
    }

    /// Begins the count of `sub`.
    pub(in crate::hub::core) fn set_told(&mut self, sub: u32, told: Told) {
        if let Some(queue) = self.subs.get_mut(&sub) {
            queue.told = told;
        }
    }

    /// Events of `sub` were lost before they could wait here.
    pub(in crate::hub::core) fn push_lag(&mut self, sub: u32, lost: u64) {
        self.refuse_newest(sub, Loss::of(lost));
    }

    /// The events that wait to be told, lost ones among them. What is before the subscription's time doesn't count: it is
    /// brought again, or nobody was owed it.
    pub(in crate::hub::core) fn untold(&self, sub: u32, now: Instant) -> Owed {
        let mut owed = Owed::default();
        let Some(queue) = self.subs.get(&sub) else {
            return owed;
        };
        let list = self.lists.of(queue);
        let lost = self.urgent_lost.get(&sub).copied().unwrap_or_default();
        owed.add(lost, None, now);
        let mut next = queue.head;
        while let Some(key) = next {
            let item = list.get(key);
            owed.add(item.loss.events - item.loss.past, None, now);
            owed.add(queue.told.owes(&item.item), item.item.until(), now);
            next = item.next_of_sub;
        }
        for urgent in self.urgent.iter().filter(|u| u.sub == Some(sub)) {
            owed.add(queue.told.weight(&urgent.item), urgent.item.until(), now);
        }
        owed
    }
}
