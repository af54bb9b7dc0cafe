//! A check for CI: does a rolling update of this app work? Starts a master of its own, watches it over the bus, ends
//! it, and exits with a verdict: 0, or 1 and why not.
//!
//! ```sh
//! cargo build -p ostler -p ostler-worker-sdk --examples --bins
//! OSTLER=target/debug/ostler cargo run -p ostler-worker-sdk --example ci_harness
//! cargo run -p ostler-worker-sdk --example ci_harness -- target/debug/ostler ./my-worker --its-arguments
//! ```
//!
//! The first argument is the path of `ostler` (else `$OSTLER`, else `ostler` in `PATH`); what follows is the worker to
//! check, by default the `axum_service` example beside this program. Every wait has a deadline, and whatever happens, the
//! master and its workers are ended and their directory is removed.

use std::{
    collections::BTreeSet,
    error::Error,
    path::{Path, PathBuf},
    process::{ExitCode, ExitStatus, Stdio},
    time::Duration,
};

use ostler_worker_sdk::{
    Event,
    bus::{
        WorkerId,
        client::{Bus, ConnectOptions, Subscription},
        transport::UnixTransport,
        vocab::{
            control::{Answer, MasterKill},
            status::{MasterStatus, StatusReport},
            update::{UpdateAborted, UpdateFinished, WorkerRestartNeeded},
            worker::{WorkerExited, WorkerReady},
        },
    },
};
use tokio::{
    process::{Child, Command},
    time::{Instant, timeout_at},
};

type Verdict<T = ()> = Result<T, Box<dyn Error>>;

/// The app under test, and its master.
const NAME: &str = "check";
const WORKERS: u32 = 2;

/// How long each step may take; generous, as it only costs time when something is broken.
const STEP: Duration = Duration::from_secs(60);

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match check().await {
        Ok(()) => {
            println!("ok: the rolling update works");
            ExitCode::SUCCESS
        }
        Err(why) => {
            println!("FAILED: {why}");
            ExitCode::FAILURE
        }
    }
}

async fn check() -> Verdict {
    let mut args = std::env::args_os().skip(1);
    let ostler = args.next().or_else(|| std::env::var_os("OSTLER"));
    let ostler = ostler.unwrap_or_else(|| "ostler".into());
    let mut worker: Vec<_> = args.collect();
    if worker.is_empty() {
        worker.push(example_beside_this("axum_service")?.into());
    }
    let home = tempfile::tempdir()?;
    let mut master = Command::new(&ostler)
        .args(["run", "-n", NAME, "-l", "http=127.0.0.1:0", "-i"])
        .arg(WORKERS.to_string())
        .arg("--")
        .args(worker)
        .env("OSTLER_HOME", home.path())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("can't start {}: {error}", ostler.display()))?;
    let verdict = watch(&mut master, home.path()).await;
    let ended = end(master).await;
    verdict?;
    match ended? {
        status if status.success() => Ok(()),
        status => Err(format!("the master ended with {status}").into()),
    }
}

/// The checks; ends early if the master does.
async fn watch(master: &mut Child, home: &Path) -> Verdict {
    tokio::select! {
        verdict = update(home) => verdict,
        ended = master.wait() => Err(format!("the master ended too early: {}", ended?).into()),
    }
}

