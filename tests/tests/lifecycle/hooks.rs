//! Commands beside workers: `before_start`, `after_ready`, `before_stop`, `after_exit`.

use super::*;

/// A worker that serves until TERM, and says so.
fn serving() -> App {
    habit!("web", "notify 0").set("ready", "notify")
}

/// A hook that writes a line into the file `story`.
const TELLS: &str = "echo \"$OSTLER_HOOK $OSTLER_APP.$OSTLER_SLOT $OSTLER_WORKER_ID pid=$OSTLER_PID code=$OSTLER_EXIT_CODE signal=$OSTLER_EXIT_SIGNAL own=$OWN\" >> story";

fn story(master: &Master) -> Vec<String> {
    let text = fs::read_to_string(master.dir().at("story")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// Waits until so many lines have been written.
async fn told(master: &Master, lines: usize) -> Vec<String> {
    eventually("the story to go on", PATIENCE, || {
        let story = story(master);
        (story.len() >= lines).then_some(story)
    })
    .await
}

fn all_told() -> App {
    ["before_start", "after_ready", "before_stop", "after_exit"]
        .into_iter()
        .fold(serving(), |app, hook| app.set(hook, TELLS))
        .set("env", json!({"OWN": "app's"}))
}

#[tokio::test]
async fn each_turn_of_a_life_has_its_command() {
    let (master, mut tail) = started(&[all_told()]).await;
    let own = "own=app's";
    told(&master, 2).await;
    let pid = master.pid("web", 0).await;
    master.ostler(["stop"]).success().await;
    // No waiting: when a stop returns, all is over.
    assert_eq!(
        story(&master),
        [
            format!("before_start web.0 1 pid= code= signal= {own}"),
            format!("after_ready web.0 1 pid={pid} code= signal= {own}"),
            format!("before_stop web.0 1 pid={pid} code= signal= {own}"),
            format!("after_exit web.0 1 pid= code=0 signal= {own}"),
        ]
    );
    tail.settle(&master).await;
    let ended = tail.all("worker.hook");
    let names: Vec<&Value> = ended.iter().map(|event| &event["hook"]).collect();
    assert_eq!(names.last(), Some(&&json!("after_exit")));
    assert!(ended.iter().all(|event| event["error"] == Value::Null));
}

#[tokio::test]
async fn one_that_is_killed_has_no_before_stop_and_its_after_exit_knows_the_signal() {
    let (master, _tail) = started(&[all_told()]).await;
    told(&master, 2).await;
    master.signal(master.pid("web", 0).await, Signal::KILL);
    let story = told(&master, 4).await;
    assert!(story[2].starts_with("after_exit web.0 1 pid= code= signal=SIGKILL"));
    assert!(story[3].starts_with("before_start web.0 2"));
}

#[tokio::test]
async fn what_hooks_print_goes_where_the_workers_lines_go() {
    let app = serving()
        .set("before_start", "echo hello; echo oops >&2")
        .set("log", json!({"out": "out.log"}));
    let master = ostler!().apps(&[app]).start().await;
    let path = master.dir().at("out.log");
    eventually("the lines in their file", PATIENCE, || {
        let text = fs::read_to_string(&path).ok()?;
        let both = ["before_start: hello", "before_start: oops"];
        both.iter().all(|line| text.contains(line)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_before_start_that_fails_is_a_failed_start() {
    // The file that it misses comes later.
    let app = serving()
        .set("before_start", "cat needed >&2 || exit 7")
        .set("backoff", json!({"first": "20ms", "max": "20ms"}))
        .set("max_restarts", 1_000_000)
        .instances(0);
    let (mut master, mut tail) = started(&[app]).await;
    let output = master.ostler(["scale", "1"]).fails_with(1).await;
    assert!(
        output
            .stderr
            .contains("before_start: `cat needed >&2 || exit 7` exited with 7: cat: needed"),
        "{}",
        output.stderr
    );
    let exited = tail.next("worker.exited").await;
    let why = exited["status"]["NotStarted"].as_str().unwrap_or_default();
    assert!(why.starts_with("before_start: "), "{exited:#}");
    assert_eq!(tail.all("worker.spawned"), Vec::<Value>::new());
    master.dir().write("needed", "");
    master.wait_for_log("ready after").await;
}

#[tokio::test]
async fn a_hook_that_takes_too_long_is_killed_with_its_group() {
    let slow = |hook: &str| json!({"command": format!("sleep 600 & echo $! >> {hook}; wait"), "timeout": "300ms"});
    let app = serving()
        .set("after_ready", slow("after_ready"))
        .set("before_stop", slow("before_stop"))
        .set("after_exit", slow("after_exit"));
    let mut master = ostler!().apps(&[app]).start().await;
    let told = master.wait_for_log("after_ready failed").await;
    assert!(told.contains("took longer than 300ms"), "{told}");
    let asked = Instant::now();
    master.ostler(["stop"]).success().await;
    assert!(asked.elapsed() >= Duration::from_millis(600));
    for hook in ["before_stop", "after_exit"] {
        assert!(master.dir().at(hook).exists(), "{hook} was run");
        master
            .wait_for_log(format!("{hook} failed, and life goes on").as_str())
            .await;
    }
    master.assert_nothing_left().await;
}

#[tokio::test]
async fn a_stop_overtakes_a_before_start_and_a_forced_end_everything() {
    let endless = "echo up; sleep 600; true";
    let app = serving().set("before_start", endless).instances(0);
    let (mut master, mut tail) = started(&[app]).await;
    master.ostler(["scale", "1", "--no-wait"]).success().await;
    master
        .process
        .wait_for_line("before_start: up", PATIENCE)
        .await;
    master.ostler(["stop"]).success().await;
    let exited = tail.next("worker.exited").await;
    assert_eq!(exited["voluntary"], true);
    drop(tail);
    master.assert_nothing_left().await;

    let app = serving()
        .set("before_stop", endless)
        .set("after_exit", "touch after");
    let mut master = ostler!().apps(&[app]).start().await;
    master.settled("web", "running").await;
    master.process.signal(Signal::TERM);
    master
        .process
        .wait_for_line("before_stop: up", PATIENCE)
        .await;
    // Longer than what is taken for the same word said twice (50 ms).
    tokio::time::sleep(Duration::from_millis(100)).await;
    master.process.signal(Signal::TERM);
    assert_eq!(master.process.wait(PATIENCE).await, Exit::Code(1));
    assert!(!master.dir().at("after").exists());
    master.assert_nothing_left().await;
}

#[tokio::test]
async fn what_a_hook_starts_lives_as_long_as_its_worker() {
    let sidecar = "setsid -f sh -c 'echo $$$$ > sidecar; exec sleep 600'; until [ -e sidecar ]; do sleep 0.02; done";
    let app = serving().set("before_start", sidecar);
    let (master, _tail) = started(&[app]).await;
    master.settled("web", "running").await;
    let pid = fs::read_to_string(master.dir().at("sidecar")).expect("a pid");
    let path = format!("/proc/{}/cmdline", pid.trim());
    assert_eq!(
        fs::read_to_string(&path).ok().as_deref(),
        Some("sleep\x00600\x00")
    );
    master.ostler(["stop"]).success().await;
    let words = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(words, "", "it has gone with its worker");
}

#[tokio::test]
async fn an_update_whose_before_start_fails_keeps_the_old_workers() {
    let app = serving()
        .set("before_start", "[ ! -e broken ]")
        .instances(2);
    let (master, mut tail) = started(&[app]).await;
    master.settled("web", "running").await;
    let before = master.pids("web").await;
    master.dir().write("broken", "");
    let output = master.ostler(["reload"]).fails_with(1).await;
    assert!(output.stderr.contains("before_start"), "{}", output.stderr);
    tail.next("update.aborted").await;
    assert_eq!(master.pids("web").await, before);
}
