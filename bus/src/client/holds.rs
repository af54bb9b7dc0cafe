//! Topics on which nothing may be published for now: a subscriber with back pressure has asked for it.

use std::collections::HashSet;

/// Held topics noted at most. The hub holds only what this client publishes on; over this it is misbehaving, and not heeded.
const NOTED: usize = 16 << 10;

/// The held topics of one connection.
#[derive(Debug, Default)]
pub(super) struct Holds(HashSet<String>);

impl Holds {
    pub(super) fn hold(&mut self, topic: String) {
        if self.0.len() < NOTED {
            self.0.insert(topic);
        }
    }

    /// Lets a topic go; true if it was held.
    pub(super) fn release(&mut self, topic: &str) -> bool {
        self.0.remove(topic)
    }

    /// Whether nothing may be published on `topic`. Costs nothing worth mentioning while nothing is held.
    pub(super) fn has(&self, topic: &str) -> bool {
        !self.0.is_empty() && self.0.contains(topic)
    }

    /// The connection is gone, and its holds with it.
    pub(super) fn clear(&mut self) {
        self.0 = HashSet::new();
    }
}
