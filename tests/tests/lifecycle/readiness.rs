//! When a worker is ready, and when it has failed to start.

use super::*;

#[tokio::test]
async fn readiness_auto_assumes_a_silent_worker_and_waits_for_one_that_spoke() {
    let (master, mut tail) = started(&[
        habit!("silent", "trivial").instances(0),
        habit!("spoke", "never-ready").instances(0),
        clock("1500ms"),
    ])
    .await;
    master
        .ostler(["scale", "spoke", "1", "--no-wait"])
        .success()
        .await;
    tail.next("worker.online").await;
    master.ostler(["scale", "silent", "1"]).success().await;
    let ready = tail.next("worker.ready").await;
    assert_eq!(
        (&ready["worker"]["app"], &ready["assumed"]),
        (&json!("silent"), &json!(true))
    );
    assert!(ready["after_ms"].as_u64() >= Some(1000), "{ready:#}");
    assert_eq!(master.workers("silent").await[0]["assumed_ready"], true);
    tick(&master).await;
    assert_eq!(master.workers("spoke").await[0]["state"], "starting");
}

#[tokio::test]
async fn readiness_notify_waits_for_the_word() {
    let word = habit!("word", "notify 300")
        .set("ready", "notify")
        .instances(0);
    let (master, mut tail) = started(&[word]).await;
    master.ostler(["scale", "word", "1"]).success().await;
    let ready = tail.next("worker.ready").await;
    // It counts from its own start, the master from when it heard of that.
    assert!(ready["after_ms"].as_u64() >= Some(150), "{ready:#}");
    assert_eq!(ready["assumed"], false);
}

#[tokio::test]
async fn readiness_sdk_waits_for_the_request() {
    let (master, mut tail) = started(&[
        talker("mute", "mute").set("ready", "sdk").instances(0),
        talker("wait", "wait").set("ready", "sdk").instances(0),
        clock("1200ms"),
    ])
    .await;
    master
        .ostler(["scale", "mute", "1", "--no-wait"])
        .success()
        .await;
    tail.next_with("worker.online", "/worker/app", "mute").await;
    master.ostler(["scale", "wait", "1"]).success().await;
    tick(&master).await;
    let worker = master.workers("mute").await.remove(0);
    assert_eq!(
        (&worker["state"], &worker["connected"]),
        (&json!("starting"), &json!(true))
    );
    assert_eq!(master.workers("wait").await[0]["state"], "ready");
}

#[tokio::test]
async fn readiness_delay_counts_from_spawn() {
    let (master, mut tail) = started(&[
        habit!("lives", "notify 0")
            .set("ready", "delay(400ms)")
            .instances(0),
        habit!("dies", "exit 1 50")
            .set("ready", "delay(400ms)")
            .set("max_restarts", 1),
    ])
    .await;
    master.settled("dies", "failed").await;
    master.ostler(["scale", "lives", "1"]).success().await;
    let ready = tail.next("worker.ready").await;
    assert_eq!(ready["worker"]["app"], "lives", "the other was never ready");
    assert!(
        ready["after_ms"].as_u64() >= Some(400),
        "a word doesn't count: {ready:#}"
    );
}

#[tokio::test]
async fn start_timeout_is_a_failed_start() {
    let app = habit!("web", "hang-in-start")
        .set("ready", "notify")
        .set("start_timeout", "400ms")
        .set("max_restarts", 2)
        .instances(0);
    let (master, mut tail) = started(&[app]).await;
    master.ostler(["scale", "1"]).fails_with(1).await;
    let exited = tail.next("worker.exited").await;
    assert_eq!(
        (&exited["was_ready"], &exited["voluntary"]),
        (&json!(false), &json!(false))
    );
    assert!(exited["uptime_ms"].as_u64() >= Some(400), "{exited:#}");
    tail.next("app.failed").await;
    assert_eq!(tail.all("worker.ready"), Vec::<Value>::new());
    assert_eq!(tail.all("worker.exited").len(), 2);
}

#[tokio::test]
async fn worker_that_speaks_and_never_says_ready_is_told_of_early() {
    let mut master = ostler!().apps(&[talker("web", "mute")]).start().await;
    let line = master.wait_for_log("web.0 is not ready after 5s").await;
    assert!(line.contains("WARN"), "{line}");
    for words in ["READY=1", "the SDK's ready()", "30s in all (start_timeout)"] {
        assert!(line.contains(words), "{words}: {line}");
    }
    let worker = master.workers("web").await.remove(0);
    let awaited = worker["waits_for"].as_str().expect("words");
    assert!(
        awaited.starts_with("its word that it is ready"),
        "{awaited}"
    );
    let shown = master.ostler(["ls"]).stdout_contains("waits for its word");
    shown.success().await;
}

#[tokio::test]
async fn strangers_do_not_speak_for_a_worker() {
    let app = habit!("web", "trivial").set("ready", "notify");
    let children = "\"$MISBEHAVE\" say STATUS=child; exec \"$MISBEHAVE\" trivial";
    let own = script("own", children)
        .set("ready", "notify")
        .set("env", json!({"MISBEHAVE": env!("CARGO_BIN_EXE_misbehave")}));
    let mut master = ostler!().apps(&[app, own]).start().await;
    let id = master.workers("web").await[0]["id"].clone();
    let socket = master.home().join(format!("test/apps/web/n{id}"));
    let us = std::os::unix::net::UnixDatagram::unbound().expect("a socket");
    for _ in 0..3 {
        us.send_to(b"READY=1", &socket).expect("sent");
    }
    let line = master.wait_for_log("wrote to").await;
    assert!(
        line.contains(&format!("process {}", std::process::id())),
        "{line}"
    );
    let heard = async {
        while master.workers("own").await[0]["status_text"] != "child" {
            tokio::task::yield_now().await;
        }
    };
    ostler_tests::harness::deadline("the word of a child", PATIENCE, heard).await;
    assert_eq!(master.workers("web").await[0]["state"], "starting");
    let told = master.process.stderr.text();
    assert_eq!(told.matches("wrote to").count(), 1, "{told}");
}
