//! One subscription's part of a connection's queue: its bounds, its terms, and what became of its events.

use std::{collections::HashMap, time::Instant};

use super::{
    super::{item::Item, list::Key},
    pressure::Pressure,
    told::{Loss, Told},
    window::Window,
};
use crate::{Topic, hub::stats::Counts, wire::control::OverflowPolicy};

/// What may wait for one subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::hub::core) struct Bounds {
    pub(in crate::hub::core) messages: usize,
    pub(in crate::hub::core) bytes: usize,
}

/// How a subscription is served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::hub::core) struct Terms {
    /// What happens when its queue is full.
    pub(in crate::hub::core) policy: OverflowPolicy,
    /// Events that may be sent beyond what its reader has confirmed.
    pub(in crate::hub::core) window: Option<u32>,
    /// What was not confirmed is kept, for another member of its group.
    pub(in crate::hub::core) keeps: bool,
}

/// How busy a member of a group is; the least is given the next event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::hub::core) struct Load {
    /// It has no room for more.
    pub(in crate::hub::core) is_full: bool,
    /// Events that wait for it, and that it has not confirmed.
    pub(in crate::hub::core) events: u64,
    /// When it was given something last.
    pub(in crate::hub::core) turn: u64,
    /// How many more it takes before it is full.
    pub(in crate::hub::core) room: u64,
}

/// What a subscription's terms need to be kept.
#[derive(Debug)]
pub(super) struct Care {
    pub(super) policy: OverflowPolicy,
    /// With `KeepLatest`: the event that waits of each topic.
    pub(super) latest: HashMap<Topic, Key>,
    /// With `Disconnect`: since when it is over its bounds.
    pub(super) over_since: Option<Instant>,
    /// With `Disconnect`: somebody will look whether it still is.
    pub(super) is_watched: bool,
    pub(super) pressure: Pressure,
    pub(super) window: Option<Window>,
    /// When it was given something last, of a group's members.
    pub(super) turn: u64,
}

#[derive(Debug)]
pub(super) struct SubQueue {
    pub(super) head: Option<Key>,
    pub(super) tail: Option<Key>,
    pub(super) messages: usize,
    pub(super) bytes: usize,
    pub(super) bounds: Bounds,
    pub(super) counts: Counts,
    /// What its connection was told.
    pub(super) told: Told,
    /// None for what nearly all are: no window, and their oldest are dropped.
    pub(super) care: Option<Box<Care>>,
}

impl SubQueue {
    pub(super) fn new(bounds: Bounds, terms: Terms) -> Self {
        let care = (terms != Terms::default()).then(|| {
            Box::new(Care {
                policy: terms.policy,
                latest: HashMap::new(),
                over_since: None,
                is_watched: false,
                pressure: Pressure::Low,
                window: terms.window.map(|size| Window::new(size, terms.keeps)),
                turn: 0,
            })
        });
        Self {
            head: None,
            tail: None,
            messages: 0,
            bytes: 0,
            bounds,
            counts: Counts::default(),
            told: Told::default(),
            care,
        }
    }

    /// Counts what is about to be written, and the loss that is told before it.
    pub(super) fn write(&mut self, now: Instant, loss: &Loss, item: &Item) {
        self.told.lose(loss);
        self.count(now, item);
        if !item.is_late(now) {
            self.told.write(item);
        }
    }

    /// Counts what is about to be written, or dropped because it is late.
    fn count(&mut self, now: Instant, item: &Item) {
        let counts = &mut self.counts;
        match item {
            Item::Run(_) | Item::Whole(_) if item.is_late(now) => counts.expired += item.events(),
            Item::Run(_) | Item::Whole(_) => {
                counts.delivered += item.events();
                counts.delivered_bytes += item.bytes() as u64;
            }
            Item::Misfit { missed, .. } => counts.misfits += missed,
            Item::Gap => {}
        }
    }

    /// What it is if all events of `item` are lost.
    pub(super) fn loss_of(&self, item: &Item) -> Loss {
        self.told.loss(item.events(), item.newest_seq())
    }

    pub(super) fn is_over(&self) -> bool {
        self.messages > self.bounds.messages || self.bytes > self.bounds.bytes
    }

    pub(super) fn is_over_twice(&self) -> bool {
        self.messages / 2 >= self.bounds.messages || self.bytes / 2 >= self.bounds.bytes
    }

    /// Whether more than half its bounds is used.
    pub(super) fn is_over_half(&self) -> bool {
        self.messages * 2 > self.bounds.messages || self.bytes * 2 > self.bounds.bytes
    }

    /// Whether less than a quarter of its bounds is used, or nothing.
    pub(super) fn is_under_quarter(&self) -> bool {
        self.messages == 0
            || (self.messages * 4 < self.bounds.messages && self.bytes * 4 < self.bounds.bytes)
    }

    pub(super) fn is_windowed(&self) -> bool {
        self.window().is_some()
    }

    pub(super) fn window(&self) -> Option<&Window> {
        self.care.as_ref()?.window.as_ref()
    }

    pub(super) fn window_mut(&mut self) -> Option<&mut Window> {
        self.care.as_mut()?.window.as_mut()
    }

    /// Under which order it is among those that may be written, if it is.
    pub(super) fn ready(&self) -> Option<u64> {
        self.window().and_then(|w| w.ready)
    }

    /// The event of `topic` at `key` waits no longer.
    pub(super) fn forget_latest(&mut self, topic: &Topic, key: Key) {
        if let Some(care) = &mut self.care
            && care.latest.get(topic) == Some(&key)
        {
            care.latest.remove(topic);
        }
    }
}
