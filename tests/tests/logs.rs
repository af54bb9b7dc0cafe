//! Where workers' words go, and how they are asked for.

use ostler_tests::{
    harness::{App, PATIENCE, eventually},
    ostler,
};
use rustix::process::Signal;
use serde_json::json;

fn script(name: &str, script: &str) -> App {
    App::new(name, ["sh", "-c", script]).instances(1)
}

fn read(path: &std::path::Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

#[tokio::test]
async fn streams_go_where_the_file_says_and_nothing_is_lost_at_the_end() {
    let chatty = "seq -f 'out %g' 3000; seq -f 'err %g' 3000 >&2; printf 'no end'; exec sleep 600";
    let apps = [
        script("split", chatty).instances(2).set(
            "log",
            json!({"out": "logs/{app}-{slot}.out", "err": "logs/{app}-{slot}.err"}),
        ),
        script("merged", chatty).set("log", "logs/merged.log"),
        script("quiet", "echo unheard; echo unheard >&2; exec sleep 600").set("log", "null"),
        script("half", "echo heard; echo unheard >&2; exec sleep 600")
            .set("log", json!({"err": "null"})),
    ];
    let mut master = ostler!().apps(&apps).start().await;
    for _ in 0..5 {
        master.wait_for_log("taken to be ready").await;
    }
    master.end(Signal::TERM).await;
    let at = |name: &str| master.dir().at("logs").join(name);
    let lines = |what: &str| {
        (1..=3000)
            .map(|n| format!("{what} {n}\n"))
            .collect::<String>()
    };
    for slot in 0..2 {
        assert!(read(&at(&format!("split-{slot}.out"))) == lines("out") + "no end\n");
        assert!(read(&at(&format!("split-{slot}.err"))) == lines("err"));
    }
    assert_eq!(read(&at("merged.log")).lines().count(), 6001);
    let said = master.process.output();
    assert!(
        !said.contains("| unheard") && !said.contains("! unheard") && !said.contains("out 17"),
        "{said}"
    );
    assert!(said.contains("half.0 | heard"), "{said}");
    let mut names: Vec<_> = std::fs::read_dir(master.dir().at("logs"))
        .expect("made")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            "merged.log",
            "split-0.err",
            "split-0.out",
            "split-1.err",
            "split-1.out"
        ]
    );
}

#[tokio::test]
async fn a_file_moved_away_is_reopened_by_signal() {
    let app = script("web", "while :; do echo tick; sleep 0.02; done")
        .set("log", json!({"out": "web.log", "rotate": false}));
    let mut master = ostler!().apps(&[app]).start().await;
    let log = master.dir().at("web.log");
    eventually("a line", PATIENCE, || {
        read(&log).contains("tick").then_some(())
    })
    .await;
    std::fs::rename(&log, master.dir().at("web.log.1")).expect("renamed");
    master.process.signal(Signal::USR1);
    master.wait_for_log("SIGUSR1: 1 log files reopened").await;
    eventually("a line", PATIENCE, || {
        read(&log).contains("tick").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_disk_that_is_full_is_said_once_and_the_workers_go_on() {
    let builder = ostler!();
    std::os::unix::fs::symlink("/dev/full", builder.dir().at("web.log")).expect("linked");
    let app = script("web", "while :; do echo tick; sleep 0.01; done").set("log", "web.log");
    let mut master = builder.apps(&[app]).start().await;
    master
        .wait_for_log("can't be written: No space left on device")
        .await;
    let log = master.dir().at("web.log");
    std::fs::remove_file(&log).expect("removed");
    master.wait_for_log("can be written again").await;
    eventually("a line", PATIENCE, || {
        read(&log).contains("tick").then_some(())
    })
    .await;
    assert_eq!(
        master.process.output().matches("can't be written").count(),
        1
    );
    let status = master.ostler(["ls", "--json"]).success().await.json();
    assert_eq!(status["workers"][0]["restarts"], 0);
}
