//! Sockets whose connections the master accepts and hands to its workers.
//!
//! Every worker inherits each socket itself, and beside it a channel ([`channel`]). One that only knows the socket accepts
//! for itself, as ever. One that says on the channel that it takes connections (the SDK does, when the app first waits
//! for one) is handed them from then on, and the master accepts for it; so both kinds serve one socket side by side, each
//! connection is accepted once, and none depends on what the worker was expected to be.
//!
//! ```text
//!   shell: joins, ready, drains, gone ──► inbox ─┐
//!   listener: connections ──────────────────────►│ thread ─► pool (pure) ─► connections ─► channel ─► worker
//!   channel: takes, taken, refused, closed ─────►│
//! ```
//! All of it is done by one thread of its own, so that it neither delays supervision or the hub nor is delayed by them.
//! It begins when the first worker takes connections, and sleeps while nothing comes. If it ends, channels break, and
//! workers accept for themselves.
//!
//! Sockets behind a proxy that keep each client at its slot have more to them ([`proxied`]).
//!
//! **What is given once, is given once.** A worker's word that it has taken a connection either reaches us before its
//! channel is cut, or it learns from the failing `send` that the connection is not its own: a cut shuts the channel down
//! both ways and then reads what was said before.

mod channel;
mod connection;
mod desk;
mod inbox;
mod pace;
mod pool;
mod proxied;
mod thread;

use std::time::Duration;

pub use channel::{Channel, channel_pair};
pub use inbox::{Balancer, Begins, Joins, Served, Sticks};

/// How long a ready worker has to ask for connections. One that has not by then doesn't take any, as far as one can tell: it is told of, and its
/// slot's clients are others'.
pub const GRACE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;
