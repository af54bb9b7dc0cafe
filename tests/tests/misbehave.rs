//! The misbehaving workers do what they say: else tests against them prove nothing. This tries the harness too.

use std::{path::Path, process::Command, time::Duration};

use ostler_tests::{
    harness::{Cli, Exit, PATIENCE, PrivateDir, Process, deadline, eventually},
    load::{Load, Plan},
};
use rustix::process::Signal;
use tokio::io::AsyncReadExt;

fn misbehave<S: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = S>) -> Process {
    Process::spawn(Command::new(env!("CARGO_BIN_EXE_misbehave")).args(args))
}

fn cli() -> Cli {
    Cli::new(env!("CARGO_BIN_EXE_misbehave"))
}

#[tokio::test]
async fn trivial_ends_when_asked() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut worker = misbehave(["trivial"]);
        worker.wait_for_line("ready", PATIENCE).await;
        assert_eq!(worker.exit(), None);
        worker.signal(signal);
        assert_eq!(worker.wait(PATIENCE).await, Exit::Code(0));
    }
}

#[tokio::test]
async fn born_says_so_and_stays_while_its_socket_does() {
    let dir = PrivateDir::new();
    let socket = dir.at("births");
    let births = tokio::net::UnixListener::bind(&socket).expect("a socket");
    let worker = misbehave([Path::new("born"), &socket]);
    let (mut stream, _) = deadline("a worker", PATIENCE, births.accept())
        .await
        .expect("a connection");
    let mut pid = String::new();
    deadline("a pid", PATIENCE, stream.read_to_string(&mut pid))
        .await
        .expect("text");
    assert_eq!(pid, worker.id().to_string());
    assert_eq!(worker.exit(), None);
    std::fs::remove_file(&socket).expect("its socket");
    assert_eq!(worker.wait(PATIENCE).await, Exit::Code(0));
}

#[tokio::test]
async fn exits_are_as_asked() {
    cli()
        .args(["exit", "7"])
        .stdout("")
        .stderr_empty()
        .fails_with(7)
        .await;
    cli().args(["exit", "0", "20"]).success().await;
    cli()
        .args(["readers"])
        .stdout("")
        .stderr_contains("book\ngiving up\n")
        .fails_with(3)
        .await;
    cli()
        .args(["crash-after", "1"])
        .stderr_contains("as asked")
        .fails_with(101)
        .await;
    cli()
        .args(["no", "such"])
        .stderr_contains("usage:")
        .fails_with(2)
        .await;
    let abort = cli().args(["abort"]).run().await;
    assert_eq!(abort.exit, Exit::Signal(Signal::ABORT.as_raw()));
}

#[tokio::test]
async fn ignore_term_ignores_all_but_kill() {
    let mut worker = misbehave(["ignore-term"]);
    worker.wait_for_line("ready", PATIENCE).await;
    for signal in [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT] {
        worker.signal(signal);
    }
    // All four are pending, none has an effect: the kernel says so.
    let status = std::fs::read_to_string(format!("/proc/{}/status", worker.id())).unwrap();
    let pending = status
        .lines()
        .find_map(|l| l.strip_prefix("ShdPnd:"))
        .unwrap();
    let mask = [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT];
    let mask = mask
        .iter()
        .fold(0_u64, |mask, s| mask | 1 << (s.as_raw() - 1));
    assert_eq!(u64::from_str_radix(pending.trim(), 16), Ok(mask));
    assert_eq!(worker.exit(), None);
    worker.signal(Signal::KILL);
    assert_eq!(
        worker.wait(PATIENCE).await,
        Exit::Signal(Signal::KILL.as_raw())
    );
}

#[tokio::test]
async fn spam_is_counted_to_the_byte() {
    let mut worker = misbehave(["spam", "lines", "5000", "100"]);
    worker.stderr.wait_for_line("done", PATIENCE).await;
    worker.wait_for_line("ready", PATIENCE).await;
    let lines = worker.stdout.all();
    assert_eq!(lines.len(), 5001);
    assert!(
        lines[..5000].iter().all(|line| line.len() == 99),
        "{:?}",
        lines[0]
    );
    assert!(lines[4999].starts_with("line 4999 ."));
    let mut worker = misbehave(["spam", "bytes", "100000"]);
    worker.wait_for_line("ready", PATIENCE).await;
    let all: usize = worker.stdout.all().iter().map(String::len).sum();
    assert_eq!(all, 100_000 + "ready".len());
}

#[tokio::test]
async fn a_grandchild_holds_the_pipes_and_dies_with_the_group() {
    let mut worker = misbehave(["fork-and-leave"]);
    let line = worker.wait_for_line("left ", PATIENCE).await;
    assert_eq!(worker.wait(PATIENCE).await, Exit::Code(0));
    let grandchild = format!("/proc/{}", &line["left ".len()..]);
    assert!(Path::new(&grandchild).exists());
    let mut stdout = worker.stdout.clone();
    let still = tokio::time::timeout(
        Duration::from_millis(50),
        stdout.wait_for_line("?", PATIENCE),
    );
    assert!(still.await.is_err(), "the pipe is open");
    drop(worker);
    deadline("the pipes to close", PATIENCE, stdout.ended(PATIENCE)).await;
}

