//! What the bus tells of itself.

use serde::{Deserialize, Serialize};

use crate::{Event, Origin, Request, hub::HubStats};

/// A question to the master: who is connected, what waits for whom, what was lost. Everyone may ask.
///
/// All fields may be left out. An answer holds at most 1,000 connections and subscriptions; while it says
/// [`more`](HubStats::more), the next ones are those after its last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Request)]
#[request(topic = "bus.stats", reply = HubStats)]
pub struct BusStats {
    /// Only connections with a greater number.
    pub after: Option<u64>,
    /// At most so many connections and subscriptions; 0 for the totals and one connection.
    pub most: Option<u32>,
}

/// A subscription loses events because its reader is too slow. Published at its first loss, and then at most every ten
/// seconds while there are more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Event)]
#[event(topic = "bus.lagged")]
pub struct BusLagged {
    /// The subscriber's connection.
    pub conn: u64,
    /// Who it is.
    pub subscriber: Origin,
    /// What it subscribed to.
    pub pattern: String,
    /// Events lost since the last time this was told.
    pub missed: u64,
}
