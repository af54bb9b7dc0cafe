//! Drains of workers that speak HTTP/1.1, HTTP/2 and WebSocket, in every mode of sharing a port: nothing is lost, everybody
//! is told to go, and what is left is shown.

mod before_stop;
mod h2;
mod held;
mod ws;

use std::net::SocketAddr;

use ostler_bus::vocab::worker::{ExitStatus, WorkerExited};
use ostler_tests::{
    harness::{App, Fleet, PATIENCE},
    load::{Load, Plan},
    ostler,
};
use serde_json::json;
use tokio::sync::watch;

/// The SDK's example.
fn chat(instances: u32, mode: &str) -> App {
    let socket = json!({"address": "127.0.0.1:0", "mode": mode});
    App::new("chat", [env!("CARGO_BIN_EXE_example_websocket")])
        .instances(instances)
        .set("listen", json!({ "http": socket }))
        .unwatched()
}

async fn ready(app: App, workers: usize) -> Fleet {
    Fleet::ready(ostler!().with("version", "1").apps(&[app]), workers).await
}

/// Three updates under everything that clients do.
async fn updates_lose_nothing(mode: &str) {
    const UPDATES: u64 = 3;
    let fleet = ready(chat(2, mode), 2).await;
    let mut exits = fleet.hear::<WorkerExited>().await;
    let address = fleet.address().await;
    let (stop, stopped) = watch::channel(false);
    let over_h2 = h2::clients(address, &stopped);
    let sockets = ws::clients(address, &stopped);
    let kept = Plan::to(address).keep_alive().contains("slot");
    let kept = Load::start(kept).expect("a plan that can be run");
    for _ in 0..UPDATES {
        kept.answers(100, PATIENCE).await.expect("answers");
        h2::answers(&over_h2, 100).await;
        ws::all_talk(&sockets).await;
        fleet.ostler(["reload"]).success().await;
    }
    ws::all_talk(&sockets).await;
    stop.send_replace(true);
    let kept = kept.stop().await;
    assert_eq!((kept.lost(), &kept.fault), (0, &None), "{kept}");
    h2::end(over_h2).await;
    let closed = ws::end(sockets).await;
    assert!(closed >= UPDATES, "each update closes some: {closed}");
    for _ in 0..2 * UPDATES {
        let exited = exits.next().await.event;
        assert_eq!(exited.status, ExitStatus::Code(0), "{exited:?}");
        assert_eq!(exited.held, Some(0), "it had finished: {exited:?}");
        assert_eq!(exited.held_requests, Some(0), "{exited:?}");
    }
}

#[tokio::test]
async fn updates_lose_nothing_where_workers_share_a_socket() {
    updates_lose_nothing("shared").await;
}

#[tokio::test]
async fn updates_lose_nothing_where_the_master_hands_over() {
    updates_lose_nothing("balanced").await;
}

#[tokio::test]
async fn updates_lose_nothing_where_slots_have_sockets() {
    updates_lose_nothing("slot").await;
}

#[tokio::test]
async fn updates_lose_nothing_where_clients_stick_to_a_slot() {
    updates_lose_nothing("sticky").await;
}

async fn connect(address: SocketAddr) -> tokio::net::TcpStream {
    let connected = tokio::net::TcpStream::connect(address);
    let connected = ostler_tests::harness::deadline("a connection", PATIENCE, connected).await;
    connected.expect("a server that listens")
}
