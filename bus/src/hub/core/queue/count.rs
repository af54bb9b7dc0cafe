//! What a connection's queues have counted, and what they hold.

use super::{Outbox, Urgent};
use crate::hub::{core::stats::QueueState, stats::Counts};

impl Outbox {
    /// What is counted for `sub`; for one that is no more, with all of those.
    pub(in crate::hub::core) fn counts(&mut self, sub: u32) -> &mut Counts {
        match self.subs.get_mut(&sub) {
            Some(queue) => &mut queue.counts,
            None => &mut self.past,
        }
    }

    /// Of all subscriptions there ever were.
    pub(in crate::hub::core) fn counted(&self) -> Counts {
        let mut counts = self.past;
        for queue in self.subs.values() {
            counts.add(queue.counts);
        }
        counts
    }

    /// What waits for `sub`, the control lane aside.
    pub(in crate::hub::core) fn queue(&self, sub: u32) -> Option<QueueState> {
        let queue = self.subs.get(&sub)?;
        Some(QueueState {
            messages: (queue.messages, queue.max_messages),
            bytes: (queue.bytes, queue.max_bytes),
            counts: queue.counts,
        })
    }

    /// One of the control lane was replaced by one that came later.
    pub(super) fn conflated(&mut self, replaced: &Urgent) {
        if let Some(sub) = replaced.sub {
            self.counts(sub).conflated += 1;
        }
    }
}
