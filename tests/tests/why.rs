//! `ostler why`: what is told of workers, while their master runs and after it.

use ostler_tests::{
    habit,
    harness::{App, Exit, Master, Output, PATIENCE, deadline},
    ostler,
};
use rustix::process::{Resource, Signal, getrlimit};
use serde_json::{Value, json};

/// The first worker dies as it starts, the others stay.
const STUMBLES: &str =
    "if mkdir once 2> /dev/null; then echo 'no module named shop' >&2; exit 3; fi; exec sleep 600";

fn app(name: &str, script: &str) -> App {
    App::new(name, ["sh", "-c", script])
        .instances(1)
        .set("ready", "delay(1s)")
        .set("min_healthy", "10ms")
        .set("canary_healthy", "10ms")
}

fn workers(told: &[Value]) -> Vec<&Value> {
    told.iter()
        .filter(|part| part["kind"] == "worker")
        .collect()
}

/// Asks until the answer has it: what is told is written down a moment later.
async fn until<T>(master: &Master, args: &[&str], find: impl Fn(Output) -> Option<T>) -> T {
    let words = format!("ostler {args:?} to tell");
    let ask = async {
        loop {
            let told = master.ostler(["why"]).args(args).success().await;
            if let Some(found) = find(told) {
                return found;
            }
        }
    };
    deadline(&words, PATIENCE, ask).await
}

