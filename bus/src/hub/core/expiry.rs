//! When events end that are not wanted for ever, and how many are owed to somebody by then.
//!
//! Deadlines stand on a grid that is finer than a thousandth of their time to live, and never finer than a millisecond.
//! So few deadlines can be ahead at any time, however many events there are, and whoever is away can have its events
//! counted by each of them: exactly, and in bounded memory.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// Lines of the grid in a time to live, at least; below as many milliseconds, each is a line.
const LINES: u32 = 1024;

/// What a deadline takes among those of somebody who is away: its place in the map.
const DEADLINE_BYTES: usize = 48;

/// When an event that comes `now` is not wanted any more: the first line of the grid that is not before. `began`: when the
/// hub did, where its grids begin.
pub(super) fn deadline(began: Instant, now: Instant, ttl_ms: u32) -> Instant {
    if ttl_ms == 0 {
        return now;
    }
    let line = 1_000_000_u128 << (ttl_ms / LINES).checked_ilog2().unwrap_or(0);
    let ttl = Duration::from_millis(ttl_ms.into());
    let since = (now.saturating_duration_since(began) + ttl).as_nanos();
    let nanos = since.div_ceil(line) * line;
    began + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// Events that somebody is owed, by when they end.
#[derive(Debug, Default)]
pub(super) struct Owed {
    lasting: u64,
    ending: BTreeMap<Instant, u64>,
}

impl Owed {
    /// Counts events that end at `until`, if they do.
    pub(super) fn add(&mut self, events: u64, until: Option<Instant>, now: Instant) {
        let Some(until) = until else {
            self.lasting += events;
            return;
        };
        while let Some(first) = self.ending.first_entry().filter(|e| *e.key() <= now) {
            first.remove();
        }
        if until > now && events > 0 {
            *self.ending.entry(until).or_default() += events;
        }
    }

    /// How many there are that have not ended.
    pub(super) fn at(&self, now: Instant) -> u64 {
        let ending = self.ending.iter().filter(|(until, _)| **until > now);
        self.lasting + ending.map(|(_, events)| events).sum::<u64>()
    }

    /// Bytes of memory it takes, beside itself.
    pub(super) fn held(&self) -> usize {
        self.ending.len() * DEADLINE_BYTES
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_deadline_is_never_early_and_hardly_late(after in 0..1_u64 << 50, ttl_ms in 1..=u32::MAX) {
            let began = Instant::now();
            let now = began + Duration::from_nanos(after);
            let ttl = Duration::from_millis(ttl_ms.into());
            let until = deadline(began, now, ttl_ms);
            prop_assert!(until >= now + ttl);
            let most = (ttl / LINES).max(Duration::from_millis(1));
            prop_assert!(until - (now + ttl) < most);
        }
    }

    #[test]
    fn few_deadlines_are_ahead_however_many_events_there_are() {
        let began = Instant::now();
        let mut owed = Owed::default();
        for n in 0..200_000_u64 {
            let now = began + Duration::from_micros(n * 300);
            let ttl_ms = [1, 700, 1_500, 5_000, 59_999][n as usize % 5];
            owed.add(1, Some(deadline(began, now, ttl_ms)), now);
            assert!(owed.ending.len() < 8 * LINES as usize);
        }
        assert!(owed.ending.len() > 1_000, "{}", owed.ending.len());
        assert_eq!(owed.at(began + Duration::from_secs(200)), 0);
    }
}
