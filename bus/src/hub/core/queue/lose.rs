//! What a full queue loses: its oldest events, told with what follows them.

use super::{Outbox, call_of, pins};
use crate::hub::core::item::{ITEM_BYTES, Item};

impl Outbox {
    /// Drops the oldest events until `bytes` of memory are free, and says whose and how many were lost. What is no event
    /// stays.
    pub(in crate::hub::core) fn lose(&mut self, bytes: usize) -> Vec<(u32, u64)> {
        let goal = self.held().saturating_sub(bytes);
        let mut lost: Vec<(u32, u64)> = Vec::new();
        let mut next = self.data.front();
        while let Some(key) = next.filter(|_| self.held() > goal) {
            let after = self.data.after(key);
            let waiting = self.data.get(key);
            let is_event = waiting.item.messages() > 0 && call_of(&waiting.item).is_none();
            let Some(sub) = waiting.sub.filter(|_| is_event) else {
                next = after;
                continue;
            };
            let was_last = waiting.item.messages() == 1;
            let missed = self.lose_oldest(sub);
            match lost.last_mut() {
                Some((last, n)) if *last == sub => *n += missed,
                _ => lost.push((sub, missed)),
            }
            if was_last {
                next = after;
            }
        }
        lost
    }

    pub(super) fn trim(&mut self, sub: u32) -> u64 {
        let mut lost = 0;
        while self
            .subs
            .get(&sub)
            .is_some_and(|q| q.messages > q.max_messages || q.bytes > q.max_bytes)
        {
            lost += self.lose_oldest(sub);
        }
        lost
    }

    /// Drops the oldest event of `sub` and keeps the loss with what follows.
    fn lose_oldest(&mut self, sub: u32) -> u64 {
        self.close_gap(sub);
        let Some(key) = self.subs.get(&sub).and_then(|q| q.head) else {
            return 0;
        };
        let waiting = self.data.get_mut(key);
        let before = (waiting.item.messages(), waiting.item.bytes());
        let pinned = pins(&waiting.item);
        let seq = waiting.item.oldest_seq();
        let missed = waiting.item.lose_oldest();
        waiting.lagged += missed;
        waiting.lagged_seq = waiting.lagged_seq.max(seq);
        if self.subs.get(&sub).is_some_and(|q| q.told.is_past(seq)) {
            waiting.lagged_past += missed;
        }
        let (messages, bytes) = (waiting.item.messages(), waiting.item.bytes());
        if pinned && messages == 0 {
            self.pinning.0 -= 1;
        }
        self.charge.sub(before.1 - bytes);
        if let Some(queue) = self.subs.get_mut(&sub) {
            queue.messages -= before.0 - messages;
            queue.bytes -= before.1 - bytes;
        }
        self.close_gap(sub);
        missed
    }

    /// Moves the loss that stands alone at the head of `sub` to the item behind it.
    fn close_gap(&mut self, sub: u32) {
        let Some(queue) = self.subs.get_mut(&sub) else {
            return;
        };
        let Some(key) = queue.head else { return };
        let waiting = self.data.get(key);
        let (Item::Gap, Some(next)) = (&waiting.item, waiting.next_of_sub) else {
            return;
        };
        queue.head = Some(next);
        let gap = self.data.remove(key);
        let next = self.data.get_mut(next);
        next.lagged += gap.lagged;
        next.lagged_past += gap.lagged_past;
        next.lagged_seq = next.lagged_seq.max(gap.lagged_seq);
        self.charge.sub(ITEM_BYTES);
    }
}
