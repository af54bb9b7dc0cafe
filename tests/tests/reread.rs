//! What reading the process file again must not do: keep the master waiting, or leave something behind.

use std::{fs, net::TcpListener, net::TcpStream, time::Instant};

use ostler_tests::{
    habit,
    harness::{App, Exit, Master, PATIENCE, eventually},
    ostler,
};
use rustix::process::Signal;
use serde_json::json;

fn web() -> App {
    quiet("web")
}

fn quiet(name: &str) -> App {
    habit!(name, "notify 0").unwatched()
}

async fn running(apps: &[App], names: &[&str]) -> Master {
    let master = ostler!().apps(apps).start().await;
    for name in names {
        master.settled(name, "running").await;
    }
    master
}

/// A listener that is in the way, and a port that nobody has.
fn ports() -> (TcpListener, u16) {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    (taken, free.local_addr().expect("an address").port())
}

#[tokio::test]
async fn what_reload_would_refuse_plan_refuses_and_neither_leaves_a_socket() {
    let listening = |sockets: serde_json::Value| web().set("listen", sockets);
    let before = [listening(json!({"http": "127.0.0.1:0"}))];
    let master = running(&before, &["web"]).await;
    let (taken, free) = ports();
    let taken = taken.local_addr().expect("an address");
    let long = "x".repeat(64);
    master.rewrite(&[
        listening(json!({"http": "127.0.0.1:0", "admin": format!("127.0.0.1:{free}")})),
        quiet("api").set("listen", taken.to_string()),
        quiet(&long),
    ]);
    for verb in [&["plan"][..], &["reload", "--config"][..]] {
        let output = master.ostler(verb).fails_with(1).await;
        let told = format!("api: socket \"http\": can't listen on {taken}: the address is in use");
        assert!(output.stderr.contains(&told), "{output:#?}");
        // A name as long as names may be leaves no room for its workers' sockets here.
        assert!(output.stderr.contains(&format!("{long}: ")), "{output:#?}");
        TcpStream::connect(("127.0.0.1", free)).expect_err("nobody listens");
        let sockets = master.app("web").await["sockets"].clone();
        assert_eq!(sockets.as_array().map(Vec::len), Some(1), "{sockets}");
    }
    // A socket that is declared otherwise under its name.
    master.rewrite(&[listening(json!({"http": format!("127.0.0.1:{free}")}))]);
    let output = master.ostler(["plan"]).fails_with(1).await;
    assert!(output.stderr.contains("bound that name"), "{output:#?}");
}

#[tokio::test]
async fn what_an_app_that_went_has_printed_is_forgotten() {
    let old = || {
        App::new("old", ["sh", "-c", "echo secret; exec sleep 600"])
            .unwatched()
            .instances(1)
    };
    let master = running(&[web(), old()], &["web", "old"]).await;
    let logs = || async { master.ostler(["logs", "old"]).success().await.stdout };
    let end = Instant::now() + PATIENCE;
    while !logs().await.contains("secret") {
        assert!(Instant::now() < end, "{:?}", logs().await);
    }
    master.rewrite(&[web()]);
    master.ostler(["reload", "--config"]).success().await;
    master.rewrite(&[web(), old().set("autostart", false)]);
    master.ostler(["reload", "--config"]).success().await;
    assert_eq!(logs().await, "");
}

#[tokio::test]
async fn a_file_that_takes_its_time_keeps_nobody_waiting() {
    let mut master = running(&[web()], &["web"]).await;
    let dir = master.dir().path().to_owned();
    let fifo = dir.join("late.toml");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status();
    assert!(made.expect("run").success());
    let file = format!("include = \"late.toml\"\n{}", App::file(&[web()]));
    master.dir().write("ostler.toml", &file);
    let plan = tokio::spawn(master.ostler(["plan"]).run());
    let reload = tokio::spawn(master.ostler(["reload", "--config"]).run());
    // Each of them opens the pipe and waits there for what it says.
    let said = "[app.late]\ncommand = [\"sleep\", \"600\"]\ninstances = 1\n";
    for _ in 0..2 {
        let mut pipe = open_for_writing(&fifo).await;
        for _ in 0..3 {
            master.ostler(["ls"]).success().await;
        }
        std::io::Write::write_all(&mut pipe, said.as_bytes()).expect("written");
    }
    let plan = plan.await.expect("planned");
    assert!(plan.stdout.contains("start  late"), "{plan:#?}");
    assert_eq!(reload.await.expect("reloaded").exit, Exit::Code(0));
    assert_eq!(master.pids("late").await.len(), 1);
    // Nor does a file that is never read to its end keep the master from ending.
    let never = tokio::spawn(master.ostler(["plan"]).run());
    let _pipe = open_for_writing(&fifo).await;
    assert_eq!(master.end(Signal::TERM).await, Exit::Code(0));
    assert_ne!(never.await.expect("refused").exit, Exit::Code(0));
}

/// Once somebody reads it.
async fn open_for_writing(fifo: &std::path::Path) -> fs::File {
    use std::os::unix::fs::OpenOptionsExt;
    let open = || {
        let mut options = fs::OpenOptions::new();
        let options = options.write(true).custom_flags(libc::O_NONBLOCK);
        options.open(fifo).ok()
    };
    eventually("a reader", PATIENCE, open).await
}

#[tokio::test]
async fn sighup_says_nothing_of_an_app_that_is_on_its_way_out() {
    let stubborn = App::new(
        "old",
        ["sh", "-c", "trap : TERM; while :; do sleep 0.1; done"],
    )
    .unwatched()
    .instances(1);
    let master = running(&[web(), stubborn], &["web", "old"]).await;
    master.rewrite(&[web()]);
    let reload = ["reload", "--config", "--no-wait"];
    master.ostler(reload).success().await;
    let before = master.pids("old").await;
    let mut tail = master.tail().await;
    master.process.signal(Signal::HUP);
    tail.next_with("update.finished", "/app", "web").await;
    assert_eq!(master.pids("old").await, before, "it drains");
    let log = master.process.output();
    assert!(!log.contains("runs on as it was"), "{log}");
    assert!(log.contains("SIGHUP: read"), "{log}");
    master.process.signal(Signal::QUIT);
}
