//! An app that is rolled from one version of an event's type to another: for a while both are published and both are
//! read, and nobody misses anything.

use std::collections::BTreeMap;

use ostler_bus::client::{Bus, ConnectOptions};
use ostler_tests::{
    harness::{Fleet, Heard, PATIENCE, Programs, deadline},
    ticks::{Tally, Tick, first, publish, second},
};
use serde::Deserialize;
use tokio::{sync::watch, task::JoinHandle};

const PROGRAMS: Programs = ostler_tests::programs!();

/// Names of the test's own publishers, far from any worker's.
const OWN: [u64; 2] = [1_000_001, 1_000_002];

/// What a worker said at its end.
#[derive(Debug, Deserialize)]
struct Told {
    id: u64,
    version: String,
    published: u64,
    tally: Tally,
}

/// A subscription of the test's own, on a connection of its own.
struct Observer {
    bus: Bus,
    tally: JoinHandle<Tally>,
}

impl Observer {
    async fn new<T: Tick>(fleet: &Fleet, name: &str) -> Self {
        let bus = fleet.connect(ConnectOptions::client(name)).await;
        let ticks = bus.subscribe::<T>().await.expect("a subscription");
        let tally = tokio::spawn(Tally::of(ticks));
        Self { bus, tally }
    }

    /// Everything that had come to the hub before.
    async fn end(self) -> Tally {
        self.bus.drain(PATIENCE).await.expect("drained");
        deadline("the tally", PATIENCE, self.tally)
            .await
            .expect("no panic")
    }
}

/// A publisher of the test's own, until `stop` is true.
async fn publisher<T: Tick>(
    fleet: &Fleet,
    writer: u64,
    mut stop: watch::Receiver<bool>,
) -> JoinHandle<u64> {
    let bus = fleet.connect(ConnectOptions::client("publisher")).await;
    tokio::spawn(async move {
        let stopped = async move { drop(stop.wait_for(|stop| *stop).await) };
        let published = publish::<T>(&bus, writer, stopped).await.expect("emitted");
        bus.drain(PATIENCE).await.expect("drained");
        published
    })
}

/// Waits for each of these workers' last words.
async fn told(fleet: &Fleet, ids: impl IntoIterator<Item = u64>) -> Vec<Told> {
    let mut all = Vec::new();
    for id in ids {
        let start = format!("| ticks {{\"id\":{id},");
        let line = fleet.said(move |line: &str| line.contains(&start)).await;
        let (_, json) = line.split_once("| ticks ").expect("as waited for");
        all.push(serde_json::from_str(json).expect("a worker's words"));
    }
    all
}

fn ids(workers: &[ostler_bus::vocab::status::WorkerStatus]) -> Vec<u64> {
    workers
        .iter()
        .flat_map(|worker| worker.id)
        .map(|id| id.0)
        .collect()
}

/// Ticks of each of these publishers have come to a reader of this version.
async fn heard_from<T: Tick>(fleet: &Fleet, writers: &[u64]) {
    let mut ticks: Heard<T> = fleet.hear().await;
    for writer in writers {
        ticks.until(|tick| tick.name().0 == *writer).await;
    }
}

#[tokio::test]
async fn rolling_to_another_version_of_an_event_loses_none() {
    let builder = PROGRAMS.sdk(0).with("version.txt", "v1").with("evolve", "");
    let fleet = Fleet::start(builder).await;
    let readers = (
        Observer::new::<first::Tick>(&fleet, "first").await,
        Observer::new::<second::Beat>(&fleet, "second").await,
    );
    let (stop, stopped) = watch::channel(false);
    let writers = (
        publisher::<first::Tick>(&fleet, OWN[0], stopped.clone()).await,
        publisher::<second::Beat>(&fleet, OWN[1], stopped).await,
    );
    // Only now, so that the readers are there from the first event on.
    fleet.ostler(["scale", "web", "2"]).success().await;
    let old = ids(&fleet.until_ready(2).await);
    heard_from::<second::Beat>(&fleet, &old).await;

    fleet.dir().write("version.txt", "v2");
    fleet.ostler(["reload"]).success().await;
    let new = ids(&fleet.until_ready(2).await);
    heard_from::<first::Tick>(&fleet, &new).await;
    fleet.ostler(["stop", "web"]).success().await;

    let workers = told(&fleet, old.iter().chain(&new).copied()).await;
    stop.send_replace(true);
    let own = [writers.0, writers.1];
    let mut published: BTreeMap<u64, u64> = workers.iter().map(|w| (w.id, w.published)).collect();
    for (name, count) in OWN.into_iter().zip(own) {
        published.insert(name, count.await.expect("no panic"));
    }
    // Whoever was there all along has all of all, in either version.
    let all: BTreeMap<u64, (u64, u64)> = published
        .iter()
        .map(|(writer, count)| (*writer, (0, count - 1)))
        .collect();
    for tally in [readers.0.end().await, readers.1.end().await] {
        assert_eq!(tally.faults, [""; 0]);
        assert_eq!(tally.heard, all);
    }
    for worker in &workers {
        is_complete(worker, &published);
    }
    // The two generations were there together, and heard each other.
    let across = |worker: &Told, others: &[u64]| {
        let heard = |id| worker.tally.heard.contains_key(id);
        others.iter().any(heard)
    };
    assert!(
        workers[..2].iter().all(|w| w.version == "v1"),
        "{workers:?}"
    );
    assert!(
        workers[2..].iter().all(|w| w.version == "v2"),
        "{workers:?}"
    );
    assert!(workers[..2].iter().any(|w| across(w, &new)), "{workers:?}");
    assert!(workers[2..].iter().any(|w| across(w, &old)), "{workers:?}");
}

/// While it lived, a worker heard every tick of everybody; of those that came after it, from the first one on.
fn is_complete(worker: &Told, published: &BTreeMap<u64, u64>) {
    let Told { id, tally, .. } = worker;
    assert_eq!(tally.faults, [""; 0], "worker {id}");
    for (writer, (first, last)) in &tally.heard {
        assert!(*last < published[writer], "worker {id}: {tally:?}");
        let came_later = !OWN.contains(writer) && writer >= id;
        assert!(!came_later || *first == 0, "worker {id}: {tally:?}");
    }
    assert!(
        OWN.iter().all(|own| tally.heard.contains_key(own)),
        "worker {id}: {tally:?}"
    );
    // Its own, which come back to it in order with all others: to the very last.
    assert_eq!(tally.heard[id], (0, published[id] - 1));
}
