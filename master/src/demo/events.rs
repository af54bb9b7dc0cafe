//! The demo's own events, as any app has them.

use ostler_bus::Event;
use serde::{Deserialize, Serialize};

/// A worker greets all others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Event)]
#[event(topic = "demo.greeting")]
pub(super) struct Greeting {
    /// Which worker greets.
    pub(super) from_slot: u32,
    /// What it says.
    pub(super) text: String,
    /// When, in microseconds of this machine's monotonic clock.
    pub(super) at_us: u64,
}

/// A worker has heard a greeting.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Event)]
#[event(topic = "demo.heard")]
pub(super) struct Heard {
    /// Who heard it.
    pub(super) slot: u32,
    /// Who greeted.
    pub(super) from_slot: u32,
    /// Microseconds from one to the other.
    pub(super) after_us: u64,
}

/// This machine's monotonic clock, which all its processes share, in microseconds.
pub(super) fn now_us() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec.unsigned_abs() * 1_000_000 + now.tv_nsec.unsigned_abs() / 1000
}
