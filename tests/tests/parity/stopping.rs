//! How workers end, and what is left of them.

use super::*;

#[tokio::test]
async fn each_worker_is_told_to_go_once() {
    let count = "trap 'echo TERM >> heard.$OSTLER_WORKER_ID; sleep 0.3; exit 0' TERM; \"$MISBEHAVE\" say READY=1; \
                 while :; do sleep 0.02; done";
    let app = script("web", count)
        .instances(2)
        .set("ready", "notify")
        .set("env", json!({"MISBEHAVE": env!("CARGO_BIN_EXE_misbehave")}))
        .unwatched();
    let (mut master, _tail) = started(&[app]).await;
    master.settled("web", "running").await;
    master.ostler(["reload"]).success().await;
    master.ostler(["scale", "1"]).success().await;
    assert_eq!(master.end(Signal::TERM).await, Exit::Code(0));
    for id in 1..=4 {
        let heard = fs::read_to_string(master.dir().at(&format!("heard.{id}")));
        assert_eq!(heard.expect("it was told"), "TERM\n", "worker {id}");
    }
}

#[tokio::test]
async fn a_stop_of_what_has_no_workers_is_done_at_once_and_twice() {
    let apps = [
        habit!("parked", "trivial").instances(0),
        habit!("web", "notify 0"),
    ];
    let (master, _tail) = started(&apps).await;
    master.settled("web", "running").await;
    for _ in 0..2 {
        master.ostler(["stop", "parked"]).success().await;
        master.ostler(["stop"]).success().await;
    }
    assert_eq!(master.app("web").await["state"], "stopped");
    master.ostler(["start", "web"]).success().await;
    assert_eq!(master.pids("web").await.len(), 1);
}

#[tokio::test]
async fn the_port_of_a_master_that_ended_refuses_connections() {
    let app = habit!("web", "notify 0 http version").listening();
    let mut master = ostler!().with("version", "1").apps(&[app]).start().await;
    master.settled("web", "running").await;
    let address = master.address("web").await;
    assert_eq!(master.end(Signal::TERM).await, Exit::Code(0));
    let refused = std::net::TcpStream::connect(address).expect_err("nobody listens");
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    master.assert_nothing_left().await;
}

#[tokio::test]
async fn an_app_that_is_not_restarted_stays_down_until_it_is_started() {
    let app = habit!("web", "notify 0").set("restart", "never");
    let (master, mut tail) = started(&[app, habit!("api", "notify 0")]).await;
    master.settled("web", "running").await;
    master.signal(master.pid("web", 0).await, Signal::KILL);
    tail.next("worker.exited").await;
    // Another app's whole start later there is still none.
    master.ostler(["reload", "api"]).success().await;
    assert_eq!(master.pids("web").await.len(), 0);
    let slot = master.workers("web").await.remove(0);
    assert_eq!(slot["restarts"], 0, "{slot:#}");
    master.ostler(["start", "web"]).success().await;
    assert_eq!(master.pids("web").await.len(), 1);
}

#[tokio::test]
async fn workers_that_are_old_enough_are_all_replaced_and_the_app_keeps_its_size() {
    let app = habit!("web", "notify 0")
        .instances(5)
        .set("max_age", "600ms")
        .set("min_healthy", "50ms");
    let (master, mut tail) = started(&[app]).await;
    master.settled("web", "running").await;
    let before = master.pids("web").await;
    let mut replaced = BTreeSet::new();
    while replaced.len() < 5 {
        let exited = tail.next("worker.exited").await;
        assert_eq!(exited["voluntary"], true, "{exited:#}");
        replaced.insert(exited["worker"]["slot"].as_u64());
        let current = master.pids("web").await;
        assert_eq!(current.len(), 5, "{current:?}");
    }
    let drains = tail.all("worker.draining");
    assert!(
        drains.iter().all(|drain| drain["reason"]
            .as_str()
            .is_some_and(|why| why.starts_with("recycle: "))),
        "{drains:#?}"
    );
    let after = master.pids("web").await;
    assert!(
        before.iter().all(|(slot, pid)| after[slot] != *pid),
        "{before:?} {after:?}"
    );
}

