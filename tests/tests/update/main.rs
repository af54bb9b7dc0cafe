//! Rolling updates: one by one, never fewer ready than before, no request lost, and the old kept when the new is bad.

mod asking;
mod badly;
mod load;
mod many;
mod strategies;
mod well;

use std::{collections::BTreeMap, future::Future};

use ostler_tests::{
    harness::{App, Exit, Master, MasterBuilder, Output, PATIENCE, PrivateDir, Tail},
    load::{Plan, Target},
    ostler,
};
use rustix::process::Signal;
use serde_json::{Value, json};

/// What `worker.sh` is at first: an HTTP server that says READY and answers with the content of `version`.
const GOOD: &str = "exec \"$MISBEHAVE\" notify 0 http version";
/// Dies before it is ready.
const EXITS: &str = "echo broken by design >&2; exit 1";
/// Dies soon after it is ready.
const DIES: &str = "echo short of breath >&2; exec \"$MISBEHAVE\" notify 0 exit 3 100";
/// Is never ready.
const HANGS: &str = "exec \"$MISBEHAVE\" hang-in-start";
/// Serves, but from the second generation on only once there is a file `go`.
const GATED: &str = "[ $OSTLER_GENERATION = 1 ] || until [ -e go ]; do sleep 0.02; done; \
                     exec \"$MISBEHAVE\" notify 0 http version";

/// Says that a worker is of a generation that is held at the gate.
const HELD: &str = "[ $OSTLER_GENERATION = 1 ] || echo held; ";

/// An app that is whatever `worker.sh` is when a worker starts.
fn web(instances: u32) -> App {
    App::new("web", ["sh", "worker.sh"])
        .instances(instances)
        .listening()
        .set("ready", "notify")
        .set("env", json!({"MISBEHAVE": env!("CARGO_BIN_EXE_misbehave")}))
        .unwatched()
}

fn habit(name: &str, habit: &str) -> App {
    ostler_tests::habit!(name, habit)
}

fn talker(name: &str, habit: &str) -> App {
    App::new(
        name,
        std::iter::once(env!("CARGO_BIN_EXE_talker")).chain(habit.split(' ')),
    )
    .unwatched()
}

fn master(app: App, script: &str) -> MasterBuilder {
    let builder = ostler!().with("worker.sh", script).with("version", "1");
    builder.apps(&[app])
}

/// A master of that app, all ready, and its events.
async fn running(app: App, script: &str) -> (Master, Tail) {
    let master = master(app, script).start().await;
    let mut tail = master.tail().await;
    master.settled("web", "running").await;
    tail.settle(&master).await;
    (master, tail)
}

/// Points the link `current` in this directory at a release.
fn release(dir: &PrivateDir, to: &str) {
    let new = dir.at("link.new");
    std::os::unix::fs::symlink(to, &new).expect("a link");
    std::fs::rename(new, dir.at("current")).expect("a link");
}

/// Runs a command beside the test.
fn aside(master: &Master, args: &[&str]) -> tokio::task::JoinHandle<Output> {
    tokio::spawn(master.ostler(args).within(PATIENCE * 2).run())
}

async fn output(command: tokio::task::JoinHandle<Output>) -> Output {
    command.await.expect("a command that has run")
}

/// The steps of all updates so far: `["Starting 0", "Watching 0", …]`.
fn steps(tail: &Tail) -> Vec<String> {
    let progress = tail.all("update.progress").into_iter();
    progress
        .map(|step| format!("{} {}", step["step"].as_str().unwrap_or("?"), step["slot"]))
        .collect()
}

/// How many workers an app had at most that were not on their way out, and how few that were ready from when all were.
///
/// On a busy machine workers begin before the tail does: whoever is first heard of otherwise than by its start was there
/// before.
fn most_and_fewest(tail: &Tail, instances: usize) -> (usize, usize) {
    let lives = lives_of_workers(tail);
    let mut first = BTreeMap::new();
    for (id, life) in &lives {
        first.entry(*id).or_insert(*life);
    }
    let before = |life| match life {
        Life::Begun => None,
        Life::Ready => Some(Life::Begun),
        Life::Leaving => Some(Life::Ready),
    };
    let there = first.into_iter();
    let mut states: BTreeMap<u64, Life> = there
        .filter_map(|(id, life)| Some((id, before(life)?)))
        .collect();
    let (mut most, mut fewest) = (states.len(), usize::MAX);
    for (id, life) in lives {
        match life {
            Life::Begun | Life::Ready => drop(states.insert(id, life)),
            Life::Leaving => drop(states.remove(&id)),
        }
        let ready = states.values().filter(|life| **life == Life::Ready).count();
        most = most.max(states.len());
        if ready >= instances || fewest < usize::MAX {
            fewest = fewest.min(ready);
        }
    }
    (most, fewest)
}

/// What a worker has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Begun,
    Ready,
    /// On its way out, or gone.
    Leaving,
}

/// Who came to what, in order.
fn lives_of_workers(tail: &Tail) -> Vec<(u64, Life)> {
    let told = tail.events().into_iter().filter_map(|event| {
        let id = event["payload"]["worker"]["id"].as_u64()?;
        let life = match event["topic"].as_str()? {
            "worker.spawned" => Life::Begun,
            "worker.ready" => Life::Ready,
            "worker.draining" | "worker.exited" => Life::Leaving,
            _ => return None,
        };
        Some((id, life))
    });
    told.collect()
}
