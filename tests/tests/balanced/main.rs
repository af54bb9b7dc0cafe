//! Sockets whose connections the master accepts and hands over: evenly, once, and losing nothing but what a worker that
//! dies was serving.

mod changes;
mod load;
mod mixed;
mod refused;
mod short;
mod stuck;

use std::{net::SocketAddr, time::Duration};

use ostler_bus::vocab::status::{BalanceStatus, SocketStatus, StatusReport, WorkerStatus};
use ostler_tests::{
    harness::{App, Fleet, MasterBuilder, PATIENCE, falls_asleep},
    load::{Plan, Target},
    ostler,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
};

/// An app of SDK workers with one `balanced` socket.
fn web(instances: u32) -> App {
    sdk(
        instances,
        json!({"address": "127.0.0.1:0", "mode": "balanced"}),
    )
}

/// The same with a socket of one's own. None is slow to come back.
fn sdk(instances: u32, socket: Value) -> App {
    App::new("web", [env!("CARGO_BIN_EXE_sdk_worker"), "version"])
        .instances(instances)
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

fn socket(status: &StatusReport) -> &SocketStatus {
    &status.apps[0].sockets[0]
}

fn balance(status: &StatusReport) -> &BalanceStatus {
    static NOTHING: BalanceStatus = BalanceStatus {
        accepted: 0,
        given_again: 0,
        refused: None,
        waiting: 0,
        workers: Vec::new(),
        proxied: None,
    };
    socket(status).balance.as_ref().unwrap_or(&NOTHING)
}

/// Waits until so many workers take connections from the master.
async fn taking(fleet: &Fleet, workers: usize) {
    let all = |status: &StatusReport| balance(status).workers.len() == workers;
    fleet.until("workers to take connections", all).await;
}

fn signal(worker: &WorkerStatus, signal: Signal) {
    let pid = worker.pid.and_then(|pid| i32::try_from(pid).ok());
    let pid = pid.and_then(Pid::from_raw).expect("a living worker");
    kill_process(pid, signal).expect("a living worker");
}

/// One request, on a connection made now and answered whenever.
async fn knock(address: SocketAddr, path: &str) -> JoinHandle<String> {
    let stream = TcpStream::connect(address).await;
    let mut stream = stream.expect("a connection that is not refused");
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let written = stream.write_all(request.as_bytes()).await;
    written.expect("a written request");
    tokio::spawn(async move {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        answer
    })
}

async fn answered(answers: Vec<JoinHandle<String>>) {
    for answer in answers {
        let answer = tokio::time::timeout(PATIENCE, answer).await;
        let answer = answer.expect("in time").expect("read");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer:?}");
    }
}

fn to(address: SocketAddr, path: &str) -> Plan {
    Plan::new(Target::new(address, path).expect("a loopback address")).timeout(PATIENCE)
}

#[tokio::test]
async fn idle_workers_get_equally_many() {
    let fleet = ready(&web(8), 8).await;
    let plan = to(fleet.address().await, "/")
        .by_field("slot")
        .connections(1)
        .requests(1_600);
    // All take part before it is counted.
    fleet
        .load_with(plan.clone().requests(100))
        .await
        .finish()
        .await;
    taking(&fleet, 8).await;
    let asked = plan.spread_evenly(8, 1.02).await;
    let all = |status: &StatusReport| balance(status).accepted == 100 + asked;
    let status = fleet.until("all to be counted", all).await;
    assert_eq!(socket(&status).mode, "balanced");
    assert_eq!(socket(&status).why, None);
    let balance = balance(&status);
    assert_eq!((balance.given_again, balance.waiting), (0, 0));
}

#[tokio::test]
async fn what_is_open_counts_and_not_what_was() {
    let fleet = ready(&web(3), 3).await;
    taking(&fleet, 3).await;
    let address = fleet.address().await;
    let mut slow = Vec::new();
    for _ in 0..6 {
        slow.push(knock(address, "/slow/3000").await);
    }
    let even = |status: &StatusReport| balance(status).workers.iter().all(|w| w.open == 2);
    fleet.until("two for each", even).await;
    answered(slow).await;
    let none = |status: &StatusReport| balance(status).workers.iter().all(|w| w.open == 0);
    fleet.until("none left open", none).await;
}

