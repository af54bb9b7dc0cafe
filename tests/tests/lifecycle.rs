//! The life of workers: how they start, what they are given, when they are ready, how they end and come back.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use ostler_tests::{
    habit,
    harness::{App, Exit, Master, PATIENCE, Tail, eventually},
    ostler,
};
use rustix::process::Signal;
use serde_json::{Value, json};

/// An app of a small shell script.
fn script(name: &str, script: &str) -> App {
    App::new(name, ["sh", "-c", script])
}

fn talker(name: &str, habit: &str) -> App {
    App::new(
        name,
        std::iter::once(env!("CARGO_BIN_EXE_talker")).chain(habit.split(' ')),
    )
}

/// What a worker with the habit `print-env` was given.
async fn printed(master: &Master, file: &str) -> Value {
    let path = master.dir().at(file);
    let text = eventually("the worker to print", PATIENCE, || {
        fs::read_to_string(&path).ok()
    })
    .await;
    serde_json::from_str(&text).expect("JSON")
}

/// Lets an app of the file called `clock` start a worker, and so an amount of time pass that the master measures.
async fn tick(master: &Master) {
    master.ostler(["scale", "clock", "+1"]).success().await;
}

fn clock(time: &str) -> App {
    habit!("clock", "trivial")
        .instances(0)
        .set("ready", format!("delay({time})"))
}

async fn started(apps: &[App]) -> (Master, Tail) {
    let master = ostler!().apps(apps).start().await;
    let tail = master.tail().await;
    (master, tail)
}

// ---- spoiling what is shared

#[tokio::test]
async fn a_listener_that_a_worker_shuts_down_listens_again() {
    let app = habit!("web", "shut-listener").instances(1).listening();
    let mut master = ostler!().apps(&[app]).start().await;
    master.wait_for_log("it listens again").await;
}

#[tokio::test]
async fn the_end_of_a_worker_is_noticed_through_a_flood_of_notifications() {
    let app = habit!("web", "flood-notify 300").instances(1);
    let mut master = ostler!().apps(&[app]).start().await;
    master.wait_for_log("exited with code 3").await;
}

// ---- starting

#[tokio::test]
async fn workers_start_one_by_one_each_ready_before_the_next() {
    let (master, mut tail) = started(&[habit!("web", "notify 100").instances(0)]).await;
    master.ostler(["scale", "4"]).success().await;
    tail.settle(&master).await;
    let story = tail.story("web", &["spawned", "ready"]);
    let in_turn = ["0", "1", "2", "3"].map(|n| [format!("spawned {n}"), format!("ready {n}")]);
    assert_eq!(story, in_turn.concat());
}

#[tokio::test]
async fn auto_instances_follow_the_cpu_affinity() {
    let pinned = |cpus: usize| {
        let app = habit!("web", "notify 0").set("instances", "auto");
        let builder = ostler!().apps(&[app]);
        // Children inherit the affinity of the thread that starts them.
        let starter = std::thread::spawn(move || {
            let all = rustix::thread::sched_getaffinity(None).expect("an affinity");
            let mut few = rustix::thread::CpuSet::new();
            let allowed = (0..rustix::thread::CpuSet::MAX_CPU).filter(|cpu| all.is_set(*cpu));
            allowed.take(cpus).for_each(|cpu| few.set(cpu));
            rustix::thread::sched_setaffinity(None, &few).expect("fewer CPUs");
            (builder.spawn(), few.count())
        });
        starter.join().expect("a started master")
    };
    for cpus in [1, 2] {
        let (mut master, cores) = pinned(cpus);
        for _ in 0..cores {
            master.wait_for_log("ready after").await;
        }
        let app = master.app("web").await;
        assert_eq!(app["instances"], cores, "{app:#}");
    }
}

#[tokio::test]
async fn instances_zero_is_a_parked_app() {
    let (master, mut tail) = started(&[habit!("web", "notify 0").instances(0)]).await;
    assert_eq!(master.app("web").await["instances"], 0);
    assert_eq!(master.workers("web").await, Vec::<Value>::new());
    master.ostler(["scale", "web", "1"]).success().await;
    tail.next("worker.ready").await;
    assert_eq!(master.pids("web").await.len(), 1);
}

