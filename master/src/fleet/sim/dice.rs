//! Randomness as the world wants it.

use std::time::Duration;

use crate::fleet::rng::Rng;

/// A seeded source of choices.
pub(super) struct Dice(pub(super) Rng);

impl Dice {
    /// Evenly from 0 up to but not including `end`.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.0.next_u64() % end.max(1)
    }

    /// One of so many, by its place.
    pub(super) fn pick(&mut self, of: u64) -> usize {
        usize::try_from(self.below(of)).unwrap_or(0)
    }

    /// The same, as numbers of instances and the like are.
    pub(super) fn number(&mut self, end: u64) -> u32 {
        u32::try_from(self.below(end)).unwrap_or(0)
    }

    pub(super) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub(super) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub(super) fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.below(to.saturating_sub(from) + 1))
    }
}
