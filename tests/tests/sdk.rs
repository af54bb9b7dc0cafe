//! Workers made with the SDK, as real processes under a real master: what they hear and say, how they drain, and that
//! updates of them lose no request at all.

use std::{process::Command, time::Duration};

use ostler_bus::vocab::{
    update::{UpdateAborted, UpdateFinished},
    worker::{ExitStatus, WorkerDisconnected, WorkerDraining, WorkerExited},
};
use ostler_tests::{
    harness::{Exit, Fleet, PATIENCE, PrivateDir, Process, Programs, Web, deadline},
    load::{Load, LoadHandle, Plan, Tally},
    words::Note,
};
use rustix::process::Signal;

const PROGRAMS: Programs = ostler_tests::programs!();

/// Two runs at once against one app: a new connection for each request, and kept connections.
struct BothLoads {
    new: LoadHandle,
    kept: LoadHandle,
}

impl BothLoads {
    async fn on(fleet: &Fleet) -> Self {
        let plan = Plan::to(fleet.address().await).contains("\"version\":\"v");
        let plan = plan.connections(3).by_field("version");
        let kept = Load::start(plan.clone().keep_alive()).unwrap();
        let new = Load::start(plan).unwrap();
        let loads = Self { new, kept };
        loads.go_on().await;
        loads
    }

    /// Until either had some more answers.
    async fn go_on(&self) {
        self.new.answers(50, PATIENCE).await.unwrap();
        self.kept.answers(50, PATIENCE).await.unwrap();
    }

    async fn stop(self) -> [Tally; 2] {
        self.go_on().await;
        let tallies = [self.new.stop().await, self.kept.stop().await];
        for tally in &tallies {
            eprintln!("{tally}");
            assert_eq!(tally.fault, None, "{tally}");
        }
        tallies
    }
}

#[tokio::test]
async fn updates_lose_no_request_new_or_kept() {
    let fleet = Fleet::ready(PROGRAMS.sdk(4), 4).await;
    let loads = BothLoads::on(&fleet).await;
    for version in ["v1", "v2", "v3", "v4", "v5"] {
        fleet.dir().write("version.txt", version);
        fleet.ostler(["reload"]).success().await;
        loads.go_on().await;
    }
    for tally in loads.stop().await {
        assert_eq!(tally.lost(), 0, "{tally}");
        assert_eq!(tally.by.len(), 6, "{tally}");
    }
    let workers = fleet.until_ready(4).await;
    assert!(workers.iter().all(|worker| worker.generation.0 == 6));
}

async fn bad_version_aborts(how: &str, reason: &str) {
    let master = PROGRAMS.master();
    let file = PROGRAMS.sdk_app("web", 4, master.dir().path())
        + "start_timeout = \"2s\"\nkill_ladder = [\"TERM:500ms\", \"KILL\"]\n";
    let fleet = Fleet::ready(master.file(&file), 4).await;
    let mut aborted = fleet.hear::<UpdateAborted>().await;
    let loads = BothLoads::on(&fleet).await;
    let old = fleet.until_ready(4).await;
    fleet.dir().write("fail", how);
    let reload = fleet.ostler(["reload"]).stderr_contains(reason);
    reload.fails_with(1).await;
    let told = aborted.next().await;
    assert_eq!(told.event.replaced, 0);
    for tally in loads.stop().await {
        assert_eq!(tally.lost(), 0, "{tally}");
    }
    let pids = |workers: &[ostler_bus::vocab::status::WorkerStatus]| {
        workers.iter().map(|w| w.pid).collect::<Vec<_>>()
    };
    assert_eq!(pids(&fleet.until_ready(4).await), pids(&old));
}

#[tokio::test]
async fn version_that_exits_aborts_and_loses_nothing() {
    bad_version_aborts("exit", "this version can't start").await;
}

#[tokio::test]
async fn version_that_is_never_ready_aborts_and_loses_nothing() {
    bad_version_aborts("never", "never becomes ready").await;
}

/// Three connections of each load may be in flight at it.
#[tokio::test]
async fn killed_worker_loses_at_most_what_it_served() {
    let fleet = Fleet::ready(PROGRAMS.sdk(4), 4).await;
    let loads = BothLoads::on(&fleet).await;
    let old = fleet.worker("web", 2).await;
    let mut exits = fleet.hear::<WorkerExited>().await;
    kill(old.pid.unwrap());
    let exit = exits.next().await;
    assert_eq!(exit.event.worker.id, old.id.unwrap());
    fleet.until_ready(4).await;
    for tally in loads.stop().await {
        assert!(tally.lost() == tally.reset && tally.reset <= 3, "{tally}");
    }
}

fn kill(pid: u32) {
    let mut kill = Command::new("kill");
    assert!(
        kill.args(["-KILL", &pid.to_string()])
            .status()
            .unwrap()
            .success()
    );
}

