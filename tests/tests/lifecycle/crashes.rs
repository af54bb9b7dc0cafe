//! Crashes: what is tried again, how soon, and when no more.

use super::*;

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
