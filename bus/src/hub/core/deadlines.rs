//! What happens if nothing else does: a table of times, looked at by the shell.

use std::{collections::BTreeSet, time::Instant};

/// What is due at some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Deadline {
    /// This connection must have said HELLO.
    Hello(u64),
    /// This call must have been answered.
    Call(u64),
    /// Publishers must have been released by this subscription of this connection.
    Held(u64, u32),
    /// This subscription of this connection must not be over its bounds any more.
    Over(u64, u32),
    /// Of this subscription of this connection losses may be noticed again.
    Notice(u64, u32),
    /// This request to many goes on no longer.
    Gather(u64),
    /// This client must have come back.
    Session(u64),
    /// This connection must have subscribed to what is sent to it.
    Mailbox(u64),
    /// Connections whose events are to change their form may get on with it.
    Thrift,
}

#[derive(Debug, Default)]
pub(super) struct Deadlines(BTreeSet<(Instant, Deadline)>);

impl Deadlines {
    pub(super) fn set(&mut self, at: Instant, what: Deadline) {
        self.0.insert((at, what));
    }

    pub(super) fn clear(&mut self, at: Instant, what: Deadline) {
        self.0.remove(&(at, what));
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.0.first().map(|(at, _)| *at)
    }

    /// Takes out one that is due.
    pub(super) fn due(&mut self, now: Instant) -> Option<Deadline> {
        let first = self.0.first().filter(|(at, _)| *at <= now).copied()?;
        self.0.remove(&first);
        Some(first.1)
    }
}
