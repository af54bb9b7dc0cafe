//! Deliveries through a hub, each party a process of its own: one publisher (this process), the hub, its subscribers.
//!
//! What is measured is the way from the first event emitted to the last one read. Nothing is lost: subscribers report how far
//! they are beside the bus, and the publisher is never further ahead of the slowest than half of what a subscription's
//! queue takes. What is lost all the same is counted, and is a failure.
//!
//! There are two kinds of either end: the bus client, as a worker would use it, and peers that do the least that can be
//! done over the wire ([`bare`]), which show what the hub alone can do.

mod bare;
pub(super) mod credit;
mod hub;
mod publish;
mod read;

use std::{path::Path, time::Instant};

use ostler_bus::Event;
use serde::{Deserialize, Serialize};

use super::roles::{Play, Role};
use crate::harness::PrivateDir;
pub use bare::Bare;

/// What is published: 64 bytes as postcard.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Event)]
#[event(topic = "bench.sample")]
pub struct Sample {
    /// Which one, from [`Sample::FIRST`] on.
    pub seq: u64,
    /// Seven numbers.
    pub values: [f64; 7],
}

impl Sample {
    /// From here on a number takes eight bytes as postcard.
    pub const FIRST: u64 = 1 << 50;

    /// The sample of this number, counted from 0.
    #[must_use]
    pub fn new(number: u64) -> Self {
        let value = number as f64;
        Self {
            seq: Self::FIRST + number,
            values: [value, 0.5, 1.5, 2.5, 3.5, 4.5, 5.5],
        }
    }
}

/// Bytes of a payload.
pub const PAYLOAD: usize = 64;

/// Who publishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Publisher {
    /// The bus client: one `emit` of a typed event after the other.
    Client,
    /// Buffers of ready-made frames, written to a blocking socket.
    Bare,
}

/// Who reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// The bus client, decoding every event.
    Typed,
    /// The bus client, taking payloads as they come.
    Raw,
    /// Reads a blocking socket and counts by the headers of runs.
    Bare,
}

impl Reader {
    const ALL: [(Self, &'static str); 3] = [
        (Self::Typed, "typed"),
        (Self::Raw, "raw"),
        (Self::Bare, "bare"),
    ];

    fn name(self) -> &'static str {
        let named = Self::ALL.iter().find(|(reader, _)| *reader == self);
        named.map_or("", |(_, name)| name)
    }

    fn named(name: &str) -> Result<Self, String> {
        let named = Self::ALL.iter().find(|(_, known)| *known == name);
        named
            .map(|(reader, _)| *reader)
            .ok_or("no such reader".into())
    }
}

/// What a run moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setup {
    /// Who publishes.
    pub publisher: Publisher,
    /// Who reads.
    pub reader: Reader,
    /// How many of them.
    pub subscribers: usize,
    /// How many events are published.
    pub events: u64,
}

/// What a run took.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figures {
    /// Events that arrived, all subscribers taken together, a second.
    pub deliveries_per_second: f64,
    /// The hub's processor time for each of them, in nanoseconds.
    pub cpu_nanos_per_delivery: f64,
}

/// The roles that a benchmark of deliveries must be able to play.
pub const ROLES: [(&str, Play); 3] = [
    ("hub", hub::play),
    ("reader", read::play),
    ("flood", publish::flood),
];

/// Moves all events once, through a hub of its own.
///
/// # Errors
/// If anybody fails, or an event is lost; in words.
pub fn run(setup: Setup) -> Result<Figures, String> {
    let dir = PrivateDir::new();
    let socket = dir.at("bus.sock");
    let mut hub = Role::start("hub", &[text(&socket)?])?;
    hub.line()?;
    let mut readers = Vec::new();
    for _ in 0..setup.subscribers {
        let (count, kind) = (setup.events.to_string(), setup.reader.name());
        readers.push(Role::start("reader", &[kind, text(&socket)?, &count])?);
    }
    let outputs = readers.iter_mut().filter_map(Role::take_output).collect();
    let credits = credit::watch(outputs, setup.events)?;
    let before = cpu(&mut hub)?;
    let began = Instant::now();
    match setup.publisher {
        Publisher::Client => publish::client(&socket, setup.events, &credits)?,
        Publisher::Bare => publish::bare(&socket, setup.events, &credits)?,
    }
    credits.all_read()?;
    let elapsed = began.elapsed();
    let cpu = cpu(&mut hub)? - before;
    let deliveries = (setup.events * setup.subscribers as u64) as f64;
    Ok(Figures {
        deliveries_per_second: deliveries / elapsed.as_secs_f64(),
        cpu_nanos_per_delivery: cpu / deliveries,
    })
}

fn text(path: &Path) -> Result<&str, String> {
    path.to_str().ok_or("a path that is not UTF-8".into())
}

/// The hub's processor time so far, in nanoseconds.
fn cpu(hub: &mut Role) -> Result<f64, String> {
    let nanos: u64 = hub.ask("cpu")?.parse().map_err(|_| "not a number")?;
    Ok(nanos as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ostler_bus::wire::{codec::encode, hello::Codec};

    #[test]
    fn every_sample_has_the_same_size() {
        for number in [0, 1, 1 << 40] {
            let encoded = encode(Codec::Postcard, &Sample::new(number)).unwrap();
            assert_eq!(encoded.len(), PAYLOAD);
        }
    }
}
