//! A `before_stop` that takes its time: where workers accept for themselves the old one goes on serving meanwhile, beside its
//! successor, and nothing is lost.

use ostler_bus::vocab::worker::WorkerDraining;
use ostler_tests::{habit, harness::Exit};

use super::*;

/// Two updates under load, of workers that go a second after they were to.
async fn nothing_is_lost(app: App) {
    let app = app.set(
        "before_stop",
        json!({"command": "sleep 1", "timeout": "10s"}),
    );
    let fleet = ready(app, 2).await;
    let mut draining = fleet.hear::<WorkerDraining>().await;
    let load = Plan::to(fleet.address().await).connections(8);
    let load = Load::start(load).expect("a plan that can be run");
    for _ in 0..2 {
        load.answers(100, PATIENCE).await.expect("answers");
        let update = fleet.ostler(["reload"]).start();
        draining.next().await;
        // While it runs they are answered.
        load.answers(100, PATIENCE).await.expect("answers");
        assert_eq!(update.wait(PATIENCE).await, Exit::Code(0));
    }
    let tally = load.stop().await;
    assert_eq!((tally.lost(), &tally.fault), (0, &None), "{tally}");
}

/// A program that knows nothing of Ostler.
fn silent(mode: &str) -> App {
    let socket = json!({"address": "127.0.0.1:0", "mode": mode});
    habit!("web", "notify 0 http version")
        .instances(2)
        .set("listen", json!({ "http": socket }))
        .unwatched()
}

#[tokio::test]
async fn nothing_is_lost_while_it_runs_where_workers_share_a_socket() {
    nothing_is_lost(chat(2, "shared")).await;
}

#[tokio::test]
async fn nothing_is_lost_while_it_runs_where_slots_have_sockets() {
    nothing_is_lost(chat(2, "slot")).await;
}

#[tokio::test]
async fn nothing_is_lost_while_it_runs_where_clients_stick_to_a_slot() {
    nothing_is_lost(chat(2, "sticky")).await;
}

#[tokio::test]
async fn nor_by_a_program_that_knows_nothing_of_it() {
    nothing_is_lost(silent("slot")).await;
}
