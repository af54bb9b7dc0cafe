//! The core, driven with raw frames in virtual time.

mod authorization;
mod delivery;
mod garbage;
mod handshake;
mod json;
mod lanes;
mod model;
mod queues;
mod requests;
mod stats;
pub(in crate::hub) mod support;
mod types;
