//! What workers leave behind: processes in sessions of their own, where no signal to the worker's group reaches them.

use super::*;

/// A small script that writes its own pid into the file `$1`, and then stays. (In a process file `$$` stands for a `$`.)
const STAYS: &str = "echo $$$$ > \"$1\"; exec sleep 600";

/// Whether a process is there and alive: a zombie is not.
fn lives(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(')').map(|(_, rest)| rest.trim_start());
    state.is_some_and(|rest| !rest.starts_with(['Z', 'X']))
}

/// The pid that a script has written into this file.
async fn written(master: &Master, file: &str) -> u32 {
    let path = master.dir().at(file);
    let read = || fs::read_to_string(&path).ok()?.trim().parse().ok();
    eventually("a pid to be written", PATIENCE, read).await
}

/// An app whose worker starts something and stays; with the script [`STAYS`] as `$STAYS`.
fn starts(name: &str, script: &str) -> App {
    let whole = format!("{script}\necho up; while :; do sleep 0.05; done");
    App::new(name, ["sh", "-c", &whole]).set("env", json!({ "STAYS": STAYS }))
}

#[tokio::test]
async fn descendants_in_sessions_of_their_own_are_gone_when_a_stop_returns() {
    let nest = "setsid sh -c 'echo $$$$ > one; setsid sh -c \"echo \\$\\$ > two; setsid sh -c \\\"\\$STAYS\\\" sh three & sleep 600\" & sleep 600' &";
    let master = ostler!().apps(&[starts("nest", nest)]).start().await;
    let mut pids = vec![];
    for file in ["one", "two", "three"] {
        pids.push(written(&master, file).await);
    }
    assert!(pids.iter().all(|pid| lives(*pid)), "{pids:?}");
    master.ostler(["stop"]).success().await;
    assert!(!pids.iter().any(|pid| lives(*pid)), "{pids:?}");
    master.assert_nothing_left().await;
}

#[tokio::test]
async fn a_worker_that_goes_into_the_background_is_not_left_behind() {
    let daemon = "setsid sh -c 'sh -c \"$STAYS\" sh daemon & exit 0'; until [ -e daemon ]; do sleep 0.02; done; exit 0";
    let app = starts("daemon", daemon)
        .set("stop_exit_codes", json!([0]))
        .instances(0);
    let (master, mut tail) = started(&[app]).await;
    master.ostler(["scale", "1", "--no-wait"]).success().await;
    let exited = tail.next("worker.exited").await;
    assert_eq!(exited["status"], json!({"Code": 0}));
    let hint = exited["hint"].as_str().unwrap_or_default();
    assert!(hint.contains("stays in the foreground"), "{exited:#}");
    let pid = written(&master, "daemon").await;
    assert!(!lives(pid), "{pid}");
}

#[tokio::test]
async fn one_that_has_hidden_its_mark_is_gone_as_long_as_it_hangs_on_to_its_worker() {
    let hides = "env -i setsid sh -c \"$STAYS\" sh hidden &";
    let (master, _tail) = started(&[starts("hides", hides)]).await;
    let pid = written(&master, "hidden").await;
    assert!(lives(pid));
    master.ostler(["stop"]).success().await;
    assert!(!lives(pid), "{pid}");
}

#[tokio::test]
async fn what_is_another_workers_another_masters_or_nobodys_is_left_alone() {
    // The other app's worker is the second to start.
    let leaves = "OSTLER_WORKER_ID=2 setsid -f sh -c \"$STAYS\" sh others\n\
                  OSTLER_MASTER_PID=1 setsid -f sh -c \"$STAYS\" sh foreign\n\
                  env -u OSTLER_WORKER_ID setsid -f sh -c \"$STAYS\" sh nobodys";
    let leaver = starts("leaver", leaves).set("priority", 1);
    let (master, mut tail) = started(&[leaver, habit!("other", "notify 0")]).await;
    master.settled("other", "running").await;
    assert_eq!(master.workers("other").await[0]["id"], 2);
    let mut pids = vec![];
    for file in ["others", "foreign", "nobodys"] {
        pids.push(written(&master, file).await);
    }
    master.ostler(["stop", "leaver"]).success().await;
    tail.next("worker.exited").await;
    assert!(pids.iter().all(|pid| lives(*pid)), "{pids:?}");
    master.ostler(["stop", "other"]).success().await;
    let lives: Vec<bool> = pids.iter().map(|pid| lives(*pid)).collect();
    assert_eq!(lives, [false, true, true], "what it was given goes with it");
}

