//! `auto_reload`: what a changed file does, and what it doesn't.

mod edits;
mod held;
mod left_out;
mod loops;
mod masters;
mod polled;
mod programs;
mod reread;
mod states;

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use ostler_tests::{
    habit,
    harness::{App, Master, MasterBuilder, PATIENCE, Tail, eventually},
    ostler,
};
use serde_json::{Value, json};

/// Serves the content of `src/version`; from the second generation on only once there is a file `go`, if `gated`.
const GOOD: &str = "[ ! -e gated ] || [ $OSTLER_GENERATION = 1 ] || until [ -e go ]; do sleep 0.02; done; \
                    exec \"$MISBEHAVE\" notify 0 http src/version";

/// Runs `worker.sh`, and watches `src`.
fn web() -> App {
    App::new("web", ["sh", "worker.sh"])
        .instances(2)
        .listening()
        .set("ready", "notify")
        .set("env", json!({"MISBEHAVE": env!("CARGO_BIN_EXE_misbehave")}))
        .set(
            "auto_reload",
            json!({"paths": ["src"], "ignore": ["*.tmp"]}),
        )
        .unwatched()
}

/// Lets an amount of time pass that the master measures.
fn clock(time: &str) -> App {
    habit!("clock", "trivial")
        .instances(0)
        .set("ready", format!("delay({time})"))
}

async fn tick(master: &Master) {
    master.ostler(["scale", "clock", "+1"]).success().await;
}

fn prepared(apps: &[App]) -> MasterBuilder {
    let builder = ostler!();
    builder.dir().make("src");
    builder
        .with("worker.sh", GOOD)
        .with("src/version", "1")
        .apps(apps)
}

/// A master of these apps, `web` among them ready and watched.
async fn started(builder: MasterBuilder) -> (Master, Tail) {
    let mut master = builder.start().await;
    let mut tail = master.tail().await;
    master.settled("web", "running").await;
    master.wait_for_log("web: watching").await;
    tail.settle(&master).await;
    (master, tail)
}

async fn watched() -> (Master, Tail) {
    started(prepared(&[web()])).await
}

/// Writes a file as most programs do: in place.
fn edit(master: &Master, name: &str, content: &str) -> PathBuf {
    let path = master.dir().at(name);
    fs::write(&path, content).expect("a file of the test's own");
    path
}

/// The reason of the next update, when it has finished.
async fn rolled(tail: &mut Tail) -> String {
    let started = tail.next("update.started").await;
    tail.next_with(
        "update.finished",
        "/generation",
        started["generation"].clone(),
    )
    .await;
    started["reason"].as_str().expect("a reason").to_owned()
}

fn names(reason: &str, path: &Path) -> bool {
    reason == format!("file changed: {}", path.display())
}

/// Who answers, by version.
async fn served(master: &Master) -> Vec<String> {
    let tally = master.load("web").await.stop().await;
    assert_eq!(tally.lost(), 0, "{tally}");
    tally.by.into_keys().collect()
}
