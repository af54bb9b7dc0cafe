//! How many go at once, who goes first, and what an update that fails leaves behind.

use super::*;

/// Owns a directory for its slot as long as it lives; its going takes a while.
const EXCLUSIVE: &str = "mkdir lock.$OSTLER_SLOT || exit 9; \
    trap 'sleep 0.3; rmdir lock.$OSTLER_SLOT; exit 0' TERM; \
    \"$MISBEHAVE\" say READY=1; while :; do sleep 0.02; done";

/// What is written when a worker starts.
const LIVES: &str = "echo \"$OSTLER_GENERATION $OSTLER_SLOT $COLOUR\" >> lives; ";

fn lives(master: &Master) -> Vec<String> {
    let text = std::fs::read_to_string(master.dir().at("lives")).expect("lives");
    text.lines()
        .map(|line| line.trim_end().to_owned())
        .collect()
}

/// The generations of an app's current workers, by slot.
async fn generations(master: &Master) -> Vec<u64> {
    let mut workers = master.workers("web").await;
    workers.retain(|worker| worker["current"] == true);
    workers.sort_by_key(|worker| worker["slot"].as_u64());
    let generations = workers.iter().map(|worker| worker["generation"].as_u64());
    generations
        .map(|generation| generation.unwrap_or(0))
        .collect()
}

#[tokio::test]
async fn replace_never_has_two_workers_of_a_slot() {
    let app = web(3).set("strategy", "replace").set("min_healthy", "50ms");
    let (master, mut tail) = running(app, EXCLUSIVE).await;
    let before = master.pids("web").await;
    master.ostler(["reload"]).success().await;
    let after = master.pids("web").await;
    assert!(before.iter().all(|(slot, pid)| after[slot] != *pid));
    tail.settle(&master).await;
    assert!(steps(&tail).contains(&"Stopping 0".to_owned()));
    let exits = tail.all("worker.exited");
    assert_eq!(exits.len(), 3);
    assert!(
        exits.iter().all(|exit| exit["voluntary"] == true),
        "a lock was taken: {exits:#?}"
    );
}

#[tokio::test]
async fn all_at_once_starts_no_new_worker_while_an_old_one_is_there() {
    let app = web(3).set("strategy", "all_at_once");
    let (master, mut tail) = running(app.set("canary_healthy", "50ms"), EXCLUSIVE).await;
    master.ostler(["reload"]).success().await;
    tail.settle(&master).await;
    let of = |event: &Value| event["payload"]["worker"]["generation"].as_u64();
    let mut seen = tail.events().into_iter();
    let began = seen.position(|event| event["topic"] == "worker.spawned" && of(&event) == Some(2));
    assert!(began.is_some(), "the new ones have started");
    assert!(
        seen.all(|event| event["topic"] != "worker.exited" || of(&event) != Some(1)),
        "an old one was there still"
    );
    assert_eq!(generations(&master).await, [2, 2, 2]);
}

#[tokio::test]
async fn max_surge_brings_several_at_once() {
    let app = web(5).set("max_surge", "40%").set("min_healthy", "100ms");
    let (master, mut tail) = running(app, GOOD).await;
    let load = master.load("web").await;
    master.ostler(["reload"]).success().await;
    tail.settle(&master).await;
    let (most, _) = most_and_fewest(&tail, 5);
    assert_eq!(most, 7, "two more");
    let tally = load.stop().await;
    assert_eq!(tally.lost(), 0, "{tally}");
}

#[tokio::test]
async fn what_was_replaced_goes_back_when_the_update_fails() {
    let app = web(0).set("on_failure", "rollback");
    let master = master(app.set("min_healthy", "100ms"), GOOD).start().await;
    let mut tail = master.tail().await;
    // Which makes it generation 2.
    master.ostler(["scale", "3"]).success().await;
    let load = master.load("web").await;
    let bad = format!("[ $OSTLER_GENERATION$OSTLER_SLOT = 32 ] && exit 7; {GOOD}");
    master.dir().write("worker.sh", &bad);
    let reload = master.ostler(["reload"]).fails_with(1).await;
    for told in ["code 7", "2 workers going back", "rolled back"] {
        assert!(reload.stderr.contains(told), "{}", reload.stderr);
    }
    let back = tail.next("update.rolled_back").await;
    assert_eq!(
        (&back["generation"], &back["slots"], &back["failed"]),
        (&json!(3), &json!(2), &Value::Null)
    );
    assert_eq!(generations(&master).await, [2, 2, 2]);
    tail.settle(&master).await;
    let (_, fewest) = most_and_fewest(&tail, 3);
    assert_eq!(fewest, 3);
    let tally = load.stop().await;
    assert_eq!(tally.lost(), 0, "{tally}");
    master.dir().write("worker.sh", GOOD);
    master.ostler(["reload"]).success().await;
    assert_eq!(generations(&master).await, [4, 4, 4]);
}