#[tokio::test]
async fn listener_is_taken_by_name() {
    let master = PROGRAMS.master();
    let version = master.dir().write("version.txt", "v0");
    let file = format!(
        "[app.web]\ncommand = [{:?}, {version:?}]\ninstances = 1\nmax_restarts = 1\n\
         listen = {{ admin = \"127.0.0.1:0\", other = \"127.0.0.1:0\" }}\n",
        PROGRAMS.sdk_worker
    );
    let fleet = Fleet::start(master.file(&file)).await;
    let line = fleet.logged("sdk_worker: ").await;
    for word in ["\"http\"", "admin", "other"] {
        assert!(line.contains(word), "{line}");
    }
    let fleet = Fleet::ready(PROGRAMS.sdk(1), 1).await;
    let serving = fleet.said("serving ").await;
    let address = fleet.address().await.to_string();
    assert!(serving.ends_with(&address), "{serving} {address}");
}

#[tokio::test]
async fn worker_runs_alone_outside_ostler() {
    let dir = PrivateDir::new();
    let version = dir.write("version.txt", "v9");
    let mut worker = Process::spawn(Command::new(PROGRAMS.sdk_worker).arg(&version).env_clear());
    let serving = worker.wait_for_line("serving ", PATIENCE).await;
    let address = serving["serving ".len()..].parse().unwrap();
    assert_eq!(Web::get(address, "/").await["version"], "v9");
    // Its own subscriptions: to notes, and to everything.
    assert_eq!(Web::get(address, "/note/alone").await["ok"], 2);
    let heard = worker.wait_for_line("heard ", PATIENCE).await;
    assert!(heard.contains("\"text\":\"alone\""), "{heard}");
    // It has nothing to do but to listen, and stays.
    let idle = tokio::time::timeout(Duration::from_secs(3), worker.wait(PATIENCE));
    assert!(idle.await.is_err(), "it has ended by itself");
    worker.signal(Signal::TERM);
    worker.wait_for_line("draining: SIGTERM", PATIENCE).await;
    assert_eq!(worker.wait(PATIENCE).await, Exit::Code(0));
    worker.wait_for_line("bye", PATIENCE).await;
}

#[tokio::test]
async fn worker_hears_every_topic_with_star() {
    let fleet = Fleet::ready(PROGRAMS.sdk_pair(), 2).await;
    fleet.ostler(["emit", "from.cli", "[1]"]).success().await;
    fleet.get("right", "/note/hello").await;
    fleet.ostler(["scale", "right", "+1"]).success().await;
    for topic in [
        "from.cli",
        "tests.note",
        "app.resized",
        "worker.spawned",
        "worker.ready",
    ] {
        let star = move |line: &str| line == format!("left.0 | star {topic}");
        fleet.said(star).await;
    }
    fleet.bus.emit_json("last.of.all", &()).await.unwrap();
    fleet.said("left.0 | star last.of.all").await;
    let text = fleet.process.stdout.text();
    assert!(!text.contains("star _"), "{text}");
}

#[tokio::test]
async fn worker_asks_for_its_own_restart() {
    let fleet = Fleet::ready(PROGRAMS.sdk_pair(), 2).await;
    let mut finished = fleet.hear::<UpdateFinished>().await;
    let right = fleet.worker("right", 0).await;
    assert!(fleet.get("left", "/restart").await["ok"].is_u64());
    let done = finished.next().await;
    let done = done.event;
    assert_eq!((done.app.as_str(), done.generation.0), ("left", 2));
    assert_eq!(fleet.worker("left", 0).await.generation.0, 2);
    assert_eq!(fleet.worker("right", 0).await.id, right.id);
    fleet.get("left", "/restart/right").await;
    fleet.logged("asked for \"right\"").await;
    fleet.until_ready(2).await;
    assert_eq!(fleet.worker("right", 0).await.id, right.id);
}

#[tokio::test]
async fn drain_is_told_to_the_worker_with_its_deadline() {
    let master = PROGRAMS.master();
    let file = PROGRAMS.sdk_app("web", 2, master.dir().path())
        + "kill_ladder = [\"TERM:47s\", \"KILL\"]\n";
    let fleet = Fleet::ready(master.file(&file), 2).await;
    let mut draining = fleet.hear::<WorkerDraining>().await;
    let mut exits = fleet.hear::<WorkerExited>().await;
    fleet.ostler(["scale", "-1"]).success().await;
    let told = draining.next().await;
    let told = told.event;
    assert_eq!(told.worker.slot.0, 1);
    let line = fleet.said("web.1 | draining: ").await;
    assert!(line.contains(&told.reason), "{line} {told:?}");
    assert!(
        line.contains("46 s left") || line.contains("47 s left"),
        "{line}"
    );
    let exit = exits.next().await;
    let exit = exit.event;
    assert_eq!((exit.status, exit.voluntary), (ExitStatus::Code(0), true));
}

#[tokio::test]
async fn worker_that_says_that_it_goes_has_not_crashed() {
    let fleet = Fleet::ready(PROGRAMS.sdk(1), 1).await;
    let mut exits = fleet.hear::<WorkerExited>().await;
    let mut web = Web::connect(fleet.address().await).await;
    let (_, exit) = tokio::join!(web.closed_after("/leave"), exits.next());
    let exit = exit.event;
    assert_eq!((exit.status, exit.voluntary), (ExitStatus::Code(7), true));
    fleet.said("leaving: Ok(())").await;
    fleet.until_ready(1).await;
}

