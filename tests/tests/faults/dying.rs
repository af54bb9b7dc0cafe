//! Workers that end when they should not, or stand still.

use super::*;

/// Serves nothing, says that it is ready, and does `on_term` when it is asked to go.
fn leaving(name: &str, on_term: &str) -> App {
    let script =
        format!("trap '{on_term}' TERM; echo up; \"$0\" say READY=1; while :; do sleep 0.02; done");
    App::new(name, ["sh", "-c", &script, env!("CARGO_BIN_EXE_misbehave")])
        .set("ready", "notify")
        .unwatched()
}

#[tokio::test]
async fn a_worker_that_dies_while_it_drains_is_gone_and_has_not_crashed() {
    // One ends itself, one is ended from outside, while the first rung would wait for a minute.
    let ladder = json!(["TERM:60s", "KILL"]);
    let apps = [
        leaving("itself", "kill -SEGV $$$$").set("kill_ladder", ladder.clone()),
        leaving("outside", "echo asked").set("kill_ladder", ladder),
    ];
    let (mut master, mut tail) = started(&apps).await;
    for app in ["itself", "outside"] {
        master.settled(app, "running").await;
        let old = master.pid(app, 0).await;
        master.ostler(["reload", app, "--no-wait"]).success().await;
        if app == "outside" {
            master
                .process
                .wait_for_line("outside.0 | asked", PATIENCE)
                .await;
            master.signal(old, Signal::KILL);
        }
        let exited = tail.next_with("worker.exited", "/worker/app", app).await;
        assert_eq!(
            (&exited["voluntary"], &exited["worker"]["generation"]),
            (&json!(true), &json!(1)),
            "{exited:#}"
        );
        tail.next_with("update.finished", "/app", app).await;
        let worker = master.workers(app).await.remove(0);
        assert_eq!(
            (&worker["state"], &worker["generation"], &worker["restarts"]),
            (&json!("ready"), &json!(2), &json!(0)),
            "{worker:#}"
        );
    }
    // The same in a stop, which returns when they are gone.
    let stop = master.ostler(["stop"]).start();
    master
        .process
        .wait_for_line("outside.0 | asked", PATIENCE)
        .await;
    master.signal(master.pid("outside", 0).await, Signal::KILL);
    assert_eq!(stop.wait(PATIENCE).await, Exit::Code(0));
    end(master).await;
}

#[tokio::test]
async fn a_worker_that_stops_itself_is_found_hung_and_replaced() {
    let frozen = script("web", "\"$MISBEHAVE\" notify 0 & kill -STOP $$$$; wait");
    let frozen = frozen
        .set("env", json!({"MISBEHAVE": env!("CARGO_BIN_EXE_misbehave")}))
        .set("ready", "delay(0s)")
        .set("watchdog", "300ms")
        .set("hang_grace", "200ms")
        .set("kill_ladder", json!(["TERM:200ms", "KILL"]));
    let (mut master, mut tail) = started(&[frozen.instances(0)]).await;
    master.ostler(["scale", "1", "--no-wait"]).success().await;
    let exited = tail.next("worker.exited").await;
    let hung = json!({"Signal": "SIGABRT"});
    assert_eq!(exited["status"], hung, "it is woken to leave its dump");
    assert!(exited["hung"].is_string(), "{exited:#}");
    master.wait_for_log("hung: ").await;
    tail.next("worker.spawned").await;
    end(master).await;
}

#[tokio::test]
async fn a_worker_that_stands_still_is_woken_to_go_and_holds_up_no_update() {
    let app = leaving("web", "exit 0")
        .instances(2)
        .set("kill_ladder", json!(["TERM:300ms", "KILL"]));
    let (master, mut tail) = started(&[app]).await;
    master.settled("web", "running").await;
    let old = master.pids("web").await;
    master.signal(old[&0], Signal::STOP);
    master.ostler(["reload"]).success().await;
    let exits = tail.next_many("worker.exited", 2).await;
    let of_itself = |exit: &Value| exit["status"] == json!({"Code": 0});
    assert!(exits.iter().all(of_itself), "{exits:#?}");
    assert!(master.pids("web").await.values().all(|pid| *pid != old[&0]));
    end(master).await;
}

#[tokio::test]
async fn all_workers_killed_at_once_are_back_in_their_slots() {
    let (mut master, mut tail) = started(&[web("web").instances(6)]).await;
    master.settled("web", "running").await;
    tail.settle(&master).await;
    let before = master.pids("web").await;
    for pid in before.values() {
        master.signal(*pid, Signal::KILL);
    }
    master.wait_for_log("(out of memory? see `dmesg`)").await;
    tail.next_many("worker.ready", 6).await;
    master.settled("web", "running").await;
    let after = master.pids("web").await;
    assert!(after.keys().copied().eq(0..6), "{after:?}");
    assert!(
        after
            .values()
            .all(|pid| before.values().all(|old| old != pid)),
        "{before:?} {after:?}"
    );
    tail.settle(&master).await;
    let spawned = tail.story("web", &["spawned"]);
    assert_eq!(spawned.len(), 6 + spawned_before(&tail), "none too many");
    end(master).await;
}

