//! What being full asks of others: that publishers wait, or that the reader goes.

use std::time::{Duration, Instant};

use super::{
    Outbox,
    sub::{Bounds, Care, SubQueue},
};
use crate::wire::control::OverflowPolicy;

/// Whether publishers are held back, with `Backpressure`.
///
/// ```text
/// Low ──above 1/2──▶ Holding ──full, or too long──▶ GivenUp
///  ▲◀───below 1/4───────┘                              │
///  └◀──────────────below 1/4───────────────────────────┘
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pressure {
    Low,
    Holding { since: Instant },
    GivenUp,
}

/// What a full queue asks of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::hub::core) enum Strain {
    /// Nothing.
    None,
    /// Publishers are to be held back, since then and for so long at most.
    Hold { since: Instant, most: Duration },
    /// Publishers are to be held back no longer: it didn't help.
    GiveUp,
    /// Whether it is still over its bounds should be looked at after a while.
    Watch,
    /// The connection is to be closed.
    CutOff,
}

impl Outbox {
    /// Looks whether `sub` is in no need any more, after something of it was taken or lost.
    pub(in crate::hub::core) fn ease(&mut self, now: Instant, sub: u32) {
        if let Some(queue) = self.subs.get_mut(&sub)
            && queue.ease(now)
        {
            self.eased.push(sub);
        }
    }

    /// Subscriptions that publishers need not be held for any longer.
    pub(in crate::hub::core) fn take_eased(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.eased)
    }

    /// Whether [`take_eased`](Self::take_eased) has any.
    pub(in crate::hub::core) fn has_eased(&self) -> bool {
        !self.eased.is_empty()
    }

    /// Publishers were held for `sub` as long as they may be.
    pub(in crate::hub::core) fn give_up(&mut self, now: Instant, sub: u32) {
        if let Some(queue) = self.subs.get_mut(&sub)
            && let Some(care) = &mut queue.care
            && let Pressure::Holding { since } = care.pressure
        {
            queue.counts.hold(now.saturating_duration_since(since));
            care.pressure = Pressure::GivenUp;
        }
    }

    /// Since when `sub` is over its bounds, and what waits for it; if it isn't, nobody watches it any longer.
    pub(in crate::hub::core) fn over_since(&mut self, sub: u32) -> Option<(Instant, Bounds)> {
        let queue = self.subs.get_mut(&sub)?;
        let care = queue.care.as_mut()?;
        care.is_watched = care.over_since.is_some();
        let waiting = Bounds {
            messages: queue.messages,
            bytes: queue.bytes,
        };
        care.over_since.map(|since| (since, waiting))
    }

    /// What may wait for `sub`.
    pub(in crate::hub::core) fn bounds(&self, sub: u32) -> Option<Bounds> {
        self.subs.get(&sub).map(|q| q.bounds)
    }
}

impl SubQueue {
    /// What its being full asks of others, after `lost` events.
    pub(super) fn strain(&mut self, now: Instant, lost: u64) -> Strain {
        let (is_over, is_over_twice) = (self.is_over(), self.is_over_twice());
        let is_over_half = self.is_over_half();
        let Some(care) = &mut self.care else {
            return Strain::None;
        };
        match care.policy {
            OverflowPolicy::DropOldest
            | OverflowPolicy::DropNewest
            | OverflowPolicy::KeepLatest => Strain::None,
            OverflowPolicy::Disconnect if is_over_twice => Strain::CutOff,
            OverflowPolicy::Disconnect if is_over => care.watch(now),
            OverflowPolicy::Disconnect => Strain::None,
            OverflowPolicy::Backpressure { max_wait_ms } => {
                let most = Duration::from_millis(u64::from(max_wait_ms));
                match care.pressure {
                    Pressure::Holding { since } if lost > 0 => {
                        self.counts.hold(now.saturating_duration_since(since));
                        care.pressure = Pressure::GivenUp;
                        Strain::GiveUp
                    }
                    Pressure::Holding { since } => Strain::Hold { since, most },
                    Pressure::Low if lost > 0 => {
                        care.pressure = Pressure::GivenUp;
                        Strain::None
                    }
                    Pressure::Low if is_over_half => {
                        care.pressure = Pressure::Holding { since: now };
                        Strain::Hold { since: now, most }
                    }
                    Pressure::Low | Pressure::GivenUp => Strain::None,
                }
            }
        }
    }

    /// Whether publishers were held for it and need not be any longer.
    fn ease(&mut self, now: Instant) -> bool {
        let (is_over, is_under_quarter) = (self.is_over(), self.is_under_quarter());
        let Some(care) = &mut self.care else {
            return false;
        };
        if !is_over {
            care.over_since = None;
        }
        if !is_under_quarter {
            return false;
        }
        match std::mem::replace(&mut care.pressure, Pressure::Low) {
            Pressure::Low | Pressure::GivenUp => false,
            Pressure::Holding { since } => {
                self.counts.hold(now.saturating_duration_since(since));
                true
            }
        }
    }
}

impl Care {
    fn watch(&mut self, now: Instant) -> Strain {
        self.over_since.get_or_insert(now);
        match std::mem::replace(&mut self.is_watched, true) {
            true => Strain::None,
            false => Strain::Watch,
        }
    }
}
