//! Ostler: a master process that keeps a fleet of worker processes running and gives them one typed event bus.
//!
//! The binary `ostler` is [`main`] and nothing more. The rooms, from the inside out:
//!
//! - [`fleet`]: the pure core that decides what is to be done about apps and workers;
//! - [`shell`]: the one task that owns the core, waits for what happens, and does what was decided;
//! - [`process`], [`sockets`], [`sys`]: processes, listening sockets, system calls;
//! - [`features`], [`control`]: what the master does as a client of its own bus;
//! - [`config`], [`home`], [`lock`], [`log`]: what it is told, where it lives, what it says;
//! - [`master`]: all of it put together; [`cli`]: the commands; `demo`: a fleet to look at; `bench`: the bus
//!   measured.

mod bench;
pub mod chronicle;
pub mod cli;
pub mod config;
pub mod control;
mod demo;
pub mod escape;
pub mod features;
pub mod fleet;
pub mod home;
pub mod lock;
pub mod log;
pub mod master;
mod network;
mod plain_file;
pub mod process;
pub mod saved;
pub mod shell;
pub mod shortage;
pub mod sockets;
pub mod sys;

use std::process::ExitCode;

/// The program `ostler`, from its arguments to its exit code.
#[must_use]
pub fn main() -> ExitCode {
    // Before anything else, so that starting a worker costs no more than it must.
    match std::env::args_os().nth(1) {
        Some(word) if word == process::ZYGOTE_COMMAND => process::zygote_main(),
        Some(word) if word == process::SHIM_COMMAND => process::exec_shim_main(),
        Some(word) if word == process::DRAIN_COMMAND => process::drain_main(),
        Some(word) if word == demo::WORKER_COMMAND => demo::worker_main(),
        Some(word) if word == bench::ROLE_COMMAND => bench::role_main(),
        Some(_) | None => cli::main(),
    }
}
