//! Other brokers, and what it takes to compare a hub with them.
//!
//! What is compared are brokers, not their libraries: everybody who publishes or subscribes is a minimal blocking client
//! written here, which writes buffers of ready-made messages and counts what it reads by the headers ([`wire`]). The brokers
//! are those of the system, each a process of its own ([`server`]), as is every client ([`party`]). Nothing needs to be lost:
//! publishers are told how far the slowest subscriber is ([`conduct`]), beside the bus. What is lost all the same is counted.
//!
//! [`latency`], [`ask`] and [`crowd`] measure what deliveries a second don't show: how long one event takes, how long an
//! answer takes, and what a connection costs.

pub mod ask;
pub mod conduct;
pub mod crowd;
pub mod goals;
pub mod latency;
pub mod line;
pub mod node;
pub mod party;
pub mod relay;
mod sdk;
pub mod server;
pub mod wire;

use super::roles::Play;

/// The topic of everything that is published.
pub const TOPIC: &str = "bench.sample";

/// The roles that a benchmark beside peers must be able to play.
pub const ROLES: [(&str, Play); 14] = [
    ("server", server::play),
    ("broker", server::become_program),
    ("relay", relay::play),
    ("read", party::read),
    ("publish", party::publish),
    ("member", party::member),
    ("stall", party::stall),
    ("listen", party::listen),
    ("emit", sdk::emit),
    ("nats-publish", sdk::nats_publish),
    ("nats-subscribe", sdk::nats_subscribe),
    ("tick", latency::tick),
    ("time", latency::time),
    ("echo", ask::echo),
];
