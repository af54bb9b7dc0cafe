//! Programs that know nothing of Ostler, kept running and updated by it, under load: gunicorn, uvicorn and a Node server; and in
//! every mode of sockets.
//!
//! Needs them: run `tests/interop/setup.sh`, then `cargo test -p ostler-tests --features interop --test interop`.
//! What these programs lose without Ostler, taking over from one another, is tested in `interop_fixtures.rs`: nothing.

#[path = "interop/activation.rs"]
mod activation;
#[path = "interop/datagrams.rs"]
mod datagrams;
#[path = "interop/modes.rs"]
mod modes;

use std::time::Duration;

use ostler_tests::{
    harness::{Fixture, Fleet, Master, Program},
    load::{Load, LoadHandle, Plan, Tally},
};

/// Starting an interpreter takes its time on a busy machine.
const SLOW: Duration = Duration::from_secs(60);

/// Four workers of a program, under Ostler.
struct Site {
    fixture: Fixture,
    fleet: Fleet,
    plan: Plan,
}

impl Site {
    async fn start(program: Program) -> Self {
        let fixture = Fixture::new(program);
        fixture.version("v0");
        let words = fixture.command(env!("CARGO_TARGET_TMPDIR"));
        let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
        let say = format!("{} say", env!("CARGO_BIN_EXE_misbehave"));
        let file = format!(
            "[app.web]\ncommand = {words:?}\nenv = {{ SYSTEMD_NOTIFY = {say:?} }}\ninstances = 4\n\
             listen = \"127.0.0.1:0\"\nready = \"notify\"\nmin_healthy = \"200ms\"\nstart_timeout = \"8s\"\n"
        );
        let master = Master::builder(env!("CARGO_BIN_EXE_ostler-under-test")).file(&file);
        let fleet = Fleet::ready(master, 4).await;
        let plan = Plan::to(fleet.address().await).check(|answer| {
            let body: serde_json::Value =
                serde_json::from_slice(&answer.body).map_err(|e| e.to_string())?;
            body["pid"].is_u64().then_some(()).ok_or("no pid".into())
        });
        Self {
            fixture,
            fleet,
            plan,
        }
    }

    fn load(&self) -> LoadHandle {
        Load::start(self.plan.clone().by_field("version")).unwrap()
    }

    async fn pids(&self) -> Vec<Option<u32>> {
        let workers = self.fleet.until_ready(4).await;
        workers.into_iter().map(|worker| worker.pid).collect()
    }

    /// Five rolling updates lose no request on new connections; what they lose on kept ones is shown.
    async fn updates_lose_no_request(program: Program) {
        let site = Self::start(program).await;
        let load = site.load();
        let kept = Load::start(site.plan.clone().keep_alive().connections(2)).unwrap();
        for version in ["v1", "v2", "v3", "v4", "v5"] {
            load.answers(50, SLOW).await.unwrap();
            site.fixture.version(version);
            site.fleet.ostler(["reload"]).within(SLOW).success().await;
        }
        load.answers(50, SLOW).await.unwrap();
        let tally = load.stop().await;
        eprintln!("{program:?}, new connections: {tally}");
        eprintln!("{program:?}, kept connections: {}", kept.stop().await);
        nothing_lost(&tally);
        assert_eq!(tally.by.len(), 6, "{tally}");
    }

    /// A killed worker takes with it what it was serving: `most` connections at most. Nothing else is lost.
    async fn killed_worker_loses_only_its_own(program: Program, most: u64) {
        let site = Self::start(program).await;
        let load = site.load();
        load.answers(50, SLOW).await.unwrap();
        let old = site.pids().await;
        let victim = old[1].expect("a process").to_string();
        let mut kill = std::process::Command::new("kill");
        assert!(kill.args(["-KILL", &victim]).status().unwrap().success());
        let replaced = |status: &ostler_bus::vocab::status::StatusReport| {
            let ready = |w: &&_| is_ready(w);
            status.workers.iter().filter(ready).count() == 4
                && status.workers.iter().all(|w| w.pid != old[1])
        };
        site.fleet.until("a successor", replaced).await;
        load.answers(100, SLOW).await.unwrap();
        let tally = load.stop().await;
        eprintln!("{program:?}, one worker killed: {tally}");
        assert!(
            tally.reset <= most && tally.lost() == tally.reset,
            "{tally}"
        );
        let new = site.pids().await;
        let kept = new.iter().filter(|pid| old.contains(pid)).count();
        assert_eq!((kept, &tally.fault), (3, &None), "{old:?} {new:?}");
    }

    /// A bad version is given up; the old workers stay, and no request is lost.
    async fn bad_version_aborts(program: Program, how: &str, reason: &str) {
        let site = Self::start(program).await;
        let load = site.load();
        load.answers(50, SLOW).await.unwrap();
        let old = site.pids().await;
        site.fixture.version("bad");
        site.fixture.fail(how);
        let reload = site.fleet.ostler(["reload"]).within(SLOW);
        reload.stderr_contains(reason).fails_with(1).await;
        load.answers(50, SLOW).await.unwrap();
        assert_eq!(site.pids().await, old);
        let tally = load.stop().await;
        nothing_lost(&tally);
        assert_eq!(tally.by.keys().collect::<Vec<_>>(), ["v0"], "{tally}");
    }
}

fn is_ready(worker: &ostler_bus::vocab::status::WorkerStatus) -> bool {
    worker.state == "ready"
}

fn nothing_lost(tally: &Tally) {
    assert_eq!((tally.lost(), &tally.fault), (0, &None), "{tally}");
}

#[tokio::test]
async fn gunicorn_updates_lose_no_request() {
    Site::updates_lose_no_request(Program::Gunicorn).await;
}

#[tokio::test]
async fn node_updates_lose_no_request() {
    Site::updates_lose_no_request(Program::Node).await;
}

/// gunicorn's default worker serves one connection at a time.
#[tokio::test]
async fn gunicorn_killed_worker_loses_only_its_own() {
    Site::killed_worker_loses_only_its_own(Program::Gunicorn, 1).await;
}

/// Node serves as many as come: here all four of the load.
#[tokio::test]
async fn node_killed_worker_loses_only_its_own() {
    Site::killed_worker_loses_only_its_own(Program::Node, 4).await;
}

#[tokio::test]
async fn gunicorn_bad_version_aborts() {
    Site::bad_version_aborts(Program::Gunicorn, "exit", "this version can't start").await;
}

#[tokio::test]
async fn node_bad_version_aborts() {
    Site::bad_version_aborts(Program::Node, "exit", "this version can't start").await;
}

#[tokio::test]
async fn gunicorn_never_ready_aborts() {
    Site::bad_version_aborts(Program::Gunicorn, "never", "never becomes ready").await;
}

#[tokio::test]
async fn node_never_ready_aborts() {
    Site::bad_version_aborts(Program::Node, "never", "never becomes ready").await;
}