#[tokio::test]
async fn environment_names_app_slot_id_and_generation() {
    let app = habit!("web", "print-env given").listening();
    let other = habit!("plain", "print-env plain")
        .set("listen", json!({"a": "127.0.0.1:0", "b": "127.0.0.1:0"}))
        .set("listen_pid", false);
    let master = ostler!().apps(&[app, other]).start().await;
    let (given, plain) = (
        printed(&master, "given").await,
        printed(&master, "plain").await,
    );
    let env = &given["env"];
    let worker = &master.workers("web").await[0];
    let text = |value: &Value| value.to_string();
    assert_eq!(
        (&env["OSTLER_APP"], &env["OSTLER_SLOT"]),
        (&json!("web"), &json!("0"))
    );
    assert_eq!(env["OSTLER_WORKER_ID"], text(&worker["id"]));
    assert_eq!(env["OSTLER_GENERATION"], text(&worker["generation"]));
    assert_eq!(env["NODE_APP_INSTANCE"], "0");
    assert_eq!(env["LISTEN_FDS"], "1");
    assert_eq!(env["LISTEN_PID"], text(&given["pid"]));
    assert_eq!(
        env["PORT"],
        master.address("web").await.port().to_string().as_str()
    );
    assert_eq!(env["OSTLER_BUS_FD"], "4");
    assert!(Path::new(env["OSTLER_BUS"].as_str().expect("a path")).exists());
    assert!(Path::new(env["NOTIFY_SOCKET"].as_str().expect("a path")).exists());
    assert_eq!(plain["env"]["LISTEN_FDNAMES"], "a:b");
    assert_eq!(plain["env"]["LISTEN_PID"], Value::Null);
    assert_eq!(plain["env"]["PORT"], Value::Null, "two sockets");
}

#[tokio::test]
async fn environment_carries_what_the_file_says() {
    let app = habit!("web", "print-env given").set("env", json!({"COLOUR": "green", "N": 3}));
    let masters_own = [
        "NOTIFY_SOCKET",
        "LISTEN_FDS",
        "LISTEN_PID",
        "WATCHDOG_USEC",
        "OSTLER_APP",
    ];
    let mut builder = ostler!()
        .apps(&[app])
        .env("COLOUR", "red")
        .env("KEPT", "yes");
    for name in masters_own {
        builder = builder.env(name, "meant for the master");
    }
    let master = builder.start().await;
    let given = printed(&master, "given").await;
    let env = &given["env"];
    assert_eq!((&env["COLOUR"], &env["N"]), (&json!("green"), &json!("3")));
    assert_eq!(env["KEPT"], "yes");
    assert_eq!(env["OSTLER_HOME"], Value::Null);
    for name in masters_own {
        assert_ne!(env[name], "meant for the master", "{name}");
    }
    assert_eq!(env["LISTEN_FDS"], Value::Null, "no sockets");
}

