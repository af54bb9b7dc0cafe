//! Workers that are ready, have said that they listen, and don't accept: their part of the clients waits for them, so it is told of each of
//! them once. All decisions, and nothing else.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use ostler_bus::WorkerId;

use super::super::GRACE;

/// Since when each is one; `None`: that was told.
#[derive(Debug, Default)]
pub(super) struct Listening(BTreeMap<WorkerId, Option<Instant>>);

impl Listening {
    /// These are all.
    pub(super) fn stand(&mut self, listening: &BTreeSet<WorkerId>, now: Instant) {
        self.0.retain(|id, _| listening.contains(id));
        for id in listening {
            self.0.entry(*id).or_insert(Some(now));
        }
    }

    /// When the next one is to be told of.
    pub(super) fn due(&self) -> Option<Instant> {
        let since = self.0.values().flatten().min()?;
        Some(*since + GRACE)
    }

    /// Those that are to be told of now.
    pub(super) fn overdue(&mut self, now: Instant) -> Vec<WorkerId> {
        let over = |since: &mut Option<Instant>| since.take_if(|since| *since + GRACE <= now);
        let listening = self.0.iter_mut();
        listening
            .filter_map(|(id, since)| over(since).map(|_| *id))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_told_of_once_when_it_has_had_time_and_not_if_it_accepts_before() {
        let (mut listening, begun) = (Listening::default(), Instant::now());
        let (one, other) = (WorkerId(1), WorkerId(2));
        listening.stand(&BTreeSet::from([one, other]), begun);
        assert_eq!(listening.due(), Some(begun + GRACE));
        assert_eq!(listening.overdue(begun), []);
        listening.stand(&BTreeSet::from([one]), begun + GRACE / 2);
        assert_eq!(listening.overdue(begun + GRACE), [one]);
        listening.stand(&BTreeSet::from([one]), begun + GRACE);
        assert_eq!(listening.overdue(begun + 2 * GRACE), []);
        assert_eq!(listening.due(), None);
    }
}
