//! Sockets of which each slot has its own, at one address: the kernel spreads over them (`SO_REUSEPORT`) what comes: connections,
//! or datagrams of UDP, whose sockets are listeners here too.
//!
//! The master binds and holds them for ever, and the workers of a slot inherit that slot's one after the other: whatever waits
//! there when one dies is the next one's. Each worker sleeps at a queue of its own, and nobody is woken for what another
//! takes.
//!
//! ```text
//!   shell: joins, stand, shut, mended ──► mailbox ─┐
//!   listeners: a connection has come ─────────────►│ thread ─► group (pure) ─► choice ─► program (pure) ─► kernel
//!   queues (TCP_INFO, SO_MEMINFO) ────────────────►│
//! ```
//! Which listeners the kernel chooses from is decided by [`group`], told to it as a [`program`], and changes when a slot begins or
//! ceases to serve, and while queues differ: then they are looked at every few milliseconds ([`pace`]). One thread does that for
//! all of them. If it ends, the kernel goes on as it was told last.

mod desk;
mod group;
mod inbox;
mod pace;
mod program;
mod shares;
mod table;
mod thread;

pub use group::Spread;
pub use inbox::{Groups, InGroup, SlotReport};
pub(super) use program::{Client, bucket_of};
pub(super) use shares::Shares;
pub(super) use table::dealt;
