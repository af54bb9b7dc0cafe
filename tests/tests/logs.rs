//! Where workers' words go, and how they are asked for.

use std::{os::unix::net::UnixDatagram, path::Path};

use ostler_tests::{
    harness::{App, PATIENCE, deadline, eventually},
    ostler,
};
use rustix::process::Signal;
use serde_json::json;

fn script(name: &str, script: &str) -> App {
    App::new(name, ["sh", "-c", script]).instances(1)
}

fn read(path: &Path) -> String {
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

/// Something at `path` that is always full; whether it could be made. Root's logs are no links, and not every root may make
/// devices.
fn full_device(path: &Path) -> bool {
    if rustix::process::geteuid().is_root() {
        let made = std::process::Command::new("mknod")
            .arg(path)
            .args(["c", "1", "7"])
            .status();
        made.is_ok_and(|status| status.success())
    } else {
        std::os::unix::fs::symlink("/dev/full", path).is_ok()
    }
}

#[tokio::test]
async fn a_link_or_a_pipe_in_a_log_s_place_is_no_log() {
    let builder = ostler!();
    let dir = builder.dir();
    std::fs::write(dir.at("precious"), "").expect("written");
    std::os::unix::fs::symlink(dir.at("precious"), dir.at("link.log")).expect("linked");
    let made = std::process::Command::new("mkfifo")
        .arg(dir.at("pipe.log"))
        .status();
    assert!(made.is_ok_and(|status| status.success()), "mkfifo");
    let ticks = "while :; do echo tick; sleep 0.01; done";
    let apps =
        ["link", "pipe", "plain"].map(|name| script(name, ticks).set("log", format!("{name}.log")));
    let mut master = builder.apps(&apps).start().await;
    master
        .wait_for_log("pipe.log can't be written: it is a link or a pipe")
        .await;
    let (plain, precious) = (master.dir().at("plain.log"), master.dir().at("precious"));
    eventually("a line of another app", PATIENCE, || {
        read(&plain).contains("tick").then_some(())
    })
    .await;
    if rustix::process::geteuid().is_root() {
        let said = "link.log can't be written: it is a link or a pipe";
        eventually("a word about the link", PATIENCE, || {
            master.process.output().contains(said).then_some(())
        })
        .await;
        assert_eq!(read(&precious), "");
    }
}

#[tokio::test]
async fn a_disk_that_is_full_is_said_once_and_the_workers_go_on() {
    let builder = ostler!();
    if !full_device(&builder.dir().at("web.log")) {
        return println!("not run: root may make no device here");
    }
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

// ---- elsewhere

#[tokio::test]
async fn the_journal_gets_every_line_to_the_last() {
    let builder = ostler!();
    let place = builder.dir().at("journal");
    let journal = UnixDatagram::bind(&place).expect("bound");
    journal.set_read_timeout(Some(PATIENCE)).expect("set");
    let lines = "seq -f 'out %g' 100; echo '<4>mind' >&2; echo broken >&2; exec sleep 600";
    let apps = [
        script("web", lines).set("log", "journal"),
        script(
            "half",
            "echo to the log; echo to the journal >&2; exec sleep 600",
        )
        .set("log", json!({"err": "journal"})),
    ];
    let heard = std::thread::spawn(move || {
        let (mut heard, mut buffer) = (Vec::new(), [0; 4096]);
        while heard.len() < 103 {
            let length = journal.recv(&mut buffer).expect("a line");
            heard.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
        }
        heard
    });
    let mut master = builder
        .apps(&apps)
        .env("OSTLER_JOURNAL_SOCKET", &place)
        .start()
        .await;
    for _ in 0..2 {
        master.wait_for_log("taken to be ready").await;
    }
    // "Taken to be ready" is said of a worker that has yet to print as well.
    let told = async {
        loop {
            let told = master.ostler(["logs", "web", "--err"]).success().await;
            if told.stdout.contains("broken") {
                return told.stdout;
            }
        }
    };
    let told = deadline("the lines", PATIENCE, told).await;
    assert_eq!(told, "web.0 ! <4>mind\nweb.0 ! broken\n");
    master.end(Signal::TERM).await;
    let heard = heard.join().expect("all lines");
    let of = |app: &str, stream: &str| -> Vec<&str> {
        let fields = [
            format!("\nSYSLOG_IDENTIFIER={app}\n"),
            format!("\nOSTLER_STREAM={stream}\n"),
        ];
        let of = |line: &&String| fields.iter().all(|field| line.contains(field));
        let first = |line: &'_ String| line.split("SYSLOG_PID").next().map(str::len);
        heard
            .iter()
            .filter(of)
            .map(|line| &line[..first(line).expect("a part")])
            .collect()
    };
    let out: Vec<String> = (1..=100)
        .map(|n| format!("MESSAGE=out {n}\nPRIORITY=6\n"))
        .collect();
    assert_eq!(of("web", "stdout"), out);
    let err = ["MESSAGE=mind\nPRIORITY=4\n", "MESSAGE=broken\nPRIORITY=3\n"];
    assert_eq!(of("web", "stderr"), err);
    assert_eq!(
        of("half", "stderr"),
        ["MESSAGE=to the journal\nPRIORITY=3\n"]
    );
    assert!(heard.iter().all(|line| line.contains("\nOSTLER_SLOT=0\n")));
    let said = master.process.output();
    assert!(
        said.contains("half.0 | to the log") && !said.contains("| out 1"),
        "{said}"
    );
}

#[tokio::test]
async fn without_a_journal_lines_stay_on_the_bus_as_they_do_where_that_was_asked_for() {
    let builder = ostler!();
    let nowhere = builder.dir().at("nowhere");
    let apps = [
        script("web", "echo heard; exec sleep 600").set("log", "journal"),
        script("bus", "echo asked; exec sleep 600").set("log", "bus"),
    ];
    let mut master = builder
        .apps(&apps)
        .env("OSTLER_JOURNAL_SOCKET", &nowhere)
        .start()
        .await;
    let told = master
        .wait_for_log("no lines can be written to the journal at")
        .await;
    assert!(told.contains("stay on the bus alone"), "{told}");
    for _ in 0..2 {
        master.wait_for_log("taken to be ready").await;
    }
    let told = master.ostler(["logs"]).success().await.stdout;
    assert!(
        told.contains("web.0 | heard\n") && told.contains("bus.0 | asked\n"),
        "{told}"
    );
    master.end(Signal::TERM).await;
    let said = master.process.output();
    assert!(
        !said.contains("| heard") && !said.contains("| asked"),
        "{said}"
    );
}

#[tokio::test]
async fn a_file_renamed_away_is_made_anew_without_a_word() {
    let app = script("web", "while :; do echo tick; sleep 0.02; done").set("log", "web.log");
    let master = ostler!().apps(&[app]).start().await;
    let log = master.dir().at("web.log");
    for _ in 0..2 {
        eventually("a line", PATIENCE, || {
            read(&log).contains("tick").then_some(())
        })
        .await;
        std::fs::rename(&log, master.dir().at("moved")).expect("renamed");
    }
}

// ---- asked for

#[tokio::test]
async fn the_last_lines_are_told_over_a_worker_s_end_and_wherever_they_went() {
    let apps = [
        script(
            "web",
            "echo out $OSTLER_WORKER_ID; echo err $OSTLER_WORKER_ID >&2; exec sleep 600",
        ),
        script("file", "echo to a file; exec sleep 600").set("log", "file.log"),
        script("quiet", "echo unheard; exec sleep 600").set("log", "null"),
        script("other", "echo stays; exec sleep 600").set("log", "other.log"),
    ];
    let mut master = ostler!().apps(&apps).start().await;
    for _ in 0..4 {
        master.wait_for_log("taken to be ready").await;
    }
    master.ostler(["reload", "web"]).success().await;
    let web = master
        .ostler(["logs", "web", "--out"])
        .success()
        .await
        .stdout;
    let ids: Vec<u32> = web
        .lines()
        .map(|line| {
            line.strip_prefix("web.0 | out ")
                .and_then(|id| id.parse().ok())
                .expect(line)
        })
        .collect();
    assert!(ids.len() == 2 && ids[0] < ids[1], "{web}");
    let err = master
        .ostler(["logs", "web:0", "--err", "-n", "1"])
        .success()
        .await
        .stdout;
    assert_eq!(err, format!("web.0 ! err {}\n", ids[1]));
    let all = master.ostler(["logs"]).success().await.stdout;
    assert!(
        all.contains("file.0 | to a file\n") && !all.contains("unheard"),
        "{all}"
    );
    let json = master
        .ostler(["logs", "file", "--json"])
        .success()
        .await
        .json();
    assert_eq!(
        (
            &json["app"],
            &json["slot"],
            &json["stream"],
            &json["line"],
            &json["number"]
        ),
        (
            &json!("file"),
            &json!(0),
            &json!("Out"),
            &json!("to a file"),
            &json!(1)
        )
    );
    assert_eq!(
        master
            .ostler(["logs", "--since", "0"])
            .success()
            .await
            .stdout,
        ""
    );
    let told = master.ostler(["logs", "wob"]).fails_with(4).await;
    assert!(
        told.stderr
            .contains("there is no app \"wob\"; there are: file"),
        "{}",
        told.stderr
    );
    assert_eq!(read(&master.dir().at("file.log")), "to a file\n");
    master
        .ostler(["flush", "file"])
        .stderr_contains("1 files emptied")
        .success()
        .await;
    eventually("an empty file", PATIENCE, || {
        read(&master.dir().at("file.log")).is_empty().then_some(())
    })
    .await;
    assert_eq!(read(&master.dir().at("other.log")), "stays\n");
    let left = master.ostler(["logs"]).success().await.stdout;
    assert!(
        left.contains("web.0 | out") && !left.contains("to a file"),
        "{left}"
    );
    master.ostler(["flush", "wob"]).fails_with(4).await;
}

#[tokio::test]
async fn whoever_follows_gets_each_line_once_from_the_last_ones_on() {
    let app = script(
        "web",
        "n=0; while :; do n=$((n+1)); echo $n; sleep 0.005; done",
    );
    let mut master = ostler!().apps(&[app]).start().await;
    master.wait_for_log("taken to be ready").await;
    let follow = master.ostler(["logs", "web", "-f", "-n", "30"]).start();
    let numbers = eventually("a hundred lines", PATIENCE, || {
        let text = follow.stdout.text();
        let whole = text.rsplit_once('\n')?.0;
        let number = |line: &str| line.strip_prefix("web.0 | ").and_then(|n| n.parse().ok());
        let numbers: Vec<u32> = whole
            .lines()
            .map(|line| number(line).expect("a number"))
            .collect();
        (numbers.len() >= 100).then_some(numbers)
    });
    let numbers = numbers.await;
    assert!(
        numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]),
        "{numbers:?}"
    );
    // Any client may listen; and none is published to nobody.
    let events = master
        .ostler(["tail", "_log.web.*", "--count", "2"])
        .success()
        .await
        .json_lines();
    let number = |event: &serde_json::Value| event["payload"]["number"].as_u64().expect("a number");
    assert_eq!(number(&events[0]) + 1, number(&events[1]), "{events:?}");
    assert_eq!(events[0]["topic"], "_log.web.0");
}
