//! Updates that go badly: the old is kept.

use super::*;

/// Updates to a bad version under load; nothing may be lost. Gives how the command and the update ended.
async fn aborted(app: App, bad: &str) -> (Output, Value) {
    let (master, mut tail) = running(app.instances(3), GOOD).await;
    let before = master.pids("web").await;
    let load = master.load("web").await;
    master.dir().write("worker.sh", bad);
    let reload = master.ostler(["reload"]).fails_with(1).await;
    let aborted = tail.next("update.aborted").await;
    assert_eq!(aborted["replaced"], 0, "{aborted:#}");
    load.answers(50, PATIENCE)
        .await
        .expect("answers after the abort");
    let tally = load.stop().await;
    assert_eq!(tally.lost(), 0, "{tally}");
    assert_eq!(master.pids("web").await, before);
    tail.settle(&master).await;
    let spawned = tail.all("worker.spawned");
    let bad = spawned
        .iter()
        .filter(|spawned| spawned["worker"]["generation"] == 2);
    assert_eq!(bad.count(), 1, "tried once");
    let shown = master.app("web").await;
    assert!(
        shown["last_update"]
            .as_str()
            .is_some_and(|text| text.contains("given up")),
        "{shown:#}"
    );
    (reload, aborted)
}

#[tokio::test]
async fn version_that_exits_aborts_and_keeps_the_old() {
    let (reload, aborted) = aborted(web(3), EXITS).await;
    for told in [
        &reload.stderr,
        aborted["reason"].as_str().expect("a reason"),
    ] {
        assert!(
            told.contains("code 1") && told.contains("broken by design"),
            "{told}"
        );
    }
}

#[tokio::test]
async fn version_that_is_never_ready_aborts_and_keeps_the_old() {
    let (reload, _) = aborted(web(3).set("start_timeout", "700ms"), HANGS).await;
    assert!(!reload.stderr.is_empty());
}

#[tokio::test]
async fn version_that_dies_while_watched_aborts() {
    let watched = web(3).set("min_healthy", "3s");
    let (reload, _) = aborted(watched, DIES).await;
    assert!(reload.stderr.contains("code 3"), "{}", reload.stderr);
    assert!(
        reload.stderr.contains("short of breath"),
        "{}",
        reload.stderr
    );
}

#[tokio::test]
async fn abort_in_the_middle_keeps_what_serves_and_a_good_update_follows() {
    let (master, mut tail) = running(web(4), GOOD).await;
    let before = master.pids("web").await;
    let load = master.load("web").await;
    master.dir().write(
        "worker.sh",
        &format!("[ $OSTLER_SLOT = 2 ] && exit 1; {GOOD}"),
    );
    master.ostler(["reload"]).fails_with(1).await;
    assert_eq!(tail.next("update.aborted").await["replaced"], 2);
    let between = master.pids("web").await;
    assert!(
        between[&0] != before[&0] && between[&1] != before[&1],
        "two new"
    );
    assert!(
        between[&2] == before[&2] && between[&3] == before[&3],
        "two old"
    );
    assert_eq!(master.app("web").await["ready"], 4);
    master.dir().write("worker.sh", GOOD);
    master.ostler(["reload"]).success().await;
    let after = master.pids("web").await;
    assert!((0..4).all(|slot| after[&slot] != between[&slot]), "all new");
    let tally = load.stop().await;
    assert_eq!(tally.lost(), 0, "{tally}");
}

