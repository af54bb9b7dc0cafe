//! UDP: each flow keeps to a slot, and what waits there outlives the slot's workers.

mod accidents;
pub(super) mod asking;
mod load;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use ostler_bus::vocab::{status::SocketQueue, update::ConnectionsLost};
use tokio::net::UdpSocket;

use self::{asking::Client, load::Load};
use super::*;

/// An app of SDK workers that answer datagrams.
fn dns(instances: u32, mode: &str) -> App {
    dns_at("127.0.0.1:0", instances, mode)
}

fn dns_at(address: &str, instances: u32, mode: &str) -> App {
    let socket = json!({"address": format!("udp:{address}"), "mode": mode});
    sdk(instances, mode).set("listen", json!({ "dns": socket }))
}

async fn answering(app: &App, workers: usize) -> Fleet {
    Fleet::ready(master(app).with("datagrams", ""), workers).await
}

async fn address(fleet: &Fleet) -> SocketAddr {
    let status = fleet.status().await;
    let address = sockets(&status)[0].address.strip_prefix("udp:");
    address.expect("UDP").parse().expect("an address")
}

async fn clients(count: usize, address: SocketAddr) -> Vec<Client> {
    let mut clients = Vec::new();
    for _ in 0..count {
        clients.push(Client::new([127, 0, 0, 1].into(), address).await);
    }
    clients
}

async fn slots_of(clients: &mut [Client]) -> Vec<u64> {
    let mut slots = Vec::new();
    for client in clients {
        slots.push(client.ask().await.slot);
    }
    slots
}

fn queue(status: &StatusReport, slot: u32) -> SocketQueue {
    let mut its = sockets(status).iter();
    let its = its.find(|socket| socket.slot.is_some_and(|own| own.0 == slot));
    its.and_then(|its| its.queue).expect("the kernel tells")
}

#[tokio::test]
async fn flows_keep_to_their_slots_and_are_spread_evenly() {
    let fleet = answering(&dns(8, "slot"), 8).await;
    chosen(&fleet, &[0, 1, 2, 3, 4, 5, 6, 7]).await;
    let mut clients = clients(400, address(&fleet).await).await;
    let slots = slots_of(&mut clients).await;
    assert_eq!(slots_of(&mut clients).await, slots);
    let mut counts = BTreeMap::<u64, usize>::new();
    for slot in &slots {
        *counts.entry(*slot).or_default() += 1;
    }
    // By chance: 50 each, give or take 7.
    assert_eq!(counts.len(), 8, "{counts:?}");
    assert!(counts.values().all(|some| *some < 90), "{counts:?}");
    let status = fleet.status().await;
    for slot in 0..8 {
        let share = share(&status, slot).expect("its share");
        assert_eq!((share.buckets, &share.left_out), (Some(32), &None));
        let queue = queue(&status, slot);
        assert!(queue.room > 0 && queue.dropped == 0, "{queue:?}");
    }
    assert!(sockets(&status).iter().all(|socket| socket.mode == "slot"));
    let table = fleet.ostler(["sockets"]).success().await.stdout;
    assert_eq!(table.matches("  32 buckets").count(), 8, "{table}");
}

#[tokio::test]
async fn clients_keep_to_the_slot_of_their_address() {
    let fleet = answering(&dns(3, "sticky"), 3).await;
    let address = address(&fleet).await;
    let mut slots = BTreeMap::new();
    let mut ask_all = async || {
        for n in 1..=40 {
            for _ in 0..2 {
                let mut client = Client::new([127, 0, n, n].into(), address).await;
                let slot = client.ask().await.slot;
                assert_eq!(*slots.entry(n).or_insert(slot), slot, "{n}");
            }
        }
    };
    ask_all().await;
    signal(&fleet.worker("web", 1).await, Signal::KILL);
    ask_all().await;
    fleet.until_ready(3).await;
    fleet.ostler(["reload"]).success().await;
    ask_all().await;
    let all: BTreeSet<u64> = slots.into_values().collect();
    assert_eq!(all.len(), 3);
}

#[tokio::test]
async fn both_families_come_to_an_address_of_ipv6() {
    for mode in ["slot", "sticky"] {
        let fleet = answering(&dns_at("[::]:0", 2, mode), 2).await;
        let port = address(&fleet).await.port();
        let mut slots = BTreeSet::new();
        for host in [
            IpAddr::from([127, 0, 0, 1]),
            "::1".parse().expect("an address"),
        ] {
            for _ in 0..20 {
                let mut client = Client::new(host, SocketAddr::new(host, port)).await;
                slots.insert(client.ask().await.slot);
            }
        }
        assert!(mode == "sticky" || slots.len() == 2, "{slots:?}");
    }
}

