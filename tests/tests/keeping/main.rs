//! A fleet that is looked at, written down, brought back, and started with the machine.

mod describe;
mod monit;
mod save;
mod service;
mod startup;

use ostler_tests::harness::{App, PATIENCE, Programs};

const PROGRAMS: Programs = ostler_tests::programs!();

/// A worker that does nothing, and goes when it is told to.
fn idle(name: &str) -> App {
    App::new(name, ["sleep", "600"]).set("ready", "delay(0s)")
}
