//! The core, driven with raw frames in virtual time.

mod authorization;
mod delivery;
mod garbage;
mod handshake;
mod json;
mod lanes;
mod mailbox;
mod model;
mod past;
mod queues;
mod reliable;
mod requests;
mod resumption;
mod sessions;
pub(in crate::hub) mod support;
mod types;
