//! What is done to a running fleet: look, reload, scale, stop, kill.

use super::*;

#[tokio::test]
async fn ls_prints_a_table_and_json() {
    let fleet = Fleet::ready(PROGRAMS.sdk(2), 2).await;
    let report = fleet
        .ostler(["ls", "--json"])
        .stderr_empty()
        .success()
        .await
        .json();
    assert_eq!(report["apps"][0]["instances"], 2);
    let table = fleet.ostler(["ls"]).stderr_empty().success().await.stdout;
    let header = table
        .lines()
        .find(|line| line.contains("PID"))
        .expect(&table)
        .to_lowercase();
    for column in [
        "slot", "id", "pid", "gen", "state", "age", "restarts", "memory",
    ] {
        assert!(header.contains(column), "{column}: {table}");
    }
    for worker in report["workers"].as_array().unwrap() {
        let pid = worker["pid"].to_string();
        let row = table
            .lines()
            .find(|line| line.split_whitespace().any(|word| word == pid));
        assert!(row.expect(&table).contains("ready"), "{table}");
    }
    let address = report["apps"][0]["sockets"][0]["address"].as_str().unwrap();
    assert!(table.contains(address) && table.contains("web"), "{table}");
    for alias in ["status", "list"] {
        let other = fleet.ostler([alias]).success().await.stdout;
        assert!(other.contains("web") && other.contains("ready"), "{other}");
    }
}

#[tokio::test]
async fn reload_waits_and_tells_each_step() {
    let fleet = Fleet::ready(PROGRAMS.sdk(3), 3).await;
    let before = fleet.status().await;
    let output = fleet
        .ostler(["reload", "--reason", "v2"])
        .stdout("")
        .success()
        .await;
    let steps: Vec<_> = output.stderr.lines().collect();
    assert!(steps.len() >= 4, "{output:#?}");
    for slot in ["web.0", "web.1", "web.2"] {
        assert!(output.stderr.contains(slot), "{output:#?}");
    }
    assert!(
        !output.stderr.contains('\u{1b}'),
        "no terminal, no escapes: {output:#?}"
    );
    fleet.logged("v2").await;
    let renewed = |s: &StatusReport| s.workers.iter().all(|w| w.generation.0 == 2 && w.current);
    let after = fleet.until("all workers to be new", renewed).await;
    assert_eq!(slots(&after.workers), slots(&before.workers));
    assert_eq!(after.master.pid, before.master.pid);
}

#[tokio::test]
async fn aborted_reload_exits_1_with_the_reason() {
    let fleet = Fleet::ready(PROGRAMS.sdk(2), 2).await;
    let before = fleet.status().await;
    fleet.dir().write("fail", "exit");
    let reload = fleet.ostler(["reload"]).stdout("");
    let output = reload
        .stderr_contains("this version can't start")
        .fails_with(1)
        .await;
    assert!(output.stderr.contains("error: "), "{output:#?}");
    let last = |s: &StatusReport| {
        s.apps[0]
            .last_update
            .as_ref()
            .is_some_and(|l| l.contains("given up"))
    };
    let after = fleet.until("the aborted update in the status", last).await;
    let pids = |s: &StatusReport| s.workers.iter().map(|w| w.pid).collect::<Vec<_>>();
    assert_eq!(pids(&after), pids(&before));
    fleet.dir().write("fail", "");
    fleet.ostler(["reload"]).success().await;
}

#[tokio::test]
async fn reload_without_waiting_returns_at_once() {
    let master = PROGRAMS.master();
    let file = PROGRAMS.sdk_app("web", 1, master.dir().path()) + "canary_healthy = \"60s\"\n";
    let fleet = Fleet::ready(master.file(&file), 1).await;
    let output = fleet.ostler(["reload", "--no-wait"]).success().await;
    let printed = format!("{}{}", output.stdout, output.stderr);
    assert!(
        printed.contains(|c: char| c.is_ascii_digit()),
        "the operation: {output:#?}"
    );
    fleet
        .until("the update", |s| s.apps[0].state == "updating")
        .await;
    fleet.ostler(["stop"]).success().await;
}

#[tokio::test]
async fn scale_takes_a_number_more_or_fewer() {
    let fleet = Fleet::ready(trivial(1).ready("delay(0)"), 1).await;
    let steps: [(&[&str], usize); 6] = [
        (&["scale", "3"], 3),
        (&["scale", "web", "+1"], 4),
        (&["scale", "-2"], 2),
        (&["scale", "web", "-9"], 0),
        (&["scale", "2"], 2),
        (&["scale", "0"], 0),
    ];
    let mut resized = fleet.hear_raw("app.resized").await;
    for (args, size) in steps {
        fleet.ostler(args).success().await;
        assert_eq!(fleet.until_ready(size).await.len(), size, "{args:?}");
        let event: Value =
            serde_json::from_str(&resized.next().await.event.to_json().unwrap()).unwrap();
        assert_eq!(event["to"], size, "{event}");
    }
    let fleet = Fleet::ready(PROGRAMS.sdk_pair(), 2).await;
    let output = fleet.ostler(["scale", "2"]).fails_with(2).await;
    assert!(
        output.stderr.contains("left") && output.stderr.contains("right"),
        "{output:#?}"
    );
    fleet.ostler(["scale", "left", "2"]).success().await;
    fleet.until_ready(3).await;
}