#[tokio::test]
async fn orphans_that_have_ended_are_reaped() {
    let orphans = "for i in $(seq 20); do setsid -f true; done";
    let (mut master, _tail) = started(&[starts("leaver", orphans)]).await;
    master.process.wait_for_line("up", PATIENCE).await;
    let tasks = format!("/proc/{}/task", master.process.id());
    let zombies = || {
        let tasks = fs::read_dir(&tasks).ok()?.flatten();
        let children =
            tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
        let children: Vec<u32> = children
            .flat_map(|pids| {
                let pids = pids.split_whitespace().filter_map(|pid| pid.parse().ok());
                pids.collect::<Vec<u32>>()
            })
            .collect();
        (!children.is_empty() && children.into_iter().all(lives)).then_some(())
    };
    eventually("zombies to be reaped", PATIENCE, zombies).await;
}

/// Its child says which signals it hears.
const FAMILY: &str = "sh -c 'trap \"echo TERM > heard; exit\" TERM; echo up; while :; do sleep 0.02; done' & \
                      trap 'wait; exit 0' TERM; wait";

#[tokio::test]
async fn with_kill_group_children_hear_the_signal_too() {
    let app = |kill_group: bool| {
        script("family", FAMILY)
            .set("kill_group", kill_group)
            .set("kill_ladder", json!(["TERM:500ms", "KILL"]))
    };
    for (kill_group, status) in [
        (true, json!({"Code": 0})),
        (false, json!({"Signal": "SIGKILL"})),
    ] {
        let (mut master, mut tail) = started(&[app(kill_group)]).await;
        master.process.wait_for_line("up", PATIENCE).await;
        master.ostler(["stop"]).success().await;
        let exited = tail.next("worker.exited").await;
        assert_eq!(exited["status"], status, "kill_group = {kill_group}");
        assert_eq!(master.dir().at("heard").exists(), kill_group);
    }
}

#[tokio::test]
async fn a_stop_message_is_a_line_and_a_deaf_worker_gets_the_signal() {
    let reads = "echo up; while read -r line; do echo \"$line\" >> heard; [ \"$line\" = bye ] && exit 4; done";
    let deaf = "exec <&-; trap 'exit 5' INT; echo up; while :; do sleep 0.02; done";
    for (worker, code) in [(reads, 4), (deaf, 5)] {
        let app = script("web", worker)
            .set("stop_message", "bye")
            .set("stop_signal", "INT");
        let (mut master, mut tail) = started(&[app]).await;
        master.process.wait_for_line("up", PATIENCE).await;
        master.ostler(["stop"]).success().await;
        let exited = tail.next("worker.exited").await;
        assert_eq!(exited["status"], json!({ "Code": code }));
        assert_eq!(exited["voluntary"], true);
    }
}

#[tokio::test]
async fn a_worker_that_says_stopping_is_no_crash() {
    let says = "[ $OSTLER_WORKER_ID = 1 ] || exec \"$0\" notify 0; \"$0\" say READY=1; \"$0\" say STOPPING=1; exit 3";
    let app = App::new("web", ["sh", "-c", says, env!("CARGO_BIN_EXE_misbehave")]);
    let (master, mut tail) = started(&[app.instances(0)]).await;
    master.ostler(["scale", "1", "--no-wait"]).success().await;
    let exited = tail.next("worker.exited").await;
    assert_eq!(exited["status"], json!({"Code": 3}));
    assert_eq!(exited["voluntary"], true);
    tail.next_with("worker.ready", "/worker/id", 2).await;
    let worker = master.workers("web").await.remove(0);
    assert_eq!(
        (&worker["restarts"], &worker["failures"]),
        (&json!(0), &json!(0))
    );
}
