//! What each signal to the master does.

use std::{fs, time::Duration};

use ostler_tests::{
    habit,
    harness::{App, Exit, Master, PATIENCE, Tail, eventually},
    load::{Load, Plan, Target},
    ostler,
};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};

/// An HTTP server that says READY and answers with the content of `version`.
fn web(instances: u32) -> App {
    habit!("web", "notify 0 http version")
        .instances(instances)
        .listening()
        .unwatched()
}

/// Heeds nothing but KILL, and its ladder is long.
fn stubborn() -> App {
    habit!("stubborn", "ignore-term").set("ready", "delay(0s)")
}

async fn running(apps: &[App]) -> (Master, Tail) {
    let master = ostler!().with("version", "1").apps(apps).start().await;
    let mut tail = master.tail().await;
    let names: Vec<String> = {
        let status = master.status().await;
        let apps = status["apps"].as_array().expect("apps");
        apps.iter()
            .filter_map(|app| Some(app["name"].as_str()?.to_owned()))
            .collect()
    };
    for name in names {
        master.settled(&name, "running").await;
    }
    tail.settle(&master).await;
    (master, tail)
}

// ---- HUP

#[tokio::test]
async fn hup_rolls_every_app() {
    let (master, mut tail) = running(&[web(2), habit!("api", "notify 0").unwatched()]).await;
    let before = [master.pids("web").await, master.pids("api").await];
    master.process.signal(Signal::HUP);
    let finished = tail.next_many("update.finished", 2).await;
    assert_ne!(finished[0]["app"], finished[1]["app"]);
    let after = [master.pids("web").await, master.pids("api").await];
    for (before, after) in before.iter().zip(&after) {
        assert!(
            before.iter().all(|(slot, pid)| after[slot] != *pid),
            "{before:?} {after:?}"
        );
    }
    tail.settle(&master).await;
    let started = tail.all("update.started");
    assert_eq!(started.len(), 2, "one each: {started:#?}");
    assert!(started.iter().all(|update| update["reason"] == "SIGHUP"));
    assert_eq!(master.process.exit(), None);
}

#[tokio::test]
async fn hup_reads_the_file_again() {
    let app = |env: Value| {
        habit!("web", "print-env given")
            .set("env", env)
            .set("ready", "delay(0s)")
            .unwatched()
    };
    let (master, mut tail) = running(&[app(json!({"OLD": "1", "SAME": "x"}))]).await;
    master.rewrite(&[app(json!({"NEW": "2", "SAME": "x"}))]);
    master.process.signal(Signal::HUP);
    tail.next("update.finished").await;
    let path = master.dir().at("given");
    let given = eventually("the new worker to print", PATIENCE, || {
        let given: Value = serde_json::from_str(&fs::read_to_string(&path).ok()?).ok()?;
        (given["env"]["OSTLER_GENERATION"] == "2").then_some(given)
    })
    .await;
    let env = &given["env"];
    assert_eq!(
        (&env["NEW"], &env["SAME"], &env["OLD"]),
        (&json!("2"), &json!("x"), &Value::Null)
    );
}

#[tokio::test]
async fn hup_adds_apps_and_changes_sizes() {
    let (master, mut tail) = running(&[web(1)]).await;
    let api = habit!("api", "notify 0").unwatched();
    master.rewrite(&[web(3), api.instances(2)]);
    master.process.signal(Signal::HUP);
    tail.next_with("update.finished", "/app", "web").await;
    master.settled("web", "running").await;
    master.settled("api", "running").await;
    assert_eq!(master.pids("web").await.len(), 3);
    assert_eq!(master.pids("api").await.len(), 2);
    let workers = master.workers("web").await;
    assert!(
        workers.iter().all(|worker| worker["generation"] == 2),
        "{workers:#?}"
    );
}

