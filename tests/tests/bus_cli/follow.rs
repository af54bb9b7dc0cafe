//! What goes on until it is told to end goes on when its master restarts, and says so.

use ostler_tests::harness::{Exit, Fleet, Master, PATIENCE, Process};
use rustix::process::Signal;
use serde_json::{Value, json};

use super::{quiet, tail, until};

const AWAY: &str = "waiting for it to come back";

/// How often the words were said on standard error.
fn told(process: &Process, words: &str) -> usize {
    process.stderr.text().matches(words).count()
}

/// Emits until the follower shows it: it is back at its own time.
async fn emitted_until_shown(master: &Master, follower: &Process, event: Value) {
    let mut shown = follower.stdout.clone();
    let payload = event.to_string();
    let line = shown.wait_for_line(payload.as_str(), PATIENCE);
    let mut line = std::pin::pin!(line);
    loop {
        tokio::select! {
            biased;
            _shown = &mut line => return,
            _sent = master.ostler(["emit", "t", &payload]).success() => {}
        }
    }
}

#[tokio::test]
async fn a_tail_outlives_a_killed_master_and_a_stopped_one_and_says_so_once() {
    let fleet = Fleet::start(quiet()).await;
    let follower = tail(&fleet, &["t"]).await;
    let mut master = fleet.into_master();
    for (round, signal) in [Signal::KILL, Signal::TERM].into_iter().enumerate() {
        emitted_until_shown(&master, &follower, json!({"before": round})).await;
        master.end(signal).await;
        let mut said = follower.stderr.clone();
        said.wait_for_line(AWAY, PATIENCE).await;
        master.start_again().await;
        emitted_until_shown(&master, &follower, json!({"after": round})).await;
        assert_eq!(told(&follower, AWAY), round + 1, "{}", follower.output());
        // Another hub's life: nobody knows.
        assert_eq!(
            told(&follower, "the master is back: it began anew"),
            round + 1
        );
    }
    let marks = follower.stdout.text();
    let marks = marks.matches("{\"reconnected\":true,\"missed\":null}\n");
    assert_eq!(marks.count(), 2, "{}", follower.output());
    assert_eq!(follower.exit(), None);
    follower.signal(Signal::INT);
    assert_eq!(follower.wait(PATIENCE).await, Exit::Code(0));
}

#[tokio::test]
async fn a_tail_without_its_master_ends_by_ctrl_c() {
    let fleet = Fleet::start(quiet()).await;
    let follower = tail(&fleet, &["t"]).await;
    let mut master = fleet.into_master();
    master.end(Signal::TERM).await;
    let mut said = follower.stderr.clone();
    said.wait_for_line("the master has stopped; waiting", PATIENCE)
        .await;
    follower.signal(Signal::INT);
    assert_eq!(follower.wait(PATIENCE).await, Exit::Code(0));
}

#[tokio::test]
async fn a_wait_goes_on_with_the_master_that_comes() {
    let fleet = Fleet::start(quiet()).await;
    let waiting = fleet.ostler(["wait", "t", "--timeout", "60s"]).start();
    until(&fleet, "the wait", |stats| {
        let mut subs = stats.peers.iter().flat_map(|peer| &peer.subscriptions);
        subs.any(|sub| sub.pattern == "t")
    })
    .await;
    let mut master = fleet.into_master();
    master.end(Signal::KILL).await;
    master.start_again().await;
    emitted_until_shown(&master, &waiting, json!({"n": 1})).await;
    assert_eq!(waiting.wait(PATIENCE).await, Exit::Code(0));
}

#[tokio::test]
async fn a_watched_bus_is_watched_on_when_the_master_is_back() {
    let fleet = Fleet::start(quiet()).await;
    let mut watch = fleet.ostler(["bus", "--watch=100ms", "--json"]).start();
    watch.stdout.wait_for_line("{", PATIENCE).await;
    let mut master = fleet.into_master();
    master.end(Signal::KILL).await;
    watch.stderr.wait_for_line(AWAY, PATIENCE).await;
    let before = watch.stdout.all().len();
    master.start_again().await;
    let again = watch.stdout.wait_for_line("{", PATIENCE);
    again.await;
    assert!(watch.stdout.all().len() > before, "{}", watch.output());
    watch.signal(Signal::INT);
    assert_eq!(watch.wait(PATIENCE).await, Exit::Code(0));
}
