//! Descriptors that travel between a worker and its master: sockets asked for at run time, and connections that workers
//! give each other.
//!
//! They can't travel on the bus, where a plain read would lose them. So every worker inherits a channel of its own beside
//! it ([`Channel`]), on which each packet is a word and the descriptors that belong to it.
//!
//! ```text
//!  worker ── listen ──► master ── listening, a descriptor ──► worker            (at: sockets)
//!
//!  giver ── give, a descriptor ──► master ── held, a token ──► giver
//!  giver ── message with the token ──► bus ──► taker                             (give, take: connections)
//!  taker ── take, the token ──► master ── connection, a descriptor ──► taker ── took ──► master
//!  giver ── take back ──► master ── taken, or back ──► giver
//! ```
//! **Nothing leaks.** All of it is said in one order on one channel, so a question that nobody waits for any more is undone
//! by a word that comes after it; and the master undoes what is left when a worker ends.
//!
//! **What is given comes once.** The master alone says whose a connection is: the taker's when its word that it took it
//! has been said, else the giver's again. The giver asks how it ended in any case, whatever became of its message.

pub(crate) mod at;
mod channel;
mod client;
mod give;
mod own;
pub(crate) mod take;
mod words;

pub use self::{
    at::{AskFor, SharedUdp},
    channel::{Channel, Packet, pair},
    give::{NotSent, SendConnection, SendError},
    take::{Received, ReceivedConnections},
    words::{LONGEST, Listen, MOST, MasterWord, VARIABLE, WorkerWord},
};
pub(crate) use client::{Hold, Passing};

/// The header of a message that says which connection comes with it: the token.
pub const HEADER: &str = "ostler-connection";

#[cfg(test)]
mod tests;