#[tokio::test]
async fn rollback_that_fails_itself_is_told() {
    let app = web(2).set("on_failure", "rollback");
    let (master, mut tail) = running(app.set("min_healthy", "100ms"), GOOD).await;
    let bad = format!("[ $OSTLER_GENERATION$OSTLER_SLOT = 20 ] || exit 7; {GOOD}");
    master.dir().write("worker.sh", &bad);
    let reload = master.ostler(["reload"]).fails_with(1).await;
    assert!(
        reload.stderr.contains("the rollback failed too"),
        "{}",
        reload.stderr
    );
    let back = tail.next("update.rolled_back").await;
    assert!(back["failed"].is_string(), "{back:#}");
    assert_eq!(generations(&master).await, [2, 1]);
}

#[tokio::test]
async fn worker_that_fails_too_many_requests_aborts_the_update() {
    let canary = json!({"max_errors": "5%", "min_requests": 50});
    let app = talker("web", "fails 100 9")
        .instances(2)
        .set("canary", canary)
        .set("canary_healthy", "10s");
    let master = ostler!().apps(&[app]).start().await;
    master.settled("web", "running").await;
    let reload = master.ostler(["reload"]).fails_with(1).await;
    assert!(
        reload.stderr.contains("failed 9 of 100 requests (9.0%)"),
        "{}",
        reload.stderr
    );
    assert_eq!(generations(&master).await, [1, 1]);
    let forged = r#"{"requests": 100, "errors": 100}"#;
    let denied = master.ostler(["emit", "app.errors", forged]).run().await;
    assert_ne!(denied.exit, Exit::Code(0), "only a worker can say this");
}

#[tokio::test]
async fn crash_respawn_runs_its_own_generations_release() {
    let app = web(1).set("command", json!(["sh", "current/worker.sh"]));
    let builder = ostler!().apps(&[app]).with("version", "1");
    for name in ["one", "two"] {
        builder.dir().make(name);
        let serve = format!("echo {name} >> lives; {GOOD}");
        builder.dir().write(&format!("{name}/worker.sh"), &serve);
    }
    release(builder.dir(), "one");
    let master = builder.start().await;
    let mut tail = master.tail().await;
    master.settled("web", "running").await;
    release(master.dir(), "two");
    tail.settle(&master).await;
    master.signal(master.pid("web", 0).await, Signal::KILL);
    tail.next("worker.exited").await;
    tail.next("worker.ready").await;
    assert_eq!(lives(&master), ["one", "one"]);
    master.ostler(["reload"]).success().await;
    master.signal(master.pid("web", 0).await, Signal::KILL);
    tail.next_with("worker.exited", "/worker/generation", 2)
        .await;
    tail.next("worker.ready").await;
    assert_eq!(lives(&master), ["one", "one", "two", "two"]);
}

#[tokio::test]
async fn commands_beside_workers_run_their_generations_release() {
    // One goes by the working directory, one by its own path.
    let app = web(1)
        .set("cwd", "current")
        .set("before_start", json!(["sh", "hook.sh"]))
        .set("before_stop", json!(["sh", "hook.sh"]))
        .set("after_exit", json!(["sh", "../current/hook.sh"]));
    let builder = ostler!().apps(&[app]);
    for name in ["one", "two"] {
        builder.dir().make(name);
        builder.dir().write(&format!("{name}/version"), "1");
        builder.dir().write(&format!("{name}/worker.sh"), GOOD);
        let tell = format!("echo \"$OSTLER_HOOK of $OSTLER_WORKER_ID: {name}\" >> ../lives");
        builder.dir().write(&format!("{name}/hook.sh"), &tell);
    }
    release(builder.dir(), "one");
    let master = builder.start().await;
    let mut tail = master.tail().await;
    master.settled("web", "running").await;
    release(master.dir(), "two");
    tail.settle(&master).await;
    master.signal(master.pid("web", 0).await, Signal::KILL);
    tail.next_with("worker.hook", "/hook", "after_exit").await;
    tail.next("worker.ready").await;
    master.ostler(["reload"]).success().await;
    tail.next_with("worker.hook", "/hook", "after_exit").await;
    master.ostler(["stop"]).success().await;
    assert_eq!(
        lives(&master),
        [
            "before_start of 1: one",
            "after_exit of 1: one",
            "before_start of 2: one",
            "before_start of 3: two",
            "before_stop of 2: one",
            "after_exit of 2: one",
            "before_stop of 3: two",
            "after_exit of 3: two",
        ]
    );
}

