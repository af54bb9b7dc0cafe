//! One subscription of the naive hub: a list, and what its policy does when that is full.

use std::time::{Duration, Instant};

use crate::{Pattern, wire::control::OverflowPolicy};

/// An event that waits for somebody, or is kept.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Event {
    pub(super) seq: u64,
    pub(super) from: u64,
    pub(super) topic: String,
    /// Flags of its RUN.
    pub(super) flags: u8,
    /// Bytes of its frame.
    pub(super) size: usize,
    pub(super) until: Option<Instant>,
}

impl Event {
    pub(super) fn is_late(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

/// A place in a queue: how many were lost just before it, and an event; none where the newest were lost.
#[derive(Clone, Debug, Default)]
pub(super) struct Place {
    pub(super) lost: u64,
    pub(super) event: Option<Event>,
}

/// Whether publishers are held.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Pressure {
    Low,
    Holding(Instant),
    GivenUp,
}

/// What a full queue asks of others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Strain {
    None,
    Hold,
    GiveUp,
    CutOff,
}

/// What was asked for.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    pub(super) pattern: Pattern,
    pub(super) policy: OverflowPolicy,
    pub(super) messages: usize,
    pub(super) bytes: usize,
    pub(super) window: Option<usize>,
    pub(super) group: Option<&'static str>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Counts {
    pub(super) matched: u64,
    pub(super) delivered: u64,
    pub(super) lagged: u64,
    pub(super) conflated: u64,
    pub(super) expired: u64,
    pub(super) redelivered: u64,
}

#[derive(Debug)]
pub(super) struct Sub {
    pub(super) number: u32,
    pub(super) terms: Terms,
    pub(super) waiting: Vec<Place>,
    /// Sent, where there is a window.
    pub(super) unconfirmed: Vec<Event>,
    pub(super) pressure: Pressure,
    pub(super) over_since: Option<Instant>,
    /// When its group gave it something last.
    pub(super) turn: u64,
    pub(super) counts: Counts,
}

impl Sub {
    pub(super) fn new(number: u32, terms: Terms) -> Self {
        Self {
            number,
            terms,
            waiting: Vec::new(),
            unconfirmed: Vec::new(),
            pressure: Pressure::Low,
            over_since: None,
            turn: 0,
            counts: Counts::default(),
        }
    }

    fn events(&self) -> impl Iterator<Item = &Event> {
        self.waiting.iter().filter_map(|place| place.event.as_ref())
    }

    pub(super) fn messages(&self) -> usize {
        self.events().count()
    }

    pub(super) fn bytes(&self) -> usize {
        self.events().map(|event| event.size).sum()
    }

    fn is_over(&self) -> bool {
        self.messages() > self.terms.messages || self.bytes() > self.terms.bytes
    }

    /// Queues events that came together as the policy says; what that asks of others is found out once all of them wait.
    pub(super) fn push(&mut self, now: Instant, events: &[Event]) -> Strain {
        let lost = events
            .iter()
            .map(|event| self.push_one(event.clone()))
            .sum();
        self.counts.lagged += lost;
        self.strain(now, lost)
    }

    fn push_one(&mut self, event: Event) -> u64 {
        self.counts.matched += 1;
        match self.terms.policy {
            OverflowPolicy::DropOldest | OverflowPolicy::Backpressure { .. } => {
                self.append(0, event);
                self.drop_oldest()
            }
            OverflowPolicy::DropNewest if !self.fits(&event) => {
                self.lose_newest(1);
                1
            }
            OverflowPolicy::DropNewest | OverflowPolicy::Disconnect => {
                self.append(0, event);
                0
            }
            OverflowPolicy::KeepLatest => {
                let lost_before = self.replace(&event.topic);
                self.append(lost_before, event);
                self.drop_oldest()
            }
        }
    }

    /// Events were replaced by one that came with them.
    pub(super) fn replace_unseen(&mut self, events: u64) {
        self.counts.matched += events;
        self.counts.conflated += events;
    }

    /// Events were lost before they could wait here.
    pub(super) fn push_lost(&mut self, lost: u64) {
        self.counts.matched += lost;
        self.counts.lagged += lost;
        self.lose_newest(lost);
    }

    fn append(&mut self, lost: u64, event: Event) {
        let event = Some(event);
        self.waiting.push(Place { lost, event });
    }

    fn fits(&self, event: &Event) -> bool {
        self.messages() < self.terms.messages && self.bytes() + event.size <= self.terms.bytes
    }

    fn lose_newest(&mut self, lost: u64) {
        match self.waiting.last_mut() {
            Some(Place {
                lost: before,
                event: None,
            }) => *before += lost,
            Some(_) | None => self.waiting.push(Place { lost, event: None }),
        }
    }

    fn drop_oldest(&mut self) -> u64 {
        let mut lost = 0;
        while self.is_over() {
            self.close_gap();
            self.waiting[0].event = None;
            self.waiting[0].lost += 1;
            lost += 1;
            self.close_gap();
        }
        lost
    }

