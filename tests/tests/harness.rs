//! The harness against a stand-in for `ostler`: a shell script that knows the verbs the harness itself relies on.

use std::{os::unix::fs::PermissionsExt, path::PathBuf, time::Duration};

use ostler_tests::harness::{Exit, Mark, Master, PATIENCE, PrivateDir, deadline, eventually};
use rustix::process::Signal;

/// Answers `ping` once `run` is up, shows what was emitted, and starts a worker that leads a session of its own.
const STAND_IN: &str = r#"#!/bin/bash
log="$OSTLER_HOME/bus"
case "$1" in
run)
    mkdir -p "$OSTLER_HOME"
    echo "args: $*"
    env -u OSTLER_HOME setsid sleep 60 >/dev/null 2>&1 &
    trap 'echo ending >&2; [ -n "$STUBBORN" ] || exit 5' TERM
    echo up > "$log"
    while :; do read -r -t 60 <> <(:) || :; done ;;
ping) [ -e "$log" ] ;;
tail) exec tail -n 0 -f "$log" ;;
emit) echo "{\"topic\":\"$2\",\"payload\":$3}" >> "$log" ;;
esac
"#;

fn stand_in(dir: &PrivateDir) -> PathBuf {
    let path = dir.write("ostler", STAND_IN);
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o700)).unwrap();
    path
}

#[tokio::test]
async fn a_master_is_started_watched_and_ended() {
    let own = PrivateDir::new();
    let builder = Master::builder(stand_in(&own))
        .name("web")
        .instances(2)
        .listen("127.0.0.1:0");
    let mut master = builder
        .ready("notify")
        .command(["worker", "--flag"])
        .start()
        .await;
    let args = master.process.wait_for_line("args: ", PATIENCE).await;
    assert_eq!(
        args,
        "args: run --stay -n web -i 2 -l 127.0.0.1:0 --ready notify -- worker --flag"
    );
    let mut tail = master.tail().await;
    master
        .ostler(["emit", "a.b", "{\"n\":1}"])
        .stdout("")
        .success()
        .await;
    master.ostler(["emit", "a.b", "{\"n\":2}"]).success().await;
    let event = tail
        .wait_for("a.b", PATIENCE, |event| event["payload"]["n"] == 2)
        .await;
    assert_eq!(event["topic"], "a.b");
    assert_eq!(tail.events().len(), 2, "without the probes");
    assert_eq!(master.end(Signal::TERM).await, Exit::Code(5));
    master.wait_for_log("ending").await;
    assert!(
        !master.descendants().is_empty(),
        "the sleeper, and the tail"
    );
}

#[tokio::test]
async fn nothing_survives_a_dropped_master() {
    let own = PrivateDir::new();
    let builder = Master::builder(stand_in(&own))
        .env("STUBBORN", "1")
        .file("[app.web]\n");
    let mark = Mark::new(builder.dir().path());
    let home = builder.dir().path().to_owned();
    let master = builder.start().await;
    eventually("the master and the sleeper", PATIENCE, || {
        (mark.processes().len() >= 2).then_some(())
    })
    .await;
    deadline(
        "the drop",
        Duration::from_secs(30),
        async move { drop(master) },
    )
    .await;
    assert_eq!(mark.processes(), Vec::<u32>::new());
    assert!(!home.exists());
}

#[tokio::test]
#[should_panic(expected = "the master has ended")]
async fn a_master_that_ends_at_start_is_told() {
    let own = PrivateDir::new();
    let path = own.write("ostler", "#!/bin/bash\necho no >&2\nexit 78\n");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o700)).unwrap();
    Master::builder(path).command(["x"]).start().await;
}

#[tokio::test]
#[should_panic(expected = "waited 10ms for nothing")]
async fn a_deadline_names_what_was_awaited() {
    deadline(
        "nothing",
        Duration::from_millis(10),
        std::future::pending::<()>(),
    )
    .await;
}
