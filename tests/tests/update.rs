//! Rolling updates: one by one, never fewer ready than before, no request lost, and the old kept when the new is bad.

use std::{collections::BTreeMap, future::Future};

use ostler_tests::{
    harness::{App, Exit, Master, MasterBuilder, Output, PATIENCE, Tail},
    load::{Plan, Target},
    ostler,
};
use rustix::process::Signal;
use serde_json::{Value, json};

/// What `worker.sh` is at first: an HTTP server that says READY and answers with the content of `version`.
const GOOD: &str = "exec \"$MISBEHAVE\" notify 0 http version";
/// Dies before it is ready.
const EXITS: &str = "echo broken by design >&2; exit 1";
/// Dies soon after it is ready.
const DIES: &str = "echo short of breath >&2; exec \"$MISBEHAVE\" notify 0 exit 3 100";
/// Is never ready.
const HANGS: &str = "exec \"$MISBEHAVE\" hang-in-start";
/// Serves, but from the second generation on only once there is a file `go`.
const GATED: &str = "[ $OSTLER_GENERATION = 1 ] || until [ -e go ]; do sleep 0.02; done; \
                     exec \"$MISBEHAVE\" notify 0 http version";

/// Says that a worker is of a generation that is held at the gate.
const HELD: &str = "[ $OSTLER_GENERATION = 1 ] || echo held; ";

/// An app that is whatever `worker.sh` is when a worker starts.
fn web(instances: u32) -> App {
    App::new("web", ["sh", "worker.sh"])
        .instances(instances)
        .listening()
        .set("ready", "notify")
        .set("env", json!({"MISBEHAVE": env!("CARGO_BIN_EXE_misbehave")}))
        .unwatched()
}

fn habit(name: &str, habit: &str) -> App {
    ostler_tests::habit!(name, habit)
}

fn talker(name: &str, habit: &str) -> App {
    App::new(
        name,
        std::iter::once(env!("CARGO_BIN_EXE_talker")).chain(habit.split(' ')),
    )
    .unwatched()
}

fn master(app: App, script: &str) -> MasterBuilder {
    let builder = ostler!().with("worker.sh", script).with("version", "1");
    builder.apps(&[app])
}

/// A master of that app, all ready, and its events.
async fn running(app: App, script: &str) -> (Master, Tail) {
    let master = master(app, script).start().await;
    let mut tail = master.tail().await;
    master.settled("web", "running").await;
    tail.settle(&master).await;
    (master, tail)
}

/// Runs a command beside the test.
fn aside(master: &Master, args: &[&str]) -> tokio::task::JoinHandle<Output> {
    tokio::spawn(master.ostler(args).within(PATIENCE * 2).run())
}

async fn output(command: tokio::task::JoinHandle<Output>) -> Output {
    command.await.expect("a command that has run")
}

/// The steps of all updates so far: `["Starting 0", "Watching 0", …]`.
fn steps(tail: &Tail) -> Vec<String> {
    let progress = tail.all("update.progress").into_iter();
    progress
        .map(|step| format!("{} {}", step["step"].as_str().unwrap_or("?"), step["slot"]))
        .collect()
}

/// How many workers an app had at most that were not on their way out, and how few that were ready from when all were.
fn most_and_fewest(tail: &Tail, instances: usize) -> (usize, usize) {
    let mut states: BTreeMap<u64, &str> = BTreeMap::new();
    let (mut most, mut fewest) = (0, usize::MAX);
    for event in tail.events() {
        let Some(id) = event["payload"]["worker"]["id"].as_u64() else {
            continue;
        };
        match event["topic"].as_str() {
            Some("worker.spawned") => drop(states.insert(id, "starting")),
            Some("worker.ready") => drop(states.insert(id, "ready")),
            Some("worker.draining" | "worker.exited") => drop(states.remove(&id)),
            _ => continue,
        }
        let ready = states.values().filter(|state| **state == "ready").count();
        most = most.max(states.len());
        if ready >= instances || fewest < usize::MAX {
            fewest = fewest.min(ready);
        }
    }
    (most, fewest)
}

// ---- going well

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

// ---- going badly

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
    let link = |master: &Master, to: &str| {
        let (new, path) = (master.dir().at("link.new"), master.dir().at("current"));
        std::os::unix::fs::symlink(to, &new).expect("a link");
        std::fs::rename(new, path).expect("a link");
    };
    let app = web(2).set("command", json!(["sh", "current/worker.sh"]));
    let builder = ostler!().apps(&[app]).with("version", "1");
    for release in ["one", "two"] {
        builder.dir().make(release);
        let serve = format!("echo release {release}; {GOOD}");
        builder.dir().write(&format!("{release}/worker.sh"), &serve);
    }
    std::os::unix::fs::symlink("one", builder.dir().at("current")).expect("a link");
    let mut master = builder.start().await;
    master.process.wait_for_line("release one", PATIENCE).await;
    master.settled("web", "running").await;
    link(&master, "two");
    master.ostler(["reload"]).success().await;
    for _ in 0..2 {
        master.process.wait_for_line("release two", PATIENCE).await;
    }
}

// ---- many at once

#[tokio::test]
async fn request_during_an_update_becomes_the_one_pending() {
    let (master, mut tail) = running(web(2), GATED).await;
    let first = aside(&master, &["reload"]);
    tail.next_with("update.progress", "/step", "Starting").await;
    let second = aside(&master, &["reload"]);
    let third = master.ostler(["reload", "--no-wait"]).success().await;
    assert!(third.stderr.contains("accepted"), "{third:#?}");
    master.dir().write("go", "");
    for reload in [first, second] {
        let done = output(reload).await;
        assert_eq!(done.exit, Exit::Code(0), "{done:#?}");
    }
    master.settled("web", "running").await;
    tail.settle(&master).await;
    let generations: Vec<_> = tail
        .all("update.finished")
        .iter()
        .map(|f| f["generation"].clone())
        .collect();
    assert_eq!(generations.first(), Some(&json!(2)));
    assert_eq!(
        master.app("web").await["generation"],
        *generations.last().expect("one")
    );
    assert_eq!(tail.all("update.aborted"), Vec::<Value>::new());
}

