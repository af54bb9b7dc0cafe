//! Sockets of which each slot has its own: spread by the kernel, evenly or by the client's address, and losing nothing but what
//! a worker that dies was serving.

mod accepted;
mod apart;
mod changes;
mod datagrams;
mod guests;
mod load;
mod migrated;
mod networks;
mod shut;
mod sticky;
mod strangers;
mod stuck;

use std::net::{IpAddr, SocketAddr};

use ostler_bus::vocab::status::{SlotShare, SocketStatus, StatusReport, WorkerStatus};
use ostler_tests::{
    harness::{
        App, Fleet, MasterBuilder, PATIENCE, PrivateDir, deadline, eventually, falls_asleep,
        stand_still,
    },
    load::{Plan, Target},
    ostler,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpSocket,
    task::JoinHandle,
};

/// An app whose workers accept for themselves, and know nothing of Ostler but descriptor 3.
fn web(instances: u32, mode: &str) -> App {
    settled(
        ostler_tests::habit!("web", "notify 0 http version"),
        instances,
        mode,
    )
}

/// The same of SDK workers.
fn sdk(instances: u32, mode: &str) -> App {
    let app = App::new("web", [env!("CARGO_BIN_EXE_sdk_worker"), "version"]);
    settled(app, instances, mode)
}

/// None is slow to come back.
fn settled(app: App, instances: u32, mode: &str) -> App {
    let socket = json!({"address": "127.0.0.1:0", "mode": mode});
    app.instances(instances)
        .set("listen", json!({ "http": socket }))
        .set("backoff", json!({"first": "10ms", "max": "50ms"}))
        .set("max_restarts", 1000)
        .unwatched()
}

fn master(app: &App) -> MasterBuilder {
    ostler!()
        .with("version", "1")
        .apps(std::slice::from_ref(app))
}

async fn ready(app: &App, workers: usize) -> Fleet {
    Fleet::ready(master(app), workers).await
}

fn sockets(status: &StatusReport) -> &[SocketStatus] {
    &status.apps[0].sockets
}

/// What a slot gets.
fn share(status: &StatusReport, slot: u32) -> Option<&SlotShare> {
    let mut its = sockets(status).iter();
    let its = its.find(|socket| socket.slot.is_some_and(|own| own.0 == slot));
    its?.share.as_ref()
}

fn left_out(status: &StatusReport, slot: u32) -> Option<&str> {
    share(status, slot)?.left_out.as_deref()
}

/// How many connections wait for a slot.
fn waiting(status: &StatusReport, slot: u32) -> u32 {
    let mut its = sockets(status).iter();
    let its = its.find(|socket| socket.slot.is_some_and(|own| own.0 == slot));
    its.and_then(|its| its.queue)
        .map_or(0, |queue| queue.waiting)
}

/// Waits until the kernel chooses from these slots, and from no other.
async fn chosen(fleet: &Fleet, slots: &'static [u32]) {
    let so = move |status: &StatusReport| {
        let mut shares = sockets(status).iter();
        shares.all(|socket| {
            let slot = socket.slot.expect("each slot's own").0;
            let gets = socket.share.as_ref().map(|share| share.left_out.is_none());
            gets == Some(slots.contains(&slot))
        })
    };
    fleet.until("those to be chosen from", so).await;
}

fn signal(worker: &WorkerStatus, signal: Signal) {
    let pid = worker.pid.and_then(|pid| i32::try_from(pid).ok());
    let pid = pid.and_then(Pid::from_raw).expect("a living worker");
    kill_process(pid, signal).expect("a living worker");
}

/// Has a worker stand still; it has taken nothing since when this returns.
async fn stop(worker: &WorkerStatus) {
    stand_still(worker.pid.expect("a living worker")).await;
}

/// One request from this address, on a connection made now and answered whenever.
async fn knock_from(client: impl Into<IpAddr>, address: SocketAddr) -> JoinHandle<String> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    };
    let socket = socket.expect("a socket");
    let bound = socket.bind(SocketAddr::from((client.into(), 0)));
    bound.expect("an address of this machine's");
    let stream = socket.connect(address).await;
    let mut stream = stream.expect("a connection that is not refused");
    let written = stream
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .await;
    written.expect("a written request");
    tokio::spawn(async move {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        answer
    })
}

async fn knock(address: SocketAddr) -> JoinHandle<String> {
    knock_from([127, 0, 0, 1], address).await
}

/// The slots that answered.
async fn answered(answers: Vec<JoinHandle<String>>) -> Vec<u64> {
    let mut slots = Vec::new();
    for answer in answers {
        let answer = tokio::time::timeout(PATIENCE, answer).await;
        let answer = answer.expect("in time").expect("read");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer:?}");
        let (_, body) = answer.split_once("\r\n\r\n").expect("an answer");
        let body: serde_json::Value = serde_json::from_str(body).expect("JSON");
        let slot = body["slot"].as_u64();
        let slot = slot.or_else(|| body["slot"].as_str()?.parse().ok());
        slots.push(slot.expect("a slot"));
    }
    slots
}

fn to(address: SocketAddr, path: &str) -> Plan {
    Plan::new(Target::new(address, path).expect("a loopback address")).timeout(PATIENCE)
}

#[tokio::test]
async fn slots_get_equally_many_nearly() {
    let fleet = ready(&web(8, "slot"), 8).await;
    chosen(&fleet, &[0, 1, 2, 3, 4, 5, 6, 7]).await;
    let plan = to(fleet.address().await, "/").by_field("slot");
    let tally = fleet.load_with(plan.requests(4_000)).await.finish().await;
    assert_eq!(tally.lost(), 0, "{tally}");
    let most = *tally.by.values().max().expect("answers");
    let ratio = most as f64 * 8.0 / tally.answered as f64;
    assert!(tally.by.len() == 8 && ratio <= 1.2, "{ratio}: {tally}");
    let status = fleet.status().await;
    assert_eq!(sockets(&status).len(), 8);
    let one = sockets(&status)[0].address.clone();
    for (slot, socket) in (0..).zip(sockets(&status)) {
        assert_eq!((socket.mode.as_str(), &socket.address), ("slot", &one));
        assert_eq!(socket.slot.map(|own| own.0), Some(slot));
    }
    let table = fleet.ostler(["sockets"]).success().await.stdout;
    assert_eq!(table.matches("  even").count(), 8, "{table}");
    let list = fleet.ostler(["ls"]).success().await.stdout;
    assert_eq!(list.matches(&one).count(), 1, "{list}");
}

/// The descriptor is found as any other: by its name, by the SDK, and as the only one there is.
#[tokio::test]
async fn workers_of_the_sdk_need_not_know() {
    for mode in ["slot", "sticky"] {
        let fleet = ready(&sdk(2, mode), 2).await;
        let tally = fleet
            .load_with(to(fleet.address().await, "/").requests(100))
            .await;
        let tally = tally.finish().await;
        assert_eq!(tally.lost(), 0, "{mode}: {tally}");
        let status = fleet.status().await;
        assert!(sockets(&status).iter().all(|socket| socket.mode == mode));
        assert!(
            sockets(&status)
                .iter()
                .all(|socket| socket.balance.is_none())
        );
    }
}
