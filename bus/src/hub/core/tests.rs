//! The core, driven with raw frames in virtual time.

mod accounts;
mod authorization;
mod delivery;
mod evolution;
mod garbage;
mod groups;
mod handshake;
mod headers;
mod json;
mod lanes;
mod many;
mod model;
mod policies;
mod queues;
mod requests;
mod rights;
pub(in crate::hub) mod support;
mod types;
mod vouching;