#[tokio::test]
async fn arguments_arrive_unchanged() {
    let words = [
        "a b",
        "\"quoted\" 'too'",
        "",
        "--",
        "$HOME",
        "ü\n\t",
        "*",
        "{nobody}",
        "-n",
        "{slot}",
    ];
    let printer = [env!("CARGO_BIN_EXE_misbehave"), "print-env", "given"];
    let echo = "printf '%s\\0' \"$@\" > args.part; mv args.part args; exec \"$0\" trivial";
    let command = ["sh", "-c", echo, printer[0]].into_iter().chain(words);
    let master = ostler!().arg("-i1").command(command).start().await;
    let path = master.dir().at("args");
    let text = eventually("the arguments", PATIENCE, || fs::read_to_string(&path).ok()).await;
    let mut expected = words.to_vec();
    // The one placeholder among them is filled in, the unknown one is left alone.
    expected[9] = "0";
    assert_eq!(text.split_terminator('\0').collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn descriptors_signals_and_groups_are_as_a_program_expects() {
    let app = habit!("web", "print-env given").listening();
    let master = ostler!().apps(&[app]).start().await;
    let given = printed(&master, "given").await;
    let fds = given["fds"].as_object().expect("descriptors");
    let mut numbers: Vec<u32> = fds.keys().filter_map(|fd| fd.parse().ok()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [0, 1, 2, 3, 4], "standard, socket, bus: {fds:#?}");
    assert_eq!(given["pgid"], given["pid"]);
    assert_eq!(given["SigBlk"], "0000000000000000");
    // Bit 12, SIGPIPE, is Rust's own doing in the worker.
    assert_eq!(given["SigIgn"], "0000000000001000");
    assert_eq!(given["cwd"], master.dir().path().to_str().expect("UTF-8"));
}

// ---- sockets

#[tokio::test]
async fn every_worker_serves_the_shared_socket() {
    let app = habit!("web", "notify 0 http version")
        .instances(4)
        .listening();
    let master = ostler!().with("version", "1").apps(&[app]).start().await;
    master.settled("web", "running").await;
    let pids: Vec<String> = master
        .pids("web")
        .await
        .values()
        .map(u64::to_string)
        .collect();
    let address = master.address("web").await;
    let end = Instant::now() + PATIENCE;
    let mut seen = std::collections::BTreeSet::new();
    while seen.len() < 4 {
        assert!(Instant::now() < end, "{seen:?} answered of {pids:?}");
        let plan = ostler_tests::load::Plan::to(address)
            .by_field("pid")
            .requests(100);
        let tally = master.load_with(plan).await.finish().await;
        assert_eq!(tally.lost(), 0, "{tally}");
        seen.extend(tally.by.into_keys());
    }
    assert!(
        seen.iter().all(|pid| pids.contains(pid)),
        "{seen:?} {pids:?}"
    );
}

#[tokio::test]
async fn port_zero_stays_the_same_over_crash_and_update() {
    let app = habit!("web", "notify 0 http version")
        .listening()
        .unwatched();
    let master = ostler!().with("version", "1").apps(&[app]).start().await;
    let mut tail = master.tail().await;
    master.settled("web", "running").await;
    tail.settle(&master).await;
    let address = master.address("web").await;
    master.signal(master.pid("web", 0).await, Signal::KILL);
    tail.next("worker.exited").await;
    tail.next("worker.ready").await;
    master.ostler(["reload"]).success().await;
    assert_eq!(master.address("web").await, address);
    let tally = master.load("web").await.stop().await;
    assert_eq!(tally.lost(), 0, "{tally}");
}

/// One request, over a connection made now and answered whenever.
async fn knock(address: std::net::SocketAddr) -> tokio::task::JoinHandle<String> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let stream = tokio::net::TcpStream::connect(address).await;
    let mut stream = stream.expect("a connection that is not refused");
    let request = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await.expect("a written request");
    tokio::spawn(async move {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        answer
    })
}

#[tokio::test]
async fn socket_accepts_before_the_first_worker_is_ready() {
    let slow = format!(
        "until [ -e go ]; do sleep 0.02; done; exec {} notify 0 http version",
        env!("CARGO_BIN_EXE_misbehave")
    );
    let app = script("web", &slow).listening().set("ready", "notify");
    let master = ostler!().with("version", "1").apps(&[app]).start().await;
    let mut tail = master.tail().await;
    let answer = knock(master.address("web").await).await;
    assert_eq!(master.app("web").await["ready"], 0);
    master.dir().write("go", "");
    tail.next("worker.ready").await;
    let answer = tokio::time::timeout(PATIENCE, answer).await;
    assert!(
        answer
            .expect("in time")
            .expect("read")
            .starts_with("HTTP/1.1 200")
    );
}

#[tokio::test]
async fn connections_wait_while_every_worker_is_down() {
    let backoff = json!({"first": "700ms", "max": "1s"});
    let app = habit!("web", "notify 0 http version")
        .instances(2)
        .listening()
        .set("backoff", backoff);
    let (master, mut tail) = {
        let master = ostler!().with("version", "1").apps(&[app]).start().await;
        let tail = master.tail().await;
        (master, tail)
    };
    master.settled("web", "running").await;
    tail.settle(&master).await;
    let address = master.address("web").await;
    for pid in master.pids("web").await.values() {
        master.signal(*pid, Signal::KILL);
    }
    tail.next_many("worker.exited", 2).await;
    let answers = [knock(address).await, knock(address).await];
    assert_eq!(
        tail.story("web", &["exited", "ready"])
            .last()
            .map(|s| &s[..6]),
        Some("exited")
    );
    for answer in answers {
        let answer = tokio::time::timeout(PATIENCE, answer).await;
        assert!(
            answer
                .expect("in time")
                .expect("read")
                .starts_with("HTTP/1.1 200")
        );
    }
}

#[tokio::test]
async fn unix_socket_is_served_and_removed_at_the_end() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let app = talker("web", "serve").set("listen", json!({"http": "unix:web.sock"}));
    let builder = ostler!().apps(&[app]);
    let path = builder.dir().at("web.sock");
    // A dead master's: bound, and nobody listens any more.
    drop(std::os::unix::net::UnixListener::bind(&path).expect("a socket"));
    let mut master = builder.start().await;
    let mut stream = tokio::net::UnixStream::connect(&path)
        .await
        .expect("served");
    let request = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await.expect("written");
    let mut answer = String::new();
    let read = stream.read_to_string(&mut answer);
    tokio::time::timeout(PATIENCE, read)
        .await
        .expect("in time")
        .expect("read");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(master.end(Signal::TERM).await, Exit::Code(0));
    assert!(!path.exists());
}

