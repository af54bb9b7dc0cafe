//! What a draining worker still holds, for whoever waits for it.

use ostler_bus::vocab::{
    update::{Drainer, UpdateProgress},
    worker::WorkerExited,
};
use ostler_tests::harness::{Web, deadline};

use super::*;

#[tokio::test]
async fn what_is_left_is_shown_until_the_deadline_cuts_it() {
    let app = chat(1, "auto").set("kill_ladder", ["TERM:8s", "KILL"].as_slice());
    let fleet = ready(app, 1).await;
    let address = fleet.address().await;
    let mut progress = fleet.hear::<UpdateProgress>().await;
    let mut exits = fleet.hear::<WorkerExited>().await;
    // One that is kept and idle, three requests on one connection, and a WebSocket whose client never answers.
    let mut kept = Web::connect(address).await;
    kept.ask("/").await;
    let asks = h2::over(address).await;
    let slow = [(); 3].map(|()| {
        let mut asks = asks.clone();
        tokio::spawn(async move { h2::ask(&mut asks, "/slow/4000").await })
    });
    let _deaf = ws::open(address).await;
    let first = fleet.worker("chat", 0).await.id;
    fleet.ostler(["reload", "--no-wait"]).success().await;
    let drains = |event: &UpdateProgress| -> Option<(u64, u64)> {
        let drains = |drainer: &&Drainer| Some(drainer.worker) == first;
        let drainer = event.draining.iter().find(drains)?;
        Some((drainer.held?, drainer.held_requests?))
    };
    let all = |event: &UpdateProgress| drains(event) == Some((3, 4));
    progress.until(all).await;
    let listed = fleet.ostler(["ls"]).success().await.stdout;
    assert!(
        listed.contains("holds 3 connections, 4 requests"),
        "{listed}"
    );
    // By the lame-duck rule.
    assert_eq!(kept.closed().await, "");
    progress.until(|event| drains(event) == Some((2, 4))).await;
    for slow in slow {
        let answer = deadline("an answer", PATIENCE, slow).await;
        assert!(answer.expect("no panic").is_some(), "it is finished");
    }
    progress.until(|event| drains(event) == Some((1, 1))).await;
    let exited = exits.until(|exited| Some(exited.worker.id) == first).await;
    let exited = exited.event;
    assert_eq!(exited.status, ExitStatus::Code(0), "by itself: {exited:?}");
    assert_eq!((exited.held, exited.held_requests), (Some(1), Some(1)));
    let told = async {
        loop {
            let told = fleet.ostler(["why", "chat:0"]).success().await.stdout;
            if told.contains("it still held, as it last told: 1 connection, 1 request") {
                return;
            }
        }
    };
    deadline("the story", PATIENCE, told).await;
}
