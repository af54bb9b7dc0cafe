//! As long as somebody has it, or somebody comes who may: not longer.

use std::time::Instant;

use ostler_bus::vocab::worker::WorkerExited;
use ostler_tests::{harness::Web, load::Plan};
use rustix::process::Signal;

use super::*;

/// Workers as their authors would write them, that ask for their socket.
fn served(instances: u32) -> App {
    App::new("web", [env!("CARGO_BIN_EXE_sdk_worker"), "version"])
        .instances(instances)
        .unwatched()
}

async fn serving(app: &App, instances: usize) -> Fleet {
    let builder = ostler!().with("version", "v1").with("at", "127.0.0.1:0");
    Fleet::ready(builder.apps(std::slice::from_ref(app)), instances).await
}

#[tokio::test]
async fn the_last_one_that_closes_it_frees_the_port() {
    let fleet = askers(2).await;
    let (one, address) = opens(&fleet, 0, "listen 127.0.0.1:0").await;
    let (other, _) = opens(&fleet, 1, "listen 127.0.0.1:0").await;
    tell(&fleet, 0, &format!("close {one}")).await;
    assert!(!is_free(&address));
    tell(&fleet, 1, &format!("close {other}")).await;
    until_asked(&fleet, 0).await;
    assert!(is_free(&address));
    opens(&fleet, 1, &format!("listen {address}")).await;
}

#[tokio::test]
async fn a_stopped_app_frees_its_ports_and_what_it_asked_for_is_bound_anew() {
    let fleet = serving(&served(2), 2).await;
    let address = fleet.address().await.to_string();
    fleet.ostler(["stop"]).success().await;
    until_asked(&fleet, 0).await;
    assert!(is_free(&address));
    fleet.ostler(["start"]).success().await;
    fleet.until_ready(2).await;
    let again = fleet.address().await;
    assert!(!Web::get(again, "/").await["pid"].is_null());
}

async fn updates_lose_nothing(app: App, instances: usize) {
    let fleet = serving(&app, instances).await;
    let address = fleet.address().await;
    for plan in [Plan::to(address), Plan::to(address).keep_alive()] {
        let plan = plan.by_field("version").timeout(PATIENCE).connections(3);
        let load = fleet.load_with(plan).await;
        for version in ["v2", "v3"] {
            fleet.dir().write("version", version);
            fleet.ostler(["reload"]).success().await;
            load.answers(50, PATIENCE).await.expect("answers");
        }
        let tally = load.stop().await;
        assert_eq!((tally.lost(), &tally.fault), (0, &None), "{tally}");
        fleet.dir().write("version", "v1");
    }
    assert_eq!(fleet.address().await, address);
    let status = fleet.until_ready(instances).await;
    assert_eq!(status.len(), instances);
}

#[tokio::test]
async fn a_rolling_update_loses_nothing() {
    updates_lose_nothing(served(3), 3).await;
}

/// There is a time without a worker: whoever connects waits.
#[tokio::test]
async fn an_update_that_stops_first_loses_nothing_either() {
    updates_lose_nothing(served(1).set("strategy", "replace"), 1).await;
}

#[tokio::test]
async fn while_the_only_worker_is_dead_clients_wait_and_the_port_is_the_same() {
    let app = served(1).set(
        "backoff",
        serde_json::json!({"first": "700ms", "max": "700ms"}),
    );
    let fleet = serving(&app.set("min_uptime", "60s"), 1).await;
    let address = fleet.address().await;
    let mut exits = fleet.hear::<WorkerExited>().await;
    let dead = u64::from(fleet.worker("web", 0).await.pid.expect("a worker"));
    fleet.signal(dead, Signal::KILL);
    exits.next().await;
    let begun = Instant::now();
    let answer = Web::get(address, "/").await;
    assert_ne!(answer["pid"], dead);
    assert!(begun.elapsed() > MOMENT, "there was nobody for a while");
    assert_eq!(fleet.address().await, address);
}

#[tokio::test]
async fn a_worker_that_no_longer_wants_it_lets_it_go_by_being_ready_without_it() {
    let app = served(1);
    let fleet = serving(&app, 1).await;
    let address = fleet.address().await.to_string();
    // The next one asks for another.
    let own = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    let other = own.local_addr().expect("an address").to_string();
    drop(own);
    fleet.dir().write("at", &other);
    let worker = u64::from(fleet.worker("web", 0).await.pid.expect("a worker"));
    fleet.signal(worker, Signal::KILL);
    let moved = |status: &StatusReport| {
        let sockets: Vec<&str> = asked(status).iter().map(|it| it.address.as_str()).collect();
        sockets == [other.as_str()]
    };
    fleet.until("the old socket to be closed", moved).await;
    assert!(is_free(&address));
}