#[tokio::test]
async fn a_file_in_the_way_of_a_unix_socket_is_kept_and_told() {
    let app = talker("web", "serve").set("listen", "unix:web.sock");
    let mut master = ostler!().apps(&[app]).with("web.sock", "precious").spawn();
    let exit = master.process.wait(PATIENCE).await;
    assert_ne!(exit, Exit::Code(0));
    master.wait_for_log("web.sock").await;
    let path = master.dir().at("web.sock");
    assert_eq!(fs::read_to_string(path).expect("a file"), "precious");
}

#[tokio::test]
async fn several_named_sockets_arrive_in_order() {
    let listen = json!({"web": "127.0.0.1:0", "admin": "unix:admin.sock", "more": "127.0.0.1:0"});
    let app = habit!("web", "print-env given").set("listen", listen);
    let master = ostler!().apps(&[app]).start().await;
    let given = printed(&master, "given").await;
    assert_eq!(given["env"]["LISTEN_FDS"], "3");
    // A table of names has no order of its own: whatever it is, status, names and descriptors agree.
    let names = given["env"]["LISTEN_FDNAMES"].as_str().expect("names");
    let shown = master.app("web").await;
    let sockets = shown["sockets"].as_array().expect("sockets");
    let shown: Vec<_> = sockets
        .iter()
        .filter_map(|socket| socket["name"].as_str())
        .collect();
    assert_eq!(names, shown.join(":"));
    assert_eq!(
        names
            .split(':')
            .collect::<std::collections::BTreeSet<_>>()
            .len(),
        3
    );
}

#[tokio::test]
async fn worker_that_binds_the_declared_port_itself_gets_a_hint() {
    let app = script(
        "web",
        "echo 'Error: listen EADDRINUSE: address already in use' >&2; exit 1",
    )
    .listening()
    .set("max_restarts", 1)
    .instances(0);
    let (mut master, mut tail) = started(&[app]).await;
    master.ostler(["scale", "1"]).fails_with(1).await;
    let hint = tail.next("worker.exited").await["hint"].take();
    assert!(
        hint.as_str()
            .is_some_and(|hint| hint.contains("LISTEN_FDS")),
        "{hint:#}"
    );
    master.wait_for_log("hint: ").await;
}

// ---- readiness

#[tokio::test]
async fn readiness_auto_assumes_a_silent_worker_and_waits_for_one_that_spoke() {
    let (master, mut tail) = started(&[
        habit!("silent", "trivial").instances(0),
        habit!("spoke", "never-ready").instances(0),
        clock("1500ms"),
    ])
    .await;
    master
        .ostler(["scale", "spoke", "1", "--no-wait"])
        .success()
        .await;
    tail.next("worker.online").await;
    master.ostler(["scale", "silent", "1"]).success().await;
    let ready = tail.next("worker.ready").await;
    assert_eq!(
        (&ready["worker"]["app"], &ready["assumed"]),
        (&json!("silent"), &json!(true))
    );
    assert!(ready["after_ms"].as_u64() >= Some(1000), "{ready:#}");
    assert_eq!(master.workers("silent").await[0]["assumed_ready"], true);
    tick(&master).await;
    assert_eq!(master.workers("spoke").await[0]["state"], "starting");
}

#[tokio::test]
async fn readiness_notify_waits_for_the_word() {
    let word = habit!("word", "notify 300")
        .set("ready", "notify")
        .instances(0);
    let (master, mut tail) = started(&[word]).await;
    master.ostler(["scale", "word", "1"]).success().await;
    let ready = tail.next("worker.ready").await;
    // It counts from its own start, the master from when it heard of that.
    assert!(ready["after_ms"].as_u64() >= Some(150), "{ready:#}");
    assert_eq!(ready["assumed"], false);
}

#[tokio::test]
async fn readiness_sdk_waits_for_the_request() {
    let (master, mut tail) = started(&[
        talker("mute", "mute").set("ready", "sdk").instances(0),
        talker("wait", "wait").set("ready", "sdk").instances(0),
        clock("1200ms"),
    ])
    .await;
    master
        .ostler(["scale", "mute", "1", "--no-wait"])
        .success()
        .await;
    tail.next_with("worker.online", "/worker/app", "mute").await;
    master.ostler(["scale", "wait", "1"]).success().await;
    tick(&master).await;
    let worker = master.workers("mute").await.remove(0);
    assert_eq!(
        (&worker["state"], &worker["connected"]),
        (&json!("starting"), &json!(true))
    );
    assert_eq!(master.workers("wait").await[0]["state"], "ready");
}

