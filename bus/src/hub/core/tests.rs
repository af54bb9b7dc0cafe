//! The core, driven with raw frames in virtual time.

mod accounts;
mod authorization;
mod delivery;
mod evolution;
mod garbage;
mod groups;
mod handshake;
mod headers;
mod holds;
mod json;
mod lanes;
mod mailbox;
mod many;
mod model;
mod past;
mod policies;
mod queues;
mod reliable;
mod requests;
mod resumption;
mod rights;
mod sessions;
mod standing;
mod stats;
pub(in crate::hub) mod support;
mod types;
mod vouching;