#[tokio::test]
async fn the_story_of_a_crash_and_an_update_outlives_the_master() {
    let apps = [app("web", STUMBLES), app("other", "exec sleep 600")];
    let mut master = ostler!().apps(&apps).start().await;
    master.wait_for_log("web.0 ready").await;
    let reload = ["reload", "web", "--reason", "the second version"];
    master.ostler(reload).success().await;

    let whole = until(&master, &["web:0", "--json"], |told| {
        let told = told.json_lines();
        let ended = |worker: &&Value| worker["now"] == "ended";
        let ended = workers(&told).into_iter().filter(ended).count();
        (ended == 2).then_some(told)
    });
    let whole = whole.await;
    let lives = workers(&whole);
    let [first, second, third] = lives[..] else {
        panic!("three workers: {lives:#?}");
    };
    assert_eq!(first["trigger"], "first start");
    let exit = &first["exited"]["event"];
    assert_eq!(exit["status"], json!({"Code": 3}));
    assert_eq!(exit["stderr_tail"], json!(["no module named shop"]));
    assert!(
        exit["next"]["After"]["ms"].as_u64() >= Some(100),
        "{exit:#}"
    );
    assert_eq!(
        second["trigger"],
        format!("after the end of worker {}", first["id"])
    );
    assert_eq!(
        second["exited"]["event"]["cause"],
        "update: the second version"
    );
    assert_eq!(
        second["exited"]["event"]["next"]["Succeeded"]["by"],
        third["id"]
    );
    assert_eq!(
        third["trigger"],
        "update to generation 2: the second version"
    );
    assert_eq!(third["now"], "running");
    assert!(
        whole.iter().all(|part| part["app"] != "other"),
        "{whole:#?}"
    );

    master.end(Signal::TERM).await;
    let told = master.ostler(["why", "web"]).success().await.stdout;
    for words in [
        "started: first start",
        "exited with code 3",
        "before it was ready",
        "! no module named shop",
        "(backoff): failure 1 of 16 within 10m",
        "update to generation 2 of 1 workers began: the second version",
        "so nobody follows",
        "the master ended with code 0",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
    let none = master
        .ostler(["why", "web", "-n", "0"])
        .success()
        .await
        .stdout;
    assert!(!none.contains("no module"), "{none}");
    let id = first["id"].to_string();
    let told = master.ostler(["why", &id]).success().await.stdout;
    assert!(
        told.contains("exited with code 3") && !told.contains("generation 2"),
        "{told}"
    );
    master
        .ostler(["why", "web", "--since", "0"])
        .stdout("")
        .success()
        .await;
    let told = master.ostler(["why", "wob"]).fails_with(4).await.stderr;
    assert!(told.contains("only of other, web"), "{told}");
}

#[tokio::test]
async fn a_master_that_is_killed_leaves_its_story_to_the_next() {
    let app = app("web", "exec sleep 600");
    let mut master = ostler!().apps(&[app]).start().await;
    master.wait_for_log("web.0 ready").await;
    let before = until(&master, &["--json"], |told| {
        let told = told.json_lines();
        workers(&told).first().map(|worker| (*worker).clone())
    });
    let before = before.await;
    let kept = master.end(Signal::KILL).await;
    assert_eq!(kept, Exit::Signal(9));
    let told = master.ostler(["why", "web"]).success().await.stdout;
    assert!(told.contains("its end is not known"), "{told}");
    // A line that it did not finish.
    let file = master.home().join("test.chronicle.jsonl");
    let mut text = std::fs::read(&file).expect("kept");
    text.extend_from_slice(b"{\"time_ms\":17");
    std::fs::write(&file, text).expect("torn");
    let pid = before["pid"]
        .as_u64()
        .and_then(|pid| i32::try_from(pid).ok());
    let orphan = pid.and_then(rustix::process::Pid::from_raw).expect("a pid");
    rustix::process::kill_process(orphan, Signal::KILL).expect("its worker serves on");

    master.start_again().await;
    master.wait_for_log("web.0 ready").await;
    let told = until(&master, &["web"], |told| {
        told.stdout.contains("it runs").then_some(told)
    });
    let told = told.await;
    assert!(
        told.stdout.contains("ended without a word"),
        "{}",
        told.stdout
    );
    assert!(
        told.stderr
            .contains("1 lines of the chronicle could not be read"),
        "{}",
        told.stderr
    );
    let told = master.ostler(["why", "-w", "1", "--json"]).success().await;
    let one = told.json_lines();
    let one = workers(&one);
    assert_eq!(one.len(), 1);
    assert!(one[0]["run"].as_u64() > before["run"].as_u64(), "{one:#?}");
    assert!(
        told.stderr.contains("1 earlier workers are not shown"),
        "{}",
        told.stderr
    );
}

#[tokio::test]
async fn what_workers_say_pushes_nothing_out_of_the_chronicle() {
    let chats = App::new("chats", [env!("CARGO_BIN_EXE_talker"), "chats", "5000"]);
    let apps = [app("web", STUMBLES), chats.instances(0).unwatched()];
    let mut master = ostler!().apps(&apps).start().await;
    let mut tail = master.tail().await;
    master.wait_for_log("web.0 ready").await;
    master.ostler(["scale", "chats", "1"]).success().await;
    tail.next_with("app.errors", "/requests", 5000).await;
    // What is told after it is written after it.
    master.ostler(["reload", "web"]).success().await;
    let told = until(&master, &["web"], |told| {
        told.stdout.contains("finished in").then_some(told.stdout)
    });
    let told = told.await;
    assert!(told.contains("exited with code 3"), "{told}");
    let kept = std::fs::read_to_string(master.home().join("test.chronicle.jsonl"));
    let kept = kept.expect("a chronicle");
    let chatter = |line: &&str| line.contains("app.errors") || line.contains("chronicle.lost");
    assert_eq!(kept.lines().filter(chatter).count(), 0, "{kept}");
}

#[tokio::test]
async fn how_a_rollback_ended_is_told() {
    let bad = "[ $OSTLER_GENERATION$OSTLER_SLOT = 21 ] && exit 7; exec sleep 600";
    let web = app("web", bad).instances(2).set("on_failure", "rollback");
    let master = ostler!().apps(&[web]).start().await;
    master.settled("web", "running").await;
    master.ostler(["reload"]).fails_with(1).await;
    until(&master, &["web"], |told| {
        let back = "web: 1 rolled back from generation 2 in ";
        told.stdout.contains(back).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_chronicle_that_can_not_be_written_holds_nobody_up() {
    let builder = ostler!().apps(&[app("web", STUMBLES)]);
    builder.dir().make("home/test.chronicle.jsonl");
    let mut master = builder.start().await;
    master.wait_for_log("the chronicle in").await;
    master.wait_for_log("web.0 ready").await;
    std::fs::remove_dir(master.home().join("test.chronicle.jsonl")).expect("removed");
    master.ostler(["reload"]).success().await;
    master
        .wait_for_log("the chronicle can be written again")
        .await;
    let missing = "events are missing here";
    until(&master, &[], |told| {
        told.stdout.contains(missing).then_some(())
    })
    .await;
    master.end(Signal::TERM).await;
}

#[tokio::test]
async fn who_left_a_core_dump_is_told() {
    let pattern = std::fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap_or_default();
    let bounded = getrlimit(Resource::Core).maximum.is_some();
    if pattern.contains(['|', '/']) || bounded {
        return println!("not run: cores go elsewhere here, or are not allowed");
    }
    let crash = habit!("crash", "abort")
        .set("max_restarts", 1)
        .set("limits", json!({"core": "unlimited"}))
        .instances(0);
    let master = ostler!().apps(&[crash]).start().await;
    let mut tail = master.tail().await;
    master.ostler(["scale", "crash", "1"]).fails_with(1).await;
    let exited = tail.next("worker.exited").await;
    assert_eq!(exited["core_dumped"], true, "{exited:#}");
    assert_eq!(exited["trigger"], "scale from 0 to 1");
    assert!(exited["next"]["GivenUp"].is_object(), "{exited:#}");
}

#[tokio::test]
async fn without_a_chronicle_it_says_so() {
    let mut master = ostler!().apps(&[app("web", STUMBLES)]).start().await;
    master.ostler(["-M", "nobody", "why"]).fails_with(3).await;
    let over_the_bus = ["--bus", "tcp://127.0.0.1:1", "why"];
    let told = master.ostler(over_the_bus).fails_with(2).await.stderr;
    assert!(told.contains("on that machine"), "{told}");
    master.end(Signal::TERM).await;
}