#[tokio::test]
async fn readiness_delay_counts_from_spawn() {
    let (master, mut tail) = started(&[
        habit!("lives", "notify 0")
            .set("ready", "delay(400ms)")
            .instances(0),
        habit!("dies", "exit 1 50")
            .set("ready", "delay(400ms)")
            .set("max_restarts", 1),
    ])
    .await;
    master.settled("dies", "failed").await;
    master.ostler(["scale", "lives", "1"]).success().await;
    let ready = tail.next("worker.ready").await;
    assert_eq!(ready["worker"]["app"], "lives", "the other was never ready");
    assert!(
        ready["after_ms"].as_u64() >= Some(400),
        "a word doesn't count: {ready:#}"
    );
}

#[tokio::test]
async fn start_timeout_is_a_failed_start() {
    let app = habit!("web", "hang-in-start")
        .set("ready", "notify")
        .set("start_timeout", "400ms")
        .set("max_restarts", 2)
        .instances(0);
    let (master, mut tail) = started(&[app]).await;
    master.ostler(["scale", "1"]).fails_with(1).await;
    let exited = tail.next("worker.exited").await;
    assert_eq!(
        (&exited["was_ready"], &exited["voluntary"]),
        (&json!(false), &json!(false))
    );
    assert!(exited["uptime_ms"].as_u64() >= Some(400), "{exited:#}");
    tail.next("app.failed").await;
    assert_eq!(tail.all("worker.ready"), Vec::<Value>::new());
    assert_eq!(tail.all("worker.exited").len(), 2);
}

// ---- ends

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

#[tokio::test]
async fn stop_exit_code_ends_the_slot_for_good() {
    let app = habit!("web", "notify 0 exit 42 50").set("stop_exit_codes", json!([42]));
    let (master, mut tail) = started(&[app.instances(0), clock("600ms")]).await;
    master
        .ostler(["scale", "web", "1", "--no-wait"])
        .success()
        .await;
    let exited = tail.next("worker.exited").await;
    assert_eq!(exited["status"], json!({"Code": 42}));
    tick(&master).await;
    assert_eq!(master.workers("web").await[0]["state"], "stopped");
    assert_eq!(tail.story("web", &["spawned"]).len(), 1);
}

#[tokio::test]
async fn crash_after_min_uptime_respawns_at_once() {
    let app = habit!("web", "trivial")
        .set("ready", "delay(2100ms)")
        .set("min_uptime", "1s")
        .set("backoff", json!({"first": "2s", "max": "20s"}));
    let (master, mut tail) = started(&[app]).await;
    master.settled("web", "running").await;
    tail.settle(&master).await;
    master.signal(master.pid("web", 0).await, Signal::KILL);
    tail.next("worker.exited").await;
    let exited = Instant::now();
    tail.next("worker.spawned").await;
    assert!(
        exited.elapsed() < Duration::from_millis(1500),
        "it backed off"
    );
}

#[tokio::test]
async fn early_crashes_back_off_longer_each_time() {
    let app = script("web", "date +%s%N >> starts; exit 1").set(
        "backoff",
        json!({"first": "200ms", "max": "800ms", "factor": 2}),
    );
    let (master, _tail) = started(&[app]).await;
    let path = master.dir().at("starts");
    let starts = eventually("five starts", PATIENCE, || {
        let text = fs::read_to_string(&path).ok()?;
        let starts: Vec<u64> = text.lines().filter_map(|line| line.parse().ok()).collect();
        (starts.len() >= 5).then_some(starts)
    })
    .await;
    let gaps: Vec<u64> = starts
        .windows(2)
        .map(|pair| (pair[1] - pair[0]) / 1_000_000)
        .collect();
    // Half of what is due, as a start may be slower than the one after it.
    for (gap, due) in gaps.iter().zip([200, 400, 800, 800]) {
        assert!(*gap >= due / 2, "{gaps:?}");
    }
    assert!(gaps[2] > gaps[0], "{gaps:?}");
    let slot = master.workers("web").await.remove(0);
    if slot["state"] == "backoff" {
        assert!(
            slot["retry_in_ms"].as_u64() <= Some(800 * 6 / 5),
            "{slot:#}"
        );
    }
    assert!(
        slot["last_exit"]
            .as_str()
            .is_some_and(|exit| exit.contains("code 1")),
        "{slot:#}"
    );
}

