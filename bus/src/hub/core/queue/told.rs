//! What a subscription's connection was told: with it, whoever comes back after a lost connection learns exactly what it
//! missed.
//!
//! The client says how many events it counted: a prefix of what was written to it. Events told by number alone, as lost or
//! misfit, have a place in that count and no sequence number; the hub remembers theirs, so that a history doesn't bring
//! back what was told as lost.

use std::collections::VecDeque;

use super::Outbox;
use crate::{hub::core::item::Item, wire::flags};

/// Notices whose sequence numbers are remembered. Those that matter were written but not yet read when the connection was
/// lost; of older ones too few events are brought back, never too many.
const NOTICES: usize = 64;

/// What was written for a subscription.
#[derive(Clone, Debug, Default)]
pub(in crate::hub::core) struct Told {
    /// Events written, and events told as lost or misfit. Retained values aside; history counts if the subscription goes
    /// on where another ended.
    pub(in crate::hub::core) count: u64,
    /// History counts.
    pub(in crate::hub::core) resumed: bool,
    /// Events that nobody wanted any more when they would have been written.
    pub(in crate::hub::core) expired: u64,
    /// The count once a notice was written, and the last sequence number it was about.
    notices: VecDeque<(u64, u64)>,
    /// There were more.
    cut: bool,
}

impl Told {
    /// Of a subscription that goes on where another ended, whose reader has counted so many.
    pub(in crate::hub::core) fn resumed(count: u64) -> Self {
        Self {
            count,
            resumed: true,
            ..Self::default()
        }
    }

    /// Counts events that are told by their number.
    pub(super) fn notice(&mut self, missed: u64, last_seq: u64) {
        self.count += missed;
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
            } => self.notice(*missed, *last_seq),
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
        let counts = match (flags & flags::HISTORY != 0, flags & flags::RETAINED != 0) {
            (true, _) => self.resumed,
            (false, retained) => !retained,
        };
        if counts { events } else { 0 }
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
        if !self.subs.contains_key(&sub) {
            return;
        }
        self.hold(&Item::Gap);
        let key = self.append(Some(sub), Item::Gap);
        self.data.get_mut(key).lagged = lost;
        self.link(sub, key);
    }

    /// How many events wait to be told, lost ones among them.
    pub(in crate::hub::core) fn untold(&self, sub: u32) -> u64 {
        let Some(queue) = self.subs.get(&sub) else {
            return 0;
        };
        let mut waiting = 0;
        let mut next = queue.head;
        while let Some(key) = next {
            let item = self.data.get(key);
            waiting += item.lagged + queue.told.weight(&item.item);
            next = item.next_of_sub;
        }
        let urgent = self.urgent.iter().filter(|u| u.sub == Some(sub));
        waiting + urgent.map(|u| queue.told.weight(&u.item)).sum::<u64>()
    }
}
