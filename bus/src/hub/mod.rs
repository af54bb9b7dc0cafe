//! The hub: takes events, requests and answers from its connections and brings them to whoever wants them.
//!
//! A pure core decides: [`core`] has the routes, queues, types, retained values and requests, and does no I/O. A thin
//! shell acts: it runs on a thread of its own with a current-thread runtime, so that a flooded bus never delays
//! whatever else the process does. Each connection has a reader, which feeds what came to the core and tries to write at
//! once what the core made of it, and a writer, which waits for whoever reads slowly.
//!
//! Guaranteed:
//! - one total order per lane: each subscription sees events in the order in which the hub took them, each once;
//! - the control lane never waits behind data;
//! - every queue is bounded, and a subscription's losses are told to it, exactly, in the place where they occurred;
//! - an origin is what the hub knows of a connection, not what the connection says;
//! - no bytes from a peer can make the hub panic, hang or grow without bound. A panic, should one occur all the same,
//!   restarts the hub: connections end with the reason, listening sockets survive.
//!
//! The hub names no topic: [`Rules`] and built-in types are given to it.

mod acceptor;
mod bell;
mod connection;
mod core;
mod crowd;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod handle;
mod history;
mod notice;
mod numbered;
mod pace;
mod passes;
mod porter;
mod principal;
mod random;
mod reader;
mod rules;
mod shell;
mod shortage;
mod socket;
mod stats;
mod stream;
mod thread;
#[cfg(feature = "tls")]
mod tls;
mod tokens;
mod writer;

#[cfg(test)]
mod tests;

pub use handle::{Hub, HubOptions};
pub use history::HistoryRule;
pub use notice::{HubNotice, Notices};
pub use principal::{Admission, Principal, Role};
pub use rules::{
    Action, Conflate, ControlTopics, Rule, Rules, Subject, Topics, Verdict, authorize,
};
pub use stats::{ConnectionStats, Counts, HubStats, HubTotals, StatsPage, SubscriptionStats};
#[cfg(feature = "tls")]
pub use tls::TlsServer;
pub use tokens::Tokens;
