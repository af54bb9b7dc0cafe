//! How fast peers are let in: a bucket of tokens, so that a storm of connections leaves time for those who are in.

use std::time::{Duration, Instant};

/// A bucket that fills by `rate` a second, and holds a second's worth.
#[derive(Debug)]
pub(super) struct Pace {
    rate: f64,
    full: f64,
    at: Instant,
}

impl Pace {
    pub(super) fn new(rate: usize, now: Instant) -> Self {
        #[expect(
            clippy::cast_precision_loss,
            reason = "nobody accepts 2^52 peers a second"
        )]
        let rate = rate.max(1) as f64;
        Self {
            rate,
            full: rate,
            at: now,
        }
    }

    /// How long the next one has to wait.
    pub(super) fn wait(&mut self, now: Instant) -> Duration {
        let since = now.saturating_duration_since(self.at).as_secs_f64();
        self.full = (self.full + since * self.rate).min(self.rate);
        self.at = now;
        match self.full >= 1.0 {
            true => Duration::ZERO,
            false => Duration::from_secs_f64((1.0 - self.full) / self.rate),
        }
    }

    /// One was let in.
    pub(super) fn take(&mut self) {
        self.full = (self.full - 1.0).max(0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_s_worth_at_once_and_then_by_rate() {
        let start = Instant::now();
        let mut pace = Pace::new(10, start);
        for _ in 0..10 {
            assert_eq!(pace.wait(start), Duration::ZERO);
            pace.take();
        }
        let wait = pace.wait(start);
        assert!(
            wait > Duration::from_millis(90) && wait <= Duration::from_millis(101),
            "{wait:?}"
        );
        let later = start + Duration::from_millis(550);
        for _ in 0..5 {
            assert_eq!(pace.wait(later), Duration::ZERO);
            pace.take();
        }
        assert_ne!(pace.wait(later), Duration::ZERO);
        // However long nobody comes, no more than a second's worth is saved up.
        let much_later = start + Duration::from_secs(3600);
        for _ in 0..10 {
            assert_eq!(pace.wait(much_later), Duration::ZERO);
            pace.take();
        }
        assert_ne!(pace.wait(much_later), Duration::ZERO);
    }
}