#[tokio::test]
async fn scale_to_nonsense_is_refused() {
    let fleet = Fleet::ready(trivial(1), 1).await;
    for size in ["x", "1000000000", "+", "1.5", "--", "-x"] {
        let output = fleet
            .ostler(["scale", "--", "web", size])
            .fails_with(2)
            .await;
        assert!(output.stderr.contains("error:"), "{output:#?}");
    }
    assert_eq!(instances(&fleet).await, 1);
}

#[tokio::test]
async fn scale_down_drains_the_highest_slots() {
    let fleet = Fleet::ready(PROGRAMS.sdk(4), 4).await;
    let before = fleet.status().await.workers;
    fleet.ostler(["scale", "2"]).success().await;
    let left = fleet.until_ready(2).await;
    assert_eq!(slots(&left), [0, 1]);
    assert_eq!((left[0].id, left[1].id), (before[0].id, before[1].id));
    fleet.ostler(["scale", "3"]).success().await;
    assert_eq!(slots(&fleet.until_ready(3).await), [0, 1, 2]);
}

#[tokio::test]
async fn stop_ends_the_workers_and_keeps_the_master() {
    let fleet = Fleet::ready(PROGRAMS.sdk(2), 2).await;
    let address = fleet.address().await;
    fleet.ostler(["stop"]).success().await;
    fleet
        .until("no worker", |s| s.workers.iter().all(|w| w.pid.is_none()))
        .await;
    let status = fleet.status().await;
    assert_eq!(status.apps[0].state, "stopped");
    fleet.ostler(["ping"]).success().await;
    // The socket is held: who connects now is served by the next worker.
    let waiting = tokio::spawn(async move { Web::get(address, "/").await });
    fleet.ostler(["start", "web"]).success().await;
    assert_eq!(waiting.await.unwrap()["app"], "web");
}

#[tokio::test]
async fn kill_waits_until_the_master_is_gone() {
    let mut fleet = Fleet::ready(PROGRAMS.sdk(2), 2).await;
    let socket = fleet.socket();
    fleet.ostler(["kill"]).success().await;
    // Not a moment later: the command waited for it.
    assert_eq!(fleet.process.exit(), Some(Exit::Code(0)));
    fleet.assert_nothing_left().await;
    assert!(!socket.exists(), "{socket:?}");
    fleet.wait_for_log("ended").await;
    fleet.ostler(["ping"]).fails_with(3).await;
    let mut again = fleet
        .ostler(["run", "-n", "web", "-i", "0", "--", "true"])
        .start();
    again.stderr.wait_for_line("master web", PATIENCE).await;
}

#[tokio::test]
async fn kill_by_force_ends_a_stubborn_worker() {
    let fleet = Fleet::ready(PROGRAMS.master().file(&stubborn()), 1).await;
    let began = std::time::Instant::now();
    fleet.ostler(["kill", "--force"]).success().await;
    assert!(
        began.elapsed() < Duration::from_secs(15),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(fleet.process.wait(PATIENCE).await, Exit::Code(1));
    fleet.assert_nothing_left().await;
}

#[tokio::test]
async fn ping_tells_whether_the_master_answers() {
    let fleet = Fleet::start(trivial(0)).await;
    let pong = fleet.ostler(["ping", "--json"]).success().await.json();
    assert_eq!(
        (&pong["master"], &pong["pid"]),
        (&json!("web"), &json!(fleet.process.id()))
    );
    fleet
        .ostler(["ping"])
        .stdout_contains("web")
        .success()
        .await;
    fleet.process.signal(Signal::STOP);
    let output = fleet.ostler(["ping"]).run().await;
    fleet.process.signal(Signal::CONT);
    assert_eq!(output.exit, Exit::Code(1), "{output:#?}");
    assert!(output.stderr.contains("SIGSTOP"), "{output:#?}");
    fleet.ostler(["ping"]).success().await;
}

#[tokio::test]
async fn commands_from_a_program_are_those_of_the_command_line() {
    let fleet = Fleet::ready(trivial(1), 1).await;
    let ask = AppReload {
        app: Some("nobody".into()),
        reason: None,
        now: false,
        env: None,
        inherit: None,
    };
    let answer = fleet.bus.request(&ask).await.unwrap();
    let reply = fleet.ostler([
        "request",
        "app.reload",
        "{\"app\":\"nobody\",\"reason\":null,\"now\":false}",
    ]);
    assert_eq!(reply.success().await.json(), json!(answer));
}
