//! How many connections are open, for whoever hands over more, and for a limit of this worker's own.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering::Relaxed},
};

use tokio::sync::Notify;

use crate::handover::UNLIMITED;

/// The accounts of one listener. Every connection that it gave counts itself out when it is dropped.
#[derive(Debug)]
pub(super) struct Tally {
    open: AtomicU32,
    limit: AtomicU32,
    /// Closed, and not told the master yet.
    closed: AtomicU32,
    to_tell: Notify,
    has_room: Notify,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            open: AtomicU32::new(0),
            limit: AtomicU32::new(UNLIMITED),
            closed: AtomicU32::new(0),
            to_tell: Notify::new(),
            has_room: Notify::new(),
        }
    }
}

impl Tally {
    pub(super) fn open(&self) -> u32 {
        self.open.load(Relaxed)
    }

    pub(super) fn limit(&self, most: u32) {
        self.limit.store(most, Relaxed);
        self.has_room.notify_one();
    }

    pub(super) fn most(&self) -> u32 {
        self.limit.load(Relaxed)
    }

    pub(super) fn is_full(&self) -> bool {
        self.open() >= self.most()
    }

    /// Waits until another connection may be opened.
    pub(super) async fn room(&self) {
        while self.is_full() {
            self.has_room.notified().await;
        }
    }

    /// How many were closed since this was last asked.
    pub(super) fn take_closed(&self) -> u32 {
        self.closed.swap(0, Relaxed)
    }

    pub(super) fn has_closed(&self) -> bool {
        self.closed.load(Relaxed) > 0
    }

    /// The master could not be told of them.
    pub(super) fn put_back(&self, closed: u32) {
        self.closed.fetch_add(closed, Relaxed);
    }

    /// Waits until there may be some to tell of.
    pub(super) async fn something_closed(&self) {
        self.to_tell.notified().await;
    }
}

/// An open connection's place in the accounts.
#[derive(Debug)]
pub(super) struct Open(Arc<Tally>);

impl Open {
    pub(super) fn count(tally: &Arc<Tally>) -> Self {
        tally.open.fetch_add(1, Relaxed);
        Self(Arc::clone(tally))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
        self.0.closed.fetch_add(1, Relaxed);
        self.0.to_tell.notify_one();
        self.0.has_room.notify_one();
    }
}