/// The workers of the first round that the tail saw start.
fn spawned_before(tail: &Tail) -> usize {
    let spawned = tail.all("worker.spawned").into_iter();
    spawned
        .filter(|event| event["worker"]["id"].as_u64() <= Some(6))
        .count()
}

#[tokio::test]
async fn a_start_that_hangs_is_cut_short_and_tried_again() {
    let app = habit!("web", "hang-in-start")
        .instances(0)
        .set("ready", "notify")
        .set("start_timeout", "200ms")
        .set("kill_ladder", json!(["TERM:200ms", "KILL"]))
        .set("backoff", json!({"first": "20ms", "max": "20ms"}))
        .set("max_restarts", 3);
    let (mut master, mut tail) = started(&[app]).await;
    master.ostler(["scale", "1", "--no-wait"]).success().await;
    for _ in 0..3 {
        let exited = tail.next("worker.exited").await;
        assert_eq!(
            (&exited["voluntary"], &exited["was_ready"]),
            (&json!(false), &json!(false)),
            "{exited:#}"
        );
    }
    assert_eq!(tail.next("app.failed").await["slot"], 0);
    master.wait_for_log("web.0 failed: ").await;
    drop(tail);
    master.ostler(["stop"]).success().await;
    master.assert_nothing_left().await;
    end(master).await;
}

#[tokio::test]
async fn a_worker_that_closes_its_pipes_is_served_and_stopped_like_any_other() {
    let (master, mut tail) =
        started(&[habit!("mute", "close-pipes").unwatched().instances(0)]).await;
    master.ostler(["scale", "1"]).success().await;
    let cpu = || {
        let stat = fs::read_to_string(format!("/proc/{}/stat", master.process.id()));
        let stat = stat.expect("a living master");
        let fields: Vec<&str> = stat
            .rsplit(") ")
            .next()
            .expect("fields")
            .split(' ')
            .collect();
        let ticks = |at: usize| fields[at].parse::<u64>().expect("a number");
        ticks(11) + ticks(12)
    };
    // A pipe at its end is readable for ever: a master that went on reading it would do nothing else. Time itself is what is
    // tested.
    let before = cpu();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(
        cpu() - before < 25,
        "{} ticks in half a second",
        cpu() - before
    );
    master.ostler(["reload"]).success().await;
    let exited = tail.next("worker.exited").await;
    assert_eq!(exited["status"], json!({"Code": 0}), "{exited:#}");
    end(master).await;
}

/// The first process of a process-id namespace below which this master was started.
fn first_of_its_namespace(master: &Master) -> Option<u32> {
    let is_first = |pid: &u32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let ids = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
        ids.is_some_and(|ids| ids.split_whitespace().count() > 1 && ids.ends_with("\t1"))
    };
    master.descendants().into_iter().find(is_first)
}

#[tokio::test]
async fn the_first_process_of_a_container_reaps_what_others_leave_behind() {
    let unshare = match rustix::process::geteuid().is_root() {
        true => "-pf",
        false => "-Urpf",
    };
    let words = ["unshare", unshare, "--mount-proc", "--kill-child"];
    let tried = Cli::new(words[0]).args(&words[1..]).arg("true").run().await;
    if tried.exit != Exit::Code(0) {
        return eprintln!("not run: no namespace of processes can be had here");
    }
    // Each is a session of its own, and its parent is gone at once.
    let leave = "for i in 1 2 3 4 5; do (setsid sleep 0.2 &); done; echo left; exec sleep 600";
    let apps = [script("web", leave)];
    let mut master = ostler!().through(words).apps(&apps).start().await;
    master.process.wait_for_line("web.0 | left", PATIENCE).await;
    let first = eventually("the master", PATIENCE, || first_of_its_namespace(&master)).await;
    // Zombies are children, too: what stays is the worker, and the zygote.
    let children = || {
        let path = format!("/proc/{first}/task/{first}/children");
        let children = fs::read_to_string(path).expect("a living master");
        children.split_whitespace().count()
    };
    eventually("orphans to be reaped", PATIENCE, || {
        (children() == 2).then_some(())
    })
    .await;
    master.settled("web", "running").await;
    master.ostler(["kill"]).success().await;
    assert_eq!(master.process.wait(PATIENCE).await, Exit::Code(0));
    master.assert_nothing_left().await;
}