#[tokio::test]
async fn term_in_the_middle_of_an_update_ends_it() {
    let gated = "[ $OSTLER_GENERATION = 1 ] || exec sleep 600; exec \"$0\" notify 0";
    let gated = ["sh", "-c", gated, env!("CARGO_BIN_EXE_misbehave")];
    let app = App::new("web", gated).set("ready", "notify").instances(2);
    let (master, mut tail) = running(&[app]).await;
    let reload = tokio::spawn(master.ostler(["reload"]).run());
    tail.next_with("update.progress", "/step", "Starting").await;
    master.process.signal(Signal::TERM);
    assert_eq!(master.process.wait(PATIENCE).await, Exit::Code(0));
    let reload = reload.await.expect("a command that has run");
    assert_eq!(reload.exit, Exit::Code(1), "{reload:#?}");
    assert!(reload.stderr.contains("overtaken"), "{reload:#?}");
    master.assert_nothing_left().await;
}

#[tokio::test]
async fn hup_with_a_broken_file_changes_nothing() {
    let (mut master, mut tail) = running(&[web(1)]).await;
    let before = master.pids("web").await;
    master.dir().write(
        "ostler.toml",
        "name = \"test\"\n[app.web]\ncommnd = \"x\"\n",
    );
    master.process.signal(Signal::HUP);
    master.wait_for_log("nothing was changed").await;
    master.wait_for_log("commnd").await;
    tail.settle(&master).await;
    assert_eq!(tail.all("update.started"), Vec::<Value>::new());
    assert_eq!(master.pids("web").await, before);
}

#[tokio::test]
async fn hup_leaves_an_app_alone_that_could_not_start() {
    let api = habit!("api", "notify 0").unwatched();
    let (mut master, mut tail) = running(&[web(1), api.clone()]).await;
    let before = [master.pids("web").await, master.pids("api").await];
    master.rewrite(&[web(1), api.set("command", "no-such-program")]);
    master.process.signal(Signal::HUP);
    master.wait_for_log("this definition was passed over").await;
    tail.next_with("update.finished", "/app", "web").await;
    tail.settle(&master).await;
    assert_eq!(tail.all("update.started").len(), 1);
    assert_ne!(master.pids("web").await, before[0]);
    assert_eq!(master.pids("api").await, before[1]);
}

#[tokio::test]
async fn hup_twice_leaves_the_master_serving() {
    let (master, mut tail) = running(&[web(2)]).await;
    let load = master.load("web").await;
    let before = master.pids("web").await;
    master.process.signal(Signal::HUP);
    tail.next("update.started").await;
    master.process.signal(Signal::HUP);
    tail.next_many("update.finished", 2).await;
    let after = master.pids("web").await;
    assert!(before.iter().all(|(slot, pid)| after[slot] != *pid));
    load.answers(50, PATIENCE).await.expect("answers");
    let tally = load.stop().await;
    assert_eq!(tally.lost(), 0, "{tally}");
    master.ostler(["ping"]).success().await;
}

// ---- the end

/// The end of a master by this signal while it answers a slow request.
async fn graceful_end(signal: Signal) {
    let (mut master, _tail) = running(&[web(2)]).await;
    let slow = Target::new(master.address("web").await, "/slow/2000").expect("a target");
    let plan = Plan::new(slow).connections(1).requests(1).timeout(PATIENCE);
    let load = Load::start(plan).expect("a load");
    // Accepted by now: others that came later have been answered.
    drop(master.load("web").await.stop().await);
    let group = i32::try_from(master.process.id())
        .ok()
        .and_then(Pid::from_raw);
    // As a terminal does it: to the whole group. Workers are in groups of their own.
    kill_process_group(group.expect("a pid"), signal).expect("a living group");
    assert_eq!(master.process.wait(PATIENCE).await, Exit::Code(0));
    let tally = load.finish().await;
    assert_eq!((tally.answered, tally.lost()), (1, 0), "{tally}");
    master.wait_for_log("asked to stop").await;
    master.wait_for_log("ended").await;
    master.assert_nothing_left().await;
}

#[tokio::test]
async fn term_stops_everything_and_exits_0() {
    graceful_end(Signal::TERM).await;
}

#[tokio::test]
async fn int_stops_everything_and_exits_0() {
    graceful_end(Signal::INT).await;
}