#[tokio::test]
async fn hooks_and_command_probes_have_the_variables_of_their_generation() {
    let tell = "echo \"$OSTLER_GENERATION $OSTLER_HOOK $COLOUR\" >> lives";
    let app = web(1)
        .set("ready", json!({"command": ["sh", "-c", tell]}))
        .set("before_start", tell)
        .set("after_exit", tell);
    let (master, mut tail) = running(app, GOOD).await;
    master
        .ostler(["reload", "--update-env"])
        .env("COLOUR", "blue")
        .success()
        .await;
    tail.next_with("worker.hook", "/hook", "after_exit").await;
    assert_eq!(
        lives(&master),
        [
            "1 before_start",
            "1",
            "2 before_start blue",
            "2  blue",
            "1 after_exit"
        ]
    );
}

#[tokio::test]
async fn reload_brings_variables_that_crash_respawns_keep() {
    let app = web(1).set("min_healthy", "50ms");
    let (master, mut tail) = running(app, &format!("{LIVES}{GOOD}")).await;
    master
        .ostler(["reload", "--env", "COLOUR=green"])
        .success()
        .await;
    tail.settle(&master).await;
    master.signal(master.pid("web", 0).await, Signal::KILL);
    tail.next_with("worker.exited", "/status/Signal", "SIGKILL")
        .await;
    tail.next("worker.ready").await;
    master.ostler(["reload"]).success().await;
    // What it inherits is the master's, until a shell's is taken over.
    master
        .ostler(["reload", "--update-env"])
        .env("COLOUR", "blue")
        .success()
        .await;
    master.ostler(["reload"]).success().await;
    assert_eq!(
        lives(&master),
        [
            "1 0",
            "2 0 green",
            "2 0 green",
            "3 0",
            "4 0 blue",
            "5 0 blue"
        ]
    );
    master
        .ostler(["reload", "--env", "NONE"])
        .fails_with(2)
        .await;
}

#[tokio::test]
async fn api_can_bring_variables_too_and_what_is_none_is_refused() {
    let app = web(1).set("min_healthy", "50ms");
    let (master, mut tail) = running(app, &format!("{LIVES}{GOOD}")).await;
    let ask = |env: Value| {
        let wish = json!({"app": "web", "reason": null, "now": false, "env": env, "inherit": null});
        master.ostler(["request", "app.reload", &wish.to_string()])
    };
    ask(json!({"COLOUR": "red"})).success().await;
    tail.next("update.finished").await;
    assert_eq!(lives(&master), ["1 0", "2 0 red"]);
    ask(json!({"A=B": "red"}))
        .stdout_contains("Invalid")
        .run()
        .await;
}

#[tokio::test]
async fn whoever_drains_is_told_with_what_it_holds_and_how_long_it_has() {
    let app = talker("web", "serve").instances(1).listening();
    let app = app.set("min_healthy", "50ms");
    let master = ostler!().apps(&[app]).start().await;
    let mut tail = master.tail().await;
    master.settled("web", "running").await;
    // It has asked for nothing yet: a draining worker waits for that.
    let held = std::net::TcpStream::connect(master.address("web").await).expect("a connection");
    drop(master.load("web").await.stop().await);
    let reload = aside(&master, &["reload"]);
    let told = tail.next_with("update.progress", "/step", "Draining").await;
    let drainer = &told["draining"][0];
    assert!(drainer["held"].as_u64() >= Some(1), "{told:#}");
    let left = drainer["left_ms"].as_u64();
    assert!((1..=30_000).contains(&left.unwrap_or(0)), "{told:#}");
    drop(held);
    let reload = output(reload).await;
    assert!(
        reload.stderr.contains("drains, ") && reload.stderr.contains(" held, "),
        "{}",
        reload.stderr
    );
}
