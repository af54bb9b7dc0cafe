//! When a slot whose worker failed is tried again.
//!
//! A failure is a failed start or a crash before `min_uptime`. Each waits longer than the one before, until a worker
//! lives through `min_uptime`; too many within the window, and the slot is given up.

use std::{collections::VecDeque, time::Duration};

use super::{Moment, rng::Rng};
use crate::config::app::AppDefinition;

/// How much of a delay is added at random, at most, so that slots don't retry in step.
const JITTER: f64 = 0.2;

/// What to do about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Try again then.
    RetryAt(Moment),
    /// Too many: the slot is failed.
    GiveUp,
}

/// The failures of a slot.
#[derive(Clone, Debug, Default)]
pub(super) struct Failures {
    /// Those within the window, oldest first; never more than `max_restarts` + 1.
    recent: VecDeque<Moment>,
    /// Those since a worker last lived long enough.
    streak: i32,
    /// The last delay; zero once a worker has lived long enough.
    delay: Duration,
}

impl Failures {
    /// Counts one and says what to do about it.
    pub(super) fn count(
        &mut self,
        now: Moment,
        definition: &AppDefinition,
        rng: &mut Rng,
    ) -> Verdict {
        self.recent.push_back(now);
        while self
            .recent
            .front()
            .is_some_and(|then| now - *then > definition.restart_window)
            || self.recent.len() > definition.max_restarts as usize + 1
        {
            self.recent.pop_front();
        }
        if self.recent.len() >= (definition.max_restarts as usize).max(1) {
            return Verdict::GiveUp;
        }
        Verdict::RetryAt(now + self.next_delay(definition, rng))
    }

    /// The next delay, without counting anything: for a worker that leaves of its own accord too soon.
    pub(super) fn next_delay(&mut self, definition: &AppDefinition, rng: &mut Rng) -> Duration {
        let delay = delay(definition, self.streak, rng.unit());
        self.streak = self.streak.saturating_add(1);
        self.delay = delay;
        delay
    }

    /// A worker lived long enough: the next failure waits as short as the first. (The window keeps its count.)
    pub(super) fn stable(&mut self) {
        self.streak = 0;
        self.delay = Duration::ZERO;
    }

    /// The delay that the last failure was followed by.
    pub(super) fn delay(&self) -> Duration {
        self.delay
    }

    /// How many count towards `max_restarts` now.
    pub(super) fn within(&self, definition: &AppDefinition, now: Moment) -> u32 {
        let recent = self
            .recent
            .iter()
            .filter(|then| now - **then <= definition.restart_window);
        u32::try_from(recent.count()).unwrap_or(u32::MAX)
    }
}

/// The delay after `streak` failures in a row before this one; `luck` is from 0 up to 1.
fn delay(definition: &AppDefinition, streak: i32, luck: f64) -> Duration {
    let backoff = &definition.backoff;
    let factor = backoff.factor.max(1.0);
    let seconds = backoff.first.as_secs_f64() * factor.powi(streak) * (1.0 + JITTER * luck);
    Duration::try_from_secs_f64(seconds).map_or(backoff.max, |delay| delay.min(backoff.max))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::testing::definition;

    fn at(ms: u64) -> Moment {
        Moment::after_epoch(Duration::from_millis(ms))
    }

    #[test]
    fn starts_at_100_ms_grows_by_half_and_stays_below_30_s() {
        let app = definition("a", 1);
        assert_eq!(delay(&app, 0, 0.0), Duration::from_millis(100));
        assert_eq!(delay(&app, 1, 0.0), Duration::from_millis(150));
        assert_eq!(delay(&app, 0, 1.0), Duration::from_millis(120));
        assert_eq!(delay(&app, 40, 0.0), Duration::from_secs(30));
        assert_eq!(delay(&app, i32::MAX, 1.0), Duration::from_secs(30));
    }

    #[test]
    fn nonsensical_factors_neither_panic_nor_shrink_the_delay() {
        let mut app = definition("a", 1);
        for factor in [0.0, -3.0, f64::NAN, f64::INFINITY] {
            app.backoff.factor = factor;
            let second = delay(&app, 1, 0.0);
            assert!(
                second >= Duration::from_millis(100) && second <= app.backoff.max,
                "{factor}: {second:?}"
            );
        }
    }

    #[test]
    fn the_sixteenth_failure_within_ten_minutes_gives_up() {
        let (app, mut rng, mut failures) = (definition("a", 1), Rng::new(1), Failures::default());
        for n in 0..15 {
            assert!(
                matches!(failures.count(at(n), &app, &mut rng), Verdict::RetryAt(_)),
                "failure {n}"
            );
        }
        assert_eq!(failures.count(at(15), &app, &mut rng), Verdict::GiveUp);
        // Five minutes later one more is one too many still; when the window has passed it isn't.
        assert_eq!(failures.count(at(300_015), &app, &mut rng), Verdict::GiveUp);
        assert!(matches!(
            failures.count(at(700_000), &app, &mut rng),
            Verdict::RetryAt(_)
        ));
    }

    #[test]
    fn a_stable_worker_resets_the_delay() {
        let (app, mut rng, mut failures) = (definition("a", 1), Rng::new(1), Failures::default());
        for n in 0..8 {
            failures.count(at(n), &app, &mut rng);
        }
        failures.stable();
        let Verdict::RetryAt(then) = failures.count(at(9), &app, &mut rng) else {
            panic!("gave up")
        };
        assert!(then <= at(9 + 120) && then >= at(9 + 100));
    }
}
