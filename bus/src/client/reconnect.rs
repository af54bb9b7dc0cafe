//! When a lost connection is tried again, and when it is over.

use std::time::Duration;

use super::error::{ConnectError, Disconnected};
use crate::wire::control::CloseKind;

/// How a lost connection is made again. By default at once, then ever more slowly, for as long as the program lives.
///
/// Each wait is drawn evenly from zero to a ceiling that begins at [`first`](Self::first) and doubles with every failure up to
/// [`max`](Self::max): a hub that comes back is not met by all its clients in the same moment. The ceiling begins anew once
/// a connection has held for `max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReconnectPolicy {
    /// The first wait's ceiling. Default 50 ms.
    pub first: Duration,
    /// The ceiling of all waits. Default 5 s.
    pub max: Duration,
    /// How long a lost connection is tried before it is given up. Default: for ever.
    pub give_up_after: Option<Duration>,
}

impl Default for ReconnectPolicy {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(50),
            max: Duration::from_secs(5),
            give_up_after: None,
        }
    }
}

/// The waits between attempts.
#[derive(Debug)]
pub(super) struct Backoff {
    policy: ReconnectPolicy,
    failures: u32,
}

impl Backoff {
    pub(super) fn new(policy: ReconnectPolicy) -> Self {
        Self {
            policy,
            failures: 0,
        }
    }

    /// Notes that a connection was lost that had held for so long.
    pub(super) fn lost_after(&mut self, held: Duration) {
        if held >= self.policy.max {
            self.failures = 0;
        }
    }

    /// The next wait; `luck` is any 64 random bits.
    pub(super) fn next(&mut self, luck: u64) -> Duration {
        let doubled = self
            .policy
            .first
            .saturating_mul(1_u32.checked_shl(self.failures).unwrap_or(u32::MAX));
        self.failures = self.failures.saturating_add(1);
        let ceiling = u64::try_from(doubled.min(self.policy.max).as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(luck % ceiling.saturating_add(1).max(1))
    }
}

/// Whether another connection would end in the same way.
pub(super) fn is_final(why: &Disconnected) -> bool {
    match why {
        Disconnected::Drained
        | Disconnected::HungUp
        | Disconnected::Protocol { .. }
        | Disconnected::GaveUp { .. }
        | Disconnected::NotResumed { .. } => true,
        Disconnected::Lost { .. } => false,
        Disconnected::Closed { kind, .. } => match kind {
            // Framing: what was sent then would be sent again.
            CloseKind::Denied | CloseKind::Hello | CloseKind::Replaced | CloseKind::Framing => true,
            CloseKind::Limit | CloseKind::Stopping | CloseKind::Fault => false,
        },
    }
}

/// What a failed attempt means: the end, or words for the next one's state.
pub(super) fn failed(error: ConnectError) -> Result<String, Disconnected> {
    let words = error.to_string();
    let end = match error {
        ConnectError::NotRunning { .. }
        | ConnectError::Io { .. }
        | ConnectError::TimedOut { .. } => return Ok(words),
        ConnectError::Denied { reason, .. } => Disconnected::Closed {
            kind: CloseKind::Denied,
            reason,
        },
        ConnectError::NoAgreement { reason, .. } => Disconnected::Closed {
            kind: CloseKind::Hello,
            reason,
        },
        ConnectError::Refused { kind, reason, .. } => Disconnected::Closed { kind, reason },
        ConnectError::NotAHub { target, what } => Disconnected::Protocol { target, what },
    };
    if is_final(&end) { Err(end) } else { Ok(words) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_most_and_begin_anew_after_a_connection_that_held() {
        let policy = ReconnectPolicy::default();
        let mut backoff = Backoff::new(policy);
        let mut ceiling = policy.first;
        for _ in 0..100 {
            let micros = u64::try_from(ceiling.as_micros()).unwrap();
            let mut twin = Backoff {
                policy,
                failures: backoff.failures,
            };
            assert_eq!(
                backoff.next(micros),
                ceiling,
                "the whole of it may be drawn"
            );
            assert_eq!(twin.next(micros + 1), Duration::ZERO, "and none of it");
            ceiling = (ceiling * 2).min(policy.max);
        }
        backoff.lost_after(policy.max - Duration::from_millis(1));
        assert_eq!(backoff.next(5_000_000), policy.max);
        backoff.lost_after(policy.max);
        assert!(backoff.next(u64::MAX) <= policy.first);
    }

    #[test]
    fn no_policy_makes_it_panic() {
        for (first, max) in [
            (Duration::ZERO, Duration::ZERO),
            (Duration::MAX, Duration::MAX),
            (Duration::from_nanos(1), Duration::from_nanos(2)),
        ] {
            let mut backoff = Backoff::new(ReconnectPolicy {
                first,
                max,
                give_up_after: None,
            });
            for luck in [0, 1, u64::MAX] {
                assert!(backoff.next(luck) <= max);
            }
        }
    }

    #[test]
    fn what_would_end_in_the_same_way_is_not_tried_again() {
        let closed = |kind| Disconnected::Closed {
            kind,
            reason: String::new(),
        };
        for kind in [
            CloseKind::Denied,
            CloseKind::Hello,
            CloseKind::Replaced,
            CloseKind::Framing,
        ] {
            assert!(is_final(&closed(kind)), "{kind:?}");
        }
        for kind in [CloseKind::Limit, CloseKind::Stopping, CloseKind::Fault] {
            assert!(!is_final(&closed(kind)), "{kind:?}");
        }
    }
}
