//! Workers whose bus socket breaks come back by path and token, and are who they were.

use super::*;

const TALKER: &str = env!("CARGO_BIN_EXE_talker");

async fn losing(when: &str) -> Fleet {
    let master = PROGRAMS.master().name("web").instances(1);
    Fleet::ready(master.command([TALKER, "lose-bus", when]), 1).await
}

async fn comes_back(when: &str) {
    let fleet = losing(when).await;
    fleet.said("back, missed Some(0)").await;
    let worker = fleet
        .until("the worker to be back", |status| {
            status.workers[0].connected
        })
        .await
        .workers
        .remove(0);
    assert_eq!(
        (worker.id, worker.state.as_str(), worker.restarts),
        (Some(ostler_bus::WorkerId(1)), "ready", 0)
    );
    let id = worker.id.unwrap();
    let note = |text: &str| Note::new(text, 1);
    let to_id = fleet.bus.event(&note("by id")).to_worker(id).acked();
    assert_eq!(to_id.await.unwrap(), 1);
    fleet.said("told by id").await;
    let to_slot = fleet
        .bus
        .event(&note("by slot"))
        .to_slot("web", worker.slot);
    assert_eq!(to_slot.acked().await.unwrap(), 1);
    fleet.said("told by slot").await;
    fleet.ostler(["stop", "web"]).success().await;
    fleet.said("told to drain").await;
    fleet.logged("exited with code 0").await;
}

#[tokio::test]
async fn worker_that_lost_its_socket_is_the_same_again() {
    comes_back("late").await;
}

#[tokio::test]
async fn worker_that_lost_its_socket_before_it_was_ready_says_so_when_it_is_back() {
    comes_back("early").await;
}
