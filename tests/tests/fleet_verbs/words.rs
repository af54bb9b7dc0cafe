//! The words that choose apps and workers: the same ones in every command.

use std::time::Duration;

use super::*;

/// Says which slot of which app it is, and lives on.
fn talker(name: &str) -> App {
    let script = format!("echo {name}:$OSTLER_SLOT; exec sleep 600");
    App::new(name, ["sh", "-c", &script]).set("ready", "delay(300ms)")
}

async fn talkers() -> Fleet {
    let apps = [
        talker("web").instances(2).set("namespace", "shop"),
        talker("api").set("namespace", "shop"),
        talker("job-a"),
    ];
    fleet(&apps, 4).await
}

/// What `logs` shows, without whose it is.
async fn logs(fleet: &Fleet, words: &[&str]) -> Vec<String> {
    let shown = fleet.ostler([&["logs"], words].concat()).success().await;
    let lines = shown.stdout.lines();
    let mut said: Vec<String> = lines
        .filter_map(|line| Some(line.split_once(" | ")?.1.to_owned()))
        .collect();
    said.sort();
    said
}

#[tokio::test]
async fn lines_are_shown_of_whom_any_words_mean() {
    let fleet = talkers().await;
    let id = fleet.worker("web", 1).await.id.expect("a worker");
    for (words, expected) in [
        (&["shop"][..], &["api:0", "web:0", "web:1"][..]),
        (&[&id.to_string()], &["web:1"]),
        (&["job-*"], &["job-a:0"]),
        (&["all"], &["api:0", "job-a:0", "web:0", "web:1"]),
        (&["web:0", "shop/api"], &["api:0", "web:0"]),
        (&["web:0,job-a"], &["job-a:0", "web:0"]),
    ] {
        assert_eq!(logs(&fleet, words).await, expected, "{words:?}");
    }
}

#[tokio::test]
async fn lines_to_come_are_shown_of_whom_any_words_mean() {
    let tick = |name: &str| {
        let script = format!("while :; do echo {name}:$OSTLER_SLOT; sleep 0.05; done");
        App::new(name, ["sh", "-c", &script]).set("ready", "delay(0s)")
    };
    let apps = [tick("web").instances(2), tick("job-a"), tick("job-b")];
    let fleet = fleet(&apps, 4).await;
    let id = fleet.worker("web", 1).await.id.expect("a worker");
    let mut follow = fleet
        .ostler(["logs", "-f", "-n", "0", "job-*", &id.to_string()])
        .start();
    for who in ["job-a.0 |", "job-b.0 |", "web.1 |"] {
        follow.stdout.wait_for_line(who, PATIENCE).await;
    }
    follow.signal(rustix::process::Signal::INT);
    follow.wait(PATIENCE).await;
    let all = follow.stdout.all().concat();
    assert!(!all.contains("web.0"), "{all}");
}