#[tokio::test]
async fn many_requests_mid_update_make_one_more() {
    let (master, mut tail) = running(web(2), GATED).await;
    master.ostler(["reload", "--no-wait"]).success().await;
    tail.next_with("update.progress", "/step", "Starting").await;
    for _ in 0..3 {
        master.ostler(["reload", "--no-wait"]).success().await;
        master
            .ostler(["emit", "workerRestartNeeded", "{\"app\":\"web\"}"])
            .success()
            .await;
        master.process.signal(Signal::HUP);
    }
    tail.settle(&master).await;
    master.dir().write("go", "");
    tail.next_with("update.finished", "/generation", 3).await;
    tail.settle(&master).await;
    assert_eq!(tail.all("update.started").len(), 2);
    assert_eq!(master.app("web").await["generation"], 3);
    assert_eq!(master.app("web").await["state"], "running");
}

#[tokio::test]
async fn reload_now_supersedes_the_running_update() {
    let (mut master, mut tail) = running(web(2), &format!("{HELD}{GATED}")).await;
    let first = aside(&master, &["reload"]);
    // Its script has been read by then.
    master.process.wait_for_line("held", PATIENCE).await;
    master.dir().write("worker.sh", GOOD);
    master.ostler(["reload", "--now"]).success().await;
    let first = output(first).await;
    assert_eq!(first.exit, Exit::Code(1));
    assert!(first.stderr.contains("overtaken"), "{}", first.stderr);
    assert_eq!(tail.next("update.finished").await["generation"], 3);
    let workers = master.workers("web").await;
    assert!(
        workers.iter().all(|worker| worker["generation"] == 3),
        "{workers:#?}"
    );
}

#[tokio::test]
async fn stop_preempts_a_running_update() {
    let (master, mut tail) = running(web(3), GATED).await;
    let reload = aside(&master, &["reload"]);
    tail.next_with("update.progress", "/step", "Starting").await;
    master.ostler(["reload", "--no-wait"]).success().await;
    master.ostler(["stop"]).success().await;
    assert_eq!(output(reload).await.exit, Exit::Code(1));
    assert_eq!(tail.next("update.aborted").await["overtaken"], true);
    tail.settle(&master).await;
    let spawned = tail.story("web", &["spawned"]).len();
    master.dir().write("go", "");
    assert_eq!(master.pids("web").await.len(), 0);
    assert_eq!(master.app("web").await["state"], "stopped");
    tail.settle(&master).await;
    assert_eq!(tail.story("web", &["spawned"]).len(), spawned);
    master.ostler(["start"]).success().await;
    assert_eq!(master.pids("web").await.len(), 3);
}

#[tokio::test]
async fn scale_during_an_update_ends_at_the_new_size() {
    for (size, words) in [(5_usize, "5"), (1, "1")] {
        let (master, mut tail) = running(web(3), GATED).await;
        let reload = aside(&master, &["reload"]);
        tail.next_with("update.progress", "/step", "Starting").await;
        let scale = aside(&master, &["scale", words]);
        tail.next("app.resized").await;
        master.dir().write("go", "");
        for command in [reload, scale] {
            let done = output(command).await;
            assert_eq!(done.exit, Exit::Code(0), "{done:#?}");
        }
        let workers = master.workers("web").await;
        assert_eq!(workers.len(), size, "{workers:#?}");
        assert!(
            workers
                .iter()
                .all(|w| w["generation"] == 2 && w["state"] == "ready"),
            "{workers:#?}"
        );
    }
}

// ---- who may ask

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

// ---- what is lost

/// Five updates, each to a version of its own, under this load.
async fn five_updates(master: &Master, plan: impl Future<Output = Plan>) {
    let load = master.load_with(plan.await.timeout(PATIENCE)).await;
    for version in 2..=6 {
        master.dir().write("version", &version.to_string());
        master.ostler(["reload"]).success().await;
        load.answers(20, PATIENCE).await.expect("answers");
    }
    let tally = load.stop().await;
    assert_eq!(tally.lost(), 0, "{tally}");
    assert!(tally.by.len() >= 6, "all versions have answered: {tally}");
}

#[tokio::test]
async fn updates_lose_no_request_on_new_connections() {
    let (master, _tail) = running(web(4), GOOD).await;
    five_updates(&master, async {
        Plan::to(master.address("web").await).by_field("version")
    })
    .await;
}

#[tokio::test]
async fn updates_lose_no_request_on_keep_alive() {
    let app = talker("web", "serve")
        .instances(4)
        .set("listen", json!({"http": "127.0.0.1:0"}));
    let (master, _tail) = running(app, "").await;
    let plan = async {
        Plan::to(master.address("web").await)
            .keep_alive()
            .by_field("generation")
    };
    five_updates(&master, plan).await;
}

#[tokio::test]
async fn killed_worker_loses_at_most_what_it_served() {
    let (master, mut tail) = running(web(4), GOOD).await;
    let load = master.load("web").await;
    master.signal(master.pid("web", 1).await, Signal::KILL);
    tail.next_with("worker.ready", "/worker/slot", 1).await;
    load.answers(50, PATIENCE).await.expect("answers");
    let tally = load.stop().await;
    assert!(tally.lost() <= 4, "no more than was in flight: {tally}");
    assert_eq!(tally.refused + tally.timed_out + tally.wrong, 0, "{tally}");
}