/// The end of a master with stubborn workers by two signals.
async fn forced_end(first: Signal, second: Signal) {
    let (mut master, _tail) = running(&[stubborn().instances(2)]).await;
    master.process.signal(first);
    master.say_again(second).await;
    assert_eq!(master.process.wait(PATIENCE).await, Exit::Code(1));
    master.assert_nothing_left().await;
}

#[tokio::test]
async fn what_is_said_twice_in_one_breath_is_said_once() {
    let (master, _tail) = running(&[web(2)]).await;
    let load = master.load("web").await;
    load.answers(20, PATIENCE).await.expect("answers");
    drop(load);
    // Heard one after the other however late this test's own turn comes: both are there when it goes on. Of two
    // that are alike only one would be.
    master.process.signal(Signal::STOP);
    master.process.signal(Signal::TERM);
    master.process.signal(Signal::INT);
    master.process.signal(Signal::CONT);
    assert_eq!(master.process.wait(PATIENCE).await, Exit::Code(0));
    master.assert_nothing_left().await;
}

#[tokio::test]
async fn second_term_kills_at_once_and_exits_1() {
    forced_end(Signal::TERM, Signal::TERM).await;
    forced_end(Signal::INT, Signal::TERM).await;
}

#[tokio::test]
async fn second_int_kills_at_once_and_exits_1() {
    forced_end(Signal::INT, Signal::INT).await;
}

#[tokio::test]
async fn quit_stops_quickly() {
    let (master, _tail) = running(&[stubborn()]).await;
    master.process.signal(Signal::QUIT);
    // Shorter than the first rung of its ladder.
    assert_eq!(
        master.process.wait(Duration::from_secs(15)).await,
        Exit::Code(1)
    );
    master.assert_nothing_left().await;
}

// ---- the fleet

#[tokio::test]
async fn ttin_and_ttou_resize_by_one() {
    let (master, mut tail) = running(&[web(1)]).await;
    master.process.signal(Signal::TTIN);
    let resized = tail.next("app.resized").await;
    assert_eq!((&resized["from"], &resized["to"]), (&json!(1), &json!(2)));
    assert_eq!(tail.next("worker.ready").await["worker"]["slot"], 1);
    for (to, slot) in [(1, 1), (0, 0)] {
        master.process.signal(Signal::TTOU);
        assert_eq!(tail.next("app.resized").await["to"], to);
        assert_eq!(
            tail.next("worker.exited").await["worker"]["slot"],
            slot,
            "the highest"
        );
    }
    master.process.signal(Signal::TTOU);
    master.process.signal(Signal::USR1);
    tail.settle(&master).await;
    assert_eq!(tail.all("app.resized").len(), 3, "not below none");
    assert_eq!(master.app("web").await["instances"], 0);
}

#[tokio::test]
async fn winch_stops_workers_and_keeps_the_master() {
    let (master, mut tail) = running(&[web(2)]).await;
    let address = master.address("web").await;
    master.process.signal(Signal::WINCH);
    tail.next_many("worker.exited", 2).await;
    master.settled("web", "stopped").await;
    master.ostler(["ping"]).success().await;
    assert_eq!(master.pids("web").await.len(), 0);
    drop(std::net::TcpStream::connect(address).expect("the socket is held"));
    master.ostler(["start"]).success().await;
    assert_eq!(master.pids("web").await.len(), 2);
    assert_eq!(master.address("web").await, address);
}

#[tokio::test]
async fn usr1_and_usr2_are_logged_and_change_nothing() {
    let (mut master, mut tail) = running(&[web(1)]).await;
    let (before, events) = (master.pids("web").await, tail.events().len());
    master.process.signal(Signal::USR1);
    master.wait_for_log("SIGUSR1").await;
    master.process.signal(Signal::USR2);
    master.wait_for_log("SIGUSR2").await;
    tail.settle(&master).await;
    assert_eq!(master.pids("web").await, before);
    assert_eq!(tail.events().len(), events, "nothing happened");
    assert_eq!(master.process.exit(), None);
}

