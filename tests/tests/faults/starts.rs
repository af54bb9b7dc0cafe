//! Starts that hang before the worker's first instruction, as where its directory is on a disk that doesn't answer.

use super::*;

/// A master whose next worker's start hangs: its shim is stopped.
async fn hanging() -> Master {
    let app = web("web").instances(0).set("after_exit", "touch cleaned");
    let (master, _tail) = started(&[app, web("api")]).await;
    master.settled("api", "running").await;
    master.signal(master.shim().await, Signal::STOP);
    let scale = ["scale", "web", "1", "--no-wait"];
    master.ostler(scale).success().await;
    let begun = &master.workers("web").await[0];
    assert_eq!(
        (&begun["state"], &begun["pid"]),
        (&json!("starting"), &Value::Null)
    );
    master
}

/// Looks that it was not waited for, and that what comes next is as always.
async fn called_off(master: Master, asked: Instant) {
    assert!(asked.elapsed() < Duration::from_secs(20), "{asked:?}");
    assert!(
        master.dir().at("cleaned").exists(),
        "its after_exit has run"
    );
    end(master).await;
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_start_that_hangs() {
    let master = hanging().await;
    let mut tail = master.tail().await;
    let asked = Instant::now();
    master.ostler(["stop", "web"]).success().await;
    let exited = tail.next("worker.exited").await;
    assert_eq!(why(&exited), "it was told to go before it began");
    assert_eq!(exited["voluntary"], true);
    master.ostler(["start", "web"]).success().await;
    assert_eq!(master.pids("web").await.len(), 1);
    called_off(master, asked).await;
}

#[tokio::test]
async fn what_was_never_started_is_not_let_go_of() {
    let master = hanging().await;
    let asked = Instant::now();
    let delete = ["delete", "web", "--keep-running"];
    master.ostler(delete).success().await;
    assert_eq!(
        master.status().await["apps"].as_array().map(Vec::len),
        Some(1)
    );
    called_off(master, asked).await;
}

#[tokio::test]
async fn the_end_of_the_master_does_not_wait_either() {
    for signal in [Signal::TERM, Signal::QUIT] {
        let mut master = hanging().await;
        let asked = Instant::now();
        master.end(signal).await;
        assert!(asked.elapsed() < Duration::from_secs(20), "{asked:?}");
        master.assert_nothing_left().await;
    }
}
