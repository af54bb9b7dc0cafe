//! When to look at queues: at once when a connection has come, every few milliseconds while there is something to see, and not at
//! all otherwise.
//!
//! ```text
//!            a connection comes                     queues empty, or unchanged for a second
//!  asleep ──────────────────────► looks, and again ────────────────────────────────────────► asleep
//! ```

use std::time::{Duration, Instant};

/// Between two looks at least, and while queues change.
const SHORT: Duration = Duration::from_millis(2);

/// Between two looks at most.
const LONG: Duration = Duration::from_millis(64);

/// Between looks at queues that were empty. Whoever connects to idle workers is served before anybody could look.
const IDLE: Duration = Duration::from_millis(5);

/// Queues that haven't changed for so long won't before somebody connects.
const STILL: Duration = Duration::from_secs(1);

/// What a look has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// All queues are empty.
    Empty,
    /// What waits is what waited before.
    Same,
    /// Something has changed.
    Changed,
}

/// When to look next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Then.
    At(Instant),
    /// When a connection has come.
    AtConnection,
}

/// The rhythm of one group.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    /// When a look is allowed again.
    again: Option<Instant>,
    /// The last wait.
    wait: Duration,
    /// Since when nothing has changed.
    still: Option<Instant>,
}

impl Pace {
    /// A connection has come: when to look.
    pub(super) fn came(&self, now: Instant) -> Instant {
        self.again.map_or(now, |again| again.max(now))
    }

    /// That was seen just now.
    pub(super) fn seen(&mut self, now: Instant, seen: Seen) -> Next {
        match seen {
            Seen::Empty => {
                self.again = Some(now + IDLE);
                self.still = None;
                return Next::AtConnection;
            }
            Seen::Changed => {
                self.wait = SHORT;
                self.still = None;
            }
            Seen::Same => {
                let since = *self.still.get_or_insert(now);
                if now.saturating_duration_since(since) >= STILL {
                    self.again = Some(now + SHORT);
                    return Next::AtConnection;
                }
                self.wait = (self.wait * 2).clamp(SHORT, LONG);
            }
        }
        self.again = Some(now + SHORT);
        Next::At(now + self.wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_queues_are_looked_at_when_a_connection_comes_and_not_all_the_time() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        assert_eq!(pace.came(now), now);
        assert_eq!(pace.seen(now, Seen::Empty), Next::AtConnection);
        assert_eq!(pace.came(now), now + IDLE);
        assert_eq!(pace.came(now + LONG), now + LONG);
    }

    #[test]
    fn what_changes_is_watched_and_what_does_not_ever_less() {
        let (mut pace, begun) = (Pace::default(), Instant::now());
        assert_eq!(pace.seen(begun, Seen::Changed), Next::At(begun + SHORT));
        let (mut now, mut looks) = (begun + SHORT, 1);
        while let Next::At(next) = pace.seen(now, Seen::Same) {
            assert!(next > now && next - now <= LONG);
            now = next;
            looks += 1;
        }
        assert!(now - begun >= STILL && now - begun < STILL + 2 * LONG);
        assert!(looks < 25, "{looks}");
        // What has come is looked at, and all begins anew.
        let now = pace.came(now + LONG);
        assert_eq!(pace.seen(now, Seen::Changed), Next::At(now + SHORT));
        assert!(matches!(pace.seen(now, Seen::Same), Next::At(_)));
    }
}
