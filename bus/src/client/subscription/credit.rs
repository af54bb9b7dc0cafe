//! What the hub is told of a reader's progress, where it sends only a window's worth ahead of it.
//!
//! An event counts as taken when the reader asks for the next one, or goes: until then its process may end with it
//! unhandled, and another member of its group gets it. The hub is told once half the window was taken, or nothing waits.

use crate::client::lease::Lease;

/// A reader's progress on one connection.
#[derive(Debug)]
pub(in crate::client) struct Credit {
    window: u32,
    epoch: u32,
    /// Given to the reader, which has not asked for more.
    given: u64,
    /// Taken, and not told yet.
    taken: u64,
}

impl Credit {
    pub(in crate::client) fn new(window: u32) -> Self {
        Self {
            window,
            epoch: 0,
            given: 0,
            taken: 0,
        }
    }

    /// The reader was given events that came by a connection. Those of an earlier one mean nothing to the hub.
    pub(super) fn given(&mut self, epoch: u32, events: u32) {
        if epoch != self.epoch {
            (self.epoch, self.given, self.taken) = (epoch, 0, 0);
        }
        self.given += u64::from(events);
    }

    /// Events were lost here.
    pub(super) fn lost(&mut self, events: u64) {
        self.given += events;
    }

    /// What was given is taken.
    pub(super) fn asked_for_more(&mut self, lease: &Lease) {
        self.taken += std::mem::take(&mut self.given);
        if self.taken >= u64::from(self.window / 2).max(1) {
            self.tell(lease);
        }
    }

    pub(super) fn tell(&mut self, lease: &Lease) {
        let count = std::mem::take(&mut self.taken);
        if count > 0 {
            lease.took(self.epoch, count);
        }
    }
}
