//! Starts that hang before the worker's first instruction, as where its program is on a disk that doesn't answer.

use std::cell::Cell;

use ostler_tests::harness::{PrivateDir, SlowDisk};

use super::*;

/// A program that can't be run for now, and an app `web` of it, without workers so far.
fn slow() -> (PrivateDir, SlowDisk, App) {
    let dir = PrivateDir::new();
    let program = dir.at("program");
    let disk = SlowDisk::with(env!("CARGO_BIN_EXE_misbehave"), &program);
    let program = program.to_str().expect("text");
    let app = App::new("web", [program, "notify", "0"]).instances(0);
    (dir, disk, app.unwatched())
}

/// A start that hangs.
struct Hanging {
    master: Master,
    /// `None` once it answers.
    disk: Cell<Option<SlowDisk>>,
    asked: Instant,
    _program: PrivateDir,
}

impl Hanging {
    async fn begin() -> Self {
        let (program, disk, app) = slow();
        let app = app.set("after_exit", "touch cleaned");
        let (master, _tail) = started(&[app, web("api")]).await;
        master.settled("api", "running").await;
        let scale = ["scale", "web", "1", "--no-wait"];
        master.ostler(scale).success().await;
        let begun = &master.workers("web").await[0];
        assert_eq!(
            (&begun["state"], &begun["pid"]),
            (&json!("starting"), &Value::Null)
        );
        master.shim().await;
        Self {
            master,
            disk: Cell::new(Some(disk)),
            asked: Instant::now(),
            _program: program,
        }
    }

    /// Looks that it was not waited for, and that what comes next is as always.
    async fn called_off(self) {
        assert!(
            self.asked.elapsed() < Duration::from_secs(20),
            "{:?}",
            self.asked
        );
        assert!(
            self.master.dir().at("cleaned").exists(),
            "its after_exit has run"
        );
        end(self.master).await;
    }
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_start_that_hangs() {
    let hanging = Hanging::begin().await;
    let master = &hanging.master;
    let mut tail = master.tail().await;
    master.ostler(["stop", "web"]).success().await;
    let exited = tail.next("worker.exited").await;
    assert_eq!(why(&exited), "it was told to go before it began");
    assert_eq!(exited["voluntary"], true);
    drop(hanging.disk.take());
    master.ostler(["start", "web"]).success().await;
    assert_eq!(master.pids("web").await.len(), 1);
    hanging.called_off().await;
}

#[tokio::test]
async fn what_was_never_started_is_not_let_go_of() {
    let hanging = Hanging::begin().await;
    let delete = ["delete", "web", "--keep-running"];
    hanging.master.ostler(delete).success().await;
    assert_eq!(
        hanging.master.status().await["apps"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );
    hanging.called_off().await;
}

#[tokio::test]
async fn the_end_of_the_master_does_not_wait_either() {
    for signal in [Signal::TERM, Signal::QUIT] {
        let mut hanging = Hanging::begin().await;
        hanging.master.end(signal).await;
        assert!(hanging.asked.elapsed() < Duration::from_secs(20));
        hanging.master.assert_nothing_left().await;
    }
}

#[tokio::test]
async fn one_that_is_killed_half_way_is_told_and_tried_again() {
    let (_program, disk, app) = slow();
    let app = app.set("backoff", json!({"first": "50ms", "max": "50ms"}));
    let (master, mut tail) = started(&[app]).await;
    master.ostler(["scale", "1", "--no-wait"]).success().await;
    let shim = master.shim().await;
    let shown = master.workers("web").await.remove(0);
    assert_eq!(shown["state"], "starting", "{shown:#}");
    master.signal(shim, Signal::KILL);
    let exited = tail.next("worker.exited").await;
    assert_eq!(exited["status"], json!({"Signal": "SIGKILL"}));
    drop(disk);
    tail.next_with("worker.ready", "/worker/slot", 0).await;
    master.settled("web", "running").await;
    end(master).await;
}

#[tokio::test]
async fn one_that_hangs_holds_up_nobody_else_and_a_stop_wins_over_it() {
    let (_program, _disk, app) = slow();
    let (master, mut tail) = started(&[app, web("api")]).await;
    master.settled("api", "running").await;
    tail.settle(&master).await;
    master
        .ostler(["scale", "web", "1", "--no-wait"])
        .success()
        .await;
    master.shim().await;
    master.ostler(["reload", "api"]).success().await;
    let stop = master.ostler(["stop", "web"]).start();
    tail.next_with("worker.exited", "/worker/app", "web").await;
    assert_eq!(stop.wait(PATIENCE).await, Exit::Code(0));
    assert_eq!(master.app("web").await["state"], "stopped");
    assert_eq!(master.pids("web").await.len(), 0);
    end(master).await;
}