#[tokio::test]
async fn too_many_early_crashes_fail_the_slot() {
    let crash = script("web", "[ -e fixed ] && exec \"$0\" notify 0; exit 1")
        .set(
            "command",
            json!([
                "sh",
                "-c",
                "[ -e fixed ] && exec \"$0\" notify 0; exit 1",
                env!("CARGO_BIN_EXE_misbehave")
            ]),
        )
        .set("max_restarts", 3)
        .set("backoff", json!({"first": "10ms", "max": "20ms"}))
        .unwatched()
        .instances(0);
    let (master, mut tail) = started(&[crash, habit!("api", "notify 0")]).await;
    master.settled("api", "running").await;
    let other = master.pids("api").await;
    master
        .ostler(["scale", "web", "1", "--no-wait"])
        .success()
        .await;
    let failed = tail.next("app.failed").await;
    assert_eq!(
        (&failed["app"], &failed["slot"]),
        (&json!("web"), &json!(0))
    );
    assert_eq!(master.workers("web").await[0]["state"], "failed");
    assert_eq!(tail.story("web", &["spawned"]).len(), 3);
    assert_eq!(master.pids("api").await, other);
    master.dir().write("fixed", "");
    master.ostler(["reload", "web"]).success().await;
    assert_eq!(master.workers("web").await[0]["state"], "ready");
}

#[tokio::test]
async fn exit_tells_code_signal_and_last_lines() {
    let apps = [
        habit!("code", "readers"),
        habit!("signal", "abort"),
        habit!("nowhere", "trivial").set("cwd", "gone"),
        script("long", "seq 1000 >&2; exit 4"),
    ];
    let apps = apps.map(|app| app.set("max_restarts", 1).instances(0));
    let builder = ostler!().apps(&apps);
    builder.dir().make("gone");
    let master = builder.start().await;
    let mut tail = master.tail().await;
    fs::remove_dir(master.dir().at("gone")).expect("a directory");
    for app in ["code", "signal", "nowhere", "long"] {
        master.ostler(["scale", app, "1"]).fails_with(1).await;
    }
    let exited = tail.next("worker.exited").await;
    assert_eq!(exited["status"], json!({"Code": 3}));
    assert_eq!(
        exited["stderr_tail"],
        json!(["can't open the book", "giving up"])
    );
    assert_eq!(
        tail.next("worker.exited").await["status"],
        json!({"Signal": "SIGABRT"})
    );
    let why = tail.next("worker.exited").await["status"]["NotStarted"].take();
    assert!(
        why.as_str().is_some_and(|why| why.contains("gone")),
        "{why:#}"
    );
    let exited = tail.next("worker.exited").await;
    let lines = exited["stderr_tail"].as_array().expect("lines");
    assert_eq!(lines.last(), Some(&json!("1000")), "oldest first");
    assert!(lines.len() < 500, "bounded: {}", lines.len());
}

// ---- output

#[tokio::test]
async fn output_reaches_the_masters_log_with_its_prefix() {
    let app =
        script("web", "echo out; echo err >&2; printf last").set("stop_exit_codes", json!([0]));
    let mut master = ostler!().apps(&[app]).start().await;
    for line in ["web.0 | out", "web.0 | last"] {
        master
            .process
            .wait_for_line(|read: &str| read == line, PATIENCE)
            .await;
    }
    master
        .wait_for_log(|read: &str| read == "web.0 ! err")
        .await;
}

#[tokio::test]
async fn everything_printed_before_the_exit_is_in_the_log() {
    let app = App::new("web", ["seq", "10000"]).set("stop_exit_codes", json!([0]));
    let mut master = ostler!().apps(&[app]).start().await;
    master
        .process
        .wait_for_line("web.0 | 10000", PATIENCE)
        .await;
    let lines = master.process.stdout.all();
    let numbers: Vec<u32> = lines
        .iter()
        .filter_map(|line| line.strip_prefix("web.0 | ")?.parse().ok())
        .collect();
    assert!(
        numbers.iter().copied().eq(1..=10_000),
        "{} lines",
        numbers.len()
    );
}

#[tokio::test]
async fn flooding_worker_holds_up_nobody() {
    let (master, mut tail) = started(&[
        App::new("flood", ["yes", "all work and no play"]).instances(0),
        habit!("api", "notify 0"),
    ])
    .await;
    master.settled("api", "running").await;
    tail.settle(&master).await;
    master.ostler(["scale", "flood", "2"]).success().await;
    let memory = |status: Value| status["master"]["memory"].as_u64().expect("a figure");
    for _ in 0..10 {
        master.signal(master.pid("api", 0).await, Signal::KILL);
        tail.next_with("worker.ready", "/worker/app", "api").await;
    }
    let status = master.status().await;
    assert_eq!(master.pids("flood").await.len(), 2);
    let used = memory(status);
    assert!(used < 128 << 20, "{used} bytes");
}