#[tokio::test]
async fn unix_sockets_are_handed_over_as_well() {
    let app = sdk(2, json!({"address": "unix:web.sock", "mode": "balanced"}));
    let fleet = ready(&app, 2).await;
    taking(&fleet, 2).await;
    let path = fleet.dir().at("web.sock");
    let mut slots = std::collections::BTreeSet::new();
    for _ in 0..10 {
        let mut stream = tokio::net::UnixStream::connect(&path)
            .await
            .expect("served");
        let request = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        stream.write_all(request).await.expect("written");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("read");
        let (_, body) = answer.split_once("\r\n\r\n").expect("an answer");
        let body: Value = serde_json::from_str(body).expect("JSON");
        slots.insert(body["slot"].as_u64());
    }
    assert_eq!(slots.len(), 2);
    let all = |status: &StatusReport| balance(status).accepted == 10;
    fleet.until("all to be counted", all).await;
}

#[tokio::test]
async fn workers_of_the_sdk_are_balanced_unless_told_otherwise_and_the_status_says_why() {
    for (mode, shown, why) in [
        (
            "auto",
            "balanced",
            Some("auto: its workers take connections from the master"),
        ),
        ("shared", "shared", None),
    ] {
        let app = sdk(2, json!({"address": "127.0.0.1:0", "mode": mode}));
        let fleet = ready(&app, 2).await;
        let plan = to(fleet.address().await, "/").requests(50);
        let tally = fleet.load_with(plan).await.finish().await;
        assert_eq!(tally.lost(), 0, "{tally}");
        let counted = move |status: &StatusReport| {
            balance(status).accepted == if shown == "balanced" { 50 } else { 0 }
        };
        let status = fleet.until("all to be counted", counted).await;
        assert_eq!(socket(&status).mode, shown);
        assert_eq!(socket(&status).why.as_deref(), why);
    }
}

#[tokio::test]
async fn a_worker_without_the_sdk_serves_all_the_same_and_is_told_of() {
    let app = ostler_tests::habit!("web", "notify 0 http version")
        .instances(2)
        .set(
            "listen",
            json!({"http": {"address": "127.0.0.1:0", "mode": "balanced"}}),
        );
    let fleet = ready(&app, 2).await;
    let plan = to(fleet.address().await, "/").requests(100);
    let tally = fleet.load_with(plan).await.finish().await;
    assert_eq!(tally.lost(), 0, "{tally}");
    let line = fleet.logged("so it shares the socket instead").await;
    assert!(line.contains("hint: mode = \"balanced\" is for"), "{line}");
    let status = fleet.status().await;
    assert_eq!(socket(&status).mode, "shared");
    let why = socket(&status).why.as_deref();
    assert!(
        why.is_some_and(|why| why.contains("no worker takes")),
        "{why:?}"
    );
}

#[tokio::test]
async fn a_worker_has_no_more_open_than_it_may_and_the_others_wait() {
    let socket = json!({"address": "127.0.0.1:0", "mode": "balanced", "max_connections": 1});
    let fleet = ready(&sdk(2, socket), 2).await;
    let address = fleet.address().await;
    let mut slow = Vec::new();
    for _ in 0..5 {
        slow.push(knock(address, "/slow/400").await);
    }
    let full = |status: &StatusReport| balance(status).workers.iter().all(|w| w.open == 1);
    let status = fleet.until("both to be full", full).await;
    for worker in &balance(&status).workers {
        assert_eq!((worker.handed, worker.max_connections), (0, Some(1)));
    }
    assert!(balance(&status).accepted < 5, "others wait in the kernel");
    let tally = fleet.load_with(to(address, "/").requests(30)).await;
    assert_eq!(tally.finish().await.lost(), 0);
    answered(slow).await;
}

#[tokio::test]
async fn when_the_master_is_killed_workers_accept_for_themselves() {
    let mut fleet = ready(&web(2), 2).await;
    let address = fleet.address().await;
    taking_after(&fleet, address).await;
    let workers = fleet.until_ready(2).await;
    fleet.end(Signal::KILL).await;
    answered(vec![knock(address, "/").await, knock(address, "/").await]).await;
    for worker in &workers {
        signal(worker, Signal::KILL);
    }
}

/// Asks once, so that all workers have said that they take connections.
async fn taking_after(fleet: &Fleet, address: SocketAddr) {
    answered(vec![knock(address, "/").await]).await;
    let workers = fleet.status().await.apps[0].instances as usize;
    taking(fleet, workers).await;
}
