//! The SDK's examples, as their headers say how to run them.

use std::process::Command;

use ostler_tests::harness::{
    Cli, Exit, Fleet, Mark, PATIENCE, PrivateDir, Process, Programs, Web, eventually,
};
use rustix::process::{Pid, Signal, kill_process};

const PROGRAMS: Programs = ostler_tests::programs!();
const AXUM_SERVICE: &str = env!("CARGO_BIN_EXE_example_axum_service");
const CI_HARNESS: &str = env!("CARGO_BIN_EXE_example_ci_harness");

/// Runs the harness to its end, with its temporary files in `dir`. It takes longer than most: it starts a master and
/// updates it.
async fn verdict_on(worker: &[&str], dir: &PrivateDir) -> (Exit, String) {
    let mark = Mark::new(dir.path());
    let mut harness = Command::new(CI_HARNESS);
    harness
        .arg(PROGRAMS.ostler)
        .args(worker)
        .env("TMPDIR", dir.path())
        .env(Mark::VARIABLE, mark.value());
    let program = Process::spawn(&mut harness);
    let exit = program.wait(PATIENCE * 4).await;
    let left = mark.processes();
    mark.kill_all();
    assert_eq!(left, Vec::<u32>::new(), "{}", program.output());
    (exit, program.output())
}

#[tokio::test]
async fn typed_events_between_the_example_pair() {
    let file = format!(
        "[app.emitter]\ncommand = [{:?}]\ninstances = 1\n\
         [app.subscriber]\ncommand = [{:?}]\ninstances = 2\n",
        env!("CARGO_BIN_EXE_example_emitter"),
        env!("CARGO_BIN_EXE_example_subscriber"),
    );
    let fleet = Fleet::start(PROGRAMS.master().file(&file)).await;
    for subscriber in ["subscriber.0 | ", "subscriber.1 | "] {
        let reading = move |line: &str| {
            line.starts_with(subscriber)
                && line.contains("°C from Worker { app: \"emitter\"")
                && line.contains("slot: Slot(0)")
        };
        fleet.said(reading).await;
    }
    fleet.ostler(["stop", "emitter"]).success().await;
    fleet.said("emitter.0 | draining: ").await;
}

#[tokio::test]
async fn the_web_service_tells_all_workers_of_an_order() {
    let app = PROGRAMS.master().name("shop").instances(2);
    let app = app.listen("http=127.0.0.1:0").command([AXUM_SERVICE]);
    let fleet = Fleet::ready(app, 2).await;
    let address = fleet.address().await;
    let mut web = Web::connect(address).await;
    let ordered = web.post("/orders").await;
    assert!(ordered.body.contains("2 heard of it"), "{}", ordered.body);
    let status = Web::get(address, "/status").await;
    assert_eq!(status["master"]["title"], "shop");
    web.post("/restart").await;
    let renewed = |status: &ostler_bus::vocab::status::StatusReport| {
        status.workers.iter().all(|worker| worker.generation.0 == 2)
    };
    fleet.until("a new generation", renewed).await;
}

#[tokio::test]
async fn the_web_service_serves_alone() {
    // A private home, so that it can't meet a master by chance; and its own fallback is a fixed port, so one is inherited.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let names: (&str, &std::ffi::OsStr) = ("LISTEN_FDNAMES", "http".as_ref());
    let mut service = Process::spawn_listening(&listener, &[names], [AXUM_SERVICE]);
    service.wait_for_line("serving on ", PATIENCE).await;
    let address = listener.local_addr().unwrap();
    let ordered = Web::connect(address).await.post("/orders").await;
    assert!(ordered.body.contains("1 heard of it"), "{}", ordered.body);
    let status = Web::connect(address).await.ask("/status").await;
    assert!(status.head.contains(" 503 "), "{}", status.head);
    assert!(status.body.contains("masterStatus"), "{}", status.body);
    service.signal(Signal::TERM);
    assert_eq!(service.wait(PATIENCE).await, Exit::Code(0));
}

/// The bus is gone, the port is not: the workers hold it.
#[tokio::test]
async fn a_worker_serves_on_when_its_master_is_killed() {
    let app = PROGRAMS.master().name("shop").instances(1);
    let app = app.listen("http=127.0.0.1:0").command([AXUM_SERVICE]);
    let fleet = Fleet::ready(app, 1).await;
    let address = fleet.address().await;
    let worker = fleet.worker("shop", 0).await.pid.unwrap();
    fleet.process.signal(Signal::KILL);
    fleet.process.wait(PATIENCE).await;
    let mut web = Web::connect(address).await;
    let refused = web.post("/orders").await;
    assert!(refused.head.contains(" 503 "), "{}", refused.head);
    assert!(refused.body.contains("bus connection"), "{}", refused.body);
    assert!(web.ask("/orders").await.body.contains("knows of 0"));
    // And drains: the kept connection is closed, the process ends.
    let pid = i32::try_from(worker).ok().and_then(Pid::from_raw).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    assert_eq!(web.closed().await, "");
    let gone = || fleet.descendants().is_empty().then_some(());
    eventually("the worker to end", PATIENCE, gone).await;
}

#[tokio::test]
async fn the_ci_harness_finds_a_good_worker_good() {
    let dir = PrivateDir::new();
    let (exit, output) = verdict_on(&[AXUM_SERVICE], &dir).await;
    assert_eq!(exit, Exit::Code(0), "{output}");
    assert!(output.contains("ok: the rolling update works"), "{output}");
}

#[tokio::test]
async fn the_ci_harness_says_what_is_wrong_with_a_bad_one() {
    let dir = PrivateDir::new();
    let bad = ["/bin/sh", "-c", "echo no luck >&2; exit 3"];
    let (exit, output) = verdict_on(&bad, &dir).await;
    assert_eq!(exit, Exit::Code(1), "{output}");
    assert!(
        output.contains("FAILED: a worker did not start"),
        "{output}"
    );
    assert!(output.contains("no luck"), "{output}");
    let left = std::fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(left, 0, "its home is removed");
    Cli::new(CI_HARNESS)
        .arg("/nowhere/ostler")
        .fails_with(1)
        .await;
}
