//! What the verbs, commands beside workers, and what workers leave behind have to do with each other.

use std::{net::TcpListener, net::TcpStream, path::Path};

use ostler_tests::harness::Exit;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use super::*;

async fn number_in(path: &Path) -> u32 {
    lines_of(path, 1).await[0].parse().expect("a number")
}

/// A worker with a child in a session of its own, and with one that has lost its parent.
const SCATTERED: &str = "setsid sleep 600 & echo $! > away; (sleep 600 & echo $! > orphan); sleep 600 & echo $! > child; wait; exec sleep 600";

#[tokio::test]
async fn what_was_let_go_of_is_nobodys_to_end_with_all_that_belongs_to_it() {
    let app = App::new("web", ["sh", "-c", SCATTERED])
        .set("ready", "delay(0s)")
        .set("after_ready", "while [ ! -e go ]; do sleep 0.05; done")
        .set("before_stop", "touch hooked")
        .set("after_exit", "touch hooked");
    let mut fleet = fleet(&[app], 1).await;
    let pid = pids(&fleet, "web").await[0];
    let mut family = Vec::new();
    for name in ["away", "orphan", "child"] {
        family.push(number_in(&fleet.dir().at(name)).await);
    }
    let delete = ["delete", "web", "--keep-running"];
    fleet.ostler(delete).success().await;
    // Its command ends after it was let go of, and then the worker itself.
    fleet.dir().write("go", "");
    let leader = Pid::from_raw(pid.cast_signed()).expect("a pid");
    kill_process(leader, Signal::KILL).expect("killed");
    eventually("its end to be seen", PATIENCE, || {
        let gone = !Path::new(&format!("/proc/{pid}")).exists();
        gone.then_some(())
    })
    .await;
    // Whatever would have been done about it has been done when the next one's has.
    let start = ["start", "-n", "next", "--ready", "delay(0s)", "--"];
    let words = start
        .into_iter()
        .chain(["sh", "-c", "sleep 600 & exec sleep 600"]);
    fleet.ostler(words).success().await;
    fleet.ostler(["delete", "next"]).success().await;
    assert!(family.iter().all(|pid| lives(*pid)), "{family:?}");
    assert_eq!(fleet.end(Signal::TERM).await, Exit::Code(0));
    assert!(family.iter().all(|pid| lives(*pid)), "{family:?}");
    assert!(!fleet.dir().at("hooked").exists());
}

#[tokio::test]
async fn a_restart_keeps_to_the_commands_and_to_the_order_of_the_apps() {
    let tell = "echo $OSTLER_HOOK $OSTLER_APP >> story";
    let app = |name: &str| {
        let app = idle(name).set("before_stop", tell).set("after_exit", tell);
        app.set("before_start", tell)
            .set("after_ready", format!("sleep 0.2; {tell}"))
    };
    let apps = [app("db"), app("web").set("depends_on", "db")];
    let fleet = fleet(&apps, 2).await;
    let story = fleet.dir().at("story");
    lines_of(&story, 4).await;
    std::fs::remove_file(&story).expect("it was told");
    fleet.ostler(["restart"]).success().await;
    let told = lines_of(&story, 8).await;
    let at = |line: &str| told.iter().position(|told| told == line).expect(line);
    for app in ["db", "web"] {
        let turns = ["before_stop", "after_exit", "before_start", "after_ready"];
        let turns = turns.map(|turn| at(&format!("{turn} {app}")));
        assert!(turns.is_sorted(), "{told:?}");
    }
    assert!(at("before_start db") < at("before_start web"), "{told:?}");
}

#[tokio::test]
async fn a_worker_that_starts_something_starts_it_in_its_own_master() {
    let script = format!(
        "{} start -n extra -i 1 --ready 'delay(0s)' -- sleep 600 > said 2>&1; echo $? > code; exec sleep 600",
        PROGRAMS.ostler
    );
    let app = App::new("web", ["sh", "-c", &script]).set("ready", "delay(0s)");
    let fleet = fleet(&[app], 2).await;
    let said = lines_of(&fleet.dir().at("code"), 1).await;
    let words = std::fs::read_to_string(fleet.dir().at("said")).expect("words");
    assert_eq!(said, ["0"], "{words}");
    assert!(words.contains("it runs in the master test"), "{words}");
    // It is an app like any other, and not the worker's.
    let extra = pids(&fleet, "extra").await;
    fleet.ostler(["delete", "web"]).success().await;
    assert_eq!(pids(&fleet, "extra").await, extra);
    assert!(lives(extra[0]));
}

#[tokio::test]
async fn of_what_is_refused_halfway_nothing_stays() {
    let fleet = fleet(&[idle("web")], 1).await;
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = free.local_addr().expect("an address").port();
    drop(free);
    let path = fleet.dir().at("a.sock");
    let first = idle("first").set(
        "listen",
        json!({"tcp": format!("127.0.0.1:{port}"), "unix": format!("unix:{}", path.display())}),
    );
    // Each could be had alone.
    let second = idle("second").set("listen", format!("0.0.0.0:{port}"));
    fleet
        .dir()
        .write("two.toml", &App::file(&[first.clone(), second]));
    let refused = fleet.ostler(["start", "two.toml"]).fails_with(1).await;
    assert!(refused.stderr.contains("second"), "{refused:#?}");
    TcpStream::connect(("127.0.0.1", port)).expect_err("nobody listens");
    assert!(!path.exists(), "the path is free again");
    let apps = fleet.status().await.apps;
    assert_eq!(apps.len(), 1, "{apps:#?}");
    fleet.dir().write("one.toml", &App::file(&[first]));
    fleet.ostler(["start", "one.toml"]).success().await;
    TcpStream::connect(("127.0.0.1", port)).expect("it listens");
}