#[tokio::test]
async fn grandchildren_neither_delay_an_exit_nor_survive_in_the_group() {
    let once = json!([0]);
    let own = habit!("own", "fork-and-leave own-group").set("stop_exit_codes", once.clone());
    let same = habit!("same", "fork-and-leave").set("stop_exit_codes", once);
    let (mut master, mut tail) = started(&[own.instances(0), same.instances(0)]).await;
    master
        .ostler(["scale", "own", "1", "--no-wait"])
        .success()
        .await;
    // It holds the pipes for 30 s, which is longer than this waits.
    tail.next("worker.exited").await;
    master
        .ostler(["scale", "same", "1", "--no-wait"])
        .success()
        .await;
    let line = master
        .process
        .wait_for_line("same.0 | left ", PATIENCE)
        .await;
    tail.next("worker.exited").await;
    let pid: u32 = line
        .rsplit(' ')
        .next()
        .and_then(|pid| pid.parse().ok())
        .expect("a pid");
    let gone = || (!master.descendants().contains(&pid)).then_some(());
    eventually("the straggler to be killed", PATIENCE, gone).await;
}

// ---- the bus, and going

#[tokio::test]
async fn lost_bus_connection_is_told() {
    // A wrapper, whose child speaks for the worker on the socket that it inherits.
    let wrapper = "\"$0\" wait & exec 3<&-; until [ -e cut ]; do sleep 0.02; done; kill -KILL $!; while :; do sleep 0.1; done";
    let wrapper = ["sh", "-c", wrapper, env!("CARGO_BIN_EXE_talker")];
    let (master, mut tail) = started(&[App::new("web", wrapper).instances(0)]).await;
    master.ostler(["scale", "1"]).success().await;
    assert_eq!(master.workers("web").await[0]["connected"], true);
    master.dir().write("cut", "");
    tail.next("worker.disconnected").await;
    tail.settle(&master).await;
    let worker = master.workers("web").await.remove(0);
    assert_eq!(
        (&worker["connected"], &worker["state"]),
        (&json!(false), &json!("ready"))
    );
    assert_eq!(tail.all("worker.exited"), Vec::<Value>::new());
}

const STUBBORN: &str = "trap 'echo INT >> heard' INT; trap 'echo TERM >> heard' TERM; echo up; while :; do sleep 0.05; done";

#[tokio::test]
async fn kill_ladder_climbs_until_the_worker_is_gone() {
    let app =
        script("web", STUBBORN).set("kill_ladder", json!(["INT:400ms", "TERM:400ms", "KILL"]));
    let (mut master, mut tail) = started(&[app]).await;
    master.process.wait_for_line("up", PATIENCE).await;
    let asked = Instant::now();
    master.ostler(["stop"]).success().await;
    assert!(
        asked.elapsed() >= Duration::from_millis(800),
        "{:?}",
        asked.elapsed()
    );
    let exited = tail.next("worker.exited").await;
    assert_eq!(exited["status"], json!({"Signal": "SIGKILL"}));
    assert_eq!(exited["voluntary"], true);
    let heard = fs::read_to_string(master.dir().at("heard")).expect("signals heard");
    assert_eq!(heard, "INT\nTERM\n");
}

#[tokio::test]
async fn kill_ladder_ends_when_the_worker_is_gone() {
    let polite = STUBBORN.replace("echo TERM >> heard", "echo TERM >> heard; exit 0");
    let app = script("web", &polite).set("kill_ladder", json!(["TERM:15s", "INT:1s", "KILL"]));
    let (mut master, mut tail) = started(&[app]).await;
    master.process.wait_for_line("up", PATIENCE).await;
    master.ostler(["stop"]).success().await;
    assert_eq!(
        tail.next("worker.exited").await["status"],
        json!({"Code": 0})
    );
    let heard = fs::read_to_string(master.dir().at("heard")).expect("signals heard");
    assert_eq!(heard, "TERM\n");
}

