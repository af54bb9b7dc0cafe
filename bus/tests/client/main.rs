//! The client against a hub made of raw frames, over an in-memory stream.

mod away;
mod cuts;
mod emit;
mod extras;
mod handshake;
mod hostile;
mod many;
mod reconnect;
mod reliable;
mod request;
mod scripted;
mod subscribe;
mod window;
