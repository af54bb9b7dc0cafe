//! Real processes in tests: started in a private place, watched by event, gone when the test ends however it ends.
//!
//! - [`PrivateDir`]: a directory of the test's own.
//! - [`deadline`] and [`eventually`]: no wait without an end.
//! - [`Process`]: a child with its process group; its output as lines; killed and reaped on drop.
//! - [`Cli`]: one command of a program, with what it must print and how it must exit.
//! - [`Fixture`]: a program that knows nothing of Ostler, with a version to change.
//! - [`Master`]: a running `ostler`, its commands and its events.
//!
//! `env!("CARGO_BIN_EXE_…")` exists in integration tests and benchmarks only, hence programs are given by path. What is
//! awaited here runs on tokio but needs no particular runtime; output is read by threads, so that a child never blocks
//! on a test that is busy elsewhere.

mod cli;
mod dir;
mod fixture;
mod lines;
mod marked;
mod master;
mod process;
mod tail;
mod wait;

pub use cli::{Cli, Output};
pub use dir::PrivateDir;
pub use fixture::{Fixture, Program};
pub use lines::{LinePattern, Lines};
pub use marked::Mark;
pub use master::{Master, MasterBuilder};
pub use process::{Exit, Process};
pub use tail::Tail;
pub use wait::{PATIENCE, deadline, eventually, free_port};
