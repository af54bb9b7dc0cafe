//! Behaviours that users of other supervisors count on, where no other test happens to show them; `docs/parity.md` lists
//! them all.

mod starting;
mod stopping;
mod updating;

use std::{
    collections::BTreeSet,
    fs,
    time::{Duration, Instant},
};

use ostler_tests::{
    habit,
    harness::{App, Exit, Master, PATIENCE, Tail, eventually},
    ostler,
};
use rustix::process::Signal;
use serde_json::{Value, json};

/// An app of a small shell script.
fn script(name: &str, script: &str) -> App {
    App::new(name, ["sh", "-c", script])
}

async fn started(apps: &[App]) -> (Master, Tail) {
    let master = ostler!().apps(apps).start().await;
    let tail = master.tail().await;
    (master, tail)
}

/// What a worker of the habit `print-env` was given.
async fn printed(master: &Master, file: &str) -> Value {
    let path = master.dir().at(file);
    eventually("the worker to print", PATIENCE, || {
        serde_json::from_str(&fs::read_to_string(&path).ok()?).ok()
    })
    .await
}
