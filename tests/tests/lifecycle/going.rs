//! How workers are told to go, and that nothing is left of them.

use super::*;

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
async fn one_that_is_stopped_by_a_signal_is_woken_to_hear_that_it_should_go() {
    let ladder = json!(["TERM:60s", "KILL"]);
    let apps = [
        script("signal", &STUBBORN.replace("echo TERM >> heard", "exit 7")),
        talker("word", "serve").listening(),
        script("line", "read line; exit 8")
            .set("stdin", "lines")
            .set("stop_message", "bye"),
    ];
    let apps = apps.map(|app| {
        app.set("kill_ladder", ladder.clone())
            .set("ready", "delay(100ms)")
    });
    let (master, mut tail) = started(&apps).await;
    for (app, code) in [("signal", 7), ("word", 0), ("line", 8)] {
        master.settled(app, "running").await;
        tail.settle(&master).await;
        master.signal(master.pid(app, 0).await, Signal::STOP);
        master.ostler(["stop", app]).success().await;
        let exited = tail.next_with("worker.exited", "/worker/app", app).await;
        assert_eq!(exited["status"], json!({"Code": code}), "{exited:#}");
    }
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
                    master.say_again(Signal::TERM).await;
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
        script("frozen", "kill -STOP $$$$"),
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
    // The thread that closes what came from workers, once there was any.
    let most = (before.0, before.1 + 1);
    // A command's own connection is closed a moment after it has ended.
    let same = || (of_master("fd") <= most.0 && of_master("task") <= most.1).then_some(());
    eventually("descriptors and threads to be as before", PATIENCE, same).await;
}