async fn update(home: &Path) -> Verdict {
    let bus = connect(home.join(NAME).join("bus.sock")).await?;
    // Subscribe first, then look: what happens in between is in one of the two.
    let mut ready = bus.subscribe::<WorkerReady>().await?;
    let mut exited = bus.subscribe::<WorkerExited>().await?;
    let before = loop {
        let report = status(&bus).await?;
        if report.apps.iter().any(|app| app.ready == WORKERS) {
            break report;
        }
        let worker = tokio::select! {
            ready = next(&mut ready, "a worker to be ready") => ready?.worker,
            exit = next(&mut exited, "a worker to be ready") => return Err(failed_start(&exit?).into()),
        };
        println!("ready: slot {} (worker {})", worker.slot, worker.id);
    };

    let mut finished = bus.subscribe::<UpdateFinished>().await?;
    let mut aborted = bus.subscribe::<UpdateAborted>().await?;
    let wish = WorkerRestartNeeded {
        app: Some(NAME.into()),
        reason: Some("the harness wants to see it".into()),
    };
    let heard_by = bus.emit_acked(&wish).await?;
    assert_that(heard_by > 0, "somebody hears workerRestartNeeded")?;
    let update = tokio::select! {
        finished = next(&mut finished, "the update to finish") => finished?,
        aborted = next(&mut aborted, "the update to end") => return Err(aborted?.reason.into()),
    };
    println!("updated in {} ms", update.took_ms);

    let after = status(&bus).await?;
    let (old, new) = (workers(&before), workers(&after));
    assert_that(new.len() == WORKERS as usize, "as many workers as before")?;
    assert_that(old.is_disjoint(&new), "every worker is a new one")?;
    assert_that(
        after
            .workers
            .iter()
            .all(|w| w.generation == update.generation),
        "every worker is of the new generation",
    )?;

    match bus.request(&MasterKill { force: false }).await? {
        Answer::Accepted { .. } => Ok(()),
        Answer::Refused { reason, .. } => Err(reason.into()),
    }
}

fn failed_start(exit: &WorkerExited) -> String {
    let last_words = exit.stderr_tail.join("\n");
    format!("a worker did not start: {:?}\n{last_words}", exit.status)
}

fn assert_that(holds: bool, what: &str) -> Verdict {
    match holds {
        true => {
            println!("yes: {what}");
            Ok(())
        }
        false => Err(format!("not so: {what}").into()),
    }
}

fn workers(report: &StatusReport) -> BTreeSet<WorkerId> {
    let current = report.workers.iter().filter(|worker| worker.current);
    current.filter_map(|worker| worker.id).collect()
}

async fn status(bus: &Bus) -> Verdict<StatusReport> {
    Ok(bus.request(&MasterStatus { id: None }).await?)
}

/// Connects as soon as the master is there and answers.
async fn connect(path: PathBuf) -> Verdict<Bus> {
    let deadline = Instant::now() + STEP;
    loop {
        match try_connect(&path).await {
            Ok(bus) => return Ok(bus),
            Err(error) if Instant::now() > deadline => return Err(error),
            Err(_not_yet) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

async fn try_connect(path: &Path) -> Verdict<Bus> {
    let options = ConnectOptions::operator("ci-harness");
    let bus = Bus::connect(UnixTransport::new(path), options).await?;
    status(&bus).await?;
    Ok(bus)
}

/// The next event, or what was waited for in vain.
async fn next<E: Event>(events: &mut Subscription<E>, what: &str) -> Verdict<E> {
    match timeout_at(Instant::now() + STEP, events.next_event()).await {
        Ok(Some(received)) => Ok(received.event),
        Ok(None) => Err(format!("the master went while the harness waited for {what}").into()),
        Err(_) => Err(format!("waited {STEP:?} for {what}").into()),
    }
}

/// Asks the master to end, if it doesn't already; its workers end with it.
async fn end(mut master: Child) -> Verdict<ExitStatus> {
    if let Some(pid) = master.id().and_then(|pid| i32::try_from(pid).ok())
        && let Some(pid) = rustix::process::Pid::from_raw(pid)
    {
        // Gone in the meantime, which is as well.
        let _gone = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
    let ended = timeout_at(Instant::now() + STEP, master.wait()).await;
    Ok(ended.map_err(|_| "the master does not end")??)
}

fn example_beside_this(name: &str) -> Verdict<PathBuf> {
    let path = std::env::current_exe()?.with_file_name(name);
    match path.exists() {
        true => Ok(path),
        false => Err(format!("build the examples first: {} is missing", path.display()).into()),
    }
}
