//! Sockets behind a proxy whose clients keep their slots, by the header that says who they are: real workers, and many clients that
//! nobody but the header tells apart.

mod accidents;
mod bytes;
mod load;
mod sticky;

use std::{collections::BTreeMap, net::SocketAddr};

use ostler_bus::vocab::status::{
    BalanceStatus, ProxiedStatus, SocketStatus, StatusReport, WorkerStatus,
};
use ostler_tests::{
    harness::{App, Fleet, MasterBuilder, PATIENCE, free_port},
    ostler,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
};

/// An app of SDK workers that don't know the header.
fn web(instances: u32) -> App {
    at(
        instances,
        json!({"address": "127.0.0.1:0", "mode": "sticky", "proxy_protocol": "strip"}),
    )
}

/// With a socket of one's own. None is slow to come back.
fn at(instances: u32, socket: Value) -> App {
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

/// Waits until all of them take connections.
async fn ready(app: &App, workers: usize) -> Fleet {
    let fleet = Fleet::ready(master(app), workers).await;
    taking(&fleet, workers).await;
    fleet
}

async fn taking(fleet: &Fleet, workers: usize) {
    let all = |status: &StatusReport| balance(status).is_some_and(|it| it.workers.len() == workers);
    fleet.until("workers to take connections", all).await;
}

fn socket(status: &StatusReport) -> &SocketStatus {
    &status.apps[0].sockets[0]
}

fn balance(status: &StatusReport) -> Option<&BalanceStatus> {
    socket(status).balance.as_ref()
}

fn proxied(status: &StatusReport) -> Option<&ProxiedStatus> {
    balance(status)?.proxied.as_ref()
}

fn signal(worker: &WorkerStatus, signal: Signal) {
    let pid = worker.pid.and_then(|pid| i32::try_from(pid).ok());
    let pid = pid.and_then(Pid::from_raw).expect("a living worker");
    kill_process(pid, signal).expect("a living worker");
}

/// A client, by its number: of IPv4 and of IPv6 in turns; all of the latter have networks of their own.
fn client(number: u32) -> SocketAddr {
    let spread = number.wrapping_mul(40_503);
    match number % 2 {
        0 => {
            let [_, a, b, c] = spread.to_be_bytes();
            SocketAddr::from(([10, a, b, c], 4711))
        }
        _ => {
            let [a, b] = [spread >> 16, spread & 0xffff].map(|half| half as u16);
            SocketAddr::from(([0x2001, 0xdb8, a, b, 0, 0, 0, 9], 4711))
        }
    }
}

/// What a proxy says of this client: in text and in bytes in turns.
fn header(client: SocketAddr, number: u32) -> Vec<u8> {
    let (ip, port) = (client.ip(), client.port());
    if (number / 2).is_multiple_of(2) {
        let family = if ip.is_ipv4() { 4 } else { 6 };
        return format!("PROXY TCP{family} {ip} {ip} {port} 80\r\n").into_bytes();
    }
    let (kind, ip) = match ip {
        std::net::IpAddr::V4(ip) => (0x11, ip.octets().to_vec()),
        std::net::IpAddr::V6(ip) => (0x21, ip.octets().to_vec()),
    };
    // With a field that means nothing to anybody.
    let rest = [&ip[..], &ip, &port.to_be_bytes(), &[0, 80], &[4, 0, 1, 7]].concat();
    let length = u16::try_from(rest.len()).expect("short").to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n\x21", &[kind][..], &length, &rest].concat()
}

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

/// One request of this client, on a connection made now and answered whenever.
async fn knock(number: u32, address: SocketAddr) -> JoinHandle<String> {
    let said = [&header(client(number), number), REQUEST].concat();
    let stream = TcpStream::connect(address).await;
    let mut stream = stream.expect("a connection that is not refused");
    stream.write_all(&said).await.expect("a written request");
    tokio::spawn(async move {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        answer
    })
}

/// The slot that answered.
async fn answered(answer: JoinHandle<String>) -> u64 {
    let answer = tokio::time::timeout(PATIENCE, answer).await;
    let answer = answer.expect("in time").expect("read");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer:?}");
    let (_, body) = answer.split_once("\r\n\r\n").expect("an answer");
    let body: Value = serde_json::from_str(body).expect("JSON");
    body["slot"].as_u64().expect("a slot")
}

/// Which slot answers each of so many clients.
async fn slots_of(clients: u32, address: SocketAddr) -> BTreeMap<u32, u64> {
    slots_of_these(&Vec::from_iter(0..clients), address).await
}

/// Which slot answers each of these clients.
async fn slots_of_these(
    clients: impl IntoIterator<Item = &u32>,
    address: SocketAddr,
) -> BTreeMap<u32, u64> {
    let mut slots = BTreeMap::new();
    for batch in clients
        .into_iter()
        .copied()
        .collect::<Vec<u32>>()
        .chunks(32)
    {
        let mut answers = Vec::new();
        for number in batch {
            answers.push((*number, knock(*number, address).await));
        }
        for (number, answer) in answers {
            slots.insert(number, answered(answer).await);
        }
    }
    slots
}

/// The clients that moved: from which slot, and to which.
fn moved(before: &BTreeMap<u32, u64>, after: &BTreeMap<u32, u64>) -> Vec<(u64, u64)> {
    let both = before.iter().map(|(client, slot)| (*slot, after[client]));
    both.filter(|(before, after)| before != after).collect()
}
