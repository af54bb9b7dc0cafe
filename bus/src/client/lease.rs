//! A subscription's claim on the hub: while it lives the connection does, and when it goes the hub is told.

use std::sync::Arc;

use super::{handle::Handle, ledger::Pending};
use crate::wire::control::ClientOp;

/// Unsubscribes when dropped.
#[derive(Debug)]
pub(super) struct Lease {
    handle: Arc<Handle>,
    sub: u32,
    pattern: String,
    /// False if the hub never had it.
    held: bool,
}

impl Lease {
    pub(super) fn new(handle: Arc<Handle>, sub: u32, pattern: String) -> Self {
        Self {
            handle,
            sub,
            pattern,
            held: true,
        }
    }

    pub(super) fn pattern(&self) -> &str {
        &self.pattern
    }

    /// The hub refused it: there is nothing to unsubscribe from.
    pub(super) fn void(mut self) {
        self.held = false;
    }

    /// Tells that so many events were taken that came by the connection of that number.
    pub(super) fn took(&self, epoch: u32, count: u64) {
        let sub = self.sub;
        let op = ClientOp::Took { sub, count };
        self.handle.link.control_in(epoch, op);
    }

    pub(super) fn handle(&self) -> &Arc<Handle> {
        &self.handle
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.held {
            return;
        }
        let sub = self.sub;
        self.handle.link.control(
            ClientOp::Unsubscribe { sub },
            Some(Pending::Unsubscribe { sub }),
        );
    }
}
