//! `emit`, `request`, `tail`, `wait`.

use super::*;

#[tokio::test]
async fn emitted_event_reaches_a_tail() {
    let fleet = Fleet::start(trivial(0)).await;
    let mut tail = fleet.tail().await;
    let payload = "{\"text\":\"look here\"}";
    fleet
        .ostler(["emit", "note", payload])
        .stdout("")
        .success()
        .await;
    let event = tail.wait_for("note", PATIENCE, |_| true).await;
    assert_eq!(event["payload"]["text"], "look here");
    assert_eq!(event["origin"]["Client"]["name"], "cli");
}

#[tokio::test]
async fn emit_waits_for_a_pattern() {
    let fleet = Fleet::ready(PROGRAMS.sdk(1), 1).await;
    let emit = fleet.ostler(["emit", "workerRestartNeeded", "--wait", "update.finished"]);
    let event = emit.success().await.json();
    assert_eq!(
        (&event["topic"], &event["payload"]["app"]),
        (&json!("update.finished"), &json!("web"))
    );
    let late = fleet.ostler(["emit", "note", "--wait", "nothing.*", "--timeout", "200ms"]);
    late.stdout("")
        .stderr_contains("nothing.*")
        .fails_with(1)
        .await;
}

#[tokio::test]
async fn request_prints_the_reply() {
    let fleet = Fleet::start(trivial(0)).await;
    let reply = fleet
        .ostler(["request", "masterStatus"])
        .stderr_empty()
        .success()
        .await;
    assert_eq!(reply.json()["apps"][0]["name"], "web");
    let scale = [
        "request",
        "app.scale",
        "{\"app\":\"nobody\",\"to\":{\"More\":1}}",
    ];
    let refused = fleet.ostler(scale).success().await.json();
    assert_eq!(refused["Refused"]["kind"], "UnknownName");
    let denied = fleet.ostler(["request", "_sys.worker.ready"]).stdout("");
    denied
        .stderr_contains("only workers report")
        .fails_with(1)
        .await;
    let misfit = fleet
        .ostler(["request", "app.scale", "{\"app\":1}"])
        .stdout("");
    misfit.stderr_contains("app").fails_with(1).await;
}

#[tokio::test]
async fn tail_prints_one_json_object_per_line() {
    let fleet = Fleet::start(trivial(0)).await;
    let mut all = fleet.tail().await;
    let some = fleet.ostler(["tail", "orders.*"]).start();
    let stands = async { while fleet.bus.json("orders.probe", &()).acked().await != Ok(2) {} };
    ostler_tests::harness::deadline("both tails", PATIENCE, stands).await;
    for topic in ["orders.new", "other", "orders.new.too", "orders.last"] {
        fleet.bus.emit_json(topic, &"a\nb").await.unwrap();
    }
    all.wait_for("orders.last", PATIENCE, |_| true).await;
    some.stdout
        .clone()
        .wait_for_line("orders.last", PATIENCE)
        .await;
    let lines = some.stdout.all();
    let events: Vec<Value> = lines
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let topics: Vec<_> = events
        .iter()
        .map(|event| event["topic"].as_str().unwrap())
        .collect();
    let last = ["orders.new", "orders.last"];
    assert!(
        topics.ends_with(&last)
            && topics[..topics.len() - 2]
                .iter()
                .all(|t| *t == "orders.probe")
    );
    assert_eq!(events.last().unwrap()["payload"], "a\nb");
    some.signal(Signal::INT);
    assert_eq!(some.wait(PATIENCE).await, Exit::Code(0));
}

/// A reader that closes the pipe ends the tail quietly, though no event makes it write.
#[tokio::test]
async fn tail_ends_with_its_reader() {
    let fleet = Fleet::start(trivial(0)).await;
    let script = format!("{} tail '>' | head -n 1", PROGRAMS.ostler);
    let tail = Cli::new("bash").args(["-c", "set -o pipefail; eval \"$0\"", &script]);
    let tail = tail.env("OSTLER_HOME", fleet.home()).start();
    let heard = async {
        while tail.exit().is_none() {
            fleet.bus.emit_json("x", &1).await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    ostler_tests::harness::deadline("the pipeline's end", PATIENCE, heard).await;
    assert_eq!(
        (tail.exit(), tail.stderr.text().as_str()),
        (Some(Exit::Code(0)), "")
    );
}

#[tokio::test]
async fn tail_once_ends_with_its_master() {
    let fleet = Fleet::start(trivial(0)).await;
    let tail = fleet.ostler(["tail", "x", "--once"]).start();
    let stands = async { while fleet.bus.json("x", &()).acked().await != Ok(1) {} };
    ostler_tests::harness::deadline("the tail", PATIENCE, stands).await;
    fleet.ostler(["kill"]).success().await;
    assert_eq!(tail.wait(PATIENCE).await, Exit::Code(1));
    tail.stderr.clone().ended(PATIENCE).await;
    assert!(
        tail.stderr.text().contains("master has stopped"),
        "{}",
        tail.output()
    );
}

#[tokio::test]
async fn wait_returns_the_first_match() {
    let fleet = Fleet::start(trivial(0)).await;
    let wait = fleet.ostler(["wait", "a.*", "--timeout", "20s"]).start();
    let stands = async {
        while fleet.bus.json("b", &0).acked().await.is_ok()
            && fleet.bus.json("a.b", &7).acked().await != Ok(1)
        {}
    };
    ostler_tests::harness::deadline("the wait", PATIENCE, stands).await;
    assert_eq!(wait.wait(PATIENCE).await, Exit::Code(0));
    wait.stdout.clone().ended(PATIENCE).await;
    let event: Value = serde_json::from_str(wait.stdout.text().trim()).unwrap();
    assert_eq!(
        (&event["topic"], &event["payload"]),
        (&json!("a.b"), &json!(7))
    );
    let late = fleet
        .ostler(["wait", "a.*", "--timeout", "200ms"])
        .stdout("");
    late.stderr_contains("200ms").fails_with(1).await;
}

#[tokio::test]
async fn wait_looks_for_a_master_within_its_time() {
    let dir = PrivateDir::new();
    let wait = alone(&dir, &["wait", "worker.ready", "--timeout", "60s"]).start();
    let none = alone(&dir, &["wait", "a", "--timeout", "300ms"]).stdout("");
    none.stderr_contains("no master is running")
        .fails_with(3)
        .await;
    assert_eq!(wait.exit(), None, "{}", wait.output());
    let ready = ["run", "-n", "late", "-i", "1", "--ready", "delay(1s)"];
    let master = alone(&dir, &[&ready[..], &["--", "sleep", "600"]].concat()).start();
    assert_eq!(wait.wait(PATIENCE).await, Exit::Code(0));
    wait.stdout.clone().ended(PATIENCE).await;
    let event: Value = serde_json::from_str(wait.stdout.text().trim()).unwrap();
    assert_eq!(event["payload"]["worker"]["app"], "late", "{event}");
    master.signal(Signal::TERM);
    master.wait(PATIENCE).await;
}
