//! What a connection, as a publisher, is still to be told: topics to hold back, and topics to go on with.
//!
//! At most one thing per topic: what asks for the contrary of something untold takes it back. So there are never more of
//! them than topics that it may be asked for, and as many that it was.

use std::collections::{BTreeMap, btree_map::Entry};

use super::Outbox;
use crate::{Topic, hub::core::item::ITEM_BYTES, wire::control::HubOp};

/// What is asked of a publisher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::hub::core) enum Ask {
    /// Publish nothing more on a topic.
    Hold,
    /// Go on.
    Release,
}

/// What is untold, by topic.
#[derive(Debug, Default)]
pub(super) struct Asks(BTreeMap<Topic, Ask>);

impl Asks {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Memory that one takes.
fn held_bytes(topic: &Topic) -> usize {
    topic.as_str().len() + ITEM_BYTES
}

impl Outbox {
    /// Asks the connection to hold back a topic, or to go on. If it wasn't told of the contrary yet, it is told neither.
    pub(in crate::hub::core) fn ask(&mut self, topic: &Topic, ask: Ask) {
        match self.asks.0.entry(topic.clone()) {
            Entry::Vacant(place) => {
                place.insert(ask);
                self.charge.add(held_bytes(topic));
            }
            Entry::Occupied(untold) => {
                untold.remove();
                self.charge.sub(held_bytes(topic));
            }
        }
    }

    /// The next thing that it is to be told.
    pub(super) fn take_ask(&mut self) -> Option<HubOp> {
        let (topic, ask) = self.asks.0.pop_first()?;
        self.charge.sub(held_bytes(&topic));
        let topic = topic.to_string();
        Some(match ask {
            Ask::Hold => HubOp::Hold { topic },
            Ask::Release => HubOp::Release { topic },
        })
    }

    /// It need not be told any of it.
    pub(super) fn forget_asks(&mut self) {
        while self.take_ask().is_some() {}
    }
}
