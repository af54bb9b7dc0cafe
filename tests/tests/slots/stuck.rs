//! Workers that don't get to what waits for them.

use std::time::{Duration, Instant};

use ostler_bus::vocab::update::AppFailed;
use ostler_tests::harness::while_all_are_dead_clients_wait;

use super::*;

/// Taking turns, or by chance, all clients would soon wait for it.
#[tokio::test]
async fn one_that_stands_still_is_left_out_until_it_goes_on() {
    let fleet = ready(&web(4, "slot"), 4).await;
    chosen(&fleet, &[0, 1, 2, 3]).await;
    let address = fleet.address().await;
    let load = fleet.load_with(to(address, "/").connections(16)).await;
    load.answers(100, PATIENCE).await.expect("answers");
    let stopped = fleet.worker("web", 2).await;
    stop(&stopped).await;
    let out = |status: &StatusReport| left_out(status, 2) == Some("its queue is long");
    fleet.until("it to be left out", out).await;
    load.answers(1_000, PATIENCE).await.expect("answers");
    let status = fleet.status().await;
    assert!(waiting(&status, 2) < 16, "{:?}", sockets(&status));
    signal(&stopped, Signal::CONT);
    chosen(&fleet, &[0, 1, 2, 3]).await;
    load.answers(100, PATIENCE).await.expect("answers");
    let tally = load.stop().await;
    assert_eq!(tally.lost(), 0, "{tally}");
    let status = fleet.status().await;
    let share = share(&status, 2).expect("its share");
    assert!(share.times_long > 0 && share.longest > 1, "{share:?}");
}

/// A worker that stands still 20 ms at every request.
#[tokio::test]
async fn one_that_stalls_does_not_hold_up_the_others() {
    let fleet = ready(&sdk(4, "slot"), 4).await;
    chosen(&fleet, &[0, 1, 2, 3]).await;
    let plan = to(fleet.address().await, "/stall/0/20")
        .connections(16)
        .by_field("slot");
    let tally = fleet.load_with(plan.requests(2_000)).await.finish().await;
    assert_eq!(tally.lost(), 0, "{tally}");
    // By chance it would be a quarter.
    let by_it = tally.by.get("0").copied().unwrap_or(0);
    assert!(
        by_it < 360,
        "{by_it} waited for the one that stalls: {tally}"
    );
}

#[tokio::test]
async fn an_app_that_nobody_connects_to_costs_no_wake_ups() {
    for mode in ["slot", "sticky"] {
        let fleet = ready(&web(3, mode), 3).await;
        let load = fleet.load_with(to(fleet.address().await, "/").requests(200));
        assert_eq!(load.await.finish().await.lost(), 0);
        falls_asleep(fleet.process.id(), "slots").await;
        // Also while connections wait where nobody takes them.
        let stopped = fleet.worker("web", 0).await;
        stop(&stopped).await;
        let address = fleet.address().await;
        let mut answers = Vec::new();
        for client in 0..24 {
            answers.push(knock_from([127, 0, 3, client], address).await);
        }
        falls_asleep(fleet.process.id(), "slots").await;
        signal(&stopped, Signal::CONT);
        answered(answers).await;
    }
}

#[tokio::test]
async fn while_every_worker_is_down_connections_wait() {
    for mode in ["slot", "sticky"] {
        let app = web(2, mode).set("backoff", json!({"first": "2s", "max": "2s"}));
        let fleet = ready(&app, 2).await;
        let plan = to(fleet.address().await, "/");
        while_all_are_dead_clients_wait(&fleet, plan).await;
    }
}

/// A failed slot rests for five minutes; nobody should wait that long.
#[tokio::test]
async fn a_failed_slot_is_tried_again_while_connections_wait_there() {
    let app = web(1, "sticky")
        .set("command", json!(["sh", "worker.sh"]))
        .set("env", json!({"MISBEHAVE": env!("CARGO_BIN_EXE_misbehave")}))
        .set("max_restarts", 2)
        .set("backoff", json!({"first": "10ms", "max": "300ms"}));
    let good = "exec \"$MISBEHAVE\" notify 0 http version";
    let fleet = Fleet::ready(master(&app).with("worker.sh", good), 1).await;
    let address = fleet.address().await;
    fleet.dir().write("worker.sh", "sleep 0.1; exit 3");
    let worker = fleet.worker("web", 0).await;
    stop(&worker).await;
    let answers = vec![knock(address).await, knock(address).await];
    signal(&worker, Signal::KILL);
    fleet
        .logged("clients wait for it, so it is tried again in 300ms")
        .await;
    fleet.dir().write("worker.sh", good);
    answered(answers).await;
}

/// Whose slots have failed, and are tried by nobody but for clients.
async fn failed(slots: u32, mode: &str) -> Fleet {
    let app = web(slots, mode)
        .set("command", json!(["sh", "worker.sh"]))
        .set("env", json!({"MISBEHAVE": env!("CARGO_BIN_EXE_misbehave")}))
        .set("max_restarts", 2)
        .set("retry_failed", "never")
        .set("backoff", json!({"first": "10ms", "max": "300ms"}));
    let fleet = Fleet::start(master(&app).with("worker.sh", "exit 3")).await;
    let failed = |status: &StatusReport| {
        let mut workers = status.workers.iter();
        workers.all(|worker| worker.state == "failed")
    };
    fleet.until("all to have failed", failed).await;
    fleet
}

/// The slot is what it was before: whoever comes later is noticed.
#[tokio::test]
async fn a_failed_slot_is_tried_again_also_after_a_version_that_failed_beside_it() {
    let fleet = failed(1, "slot").await;
    fleet.ostler(["reload"]).fails_with(1).await;
    let mut fails = fleet.hear::<AppFailed>().await;
    let answer = knock(fleet.address().await).await;
    fails.next().await;
    drop(answer);
}

/// Nobody waits when they fail: clients come later. As long as somebody waits they are tried, and no more often than is right.
#[tokio::test]
async fn failed_slots_are_tried_again_once_somebody_connects() {
    for mode in ["slot", "sticky"] {
        let fleet = failed(2, mode).await;
        falls_asleep(fleet.process.id(), "slots").await;
        let mut fails = fleet.hear::<AppFailed>().await;
        let answer = knock(fleet.address().await).await;
        let slot = fails.next().await.event.slot;
        let begun = Instant::now();
        for _ in 0..2 {
            assert_eq!(
                fails.next().await.event.slot,
                slot,
                "nobody waits elsewhere"
            );
        }
        let took = begun.elapsed();
        assert!(took >= Duration::from_millis(600), "{took:?}");
        let good = "exec \"$MISBEHAVE\" notify 0 http version";
        fleet.dir().write("worker.sh", good);
        assert_eq!(answered(vec![answer]).await, [u64::from(slot.0)]);
    }
}
