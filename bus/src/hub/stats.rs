//! What a hub tells of itself: who is connected, what waits for whom, what was lost.
//!
//! Counters only grow within a life of the hub; who wants rates takes two snapshots and divides by the time between them
//! ([`HubStats::uptime_ms`]). So nothing is computed while nobody asks.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Origin, Schema};

/// Connections and subscriptions that one snapshot holds at most: with the longest patterns it stays below 1 MiB.
pub(super) const PAGE: u32 = 1_000;

/// Which part of the connections a snapshot is to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatsPage {
    /// Those with a greater number.
    pub after: u64,
    /// So many connections and subscriptions together, 1,000 at most; the first connection always comes whole.
    pub most: u32,
}

impl Default for StatsPage {
    /// The first 1,000.
    fn default() -> Self {
        Self {
            after: 0,
            most: PAGE,
        }
    }
}

/// A hub at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Schema)]
pub struct HubStats {
    /// Its name.
    pub hub: String,
    /// Milliseconds since this life of it began. What is counted, is counted since then.
    pub uptime_ms: u64,
    /// Connections that take part.
    pub connections: u64,
    /// Connections that have not said HELLO: workers that don't speak to the bus, mostly.
    pub silent: u64,
    /// Subscriptions, and patterns that are answered.
    pub subscriptions: u64,
    /// Requests that wait for an answer.
    pub pending_requests: u64,
    /// Topics with a retained value.
    pub retained: u64,
    /// Bytes of retained values.
    pub retained_bytes: u64,
    /// Bytes that wait in queues, and announced types.
    pub memory: u64,
    /// As many bytes may.
    pub memory_limit: u64,
    /// What was counted.
    pub totals: HubTotals,
    /// Connections in order of their numbers.
    pub peers: Vec<ConnectionStats>,
    /// There are more: ask for those after the last one.
    pub more: bool,
}

/// What a hub has counted since it began.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct HubTotals {
    /// Connections that said HELLO and were let in.
    pub connected: u64,
    /// Peers that were turned away before.
    pub turned_away: u64,
    /// Events taken.
    pub events: u64,
    /// Bytes of events taken, frames and headers included.
    pub event_bytes: u64,
    /// Requests passed on.
    pub requests: u64,
    /// Events, requests and subscriptions refused.
    pub refused: u64,
    /// What subscriptions got, all taken together.
    pub to_subscribers: Counts,
    /// Notices that the hub's own process was too busy to take.
    pub notices_missed: u64,
}

/// What became of the events of a subscription. At any time, and in both lanes together,
/// `matched = delivered + lagged + misfits + conflated + expired +` what waits. Calls count as events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct Counts {
    /// Events it was to get: live ones, those of before that it asked for, and those another member of its group left it.
    pub matched: u64,
    /// Handed to the connection to be written; redelivered ones too.
    pub delivered: u64,
    /// Their bytes.
    pub delivered_bytes: u64,
    /// Events dropped because there was no room; the subscriber was told, or will be.
    pub lagged: u64,
    /// Events that a later one replaced, which says the same better: of its topic, or what it stands for.
    pub conflated: u64,
    /// Events of a type that the reader can't read; the subscriber was told.
    pub misfits: u64,
    /// Events too old when they would have been written: nobody wanted them any more.
    pub expired: u64,
    /// Of `matched`: events that had been sent to another member of its group before.
    pub redelivered: u64,
    /// Microseconds for which publishers were held for it, in all; the time since the last hold began is not in it yet.
    pub held_us: u64,
}

/// A connection at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Schema)]
pub struct ConnectionStats {
    /// Its number.
    pub conn: u64,
    /// Who it is, as its events say.
    pub origin: Origin,
    /// What it may be: "observer", "client", "worker", "operator", "master".
    pub role: String,
    /// Milliseconds since it came.
    pub up_ms: u64,
    /// How it speaks: "postcard", "json".
    pub codec: String,
    /// Events it published.
    pub published: u64,
    /// Their bytes, frames and headers included.
    pub published_bytes: u64,
    /// Requests of its own that wait for an answer.
    pub asking: u64,
    /// Requests that wait for its answer.
    pub answering: u64,
    /// Answers that it has not read yet.
    pub unread_answers: u64,
    /// Bytes of the hub's memory that it takes: all that waits for it, what was sent to it as a member of a queue group and
    /// isn't confirmed, and what the hub needs for each item beside its bytes.
    pub memory: u64,
    /// Its subscriptions, in order of their numbers.
    pub subscriptions: Vec<SubscriptionStats>,
}

/// A subscription at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Schema)]
pub struct SubscriptionStats {
    /// Its number, on its connection.
    pub sub: u32,
    /// Which topics.
    pub pattern: String,
    /// It answers requests rather than hearing events.
    pub serves: bool,
    /// Its queue group.
    pub group: Option<String>,
    /// What happens when its queue is full: "drop-oldest", "drop-newest", "keep-latest", "backpressure", "disconnect".
    pub policy: String,
    /// Events and calls that wait for it.
    pub queued: u64,
    /// So many may.
    pub queue_limit: u64,
    /// Their bytes.
    pub queued_bytes: u64,
    /// So many may.
    pub queue_limit_bytes: u64,
    /// What it got.
    pub counts: Counts,
}

impl Counts {
    /// Publishers were held so long.
    pub(super) fn hold(&mut self, held: Duration) {
        self.held_us += u64::try_from(held.as_micros()).unwrap_or(u64::MAX);
    }

    /// Adds another's.
    pub(super) fn add(&mut self, other: Self) {
        let Self {
            matched,
            delivered,
            delivered_bytes,
            lagged,
            conflated,
            misfits,
            expired,
            redelivered,
            held_us,
        } = other;
        self.matched += matched;
        self.delivered += delivered;
        self.delivered_bytes += delivered_bytes;
        self.lagged += lagged;
        self.conflated += conflated;
        self.misfits += misfits;
        self.expired += expired;
        self.redelivered += redelivered;
        self.held_us += held_us;
    }
}