#[tokio::test]
async fn lame_duck_serves_fresh_connections_before_it_goes() {
    let fleet = Fleet::ready(PROGRAMS.sdk(1), 1).await;
    let address = fleet.address().await;
    let mut fresh = Web::connect(address).await;
    // Accepted later than the fresh one, so that one is the worker's as well.
    let mut kept = Web::connect(address).await;
    let page = kept.ask("/").await;
    assert!(!page.head.to_lowercase().contains("connection: close"));
    let stop = tokio::spawn(fleet.ostler(["stop"]).success());
    fleet.said("draining: ").await;
    let began = std::time::Instant::now();
    for web in [&mut kept, &mut fresh] {
        let page = web.ask("/").await;
        assert_eq!(page.json()["slot"], 0);
        assert!(
            page.head.to_lowercase().contains("connection: close"),
            "{}",
            page.head
        );
        assert_eq!(web.closed().await, "");
    }
    fleet.said("bye").await;
    assert!(
        began.elapsed() < Duration::from_secs(15),
        "as soon as none is open"
    );
    deadline("the stop", PATIENCE, stop).await.unwrap();
}

#[tokio::test]
async fn fresh_connection_that_is_silent_is_waited_for() {
    let fleet = Fleet::ready(PROGRAMS.sdk(1), 1).await;
    let address = fleet.address().await;
    let mut fresh = Web::connect(address).await;
    let mut slow = Web::connect(address).await;
    let ask = tokio::spawn(async move { slow.ask("/slow/1500").await });
    fleet.said("slow").await;
    let stop = tokio::spawn(fleet.ostler(["stop"]).success());
    fleet.said("draining: ").await;
    // Over a second later, when the lame duck's moment is over.
    let page = deadline("the slow answer", PATIENCE, ask).await.unwrap();
    assert_eq!(page.json()["slot"], 0);
    assert_eq!(fresh.ask("/").await.json()["slot"], 0);
    deadline("the stop", PATIENCE, stop).await.unwrap();
}

#[tokio::test]
async fn readiness_is_what_the_worker_says() {
    let master = PROGRAMS.sdk(1);
    master.dir().write("fail", "never");
    let fleet = Fleet::start(master).await;
    let online = |status: &ostler_bus::vocab::status::StatusReport| {
        status.workers.iter().any(|worker| worker.connected)
    };
    fleet.until("a connected worker", online).await;
    // A worker that says nothing would be taken to be ready after a second.
    let wait = fleet.ostler(["wait", "worker.ready", "--timeout", "1500ms"]);
    wait.fails_with(1).await;
    let worker = fleet.worker("web", 0).await;
    assert_eq!((worker.state.as_str(), worker.starting), ("starting", true));
}

/// Descriptor numbers of sockets in what `ls -l /proc/self/fd` printed.
fn sockets(listing: &str) -> Vec<&str> {
    listing.lines().filter(|l| l.contains("socket:")).collect()
}

#[tokio::test]
async fn grandchild_does_not_inherit_the_bus() {
    let fleet = Fleet::ready(PROGRAMS.sdk(1), 1).await;
    let mut gone = fleet.hear::<WorkerDisconnected>().await;
    let told = fleet.get("web", "/helper").await;
    let text = told["ok"].as_str().unwrap();
    assert_eq!(sockets(text), Vec::<&str>::new());
    // The bus and the listener are end-of-file's business the moment the worker dies, though its helper lives on.
    let worker = fleet.worker("web", 0).await;
    kill(worker.pid.unwrap());
    let event = gone.next().await;
    assert_eq!(event.event.worker.id, worker.id.unwrap());
}

/// A helper inherits the environment, and is told that it is no worker; its worker goes on as if nothing were.
#[tokio::test]
async fn helper_of_a_worker_is_not_taken_for_a_worker() {
    let fleet = Fleet::ready(PROGRAMS.sdk(1), 1).await;
    let before = fleet.worker("web", 0).await;
    let told = fleet.get("web", "/helper-of-the-same-kind").await;
    assert_eq!(told["ok"], "exit status: 1");
    let said = fleet.logged("sdk_worker: ").await;
    assert!(
        said.contains("a process that a worker starts is no worker"),
        "{said}"
    );
    assert!(fleet.get("web", "/note/hello").await["ok"].is_u64());
    let status = fleet.status().await;
    assert_eq!((status.workers.len(), status.workers[0].id), (1, before.id));
    assert!(status.workers[0].connected);
}

#[tokio::test]
async fn cloned_handles_share_one_connection() {
    let fleet = Fleet::ready(PROGRAMS.sdk(1), 1).await;
    let mut notes = fleet.hear::<Note>().await;
    assert!(fleet.get("web", "/clones").await["ok"].is_u64());
    let heard = [notes.next().await, notes.next().await];
    assert_eq!(
        (heard[0].event.text.as_str(), heard[1].event.text.as_str()),
        ("one", "other")
    );
    assert_eq!(heard[0].event.number, heard[1].event.number);
    assert_eq!(heard[0].origin, heard[1].origin);
}