/// Its socket is descriptor 3, and nobody tells it more.
#[tokio::test]
async fn workers_that_know_nothing_have_datagrams() {
    let socket = json!({"address": "udp:127.0.0.1:0", "mode": "slot"});
    let app = ostler_tests::habit!("web", "notify 0 answer-datagrams");
    let app = settled(app, 3, "slot").set("listen", json!({ "dns": socket }));
    let fleet = ready(&app, 3).await;
    chosen(&fleet, &[0, 1, 2]).await;
    let address = address(&fleet).await;
    let mut pids = BTreeSet::new();
    for _ in 0..60 {
        let client = UdpSocket::bind("127.0.0.1:0").await.expect("bound");
        client.send_to(b"?", address).await.expect("sent");
        let mut bytes = [0; 16];
        let answer = deadline("an answer", PATIENCE, client.recv(&mut bytes)).await;
        let pid = std::str::from_utf8(&bytes[..answer.expect("read")]);
        pids.insert(pid.expect("a number").parse::<u32>().expect("a pid"));
    }
    let workers = fleet.until_ready(3).await;
    let expected: BTreeSet<u32> = workers.iter().filter_map(|worker| worker.pid).collect();
    assert_eq!(pids, expected);
}

async fn updates_lose_nothing(app: &App) -> Load {
    let fleet = answering(app, 3).await;
    let load = Load::start(12, address(&fleet).await).await;
    load.goes_on().await;
    for _ in 0..3 {
        fleet.ostler(["reload"]).success().await;
        load.goes_on().await;
    }
    load.stop().await
}

/// There is a ready worker in each slot all the time: so all flows stay where they are.
#[tokio::test]
async fn updates_lose_nothing_and_move_no_flow() {
    for mode in ["slot", "sticky"] {
        let load = updates_lose_nothing(&dns(3, mode)).await;
        assert_eq!((load.lost(), load.moved()), (0, 0), "{mode}: {load:?}");
    }
}

/// Each slot has no worker for a moment: its socket waits.
#[tokio::test]
async fn updates_that_stop_each_worker_first_lose_nothing() {
    for mode in ["slot", "sticky"] {
        let load = updates_lose_nothing(&dns(3, mode).set("strategy", "replace")).await;
        assert_eq!(load.lost(), 0, "{mode}: {load:?}");
    }
}

#[tokio::test]
async fn resizing_loses_nothing() {
    for mode in ["slot", "sticky"] {
        let fleet = answering(&dns(2, mode), 2).await;
        let load = Load::start(12, address(&fleet).await).await;
        for size in [4_usize, 2, 5, 1, 3] {
            fleet.ostler(["scale", &size.to_string()]).success().await;
            load.goes_on().await;
            let so = move |status: &StatusReport| sockets(status).len() == size;
            fleet.until("as many sockets as workers", so).await;
        }
        let load = load.stop().await;
        assert_eq!(load.lost(), 0, "{mode}: {load:?}");
    }
}

#[tokio::test]
async fn stopping_one_slot_loses_nothing() {
    for mode in ["slot", "sticky"] {
        let fleet = answering(&dns(3, mode), 3).await;
        let load = Load::start(12, address(&fleet).await).await;
        for slot in [1, 0, 2] {
            let which = format!("web:{slot}");
            fleet.ostler(["stop", &which]).success().await;
            load.goes_on().await;
            fleet.ostler(["start", &which]).success().await;
        }
        let load = load.stop().await;
        assert_eq!(load.lost(), 0, "{mode}: {load:?}");
    }
}

#[tokio::test]
async fn a_changed_file_has_flows_told_apart_otherwise() {
    let fleet = answering(&dns(3, "slot"), 3).await;
    let mut clients = clients(40, address(&fleet).await).await;
    for (mode, slots) in [("sticky", 1), ("slot", 3)] {
        fleet.rewrite(&[dns(3, mode)]);
        fleet.ostler(["reload", "--config"]).success().await;
        let so = |status: &StatusReport| sockets(status).iter().all(|it| it.mode == mode);
        fleet.until("it to be spread so", so).await;
        let had: BTreeSet<u64> = slots_of(&mut clients).await.into_iter().collect();
        assert_eq!(had.len(), slots, "{mode}");
    }
}