    /// What was lost is told with what follows it.
    fn close_gap(&mut self) {
        while self.waiting.len() > 1 && self.waiting[0].event.is_none() {
            let gap = self.waiting.remove(0);
            self.waiting[0].lost += gap.lost;
        }
    }

    /// Takes out the topic's event; what was lost before it is told with what follows.
    fn replace(&mut self, topic: &str) -> u64 {
        let is_it = |place: &Place| place.event.as_ref().is_some_and(|e| e.topic == topic);
        let Some(at) = self.waiting.iter().position(is_it) else {
            return 0;
        };
        self.counts.conflated += 1;
        let old = self.waiting.remove(at);
        match self.waiting.get_mut(at) {
            Some(next) => {
                next.lost += old.lost;
                0
            }
            None => old.lost,
        }
    }

    fn strain(&mut self, now: Instant, lost: u64) -> Strain {
        let half_full =
            self.messages() * 2 > self.terms.messages || self.bytes() * 2 > self.terms.bytes;
        match (self.terms.policy, self.pressure) {
            (OverflowPolicy::Disconnect, _) => {
                if self.is_over() {
                    self.over_since.get_or_insert(now);
                }
                let twice = self.messages() >= 2 * self.terms.messages
                    || self.bytes() >= 2 * self.terms.bytes;
                if twice { Strain::CutOff } else { Strain::None }
            }
            (OverflowPolicy::Backpressure { .. }, Pressure::Holding(_)) if lost > 0 => {
                self.pressure = Pressure::GivenUp;
                Strain::GiveUp
            }
            (OverflowPolicy::Backpressure { .. }, Pressure::Low) if lost > 0 => {
                self.pressure = Pressure::GivenUp;
                Strain::None
            }
            (OverflowPolicy::Backpressure { .. }, Pressure::Holding(_)) => Strain::Hold,
            (OverflowPolicy::Backpressure { .. }, Pressure::Low) if half_full => {
                self.pressure = Pressure::Holding(now);
                Strain::Hold
            }
            _ => Strain::None,
        }
    }

    /// Whether publishers were held and need not be any longer.
    pub(super) fn ease(&mut self) -> bool {
        if !self.is_over() {
            self.over_since = None;
        }
        let nearly_empty = self.messages() == 0
            || (self.messages() * 4 < self.terms.messages && self.bytes() * 4 < self.terms.bytes);
        if !nearly_empty {
            return false;
        }
        let was = std::mem::replace(&mut self.pressure, Pressure::Low);
        matches!(was, Pressure::Holding(_))
    }

    /// Whether something may be sent.
    pub(super) fn has_credit(&self) -> bool {
        let Some(window) = self.terms.window else {
            return true;
        };
        let kept: usize = self.unconfirmed.iter().map(|event| event.size).sum();
        let is_kept = self.terms.group.is_some();
        self.unconfirmed.len() < window && !(is_kept && kept >= self.terms.bytes)
    }

    /// Drops what is too old, as far as the hub comes to it.
    pub(super) fn expire(&mut self, now: Instant) {
        while self.has_credit()
            && let Some(Place {
                lost: 0,
                event: Some(event),
            }) = self.waiting.first()
            && event.is_late(now)
        {
            self.counts.expired += 1;
            self.waiting.remove(0);
        }
    }

    /// The hub says that so many were lost.
    pub(super) fn told_lost(&mut self, now: Instant, missed: u64) {
        self.expire(now);
        let first = self.waiting.first_mut().expect("something was lost");
        assert_eq!(first.lost, missed, "told as lost");
        first.lost = 0;
        if first.event.is_none() {
            self.waiting.remove(0);
        }
        self.expire(now);
    }

    /// The hub sends an event.
    pub(super) fn sent(&mut self, now: Instant, seq: u64) -> Event {
        self.expire(now);
        assert!(self.has_credit(), "{seq} is beyond the window");
        assert!(!self.waiting.is_empty(), "{seq} is not owed");
        let Place { lost, event } = self.waiting.remove(0);
        assert_eq!(lost, 0, "a loss is told before what follows it");
        let event = event.expect("a loss is told");
        self.counts.delivered += 1;
        if self.terms.window.is_some() {
            self.unconfirmed.push(event.clone());
        }
        event
    }

    /// Nothing more can be sent now.
    pub(super) fn assert_all_sent(&mut self, now: Instant) {
        self.expire(now);
        let blocked = !self.has_credit()
            && self
                .waiting
                .first()
                .is_some_and(|place| place.event.is_some());
        assert!(self.waiting.is_empty() || blocked, "{self:?}");
    }

    /// Since when publishers are held, and for how long they may be.
    pub(super) fn held(&self) -> Option<(Instant, Duration)> {
        match (self.terms.policy, self.pressure) {
            (OverflowPolicy::Backpressure { max_wait_ms }, Pressure::Holding(since)) => {
                Some((since, Duration::from_millis(max_wait_ms.into())))
            }
            _ => None,
        }
    }
}
