//! Real processes in tests: started in a private place, watched by event, gone when the test ends however it ends.
//!
//! - [`PrivateDir`]: a directory of the test's own.
//! - [`deadline`] and [`eventually`]: no wait without an end.
//! - [`Process`]: a child with its process group; its output as lines; killed and reaped on drop.
//! - [`Cli`]: one command of a program, with what it must print and how it must exit.
//! - [`Fixture`]: a program that knows nothing of Ostler, with a version to change.
//! - [`App`]: an app's table of a process file.
//! - [`Master`]: a running `ostler`, its commands, its events, and what it shows.
//! - [`Programs`]: the programs of this package, as masters to be.
//! - [`installed`]: a program of others' that a test can't do without.
//! - [`Guest`]: an unprivileged user.
//! - [`SlowDisk`]: a program that can't be run for a while.
//! - [`peer`]: a peer of the hub that can break the protocol.
//! - [`Heard`]: a subscription of the test's own.
//! - [`Web`]: one HTTP request at a time.
//! - [`Agent`]: a program in another language that does on the bus what it is asked.
//! - [`Terminal`]: a command on a terminal of the test's own.
//! - [`Cut`]: a way to the hub that can be cut.
//! - [`Fleet`]: the same with a bus connection of the test's own.
//! - [`Yard`]: a home in which masters are started in the background.
//! - [`kills_lose_only_what_is_in_service`]: what workers that are killed had in their hands.
//! - [`while_all_are_dead_clients_wait`]: whom nobody is there for.
//! - [`falls_asleep`]: that nothing wakes a thread.
//!
//! `env!("CARGO_BIN_EXE_…")` exists in integration tests and benchmarks only, hence programs are given by path. What is
//! awaited here runs on tokio but needs no particular runtime; output is read by threads, so that a child never blocks
//! on a test that is busy elsewhere.

mod agent;
mod app;
mod asleep;
mod cli;
mod cut;
mod dir;
mod fixture;
mod fleet;
mod guest;
mod heard;
mod lines;
mod marked;
mod master;
pub mod peer;
mod process;
mod programs;
mod slow_disk;
mod tail;
mod terminal;
mod victims;
mod view;
mod wait;
mod web;
mod yard;

pub use agent::{Agent, Language};
pub use app::App;
pub use asleep::falls_asleep;
pub use cli::{Cli, Output};
pub use cut::Cut;
pub use dir::PrivateDir;
pub use fixture::{Fixture, Program};
pub use fleet::Fleet;
pub use guest::{Guest, copy_program};
pub use heard::Heard;
pub use lines::{LinePattern, Lines};
pub use marked::Mark;
pub use master::{Master, MasterBuilder};
pub use process::{Exit, Process};
pub use programs::{Programs, installed};
pub use slow_disk::SlowDisk;
pub use tail::Tail;
pub use terminal::Terminal;
pub use victims::{
    kills_lose_only_what_is_in_service, stand_still, while_all_are_dead_clients_wait,
};
pub use wait::{PATIENCE, deadline, eventually, free_port, free_ports};
pub use web::{Page, Web};
pub use yard::Yard;

/// A [`Master`] to be, of the real `ostler` that this package builds.
#[macro_export]
macro_rules! ostler {
    () => {
        $crate::harness::Master::builder(env!("CARGO_BIN_EXE_ostler-under-test"))
    };
}

/// An [`App`] whose workers have a habit of `misbehave`: `habit!("web", "notify 0 http version")`.
#[macro_export]
macro_rules! habit {
    ($name:expr, $habit:expr) => {
        $crate::harness::App::new(
            $name,
            ::std::iter::once(env!("CARGO_BIN_EXE_misbehave")).chain($habit.split(' ')),
        )
    };
}