#[tokio::test]
async fn a_shorter_patience_of_one_app_stands_over_that_of_all() {
    let stubborn = "trap '' TERM; echo up; while :; do sleep 0.05; done";
    let file = format!(
        "name = \"test\"\n[defaults]\ninstances = 1\nkill_ladder = [\"TERM:2s\", \"KILL\"]\n\
         [app.short]\ncommand = ['sh', '-c', {stubborn:?}]\nkill_ladder = [\"TERM:300ms\", \"KILL\"]\n\
         [app.long]\ncommand = ['sh', '-c', {stubborn:?}]\n"
    );
    let mut master = ostler!().file(&file).start().await;
    let mut tail = master.tail().await;
    for name in ["short", "long"] {
        let mut said = master.process.stdout.clone();
        said.wait_for_line(format!("{name}.0 | up"), PATIENCE).await;
    }
    let stop = master.ostler(["stop"]).start();
    tail.next_with("worker.exited", "/worker/app", "short")
        .await;
    let status = master.status().await;
    let state = |name: &str| {
        let mut workers = status["workers"].as_array().expect("workers").iter();
        let worker = workers.find(|worker| worker["app"] == name);
        worker.expect("a worker or its slot")["state"].clone()
    };
    assert_eq!(
        (state("short"), state("long")),
        (json!("stopped"), json!("stopping"))
    );
    tail.next_with("worker.exited", "/worker/app", "long").await;
    assert_eq!(stop.wait(PATIENCE).await, Exit::Code(0));
    assert_eq!(master.end(Signal::TERM).await, Exit::Code(0));
}

#[tokio::test]
async fn an_open_connection_makes_no_worker_fail_at_its_end() {
    let talker = [env!("CARGO_BIN_EXE_talker"), "serve"];
    let app = App::new("web", talker).instances(2).listening();
    let (master, mut tail) = started(&[app]).await;
    master.settled("web", "running").await;
    tail.settle(&master).await;
    let address = master.address("web").await;
    let held = std::net::TcpStream::connect(address).expect("a connection");
    // Accepted before it, by whoever has it: another one is answered.
    drop(master.load("web").await.stop().await);
    master.ostler(["stop"]).success().await;
    for exited in tail.next_many("worker.exited", 2).await {
        assert_eq!(exited["status"], json!({"Code": 0}), "{exited:#}");
    }
    drop(held);
}

#[tokio::test]
async fn the_log_tells_how_each_worker_ended_and_whether_that_was_asked_for() {
    let apps = [
        script("code", "exit 3"),
        script("signal", "kill -SEGV $$$$"),
        script("asked", "exec sleep 600").set("ready", "delay(0s)"),
        script("killed", "kill -KILL $$$$"),
    ];
    let apps = apps.map(|app| app.set("max_restarts", 1).set("limits", json!({"core": 0})));
    let mut master = ostler!().apps(&apps).start().await;
    master.settled("asked", "running").await;
    master.ostler(["stop", "asked"]).success().await;
    for (level, told) in [
        ("ERROR", "code.0 exited with code 3 after "),
        ("ERROR", "signal.0 was ended by SIGSEGV after "),
        ("INFO", "asked.0 was ended by SIGTERM after "),
        ("ERROR", "killed.0 was ended by SIGKILL after "),
    ] {
        let line = eventually("an end in the log", PATIENCE, || {
            let log = master.process.output();
            let line = log.lines().find(|line| line.contains(told));
            line.map(str::to_owned)
        })
        .await;
        assert!(line.contains(level), "{line}");
        let hint = line.contains("out of memory?");
        assert_eq!(hint, told.starts_with("killed"), "{line}");
    }
    assert_eq!(master.end(Signal::TERM).await, Exit::Code(0));
}
