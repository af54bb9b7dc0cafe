//! The life of workers: how they start, what they are given, when they are ready, how they end and come back.

mod crashes;
mod ends;
mod going;
mod hooks;
mod left_behind;
mod output;
mod readiness;
mod sockets;
mod starting;

use std::{
    fs,
    path::Path,
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

fn talker(name: &str, habit: &str) -> App {
    App::new(
        name,
        std::iter::once(env!("CARGO_BIN_EXE_talker")).chain(habit.split(' ')),
    )
}

/// What a worker with the habit `print-env` was given.
async fn printed(master: &Master, file: &str) -> Value {
    let path = master.dir().at(file);
    let text = eventually("the worker to print", PATIENCE, || {
        fs::read_to_string(&path).ok()
    })
    .await;
    serde_json::from_str(&text).expect("JSON")
}

/// Lets an app of the file called `clock` start a worker, and so an amount of time pass that the master measures.
async fn tick(master: &Master) {
    master.ostler(["scale", "clock", "+1"]).success().await;
}

fn clock(time: &str) -> App {
    habit!("clock", "trivial")
        .instances(0)
        .set("ready", format!("delay({time})"))
}

async fn started(apps: &[App]) -> (Master, Tail) {
    let master = ostler!().apps(apps).start().await;
    let tail = master.tail().await;
    (master, tail)
}
