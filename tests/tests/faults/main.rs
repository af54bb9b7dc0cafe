//! Faults, from outside and from within, on real processes. Whatever the fault: the master survives it, says what
//! happened, goes on when it is over, and leaves nothing behind.

mod clocks;
mod disks;
mod dying;
mod limits;
mod programs;
mod starts;
mod zygote;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use ostler_tests::{
    habit,
    harness::{
        App, Cli, Exit, Guest, Mark, Master, PATIENCE, Tail, copy_program, deadline, eventually,
    },
    ostler,
};
use rustix::process::Signal;
use serde_json::{Value, json};

/// An app of a small shell script.
fn script(name: &str, script: &str) -> App {
    App::new(name, ["sh", "-c", script])
}

/// An app whose workers say that they are ready, and are not watched in an update: here it is not updates that are tested.
fn web(name: &str) -> App {
    habit!(name, "notify 0").unwatched()
}

async fn started(apps: &[App]) -> (Master, Tail) {
    let master = ostler!().apps(apps).start().await;
    let tail = master.tail().await;
    (master, tail)
}

/// Why a worker could not be started.
fn why(exited: &Value) -> &str {
    let why = exited["status"]["NotStarted"].as_str();
    why.unwrap_or_else(|| panic!("it was started: {exited:#}"))
}

/// Ends a master in peace, and looks that nothing is left.
async fn end(mut master: Master) {
    assert_eq!(master.end(Signal::TERM).await, Exit::Code(0));
    master.assert_nothing_left().await;
}
