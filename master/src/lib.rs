//! Ostler: a master process that keeps a fleet of worker processes running and gives them one typed event bus.

pub mod cli;
pub mod config;
pub mod fleet;
pub mod process;
pub mod sockets;
pub mod sys;
pub mod escape;
pub mod home;
pub mod lock;
pub mod features;
