//! What a master tells the service manager that has started it (sd_notify).

use std::{
    os::unix::net::UnixDatagram,
    path::Path,
    time::{Duration, Instant},
};

use ostler_tests::harness::{Fleet, MasterBuilder};
use rustix::process::Signal;

use super::*;

/// A service manager that hears what it is told.
struct Manager(tokio::net::UnixDatagram);

impl Manager {
    fn at(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).expect("a socket");
        socket.set_nonblocking(true).expect("set");
        Self(tokio::net::UnixDatagram::from_std(socket).expect("a runtime"))
    }

    async fn hears(&self) -> String {
        let mut bytes = [0; 1024];
        let heard = tokio::time::timeout(PATIENCE, self.0.recv(&mut bytes)).await;
        let length = heard.expect("in time").expect("a datagram");
        String::from_utf8(bytes[..length].to_vec()).expect("text")
    }

    /// The first that does not only keep up the beat, ask for time, or tell how things stand.
    async fn news(&self) -> String {
        loop {
            let heard = self.hears().await;
            let small = ["WATCHDOG=1", "EXTEND_", "STATUS="];
            if !small.iter().any(|word| heard.starts_with(word)) {
                return heard;
            }
        }
    }
}

fn managed(app: App) -> (MasterBuilder, Manager) {
    let builder = PROGRAMS.master().apps(&[app]);
    let path = builder.dir().at("notify");
    let manager = Manager::at(&path);
    (builder.env("NOTIFY_SOCKET", &path), manager)
}

#[tokio::test]
async fn a_service_manager_is_told_each_turn() {
    let late = ostler_tests::habit!("web", "notify 300").set("ready", "notify");
    let (builder, manager) = managed(late.instances(2).set("min_healthy", "0s"));
    let begun = Instant::now();
    let master = builder.spawn();
    let first = manager.news().await;
    assert!(
        begun.elapsed() >= Duration::from_millis(600),
        "one after the other"
    );
    assert_eq!(first, "READY=1\nSTATUS=1 app, 2 of 2 workers ready");

    master.ostler(["reload"]).success().await;
    let reloading = manager.news().await;
    assert!(
        reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="),
        "{reloading}"
    );
    assert!(manager.news().await.starts_with("READY=1\n"));

    master.process.signal(Signal::HUP);
    assert!(manager.news().await.starts_with("RELOADING=1\n"));
    assert!(manager.news().await.starts_with("READY=1\n"));

    master.process.signal(Signal::TERM);
    assert!(manager.news().await.starts_with("STOPPING=1\n"));
    master.process.wait(PATIENCE).await;
}

#[tokio::test]
async fn an_app_that_does_not_start_is_told_as_ready_and_workers_hear_another_manager() {
    let broken = ostler_tests::habit!("web", "exit 1");
    let (builder, manager) = managed(broken);
    let path = builder.dir().at("env.json");
    let mut master = builder.start().await;
    assert_eq!(
        manager.news().await,
        "READY=1\nSTATUS=1 app, 0 of 1 workers ready"
    );
    let words = [
        "start",
        "-n",
        "env",
        "-i",
        "1",
        "--",
        env!("CARGO_BIN_EXE_misbehave"),
        "print-env",
    ];
    master.ostler(words).arg(&path).success().await;
    let written = ostler_tests::harness::eventually("the variables", PATIENCE, || {
        let text = std::fs::read_to_string(&path).ok()?;
        serde_json::from_str::<serde_json::Value>(&text).ok()
    });
    let socket = written.await["env"]["NOTIFY_SOCKET"].clone();
    let own = master.dir().at("notify").display().to_string();
    assert!(socket.is_string() && socket != own, "{socket}");
    master.end(Signal::TERM).await;
    assert!(manager.news().await.starts_with("STOPPING=1\n"));
}

#[tokio::test]
async fn a_watchdog_is_fed_from_ready_on_and_not_by_who_is_not_meant() {
    let (builder, manager) = managed(idle("web"));
    let fleet = Fleet::start(builder.env("WATCHDOG_USEC", "200000")).await;
    assert!(manager.hears().await.starts_with("READY=1\n"));
    for _ in 0..3 {
        assert_eq!(manager.hears().await, "WATCHDOG=1");
    }
    drop(fleet);
    let (builder, manager) = managed(idle("web"));
    let builder = builder
        .env("WATCHDOG_USEC", "1000")
        .env("WATCHDOG_PID", "1");
    let mut fleet = Fleet::start(builder).await;
    assert!(manager.hears().await.starts_with("READY=1\n"));
    fleet.end(Signal::TERM).await;
    assert!(
        manager.hears().await.starts_with("STOPPING=1\n"),
        "no beat in between"
    );
}

/// Whatever changes it is told, the end of the master aside.
#[tokio::test]
async fn how_things_stand_is_told_when_it_changes() {
    let (builder, manager) = managed(idle("web"));
    let mut master = builder.start().await;
    assert!(manager.hears().await.starts_with("READY=1\n"));
    master.ostler(["scale", "web", "3"]).success().await;
    while manager.hears().await != "STATUS=1 app, 3 of 3 workers ready" {}
    master.ostler(["stop", "web"]).success().await;
    while manager.hears().await != "STATUS=1 app, 0 of 3 workers ready" {}
    master.end(Signal::TERM).await;
}

/// A drain and an update that take longer than a service manager waits by itself: more time is asked for.
#[tokio::test]
async fn time_is_asked_for_while_workers_are_replaced_and_while_they_finish() {
    const MORE: &str = "EXTEND_TIMEOUT_USEC=30000000";
    let slow = ostler_tests::habit!("web", "ignore-term").set("ready", "delay(0s)");
    let slow = slow
        .set("min_healthy", "0s")
        .set("canary_healthy", "12s")
        .set("kill_ladder", serde_json::json!(["TERM:60s", "KILL"]));
    let (builder, manager) = managed(slow);
    let master = builder.start().await;
    assert!(manager.hears().await.starts_with("READY=1\n"));
    let asked = async || loop {
        if manager.hears().await == MORE {
            return;
        }
    };
    master.ostler(["reload", "--no-wait"]).success().await;
    assert!(manager.news().await.starts_with("RELOADING=1\n"));
    asked().await;
    master.process.signal(Signal::TERM);
    while !manager.hears().await.starts_with("STOPPING=1\n") {}
    asked().await;
    // By force, as it was asked to: it is not to be started again.
    master.ostler(["kill", "--force"]).success().await;
    let exit = master.process.wait(PATIENCE).await;
    assert_eq!(exit, ostler_tests::harness::Exit::Code(5));
}
