//! What a connection's queues have counted, and what they hold.

use super::Outbox;
use crate::hub::{core::stats::QueueState, stats::Counts};

impl Outbox {
    /// What became of the events of `sub`.
    #[cfg(test)]
    pub(in crate::hub::core) fn counts(&self, sub: u32) -> Option<&Counts> {
        self.subs.get(&sub).map(|queue| &queue.counts)
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
            messages: (queue.messages, queue.bounds.messages),
            bytes: (queue.bytes, queue.bounds.bytes),
            counts: queue.counts,
        })
    }
}
