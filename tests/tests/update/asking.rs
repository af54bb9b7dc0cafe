//! Who may ask for an update.

use super::*;

#[tokio::test]
async fn worker_asks_and_its_own_app_is_rolled() {
    let master = ostler!().apps(&[
        talker("asks", "ask-once").instances(0),
        talker("other", "wait"),
    ]);
    let master = master.start().await;
    let mut tail = master.tail().await;
    master.settled("other", "running").await;
    let other = master.pids("other").await;
    master.ostler(["scale", "asks", "1"]).success().await;
    let started = tail.next("update.started").await;
    assert_eq!(
        (&started["app"], &started["reason"]),
        (&json!("asks"), &json!("a talker asked"))
    );
    tail.next("update.finished").await;
    tail.settle(&master).await;
    assert_eq!(tail.all("update.started").len(), 1);
    assert_eq!(master.pids("other").await, other);
}

#[tokio::test]
async fn worker_asks_for_another_app_and_is_not_heard() {
    let apps = [
        talker("asks", "ask-once other").instances(0),
        talker("other", "wait"),
    ];
    let mut master = ostler!().apps(&apps).start().await;
    let mut tail = master.tail().await;
    master.ostler(["scale", "asks", "1"]).success().await;
    master.wait_for_log("may ask for its own app alone").await;
    tail.settle(&master).await;
    assert_eq!(tail.all("update.started"), Vec::<Value>::new());
}

#[tokio::test]
async fn client_asks_and_every_app_is_rolled() {
    let apps = [talker("one", "wait"), talker("two", "wait")];
    let master = ostler!().apps(&apps).start().await;
    let mut tail = master.tail().await;
    for app in ["one", "two"] {
        master.settled(app, "running").await;
    }
    master
        .ostler(["emit", "workerRestartNeeded", "{\"reason\":\"deploy\"}"])
        .success()
        .await;
    let finished = tail.next_many("update.finished", 2).await;
    assert_ne!(finished[0]["app"], finished[1]["app"]);
    assert!(
        tail.all("update.started")
            .iter()
            .all(|started| started["reason"] == "deploy")
    );
    master
        .ostler(["emit", "workerRestartNeeded", "{\"app\":\"two\"}"])
        .success()
        .await;
    assert_eq!(tail.next("update.finished").await["app"], "two");
    tail.settle(&master).await;
    assert_eq!(tail.all("update.started").len(), 3);
}

#[tokio::test]
async fn update_loop_of_workers_is_suspended() {
    let master = ostler!()
        .apps(&[talker("web", "ask-always").instances(0)])
        .start()
        .await;
    let mut tail = master.tail().await;
    master.ostler(["scale", "1"]).success().await;
    let suspended = tail.next("update.suspended").await;
    assert_eq!(suspended["app"], "web");
    master.settled("web", "running").await;
    tail.settle(&master).await;
    let updates = tail.all("update.started").len();
    assert!((3..=4).contains(&updates), "{updates} updates");
    assert_eq!(tail.all("update.finished").len(), updates);
    master.ostler(["reload"]).success().await;
}
