//! The commands of `ostler` as a user types them, against real masters: what they print, where, and how they exit.

mod bus;
mod errors;
mod fleet;
mod help;
mod log;
mod masters;
mod run;

use std::{path::Path, time::Duration};

use ostler_bus::vocab::{
    control::AppReload,
    status::{StatusReport, WorkerStatus},
};
use ostler_tests::harness::{
    Cli, Exit, Fleet, Output, PATIENCE, PrivateDir, Process, Programs, Web,
};
use rustix::process::Signal;
use serde_json::{Value, json};

const PROGRAMS: Programs = ostler_tests::programs!();

/// A command in an empty home of its own.
fn alone(dir: &PrivateDir, args: &[&str]) -> Cli {
    let cli = Cli::new(PROGRAMS.ostler).env("OSTLER_HOME", dir.at("home"));
    cli.dir(dir.path()).args(args)
}

fn trivial(instances: u32) -> ostler_tests::harness::MasterBuilder {
    PROGRAMS.habit(instances, &["trivial"])
}

/// An app of workers that stop for nothing but KILL.
fn stubborn() -> String {
    let program = PROGRAMS.misbehave;
    format!(
        "[app.web]\ncommand = [{program:?}, \"ignore-term\"]\ninstances = 1\nkill_ladder = [\"TERM:60s\", \"KILL\"]\n"
    )
}

fn slots(workers: &[WorkerStatus]) -> Vec<u32> {
    workers.iter().map(|worker| worker.slot.0).collect()
}

async fn instances(fleet: &Fleet) -> u32 {
    fleet.status().await.apps[0].instances
}

/// Every verb that needs a master, with arguments that are right.
const VERBS: [&[&str]; 17] = [
    &["ls"],
    &["status", "--json"],
    &["reload"],
    &["scale", "2"],
    &["stop"],
    &["start", "web"],
    &["restart"],
    &["delete", "web"],
    &["signal", "web", "HUP"],
    &["kill"],
    &["ping"],
    &["emit", "a"],
    &["tail"],
    &["wait", "a", "--timeout", "0s"],
    &["logs"],
    &["flush"],
    &["send", "a", "b"],
];
