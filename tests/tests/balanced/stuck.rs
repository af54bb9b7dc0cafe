//! What was handed to a worker that does not get to it is not lost.

use ostler_tests::harness::while_all_are_dead_clients_wait;

use super::*;

/// Two workers, the one in slot 0 stopped (as SIGSTOP stops it), and connections that have come to both.
async fn half_stopped(app: &App) -> (Fleet, WorkerStatus, Vec<JoinHandle<String>>) {
    let fleet = ready(app, 2).await;
    let address = fleet.address().await;
    taking_after(&fleet, address).await;
    let stopped = fleet.worker("web", 0).await;
    signal(&stopped, Signal::STOP);
    let mut answers = Vec::new();
    for _ in 0..6 {
        answers.push(knock(address, "/").await);
    }
    let id = stopped.id;
    let handed = move |status: &StatusReport| {
        let mut workers = balance(status).workers.iter();
        workers.any(|worker| Some(worker.id) == id && worker.handed > 0)
    };
    fleet
        .until("something handed to the stopped one", handed)
        .await;
    (fleet, stopped, answers)
}

#[tokio::test]
async fn a_worker_that_dies_loses_nothing_that_it_had_not_taken() {
    let (fleet, stopped, answers) = half_stopped(&web(2)).await;
    signal(&stopped, Signal::KILL);
    answered(answers).await;
    let again = |status: &StatusReport| balance(status).given_again > 0;
    fleet.until("it to be counted", again).await;
}

#[tokio::test]
async fn a_worker_that_drains_gives_back_what_it_had_not_taken_even_if_it_hangs() {
    let app = web(2).set("kill_ladder", json!(["TERM:5s", "KILL"]));
    let fleet = ready(&app, 2).await;
    let address = fleet.address().await;
    taking_after(&fleet, address).await;
    let stopped = fleet.worker("web", 0).await;
    // Of two that come at once one is for either worker.
    let hung = [
        knock(address, "/stall/0/10000").await,
        knock(address, "/stall/0/10000").await,
    ];
    fleet.said("stalls").await;
    let mut others = Vec::new();
    for _ in 0..6 {
        others.push(knock(address, "/").await);
    }
    let command = fleet.ostler(["reload"]).start();
    let draining = move |status: &StatusReport| {
        let old = status.workers.iter().find(|worker| worker.id == stopped.id);
        old.is_some_and(|old| old.state == "draining")
    };
    fleet.until("the stopped one to drain", draining).await;
    // Long before it is killed.
    for answer in others {
        let answer = tokio::time::timeout(Duration::from_secs(3), answer).await;
        assert!(
            answer
                .expect("at once")
                .expect("read")
                .starts_with("HTTP/1.1 200")
        );
    }
    drop((command, hung));
}

#[tokio::test]
async fn while_no_worker_has_room_connections_wait_in_the_kernel_and_the_master_sleeps() {
    let (fleet, stopped, mut answers) = half_stopped(&web(2)).await;
    let other = fleet.worker("web", 1).await;
    signal(&other, Signal::STOP);
    let address = fleet.address().await;
    for _ in 0..30 {
        answers.push(knock(address, "/").await);
    }
    let full = |status: &StatusReport| balance(status).workers.iter().all(|w| w.handed == 4);
    let status = fleet.until("both windows to be full", full).await;
    assert!(balance(&status).accepted < 30, "{:?}", balance(&status));
    falls_asleep(fleet.process.id(), "balance").await;
    signal(&other, Signal::CONT);
    signal(&stopped, Signal::CONT);
    answered(answers).await;
}

#[tokio::test]
async fn an_app_that_nobody_connects_to_costs_no_wake_ups() {
    let fleet = ready(&web(2), 2).await;
    taking_after(&fleet, fleet.address().await).await;
    falls_asleep(fleet.process.id(), "balance").await;
}

#[tokio::test]
async fn while_every_worker_is_down_connections_wait() {
    let app = web(2).set("backoff", json!({"first": "2s", "max": "2s"}));
    let fleet = ready(&app, 2).await;
    let address = fleet.address().await;
    taking_after(&fleet, address).await;
    while_all_are_dead_clients_wait(&fleet, to(address, "/")).await;
}

/// A worker that stands still 20 ms at every request: taking turns, all 16 clients would soon wait for it alone.
#[tokio::test]
async fn one_that_stalls_does_not_hold_up_the_others() {
    let fleet = ready(&web(4), 4).await;
    let address = fleet.address().await;
    taking_after(&fleet, address).await;
    let plan = to(address, "/stall/0/20").connections(16).by_field("slot");
    let tally = fleet.load_with(plan.requests(2_000)).await.finish().await;
    assert_eq!(tally.lost(), 0, "{tally}");
    // Taking turns it would be a quarter.
    let by_it = tally.by.get("0").copied().unwrap_or(0);
    assert!(
        by_it < 360,
        "{by_it} of 2000 waited for the one that stalls: {tally}"
    );
}
