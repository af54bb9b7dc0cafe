//! What it takes to compare ways of sharing a port: a worker program that serves under all of them, those who start it or
//! its like, and who asks.
//!
//! [`service`] is the worker; [`Ours`] is a master that shares one socket among such workers in one of its modes;
//! [`owned`] has the same program share a port without a master; [`Cluster`] is Node's own way. [`Client`] is the exact load
//! generator as a process of its own, [`Spread`] is found by one that asks from many addresses, and a [`Stranger`] is somebody
//! else's. [`handover`] is what the cheapest possible hand-over costs.

mod client;
mod cluster;
pub mod handover;
mod ours;
pub mod owned;
mod pm2;
mod service;
mod sources;
mod strangers;

pub use client::{Account, Client};
pub use cluster::{Cluster, Policy};
pub use ours::{Ours, app, signal};
pub use pm2::Pm2;
pub use sources::Spread;
pub use strangers::{Stranger, Visit};

use super::roles::Play;

/// The roles that a benchmark of sockets must be able to play; with those of [`super::peers`], which end servers.
pub const ROLES: [(&str, Play); 3] = [
    ("service", service::play),
    ("sources", sources::play),
    ("take-what-comes", handover::take),
];

/// Ways in which the master has workers share a socket, those first that need nothing of a worker.
pub const MODES: [&str; 4] = ["shared", "slot", "sticky", "balanced"];

/// Why somebody takes no part.
pub type Absent = String;