#[tokio::test]
async fn crash_during_an_update_respawns_with_its_own_generation() {
    let lives = "echo $OSTLER_GENERATION $OSTLER_SLOT $COLOUR >> lives; ";
    let coloured = |colour: &str| {
        let env = json!({"MISBEHAVE": env!("CARGO_BIN_EXE_misbehave"), "COLOUR": colour});
        web(3).set("env", env)
    };
    let (master, mut tail) = running(coloured("red"), &format!("{lives}{GATED}")).await;
    master.rewrite(&[coloured("green")]);
    master.process.signal(Signal::HUP);
    tail.next_with("update.progress", "/step", "Starting").await;
    master.signal(master.pid("web", 2).await, Signal::KILL);
    let ready = tail.next_with("worker.ready", "/worker/slot", 2).await;
    assert_eq!(ready["worker"]["generation"], 1);
    master.dir().write("go", "");
    tail.next("update.finished").await;
    let workers = master.workers("web").await;
    assert_eq!(workers.len(), 3, "{workers:#?}");
    assert!(workers.iter().all(|worker| worker["generation"] == 2));
    let lives = std::fs::read_to_string(master.dir().at("lives")).expect("lives");
    let count = |life: &str| lives.lines().filter(|line| *line == life).count();
    assert_eq!(
        (count("1 2 red"), count("2 2 green"), count("1 2 green")),
        (2, 1, 0),
        "{lives}"
    );
}

#[tokio::test]
async fn killed_canary_aborts_too() {
    let (master, mut tail) = running(web(2).set("min_healthy", "20s"), GOOD).await;
    let before = master.pids("web").await;
    let load = master.load("web").await;
    let reload = aside(&master, &["reload"]);
    let ready = tail
        .next_with("worker.ready", "/worker/generation", 2)
        .await;
    master.signal(
        ready["worker"]["pid"].as_u64().expect("a pid"),
        Signal::KILL,
    );
    assert!(
        tail.next("update.aborted").await["reason"]
            .as_str()
            .is_some_and(|why| why.contains("SIGKILL"))
    );
    assert_eq!(output(reload).await.exit, Exit::Code(1));
    assert_eq!(master.pids("web").await, before);
    let tally = load.stop().await;
    assert!(tally.lost() <= 4 && tally.refused == 0, "{tally}");
}

#[tokio::test]
async fn reload_heals_an_app_that_was_broken_from_the_start() {
    let backoff = json!({"first": "300s", "max": "300s"});
    let app = web(3).set("backoff", backoff);
    let master = master(app, EXITS).start().await;
    let mut tail = master.tail().await;
    master.ostler(["reload"]).fails_with(1).await;
    tail.next("update.aborted").await;
    master.dir().write("worker.sh", GOOD);
    master.ostler(["reload"]).success().await;
    assert_eq!(master.pids("web").await.len(), 3);
    assert_eq!(master.app("web").await["ready"], 3);
}

#[tokio::test]
async fn abort_of_one_app_leaves_the_update_of_another() {
    let other = habit("other", "notify 100").instances(3).unwatched();
    let builder = ostler!().with("worker.sh", GOOD).with("version", "1");
    let master = builder.apps(&[web(2), other]).start().await;
    let mut tail = master.tail().await;
    for app in ["web", "other"] {
        master.settled(app, "running").await;
    }
    let before = (master.pids("web").await, master.pids("other").await);
    master.dir().write("worker.sh", EXITS);
    let reload = master.ostler(["reload"]).fails_with(1).await;
    assert!(
        reload.stderr.contains("broken by design"),
        "{}",
        reload.stderr
    );
    assert_eq!(
        tail.next_with("update.finished", "/app", "other").await["generation"],
        2
    );
    let after = (master.pids("web").await, master.pids("other").await);
    assert_eq!(after.0, before.0);
    assert!(after.1.iter().all(|(slot, pid)| before.1[slot] != *pid));
}

#[tokio::test]
async fn command_is_looked_up_at_each_generation() {
    let app = web(2).set("command", json!(["sh", "current/worker.sh"]));
    let builder = ostler!().apps(&[app]).with("version", "1");
    for name in ["one", "two"] {
        builder.dir().make(name);
        let serve = format!("echo release {name}; {GOOD}");
        builder.dir().write(&format!("{name}/worker.sh"), &serve);
    }
    release(builder.dir(), "one");
    let mut master = builder.start().await;
    master.process.wait_for_line("release one", PATIENCE).await;
    master.settled("web", "running").await;
    release(master.dir(), "two");
    master.ostler(["reload"]).success().await;
    for _ in 0..2 {
        master.process.wait_for_line("release two", PATIENCE).await;
    }
}
