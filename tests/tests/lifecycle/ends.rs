//! How workers end, and what is told of it.

use super::*;

#[tokio::test]
async fn the_end_of_a_worker_is_noticed_through_a_flood_of_notifications() {
    let app = habit!("web", "flood-notify 300").instances(1);
    let mut master = ostler!().apps(&[app]).start().await;
    master.wait_for_log("exited with code 3").await;
}

#[tokio::test]
async fn events_of_a_life_come_in_order() {
    let (master, mut tail) = started(&[talker("web", "wait").instances(0)]).await;
    master.ostler(["scale", "1"]).success().await;
    master.ostler(["stop"]).success().await;
    tail.settle(&master).await;
    let stages = [
        "spawned",
        "online",
        "ready",
        "draining",
        "disconnected",
        "exited",
    ];
    assert_eq!(
        tail.story("web", &stages),
        stages.map(|stage| format!("{stage} 0"))
    );
    let whom = stages.map(|stage| tail.all(&format!("worker.{stage}"))[0]["worker"].take());
    assert!(whom.iter().all(|worker| *worker == whom[0]), "{whom:#?}");
    assert!(whom[0]["pid"].is_u64());
}

/// A program that has said hello on the bus is told there to go; this one never listens, like one that is just starting.
#[tokio::test]
async fn worker_that_does_not_hear_its_drain_gets_the_signal() {
    let hello = r#"{"magic":"ostler","proto":[1,1],"codecs":["json"],"kind":"worker"}"#;
    let length = hello.len() + 2;
    let script = format!(
        r#"printf '\000\000\000\{length:03o}\001\000%s' '{hello}' >&$OSTLER_BUS_FD; exec sleep 60"#
    );
    let deaf = App::new("deaf", ["sh", "-c", &script])
        .set("kill_ladder", json!(["TERM:50s", "KILL"]))
        .instances(0);
    let (master, mut tail) = started(&[deaf]).await;
    master.ostler(["scale", "1", "--no-wait"]).success().await;
    tail.next("worker.online").await;
    master.ostler(["stop"]).success().await;
    let exited = tail.next("worker.exited").await;
    assert_eq!(exited["status"], json!({"Signal": "SIGTERM"}));
}

#[tokio::test]
async fn killed_worker_is_replaced_in_its_slot_with_a_new_id() {
    let (master, mut tail) = started(&[habit!("web", "notify 0").instances(3)]).await;
    master.settled("web", "running").await;
    tail.settle(&master).await;
    let (before, entry) = (
        master.pids("web").await,
        master.workers("web").await[1].clone(),
    );
    master.signal(before[&1], Signal::KILL);
    let exited = tail.next("worker.exited").await;
    assert_eq!(exited["status"], json!({"Signal": "SIGKILL"}));
    assert_eq!(
        (&exited["voluntary"], &exited["was_ready"]),
        (&json!(false), &json!(true))
    );
    let ready = tail.next_with("worker.ready", "/worker/slot", 1).await;
    assert!(ready["worker"]["id"].as_u64() > entry["id"].as_u64());
    let after = master.pids("web").await;
    assert_ne!(after[&1], before[&1]);
    assert_eq!((after[&0], after[&2]), (before[&0], before[&2]));
    assert_eq!(master.workers("web").await[1]["restarts"], 1);
}

#[tokio::test]
async fn exit_0_that_nobody_asked_for_is_replaced() {
    let (_master, mut tail) = started(&[habit!("web", "notify 0 exit 0 50")]).await;
    let exited = tail.next("worker.exited").await;
    assert_eq!(exited["status"], json!({"Code": 0}));
    assert_eq!(exited["voluntary"], false);
    tail.next("worker.ready").await;
}

#[tokio::test]
async fn announced_exit_is_voluntary() {
    let trapped = script(
        "trapped",
        "trap 'exit 1' TERM; echo up; while :; do sleep 0.05; done",
    );
    let (mut master, mut tail) = started(&[talker("leaver", "leave 7"), trapped]).await;
    let exited = tail
        .next_with("worker.exited", "/worker/app", "leaver")
        .await;
    assert_eq!(exited["status"], json!({"Code": 7}));
    assert_eq!(exited["voluntary"], true);
    tail.next_with("worker.ready", "/worker/app", "leaver")
        .await;
    assert_eq!(master.workers("leaver").await[0]["restarts"], 0, "no crash");
    master.process.wait_for_line("up", PATIENCE).await;
    master.ostler(["stop", "trapped"]).success().await;
    let exited = tail
        .next_with("worker.exited", "/worker/app", "trapped")
        .await;
    assert_eq!(exited["status"], json!({"Code": 1}));
    assert_eq!(exited["voluntary"], true);
}
