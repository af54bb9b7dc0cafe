//! The client against a hub made of raw frames, over an in-memory stream.

mod emit;
mod handshake;
mod hostile;
mod request;
mod scripted;
mod subscribe;