#[tokio::test]
async fn sockets_and_lines_are_looked_at_and_flushed_by_the_same_words() {
    let apps = [
        idle("web").listening().set("namespace", "shop"),
        idle("api").listening(),
        talker("job-a"),
        talker("job-b"),
    ];
    let fleet = fleet(&apps, 4).await;
    let sockets = async |words: &[&str]| {
        let told = fleet.ostler([&["sockets", "--json"], words].concat());
        let told = told.success().await.json();
        let sockets = told.as_array().expect("sockets").iter();
        sockets
            .map(|socket| socket["app"].as_str().expect("an app").to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(sockets(&["shop"]).await, ["web"]);
    assert_eq!(sockets(&["all"]).await, ["api", "web"]);
    assert_eq!(sockets(&["a*", "web"]).await, ["api", "web"]);
    let id = fleet
        .worker("web", 0)
        .await
        .id
        .expect("a worker")
        .to_string();
    for slot in ["web:0", &id] {
        fleet
            .ostler(["sockets", "api", slot])
            .stderr_contains("whole apps")
            .fails_with(2)
            .await;
    }
    assert_eq!(sockets(&["job-*"]).await, [""; 0]);

    fleet.ostler(["flush", "job-b", "api"]).success().await;
    assert_eq!(logs(&fleet, &[]).await, ["job-a:0"]);
    fleet
        .ostler(["flush", "job-a:0"])
        .stderr_contains("whole apps")
        .fails_with(2)
        .await;
    fleet.ostler(["flush", "all"]).success().await;
    assert_eq!(logs(&fleet, &[]).await, [""; 0]);
}

#[tokio::test]
async fn scale_signal_and_send_take_several() {
    let reader = |name: &str| {
        App::new(
            name,
            ["sh", "-c", "while read line; do echo got $line; done"],
        )
        .set("ready", "delay(0s)")
        .set("stdin", "lines")
    };
    let apps = [reader("one").instances(2), reader("two"), idle("three")];
    let fleet = fleet(&apps, 4).await;
    fleet
        .ostler(["send", "one:1,two", "hello"])
        .stdout("sent to 2\n")
        .success()
        .await;
    fleet
        .ostler(["send", "all", "hello"])
        .stderr_contains("set stdin = \"lines\" for three")
        .fails_with(1)
        .await;
    fleet
        .ostler(["signal", "one", "three", "CONT"])
        .stdout_contains("of 3 workers")
        .success()
        .await;
    fleet
        .ostler(["scale", "two", "three", "+1"])
        .success()
        .await;
    assert_eq!(fleet.status().await.workers.len(), 6);
}

/// Reads lines, and takes its time to go.
fn listener() -> App {
    let script = "trap '' TERM; while read line; do echo got $line; done; sleep 600";
    App::new("web", ["sh", "-c", script])
        .set("ready", "delay(0s)")
        .set("stdin", "lines")
        .set("kill_ladder", serde_json::json!(["TERM:60s", "KILL"]))
}

#[tokio::test]
async fn a_line_for_a_worker_goes_to_no_other_one() {
    let fleet = fleet(&[listener()], 1).await;
    let old = fleet
        .worker("web", 0)
        .await
        .id
        .expect("a worker")
        .to_string();
    fleet.ostler(["send", &old, "first"]).success().await;
    fleet.ostler(["reload", "--no-wait"]).success().await;
    fleet
        .until("a successor beside the old one", |status| {
            status.workers.iter().any(|worker| worker.closing)
        })
        .await;
    let new = fleet
        .worker("web", 0)
        .await
        .id
        .expect("a worker")
        .to_string();
    assert_ne!(new, old);
    fleet
        .ostler(["send", &old, "second"])
        .stdout("")
        .stderr_contains(format!("has a successor, {new}: send to that, or to web:0"))
        .fails_with(75)
        .await;
    for word in ["web", "web:0", &new] {
        let told = fleet.ostler(["send", word, "third"]);
        told.stdout("sent to 1\n").success().await;
    }
    fleet.ostler(["kill", "--force"]).success().await;
}

#[tokio::test]
async fn a_slot_is_meant_by_the_older_way_to_say_so_as_well() {
    let fleet = fleet(&[listener().instances(2)], 2).await;
    let ask = async |topic: &str, question: serde_json::Value| {
        let told = fleet.ostler(["request", topic, &question.to_string()]);
        told.success().await.json()
    };
    let line = serde_json::json!({"app": "web", "slot": 1, "line": "quit"});
    let sent = ask("app.send", line).await;
    assert_eq!(sent["Sent"]["workers"], 1, "{sent}");
    fleet.said("got quit").await;
    for (slot, count) in [(0, 0), (1, 1)] {
        let wanted = serde_json::json!({"app": "web", "slot": slot, "lines": 9});
        let told = ask("app.logs", wanted).await;
        let lines = told["Lines"].as_array().expect("lines");
        assert_eq!(lines.len(), count, "{slot}: {told}");
    }
}

#[tokio::test]
async fn what_looks_names_the_nearest_as_well() {
    let fleet = fleet(&[idle("frontend").instances(2)], 2).await;
    for verb in [
        &["logs", "fronted"][..],
        &["logs", "-f", "fronted"],
        &["flush", "fronted"],
        &["sockets", "fronted"],
        &["send", "fronted", "x"],
    ] {
        let told = fleet.ostler(verb).within(Duration::from_secs(20));
        told.stdout("")
            .stderr_contains("there is no app \"fronted\"; did you mean \"frontend\"?")
            .fails_with(4)
            .await;
    }
    for verb in [
        &["logs", "frontend:9"][..],
        &["logs", "-f", "frontend:9"],
        &["send", "frontend:9", "x"],
    ] {
        let told = fleet.ostler(verb).within(Duration::from_secs(20));
        told.stdout("")
            .stderr_contains("there is no slot \"9\": frontend has slots 0 to 1")
            .fails_with(4)
            .await;
    }
    fleet.ostler(["delete", "frontend"]).success().await;
    for verb in [
        &["logs", "web"][..],
        &["flush", "web"],
        &["sockets", "web"],
        &["send", "web", "x"],
    ] {
        let told = fleet.ostler(verb);
        told.stderr_contains("there is no app \"web\"; there are none")
            .fails_with(4)
            .await;
    }
}

#[tokio::test]
async fn an_app_on_its_way_out_can_still_be_looked_at() {
    let script = "echo stays; trap '' TERM; while :; do sleep 0.1; done";
    let app = App::new("web", ["sh", "-c", script])
        .set("ready", "delay(300ms)")
        .set("kill_ladder", serde_json::json!(["TERM:60s", "KILL"]));
    let fleet = fleet(&[app], 1).await;
    let id = fleet.worker("web", 0).await.id.expect("a worker");
    fleet.ostler(["delete", "web", "--no-wait"]).success().await;
    for word in ["web", "web:0", &id.to_string()] {
        assert_eq!(logs(&fleet, &[word]).await, ["stays"], "{word}");
    }
    fleet.ostler(["kill", "--force"]).success().await;
}
