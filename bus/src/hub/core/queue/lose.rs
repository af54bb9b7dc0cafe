//! What a full queue loses: its oldest events, told with what follows them.

use super::{Outbox, SubQueue, Waiting, call_of, pins};
use crate::hub::core::{item::Item, list::List};

/// What waits for a subscription beyond its bounds.
#[derive(Clone, Copy, Debug, Default)]
struct Excess {
    messages: usize,
    bytes: usize,
}

impl Excess {
    fn of(queue: &SubQueue) -> Option<Self> {
        queue.is_over().then(|| Self {
            messages: queue.messages.saturating_sub(queue.bounds.messages),
            bytes: queue.bytes.saturating_sub(queue.bounds.bytes),
        })
    }
}

impl Outbox {
    /// Drops the oldest events until `bytes` of memory are free, and says whose and how many were lost. What is no event
    /// stays, and what was sent and may have to be sent again.
    pub(in crate::hub::core) fn lose(&mut self, bytes: usize) -> Vec<(u32, u64)> {
        let goal = self.held().saturating_sub(bytes);
        let mut lost: Vec<(u32, u64)> = Vec::new();
        for parked in [false, true] {
            self.lose_from(parked, goal, &mut lost);
        }
        lost
    }

    fn lose_from(&mut self, parked: bool, goal: usize, lost: &mut Vec<(u32, u64)>) {
        let mut next = self.list(parked).front();
        while let Some(key) = next.filter(|_| self.held() > goal) {
            let waiting = self.list(parked).get(key);
            let is_event = waiting.item.messages() > 0 && call_of(&waiting.item).is_none();
            let Some(sub) = waiting.sub.filter(|_| is_event) else {
                next = self.list(parked).after(key);
                continue;
            };
            // Of a group's member, what another left it may stand behind what came later.
            let is_first = self.subs.get(&sub).is_some_and(|q| q.head == Some(key));
            let was_last = waiting.item.messages() == 1;
            let missed = self.lose_oldest(sub, Excess::default());
            match lost.last_mut() {
                Some((last, n)) if *last == sub => *n += missed,
                _ => lost.push((sub, missed)),
            }
            // Whatever stood here or behind may be gone by now.
            if !is_first || was_last {
                next = self.list(parked).front().filter(|_| missed > 0);
            }
        }
    }

    fn list(&self, parked: bool) -> &List<Waiting> {
        match parked {
            true => &self.lists.parked,
            false => &self.lists.data,
        }
    }

    /// Drops the oldest events of `sub` until it is within its bounds, and says how many.
    pub(super) fn trim(&mut self, sub: u32) -> u64 {
        let mut lost = 0;
        while let Some(excess) = self.subs.get(&sub).and_then(Excess::of) {
            lost += self.lose_oldest(sub, excess);
        }
        lost
    }

    /// Drops the oldest event of `sub`, and those published together with it as far as that much is too much; keeps the
    /// loss with what follows.
    fn lose_oldest(&mut self, sub: u32, excess: Excess) -> u64 {
        self.close_gap(sub);
        let Some(queue) = self.subs.get_mut(&sub) else {
            return 0;
        };
        let Some(key) = queue.head else { return 0 };
        let windowed = queue.is_windowed();
        let waiting = match windowed {
            true => self.lists.parked.get_mut(key),
            false => self.lists.data.get_mut(key),
        };
        let before = (waiting.item.messages(), waiting.item.bytes());
        let pinned = pins(&waiting.item);
        let (missed, last_seq) = waiting.item.lose_oldest(excess.messages, excess.bytes);
        waiting.loss.add(queue.told.loss(missed, last_seq));
        let (messages, bytes) = (waiting.item.messages(), waiting.item.bytes());
        queue.messages -= before.0 - messages;
        queue.bytes -= before.1 - bytes;
        queue.counts.lagged += missed;
        self.charge.sub(before.1 - bytes);
        if messages == 0 {
            self.pinning.0 -= usize::from(pinned);
            if let Some(extra) = waiting.extra.take() {
                self.charge
                    .sub(extra.source.map_or(0, |run| run.frames.len()));
                if let Some(topic) = extra.topic {
                    queue.forget_latest(&topic, key);
                }
            }
        }
        self.close_gap(sub);
        if windowed {
            self.make_ready(sub);
        }
        missed
    }

    /// Moves the losses that stand alone at the head of `sub` to the item behind them.
    fn close_gap(&mut self, sub: u32) {
        while let Some(queue) = self.subs.get(&sub)
            && let Some(key) = queue.head
        {
            let list = self.lists.of_mut(queue);
            let waiting = list.get(key);
            let (Item::Gap, Some(next)) = (&waiting.item, waiting.next_of_sub) else {
                return;
            };
            let loss = waiting.loss;
            list.get_mut(next).loss.add(loss);
            self.take_out(sub, key);
        }
    }
}
