//! A port for each slot: under load, and what becomes of clients when a slot goes.

use ostler_bus::vocab::update::ConnectionsLost;
use ostler_tests::{
    harness::{Fleet, stand_still},
    load::{Load, Plan},
};

use super::*;

fn own_ports(base: u16) -> App {
    let http = json!({"address": at(base).to_string(), "per_slot": true});
    web().set("listen", json!({ "http": http })).instances(2)
}

#[tokio::test]
async fn updates_lose_nothing_at_any_of_the_ports() {
    let base = free_ports(HOST.into(), 2);
    let master = running(&[own_ports(base)], &["web"]).await;
    let loads = [base, base + 1].map(|port| {
        let plan = Plan::to(at(port)).timeout(PATIENCE).by_field("version");
        Load::start(plan).expect("a plan that can be run")
    });
    for version in 2..=4 {
        master.dir().write("version", &version.to_string());
        master.ostler(["reload"]).success().await;
        for load in &loads {
            load.answers(40, PATIENCE).await.expect("answers");
        }
    }
    for load in loads {
        let tally = load.stop().await;
        assert_eq!((tally.lost(), &tally.fault), (0, &None), "{tally}");
        assert!(tally.by.contains_key("4"), "{tally}");
    }
}

#[tokio::test]
async fn what_waits_at_a_port_that_goes_is_counted_and_told() {
    let base = free_ports(HOST.into(), 2);
    // Any other signal would wake it.
    let app = own_ports(base).set("kill_ladder", json!(["KILL"]));
    let fleet = Fleet::of(running(&[app], &["web"]).await).await;
    let mut lost = fleet.hear::<ConnectionsLost>().await;
    let stopped = fleet.worker("web", 1).await;
    stand_still(stopped.pid.expect("a living worker")).await;
    let _clients = [(); 3].map(|()| TcpStream::connect(at(base + 1)).expect("connected"));
    fleet.ostler(["scale", "1"]).success().await;
    let told = lost.next().await.event;
    assert_eq!((told.app.as_str(), told.slot.0), ("web", 1));
    assert_eq!((told.socket.as_str(), told.connections), ("http", 3));
    fleet
        .logged("web.1: 3 connections waited at its socket \"http\"")
        .await;
    eventually("the port to be free", PATIENCE, || refused(base + 1)).await;
    assert!(Web::get(at(base), "/").await["pid"].is_u64());
}