#[tokio::test]
async fn closed_pipes_end_while_the_worker_lives() {
    let mut worker = misbehave(["close-pipes"]);
    worker.stdout.ended(PATIENCE).await;
    worker.stderr.ended(PATIENCE).await;
    assert_eq!(worker.exit(), None);
    assert_eq!(worker.stdout.text(), "closing\n");
}

#[tokio::test]
async fn notifications_arrive_as_datagrams() {
    let dir = PrivateDir::new();
    let path = dir.at("notify");
    let socket = tokio::net::UnixDatagram::bind(&path).unwrap();
    let next = async || {
        let mut buffer = [0; 256];
        let count = deadline("a datagram", PATIENCE, socket.recv(&mut buffer))
            .await
            .unwrap();
        String::from_utf8_lossy(&buffer[..count]).into_owned()
    };
    let spawn = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_misbehave"));
        Process::spawn(command.args(args).env("NOTIFY_SOCKET", &path))
    };
    let never = spawn(&["never-ready"]);
    assert!(next().await.starts_with("STATUS="));
    let began = std::time::Instant::now();
    let soon = spawn(&["notify", "100"]);
    assert_eq!(next().await, "READY=1");
    assert!(began.elapsed() >= Duration::from_millis(100));
    let _said = spawn(&["say", "STOPPING=1", "STATUS=x"]);
    assert_eq!(next().await, "STOPPING=1\nSTATUS=x");
    assert_eq!((never.exit(), soon.exit()), (None, None));
    cli()
        .args(["notify", "0"])
        .stderr_contains("NOTIFY_SOCKET")
        .fails_with(2)
        .await;
}

#[tokio::test]
async fn what_a_worker_was_given_is_shown() {
    let dir = PrivateDir::new();
    let file = dir.at("given.json");
    let mut command = Command::new(env!("CARGO_BIN_EXE_misbehave"));
    command
        .arg("print-env")
        .arg(&file)
        .env_clear()
        .env("ONE", "1");
    let mut worker = Process::spawn(&mut command);
    worker.wait_for_line("ready", PATIENCE).await;
    let given = std::fs::read_to_string(&file).unwrap();
    let given: serde_json::Value = serde_json::from_str(&given).unwrap();
    assert_eq!(given["env"], serde_json::json!({ "ONE": "1" }));
    assert_eq!(given["pgid"], worker.id());
    assert_eq!(given["pid"], worker.id());
    assert_eq!(given["fds"]["0"]["is"], "/dev/null");
    assert!(
        given["fds"]["1"]["is"]
            .as_str()
            .unwrap()
            .starts_with("pipe:")
    );
    assert_eq!(given["SigBlk"], "0000000000000000");
}

fn http(listener: &std::net::TcpListener, version: &Path) -> Process {
    let words = [
        env!("CARGO_BIN_EXE_misbehave").as_ref(),
        "http".as_ref(),
        version.as_os_str(),
    ];
    Process::spawn_listening(listener, &[], words)
}

#[tokio::test]
async fn http_workers_take_turns_and_lose_nothing() {
    let dir = PrivateDir::new();
    let version = dir.write("version.txt", "v1\n");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let plan = Plan::to(listener.local_addr().unwrap()).contains("\"version\":\"v");
    let mut old = http(&listener, &version);
    old.wait_for_line("listening v1", PATIENCE).await;
    let load = Load::start(plan.clone().connections(8).by_field("pid")).unwrap();
    load.answers(50, PATIENCE).await.unwrap();
    dir.write("version.txt", "v2\n");
    for _ in 0..5 {
        let mut new = http(&listener, &version);
        new.wait_for_line("listening v2", PATIENCE).await;
        old.signal(Signal::TERM);
        assert_eq!(old.wait(PATIENCE).await, Exit::Code(0), "{}", old.output());
        load.answers(50, PATIENCE).await.unwrap();
        old = new;
    }
    let tally = load.stop().await;
    assert_eq!((tally.lost(), &tally.fault), (0, &None), "{tally}");
    assert_eq!(tally.by.len(), 6, "{tally}");
    // What is under way is finished.
    let slow = Load::start(
        Plan::new(
            format!("{}/slow/300", listener.local_addr().unwrap())
                .parse()
                .unwrap(),
        )
        .connections(1)
        .requests(1),
    )
    .unwrap();
    let dead = old.wait(PATIENCE);
    let (tally, ()) = tokio::join!(slow.finish(), async {
        // Main, signals, acceptor, and the thread of the connection.
        let tasks = format!("/proc/{}/task", old.id());
        let serving = || (std::fs::read_dir(&tasks).ok()?.count() == 4).then_some(());
        eventually("the request to be under way", PATIENCE, serving).await;
        old.signal(Signal::TERM);
    });
    assert_eq!((tally.answered, tally.lost()), (1, 0), "{tally}");
    assert_eq!(dead.await, Exit::Code(0));
}