#[tokio::test]
async fn stop_wins_over_starting_and_backoff() {
    let (master, mut tail) = started(&[
        habit!("starting", "hang-in-start")
            .set("ready", "notify")
            .instances(0),
        habit!("backing", "exit 1")
            .set("backoff", json!({"first": "500ms", "max": "500ms"}))
            .instances(0),
        clock("1200ms"),
    ])
    .await;
    for app in ["starting", "backing"] {
        master
            .ostler(["scale", app, "3", "--no-wait"])
            .success()
            .await;
    }
    tail.next("worker.exited").await;
    master.ostler(["stop"]).success().await;
    tail.settle(&master).await;
    let spawned = |tail: &Tail| {
        tail.story("starting", &["spawned"]).len() + tail.story("backing", &["spawned"]).len()
    };
    let before = spawned(&tail);
    master.ostler(["start", "clock"]).run().await;
    tick(&master).await;
    tail.settle(&master).await;
    assert_eq!(spawned(&tail), before);
    for app in ["starting", "backing"] {
        assert_eq!(master.app(app).await["state"], "stopped");
        assert_eq!(master.pids(app).await.len(), 0);
    }
}

#[tokio::test]
async fn no_child_outlives_a_stopped_master() {
    let nest = "sleep 600 & sh -c 'trap \"\" TERM; sleep 600' & echo up; wait";
    let apps = [
        habit!("stubborn", "ignore-term"),
        script("nest", nest),
        habit!("frozen", "trivial").set("ready", "delay(0s)"),
    ];
    let apps = apps.map(|app| app.set("kill_ladder", json!(["TERM:300ms", "KILL"])));
    let ways = ["TERM", "TERM TERM", "QUIT", "kill"].map(|way| {
        let apps = apps.clone();
        async move {
            let mut master = ostler!().apps(&apps).start().await;
            master.process.wait_for_line("nest.0 | up", PATIENCE).await;
            master.settled("frozen", "running").await;
            master.signal(master.pid("frozen", 0).await, Signal::STOP);
            match way {
                "TERM" => master.process.signal(Signal::TERM),
                "TERM TERM" => {
                    master.process.signal(Signal::TERM);
                    master.wait_for_log("asked to stop").await;
                    master.process.signal(Signal::TERM);
                }
                "QUIT" => master.process.signal(Signal::QUIT),
                _ => drop(master.ostler(["kill"]).success().await),
            }
            master.process.wait(PATIENCE).await;
            master.assert_nothing_left().await;
        }
    });
    futures::future::join_all(ways).await;
}

#[tokio::test]
async fn master_outlives_what_its_workers_do() {
    let bad = [
        habit!("aborts", "abort"),
        habit!("mute", "close-pipes"),
        script("group", "kill -KILL 0"),
        script("bomb", "for i in $(seq 20); do sleep 600 & done; exit 1"),
        script("garbage", "head -c 100000 /dev/urandom >&3; exit 1"),
        script("frozen", "kill -STOP $$"),
        habit!(
            "lies",
            "say MAINPID=1 READY=1 STATUS=\u{1b}[2J EXTEND_TIMEOUT_USEC=99999999999999999999"
        ),
        script("storm", "yes 2>/dev/null | head -c 3000000; exit 1"),
    ];
    let hasty = json!({"first": "20ms", "max": "50ms"});
    let bad = bad.map(|app| app.set("backoff", hasty.clone()).set("max_restarts", 1000));
    let apps: Vec<App> = bad
        .into_iter()
        .chain([habit!("api", "notify 0"), clock("2s")])
        .collect();
    let (master, mut tail) = started(&apps).await;
    master.settled("api", "running").await;
    let other = master.pids("api").await;
    tail.next_many("worker.exited", 40).await;
    tick(&master).await;
    assert_eq!(master.process.exit(), None);
    assert_eq!(master.pids("api").await, other);
    master.ostler(["ping"]).success().await;
}

#[tokio::test]
async fn master_leaks_nothing_over_many_lives() {
    let app = habit!("web", "exit 1")
        .instances(0)
        .set("max_restarts", 100_000)
        .set("backoff", json!({"first": "1ms", "max": "1ms"}));
    let (master, mut tail) = started(&[app]).await;
    let of_master = |what: &str| {
        let path = format!("/proc/{}/{what}", master.process.id());
        fs::read_dir(path).expect("a living master").count()
    };
    let before = (of_master("fd"), of_master("task"));
    master.ostler(["scale", "2", "--no-wait"]).success().await;
    tail.next_many("worker.exited", 200).await;
    master.ostler(["stop"]).success().await;
    // The shim that waits for the next worker: its socket, two pipes and its pidfd.
    let most = (before.0 + 4, before.1);
    // A command's own connection is closed a moment after it has ended.
    let same = || (of_master("fd") <= most.0 && of_master("task") <= most.1).then_some(());
    eventually("descriptors and threads to be as before", PATIENCE, same).await;
}