#[tokio::test]
async fn burst_of_signals_loses_none() {
    let (mut master, mut tail) = running(&[web(1)]).await;
    for signal in [Signal::HUP, Signal::TTIN, Signal::USR1, Signal::USR2] {
        master.process.signal(signal);
    }
    master.wait_for_log("SIGUSR1").await;
    master.settled("web", "running").await;
    tail.settle(&master).await;
    assert_eq!(tail.all("update.started").len(), 1);
    assert_eq!(tail.all("app.resized").len(), 1);
    let lines = master.process.stderr.all();
    assert!(lines.iter().any(|line| line.contains("SIGUSR2")));
}

#[tokio::test]
async fn signal_during_start_is_obeyed() {
    let app = habit!("web", "hang-in-start")
        .instances(3)
        .set("ready", "notify");
    let mut master = ostler!().apps(&[app]).spawn();
    master.wait_for_log("started: worker").await;
    assert_eq!(master.end(Signal::TERM).await, Exit::Code(0));
    master.assert_nothing_left().await;
}

/// A master with an app that starts, one that is being updated, one that drains and one that backs off.
async fn busy() -> (Master, Tail) {
    let gated = "[ $OSTLER_GENERATION = 1 ] || exec sleep 600; echo up; exec \"$0\" notify 0";
    let gated = ["sh", "-c", gated, env!("CARGO_BIN_EXE_misbehave")];
    let ladder = json!(["TERM:1500ms", "KILL"]);
    let apps = [
        habit!("starting", "hang-in-start").set("ready", "notify"),
        App::new("updating", gated).set("ready", "notify"),
        habit!("draining", "ignore-term")
            .set("ready", "delay(0s)")
            .instances(2),
        habit!("backing", "exit 1").set("backoff", json!({"first": "30s", "max": "30s"})),
    ];
    let master = ostler!()
        .apps(&apps.map(|app| app.set("kill_ladder", ladder.clone())))
        .start()
        .await;
    let mut tail = master.tail().await;
    for app in ["updating", "draining"] {
        master.settled(app, "running").await;
    }
    tail.settle(&master).await;
    master
        .ostler(["reload", "updating", "--no-wait"])
        .success()
        .await;
    tail.next("update.started").await;
    master
        .ostler(["scale", "draining", "1", "--no-wait"])
        .success()
        .await;
    tail.next("worker.draining").await;
    (master, tail)
}

#[tokio::test]
async fn every_signal_in_every_state() {
    use Signal as S;
    let all = [S::HUP, S::TERM, S::QUIT, S::TTIN, S::TTOU, S::WINCH].map(async |signal| {
        let (master, mut tail) = busy().await;
        master.process.signal(signal);
        let code = match signal {
            S::TERM => 0,
            S::QUIT => 1,
            _ => {
                master.ostler(["ping"]).success().await;
                tail.settle(&master).await;
                master.process.signal(S::TERM);
                0
            }
        };
        let exit = master.process.wait(PATIENCE).await;
        assert_eq!(exit, Exit::Code(code), "{signal:?}");
        master.assert_nothing_left().await;
    });
    futures::future::join_all(all).await;
}

// ---- none

#[tokio::test]
async fn with_signals_off_all_are_ignored_but_those_that_end_it() {
    let app = habit!("web", "notify 0").instances(2).unwatched();
    let file = format!("signals = false\n{}", App::file(&[app]));
    let mut master = ostler!().file(&file).start().await;
    master.settled("web", "running").await;
    let before = master.pids("web").await;
    let all = [
        Signal::HUP,
        Signal::USR1,
        Signal::USR2,
        Signal::TTIN,
        Signal::TTOU,
        Signal::WINCH,
    ];
    // By their numbers: so they are read, whether together or one by one.
    for signal in all {
        master.process.signal(signal);
    }
    // Each of the burst was heard, and none was heeded.
    for name in ["HUP", "USR1", "USR2", "TTIN", "TTOU", "WINCH"] {
        let pattern = format!("SIG{name} ignored: the process file says");
        master.wait_for_log(pattern.as_str()).await;
    }
    assert_eq!(master.pids("web").await, before);
    master.process.signal(Signal::TERM);
    assert_eq!(master.process.wait(PATIENCE).await, Exit::Code(0));
}
