//! How this connection stands with each topic it emits to.
//!
//! An ordinary EMIT carries no reference, so its refusal could not be told apart from others'. Therefore the first
//! event on each topic asks for an acknowledgement behind the emitter's back: if the hub refuses it for a reason
//! that holds for every event there, later emits fail at once.

use std::collections::HashMap;

use crate::wire::control::{Refusal, RefusalKind};

/// Dynamic topics remembered. A program that emits to more of them (`job.<id>.done`) merely asks again.
const REMEMBERED: usize = 1024;

/// What is known of a topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nothing was emitted yet.
    #[default]
    Unknown,
    /// The first event was emitted; it was not refused so far.
    Open,
    /// The hub refuses every event.
    Refused(Refusal),
}

/// Whether a refusal holds for every later event on the topic.
pub(super) fn is_lasting(refusal: &Refusal) -> bool {
    match refusal.kind {
        RefusalKind::Denied | RefusalKind::BadTopic | RefusalKind::BadType => true,
        RefusalKind::Misfit
        | RefusalKind::Limit
        | RefusalKind::Malformed
        | RefusalKind::NoResponders
        | RefusalKind::TimedOut
        | RefusalKind::Declined => false,
    }
}

/// Standings of topics that were named, not announced. Bounded: see [`REMEMBERED`].
#[derive(Debug, Default)]
pub(super) struct Topics(HashMap<Box<str>, Standing>);

impl Topics {
    /// Why events on `topic` are refused, if they are.
    pub(super) fn refusal(&self, topic: &str) -> Option<&Refusal> {
        match self.0.get(topic)? {
            Standing::Refused(refusal) => Some(refusal),
            Standing::Unknown | Standing::Open => None,
        }
    }

    /// Notes an event on `topic`; true if it is the first.
    pub(super) fn note(&mut self, topic: &str) -> bool {
        if self.0.contains_key(topic) {
            return false;
        }
        self.set(topic, Standing::Open);
        true
    }

    /// Notes a lasting refusal.
    pub(super) fn refuse(&mut self, topic: &str, refusal: Refusal) {
        self.set(topic, Standing::Refused(refusal));
    }

    /// Another hub may think otherwise.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    fn set(&mut self, topic: &str, standing: Standing) {
        if self.0.len() >= REMEMBERED && !self.0.contains_key(topic) {
            self.0.retain(|_, s| matches!(s, Standing::Refused(_)));
            if self.0.len() >= REMEMBERED {
                self.0.clear();
            }
        }
        self.0.insert(topic.into(), standing);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal() -> Refusal {
        Refusal {
            kind: RefusalKind::Denied,
            reason: "no".into(),
        }
    }

    #[test]
    fn the_table_stays_bounded_and_forgets_refusals_last() {
        let mut topics = Topics::default();
        topics.refuse("denied", refusal());
        for i in 0..REMEMBERED * 3 {
            assert!(topics.note(&format!("job.{i}")));
        }
        assert!(topics.0.len() <= REMEMBERED);
        assert!(topics.refusal("denied").is_some());
        for i in 0..REMEMBERED * 3 {
            topics.refuse(&format!("job.{i}"), refusal());
        }
        assert!(topics.0.len() <= REMEMBERED);
    }
}
