//! The control lane of a connection's queue: written before all data, and in no subscription's bounds.

use std::collections::HashMap;

use super::Outbox;
use crate::{
    Topic,
    hub::core::{
        item::{Item, Whole},
        output::control_frame,
    },
    wire::control::HubOp,
};

/// An item of the control queue.
#[derive(Debug)]
pub(in crate::hub::core) struct Urgent {
    pub(in crate::hub::core) item: Item,
    /// For which subscription.
    pub(in crate::hub::core) sub: Option<u32>,
    /// Who caused it; `None`: the connection itself.
    pub(in crate::hub::core) from: Option<u64>,
    /// What it stands for: one that comes later replaces it.
    pub(in crate::hub::core) stands_for: Option<(Topic, Vec<u8>)>,
}

impl Outbox {
    /// Items of the control lane caused by others.
    pub(in crate::hub::core) fn foreign_urgent(&self) -> usize {
        self.urgent.len() - self.own
    }

    /// Whose items fill the control lane, and with how many.
    pub(in crate::hub::core) fn senders(&self) -> HashMap<u64, usize> {
        let mut counts: HashMap<u64, usize> = HashMap::new();
        for from in self.urgent.iter().filter_map(|u| u.from) {
            *counts.entry(from).or_default() += 1;
        }
        counts
    }

    /// Queues something in the control lane. One that it stands for too is replaced.
    pub(in crate::hub::core) fn push_urgent(&mut self, urgent: Urgent) {
        if urgent.stands_for.is_some()
            && let Some(at) = self
                .urgent
                .iter()
                .position(|u| u.stands_for == urgent.stands_for && u.sub == urgent.sub)
            && let Some(old) = self.urgent.remove(at)
        {
            self.release(&old.item);
            self.own -= usize::from(old.from.is_none());
            if let Some(queue) = old.sub.and_then(|sub| self.subs.get_mut(&sub)) {
                queue.counts.conflated += old.item.events();
            }
        }
        if let Some(queue) = urgent.sub.and_then(|sub| self.subs.get_mut(&sub)) {
            queue.counts.matched += urgent.item.events();
        }
        self.hold(&urgent.item);
        self.own += usize::from(urgent.from.is_none());
        self.urgent.push_back(urgent);
    }

    /// Drops the oldest that `sender` caused, and says for which subscription it was.
    pub(in crate::hub::core) fn drop_oldest_urgent(&mut self, sender: u64) -> Option<u32> {
        let at = self.urgent.iter().position(|u| u.from == Some(sender))?;
        let old = self.urgent.remove(at)?;
        self.release(&old.item);
        if let Some(sub) = old.sub
            && let Some(queue) = self.subs.get_mut(&sub)
        {
            queue.counts.lagged += old.item.events();
            *self.urgent_lost.entry(sub).or_default() += old.item.events();
        }
        old.sub
    }

    /// Queues the answer to something the connection asked.
    pub(in crate::hub::core) fn push_own(&mut self, r#ref: u64, op: HubOp) {
        let frame = control_frame(self.codec, r#ref, op);
        self.push_urgent(Urgent {
            item: Item::Whole(Whole::plain(frame)),
            sub: None,
            from: None,
            stands_for: None,
        });
    }
}
