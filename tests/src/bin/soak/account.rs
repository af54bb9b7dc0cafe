//! What was published and what arrived, to the last event.

use std::{
    collections::HashMap,
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

use ostler_bus::Event;
use serde::{Deserialize, Serialize};

/// An event that tells whose it is, and which.
#[derive(Clone, Debug, Serialize, Deserialize, Event)]
#[event(topic = "soak.numbered")]
pub(crate) struct Numbered {
    pub(crate) publisher: u32,
    /// From 1.
    pub(crate) number: u64,
    pub(crate) filling: String,
}

/// Sums over all publishers.
#[derive(Debug, Default)]
pub(crate) struct Published {
    /// Acknowledged events.
    pub(crate) acknowledged: AtomicU64,
    /// Of them, those on topics that keep a history.
    pub(super) kept: AtomicU64,
    /// Events of the floods, as handed to the client.
    pub(crate) flooded: AtomicU64,
    /// Connections that came and went.
    pub(crate) visits: AtomicU64,
}

impl Published {
    /// Acknowledged events on topics that keep a history.
    pub(crate) fn kept(&self) -> u64 {
        self.kept.load(Ordering::Relaxed)
    }
}

impl fmt::Display for Published {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        write!(
            f,
            "{} events acknowledged, {} flooded, {} visits",
            count(&self.acknowledged),
            count(&self.flooded),
            count(&self.visits)
        )
    }
}

/// The last number of each publisher that a reader has met.
#[derive(Debug, Default)]
pub(crate) struct Order(HashMap<u32, u64>);

impl Order {
    /// Notes an event, which must be later than all before it of its publisher.
    pub(crate) fn note(&mut self, event: &Numbered) -> Result<(), String> {
        let last = self.0.entry(event.publisher).or_default();
        if event.number <= *last {
            return Err(format!(
                "event {} of publisher {} came after its event {last}",
                event.number, event.publisher
            ));
        }
        *last = event.number;
        Ok(())
    }
}

/// Chance, from a seed (SplitMix64).
#[derive(Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.roll() % n.max(1)
    }
}
