//! Updates that go well.

use super::*;

#[tokio::test]
async fn reload_replaces_every_worker_one_by_one() {
    let (master, mut tail) = running(web(4), GOOD).await;
    let before = master.pids("web").await;
    master
        .ostler(["reload", "--reason", "deploy 7"])
        .success()
        .await;
    let after = master.pids("web").await;
    assert_eq!(
        after.keys().collect::<Vec<_>>(),
        [&0, &1, &2, &3],
        "the same slots"
    );
    assert!(
        before
            .values()
            .all(|pid| !after.values().any(|new| new == pid))
    );
    tail.settle(&master).await;
    let mut taken = steps(&tail);
    taken.retain(|step| !step.starts_with("Drained"));
    let in_turn =
        [0, 1, 2, 3].map(|n| ["Starting", "Watching", "Replaced"].map(|s| format!("{s} {n}")));
    assert_eq!(taken, in_turn.concat());
    let started = tail.all("update.started").remove(0);
    assert_eq!(
        (&started["generation"], &started["total"]),
        (&json!(2), &json!(4))
    );
    assert_eq!(started["ops"].as_array().map(Vec::len), Some(1));
    let progress = tail.all("update.progress");
    let done: Vec<_> = progress
        .iter()
        .filter(|step| step["step"] == "Replaced")
        .collect();
    assert_eq!(
        done.iter()
            .map(|step| step["done"].as_u64())
            .collect::<Vec<_>>(),
        [1, 2, 3, 4].map(Some)
    );
    assert_eq!(tail.all("update.finished")[0]["generation"], 2);
    let drained = progress.iter().filter(|step| step["step"] == "Drained");
    assert_eq!(drained.count(), 4);
}

#[tokio::test]
async fn never_fewer_ready_than_before() {
    let master = master(web(4).instances(0), GOOD).start().await;
    let mut tail = master.tail().await;
    master.ostler(["scale", "4"]).success().await;
    master.ostler(["reload"]).success().await;
    tail.settle(&master).await;
    let (most, fewest) = most_and_fewest(&tail, 4);
    assert_eq!(fewest, 4);
    assert_eq!(most, 5, "one more, and no more than that");
}

#[tokio::test]
async fn reason_is_carried_by_the_update() {
    let (mut master, mut tail) = running(web(1), GOOD).await;
    master
        .ostler(["reload", "--reason", "full moon"])
        .success()
        .await;
    assert_eq!(tail.next("update.started").await["reason"], "full moon");
    master.wait_for_log("full moon").await;
    let wish = json!({"reason": "new moon"}).to_string();
    master
        .ostler(["emit", "workerRestartNeeded", &wish])
        .success()
        .await;
    assert_eq!(tail.next("update.started").await["reason"], "new moon");
    master.wait_for_log("new moon").await;
}

#[tokio::test]
async fn canary_is_watched_longer_than_the_rest() {
    let explicit = web(2)
        .set("min_healthy", "200ms")
        .set("canary_healthy", "900ms");
    let default = web(2).set("min_healthy", "400ms");
    for (app, canary, rest) in [(explicit, 900, 200), (default, 800, 400)] {
        let (master, mut tail) = running(app, GOOD).await;
        let reload = aside(&master, &["reload"]);
        for slot in [0, 1] {
            tail.next_with("update.progress", "/step", "Watching").await;
            let replaced = tail.next_with("update.progress", "/step", "Replaced").await;
            assert_eq!(replaced["slot"], slot);
        }
        output(reload).await;
        let took = tail.next("update.finished").await["took_ms"].as_u64();
        assert!(took.map(u128::from) >= Some(canary + rest), "{took:?}");
    }
}

#[tokio::test]
async fn assumed_readiness_is_watched_longer() {
    let app = App::new("web", ["sleep", "600"])
        .instances(2)
        .set("canary_healthy", "0s");
    let (master, mut tail) = running(app, "").await;
    master
        .ostler(["reload"])
        .within(PATIENCE * 2)
        .success()
        .await;
    let took = tail.next("update.finished").await["took_ms"].as_u64();
    // Each is taken to be ready after 1 s; the second is then watched for 5 s.
    assert!(took >= Some(7000), "{took:?}");
}

#[tokio::test]
async fn old_worker_drains_beside_its_successor() {
    let (master, mut tail) = running(web(1), GOOD).await;
    let slow = Target::new(master.address("web").await, "/slow/2500").expect("a target");
    let plan = Plan::new(slow).connections(1).requests(1);
    let load = ostler_tests::load::Load::start(plan.timeout(PATIENCE).by_field("generation"));
    let load = load.expect("a load");
    // Its one request has been accepted when another one that came later is answered.
    drop(master.load("web").await.stop().await);
    let reload = aside(&master, &["reload"]);
    tail.next("worker.draining").await;
    let workers = master.workers("web").await;
    let shown: Vec<_> = workers
        .iter()
        .map(|w| (w["slot"].clone(), w["current"].clone()))
        .collect();
    assert_eq!(shown.len(), 2, "{workers:#?}");
    assert!(shown.contains(&(json!(0), json!(true))) && shown.contains(&(json!(0), json!(false))));
    let tally = load.finish().await;
    assert_eq!(
        (tally.answered, tally.by.get("1")),
        (1, Some(&1)),
        "{tally}"
    );
    assert_eq!(output(reload).await.exit, Exit::Code(0));
}

#[tokio::test]
async fn at_most_max_draining_drain_at_once() {
    let slow =
        "trap 'sleep 0.6; exit 0' TERM; \"$MISBEHAVE\" say READY=1; while :; do sleep 0.05; done";
    let (master, mut tail) = running(web(6), slow).await;
    master.ostler(["reload"]).success().await;
    tail.settle(&master).await;
    let (mut draining, mut most) = (0, 0);
    for step in tail.story("web", &["draining", "exited"]) {
        draining += if step.starts_with("draining") { 1 } else { -1 };
        most = most.max(draining);
    }
    assert_eq!(
        most, 2,
        "the update goes on meanwhile, but not further than that"
    );
}

#[tokio::test]
async fn old_worker_that_will_not_go_is_killed() {
    let stubborn = "trap '' TERM; \"$MISBEHAVE\" say READY=1; while :; do sleep 0.05; done";
    let app = web(2).set("kill_ladder", json!(["TERM:200ms", "KILL"]));
    let (master, mut tail) = running(app, stubborn).await;
    master.ostler(["reload"]).success().await;
    for _ in 0..2 {
        let exited = tail.next("worker.exited").await;
        assert_eq!(exited["status"], json!({"Signal": "SIGKILL"}));
        assert_eq!(exited["voluntary"], true);
    }
}
