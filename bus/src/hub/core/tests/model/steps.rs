//! What peers do, at random.

use std::time::Duration;

use proptest::{collection::vec, prelude::*};

use super::memory::HistoryOf;
use crate::wire::control::OverflowPolicy;

/// The first of them publish, and never ask to be cut off.
pub(super) const PUBLISHERS: usize = 3;
/// The last one is a worker, with a mailbox.
pub(super) const PEERS: usize = 6;
pub(super) const PATTERNS: [&str; 8] = [
    "a",
    "a.b",
    "*",
    "a.*",
    "a.>",
    "_x.*",
    "to.worker.7.>",
    "h.*",
];
pub(super) const TOPICS: [&str; 9] = [
    "a",
    "a.b",
    "a.b.c",
    "b",
    "_x.y",
    "to.worker.7.x",
    "to.app.web.y",
    "h.old",
    "h.x",
];
pub(super) const HISTORIES: [HistoryOf; 2] = [
    HistoryOf {
        pattern: "h.old",
        messages: 4,
        max_age: Some(Duration::from_millis(800)),
    },
    HistoryOf {
        pattern: "h.*",
        messages: 3,
        max_age: None,
    },
];
/// An event to be.
#[derive(Clone, Debug)]
pub(super) struct Put {
    pub(super) topic: usize,
    pub(super) retain: bool,
    pub(super) empty: bool,
    pub(super) large: bool,
    pub(super) acked: bool,
    /// In hundreds of milliseconds.
    pub(super) ttl: Option<u32>,
}

#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Events of one read.
    Publish(usize, Vec<Put>),
    Subscribe(usize, Asked),
    /// The one at this place, of those there are.
    Unsubscribe(usize, usize),
    /// One write's worth, or all.
    Read(usize, bool),
    Took(usize, usize, u64),
    /// In hundreds of milliseconds.
    Pass(u64),
    Rejoin(usize),
}

/// What is subscribed to, and how.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) pattern: usize,
    pub(super) policy: OverflowPolicy,
    pub(super) messages: Option<u32>,
    pub(super) bytes: Option<u32>,
    pub(super) window: Option<u32>,
    pub(super) group: Option<&'static str>,
    pub(super) history: u32,
}

/// What holds for a whole play.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setup {
    /// Each event comes by itself.
    pub(super) singly: bool,
    /// Events have times to live; else they may be large.
    pub(super) expiring: bool,
    /// Values and histories are kept.
    pub(super) remembers: bool,
}

pub(super) fn put() -> impl Strategy<Value = Put> {
    let flag = |weight| prop::bool::weighted(weight);
    let ttl = prop::option::weighted(0.3, 1..15_u32);
    // One topic after another, often the same.
    let topic = prop_oneof![3 => 0..2_usize, 2 => 0..TOPICS.len()];
    (topic, flag(0.2), flag(0.15), flag(0.1), flag(0.15), ttl).prop_map(
        |(topic, retain, empty, large, acked, ttl)| Put {
            topic,
            retain,
            empty,
            large,
            acked,
            ttl,
        },
    )
}

pub(super) fn asked() -> impl Strategy<Value = Asked> {
    let policy = prop_oneof![
        2 => Just(OverflowPolicy::DropOldest),
        2 => Just(OverflowPolicy::DropNewest),
        2 => Just(OverflowPolicy::KeepLatest),
        2 => (1..6_u32).prop_map(|n| OverflowPolicy::Backpressure { max_wait_ms: n * 100 }),
        1 => Just(OverflowPolicy::Disconnect),
    ];
    let bounds = (
        prop::option::weighted(0.8, 1..10_u32),
        prop::option::weighted(0.2, prop_oneof![20..120_u32, 9_000..30_000_u32]),
    );
    let window = prop::option::weighted(0.4, 1..6_u32);
    let group = prop_oneof![3 => Just(None), 2 => Just(Some("g")), 1 => Just(Some("other"))];
    let history = prop_oneof![2 => Just(0), 1 => 1..6_u32];
    (0..PATTERNS.len(), policy, bounds, window, group, history).prop_map(
        |(pattern, policy, (messages, bytes), window, group, history)| Asked {
            pattern,
            policy,
            messages,
            bytes,
            window,
            group,
            history,
        },
    )
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    let peer = 0..PEERS;
    prop_oneof![
        8 => (0..PUBLISHERS, vec(put(), 1..8)).prop_map(|(p, puts)| Step::Publish(p, puts)),
        5 => (peer.clone(), asked()).prop_map(|(p, asked)| Step::Subscribe(p, asked)),
        1 => (peer.clone(), any::<usize>()).prop_map(|(p, at)| Step::Unsubscribe(p, at)),
        4 => (peer.clone(), any::<bool>()).prop_map(|(p, all)| Step::Read(p, all)),
        3 => (peer.clone(), any::<usize>(), 1..8_u64).prop_map(|(p, at, n)| Step::Took(p, at, n)),
        2 => (1..12_u64).prop_map(Step::Pass),
        1 => peer.prop_map(Step::Rejoin),
    ]
}
