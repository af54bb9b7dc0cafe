//! `signal`: to workers, to their children, to all that descend from them.

use super::*;

/// A worker with a child, that has one; each writes its name when it hears USR1.
fn family() -> App {
    let child = "trap 'echo child >> heard' USR1; sh -c \"$GRANDCHILD\" & echo up >> up; while :; do sleep 0.05; done";
    let grandchild =
        "trap 'echo grandchild >> heard' USR1; echo up >> up; while :; do sleep 0.05; done";
    let worker = "trap 'echo worker >> heard' USR1; sh -c \"$CHILD\" & echo up >> up; while :; do sleep 0.05; done";
    App::new("web", ["sh", "-c", worker])
        .set(
            "env",
            serde_json::json!({"CHILD": child, "GRANDCHILD": grandchild}),
        )
        .set("ready", "delay(0s)")
}

#[tokio::test]
async fn a_signal_by_name_reaches_each_worker_once_and_by_id_that_one_alone() {
    let counts =
        "trap 'echo $OSTLER_WORKER_ID >> heard' USR1; echo up >> up; while :; do sleep 0.05; done";
    let app = App::new("web", ["sh", "-c", counts])
        .set("ready", "delay(0s)")
        .instances(2);
    let fleet = fleet(&[app], 2).await;
    lines_of(&fleet.dir().at("up"), 2).await;
    let heard = fleet.dir().at("heard");
    fleet.ostler(["signal", "web", "USR1"]).success().await;
    lines_of(&heard, 2).await;
    fleet.ostler(["signal", "2", "USR1"]).success().await;
    let mut all = lines_of(&heard, 3).await;
    all.sort();
    assert_eq!(all, ["1", "2", "2"]);
}

#[tokio::test]
async fn a_signal_reaches_the_worker_its_children_or_all_of_them() {
    let fleet = fleet(&[family()], 1).await;
    lines_of(&fleet.dir().at("up"), 3).await;
    for (args, whose) in [
        (vec!["signal", "web", "USR1"], vec!["worker"]),
        (
            vec!["signal", "web:0", "SIGUSR1", "--children"],
            vec!["child"],
        ),
        (
            vec!["signal", "1", "10", "--tree"],
            vec!["child", "grandchild", "worker"],
        ),
    ] {
        // Their `sleep`s are family as well, and hear it too.
        let sent = fleet.ostler(args).stdout_contains("sent to ");
        sent.stdout_contains(" of 1 worker\n").success().await;
        let mut heard = lines_of(&fleet.dir().at("heard"), whose.len()).await;
        heard.sort();
        assert_eq!(heard, whose);
        std::fs::remove_file(fleet.dir().at("heard")).expect("heard");
    }
}

#[tokio::test]
async fn what_is_no_signal_is_refused_and_one_that_kills_is_a_crash() {
    let fleet = fleet(&[idle("web").set("min_uptime", "0s")], 1).await;
    fleet
        .ostler(["signal", "web", "FOO"])
        .stderr_contains("FOO")
        .fails_with(2)
        .await;
    let before = pids(&fleet, "web").await[0];
    fleet.ostler(["signal", "web", "KILL"]).success().await;
    let again = |s: &ostler_bus::vocab::status::StatusReport| {
        s.workers[0].pid.is_some_and(|pid| pid != before) && s.workers[0].restarts == 1
    };
    fleet.until("it to be started again", again).await;
    let log = fleet.process.output();
    assert!(log.contains("`ostler signal` had sent it SIGKILL"), "{log}");
    assert!(!log.contains("out of memory?"), "{log}");
    fleet.ostler(["stop"]).success().await;
    fleet
        .ostler(["signal", "web", "HUP"])
        .stderr_contains("no worker of web is running")
        .fails_with(1)
        .await;
}
