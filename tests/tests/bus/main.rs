//! The bus of a running master, over real sockets: who hears what, in which order, from whom, and who may say it.

mod away;
mod ending;
mod handshake;
mod log;
mod reach;
mod requests;
mod rights;
mod sharing;
mod slow;
mod subscriptions;
mod types;

use std::{collections::BTreeMap, time::Duration};

use ostler_bus::{
    Event, Origin,
    client::{Bus, ConnectOptions, Delivery, EmitError, Payload, Problem, RequestError},
    vocab::{
        control::{AppStop, ScaleTo},
        status::MasterStatus,
        update::SystemRestartNeeded,
        worker::WorkerSpawned,
    },
    wire::control::RefusalKind,
};
use ostler_tests::{
    harness::{
        Fleet, Heard, PATIENCE, Process, Programs, deadline, eventually,
        peer::{Peer, hello, kind},
    },
    words::{Double, Mood, Note},
};
use rustix::process::Signal;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

const PROGRAMS: Programs = ostler_tests::programs!();

/// A master whose app is parked: nobody is on the bus but who a test brings.
async fn quiet() -> Fleet {
    Fleet::start(PROGRAMS.habit(0, &["trivial"])).await
}

async fn client(fleet: &Fleet, name: &str) -> Bus {
    fleet.connect(ConnectOptions::client(name)).await
}

/// A note with something in each of its fields.
fn rich() -> Note {
    Note {
        text: "grüße \"und\" mehr".into(),
        number: u64::MAX,
        mood: Some(Mood::Coloured { rgb: [1, 2, 255] }),
        tags: BTreeMap::from([("a".into(), -1), ("b".into(), i32::MAX)]),
    }
}

/// Starts `ostler tail` and waits until its subscription stands.
async fn tail(fleet: &Fleet, pattern: &str, probe: &str) -> Process {
    let tail = fleet.ostler(["tail", pattern]).start();
    let mut shown = tail.stdout.clone();
    let stands = async {
        let wait = Duration::from_millis(100);
        let mut seen = false;
        while !seen {
            fleet.bus.emit_json(probe, &()).await.unwrap();
            let line = shown.wait_for_line(probe, PATIENCE);
            seen = tokio::time::timeout(wait, line).await.is_ok();
        }
    };
    deadline("the tail's subscription", PATIENCE, stands).await;
    tail
}

/// The next line of JSON that it prints and that has this in it.
async fn shown(process: &mut Process, has: &str) -> Value {
    let line = process.wait_for_line(has, PATIENCE).await;
    serde_json::from_str(&line).expect("JSON")
}

/// A master with SDK workers that treat questions in this way.
async fn answering(how: &str, workers: u32) -> Fleet {
    let master = PROGRAMS.sdk(workers);
    master.dir().write("serve", how);
    Fleet::ready(master, workers as usize).await
}
