//! `cargo bench -p ostler-tests --bench supervise`: respawn after SIGKILL, rolling updates, the master's memory and sleep.

use std::{
    cell::RefCell,
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use ostler_bus::vocab::worker::{WorkerReady, WorkerRef};
use ostler_tests::bench::{
    Contest, Samples, bus,
    fleet::{self, Fleet},
    roles::{self, Role},
};
use rustix::process::{Pid, Signal, kill_process};
use tokio::runtime::{Builder, Runtime};

const ROUNDS: usize = 7;

/// How many workers are killed in one turn.
const KILLS: usize = 8;

/// What a flood keeps busy: publisher, hub, reader. As many spin where the bus is idle and the processors are not, which
/// tells what a flood costs as a flood and what as a load.
const FLOODERS: usize = 3;

/// How long an idle master is watched.
const IDLE: Duration = Duration::from_secs(10);

/// Before the watch: what was begun has ended by then.
const SETTLE: Duration = Duration::from_secs(3);

const OSTLER: &str = env!("CARGO_BIN_EXE_ostler-under-test");
const WORKER: &str = env!("CARGO_BIN_EXE_misbehave");

fn main() -> ExitCode {
    let roles: Vec<_> = bus::ROLES.into_iter().chain(fleet::ROLES).collect();
    if let Some(code) = roles::play(&roles) {
        return code;
    }
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Result<(), String> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| e.to_string())?;
    respawns(&runtime)?;
    updates(&runtime)?;
    runtime.block_on(sizes())
}

fn respawns(runtime: &Runtime) -> Result<(), String> {
    // One that dies after `min_uptime` and the first back-off is replaced at once, as one that had long served would be.
    let settings = "ready = \"notify\"\nmin_uptime = \"1ms\"\nbackoff = { first = \"1ms\" }";
    let command = [WORKER, "notify", "0"];
    let mut fleet = runtime.block_on(Fleet::start(Path::new(OSTLER), &command, settings))?;
    let workers = runtime.block_on(fleet.scale_up(4))?;
    let workers: Vec<WorkerRef> = workers.into_iter().map(|ready| ready.worker).collect();
    let subject = RefCell::new((fleet, workers));
    let contest = Contest::new("From SIGKILL to the successor's readiness", "ms")
        .with("idle bus", || {
            let (fleet, workers) = &mut *subject.borrow_mut();
            runtime.block_on(kills(fleet, workers))
        })
        .with("idle bus, busy processors", || {
            let (fleet, workers) = &mut *subject.borrow_mut();
            let _spinners = (0..FLOODERS)
                .map(|_| Role::start("spin", &[]))
                .collect::<Result<Vec<_>, _>>()?;
            runtime.block_on(kills(fleet, workers))
        })
        .with("flooded bus", || {
            let (fleet, workers) = &mut *subject.borrow_mut();
            let _flood = flood(fleet)?;
            runtime.block_on(kills(fleet, workers))
        });
    println!("{}", contest.run(ROUNDS)?);
    Ok(())
}

/// One that publishes as fast as the hub takes it, and one that reads as fast as it comes. Both end with what is returned.
fn flood(fleet: &Fleet) -> Result<[Role; 2], String> {
    let socket = fleet.socket();
    let socket = socket.to_str().ok_or("a path that is not UTF-8")?;
    let mut reader = Role::start("reader", &["bare", socket, &u64::MAX.to_string()])?;
    let flood = Role::start("flood", &[socket])?;
    reader.forget_output_after(1 << 10)?;
    Ok([reader, flood])
}

/// Kills workers one after the other; the median from the signal to the successor's readiness, in milliseconds.
async fn kills(fleet: &mut Fleet, workers: &mut [WorkerRef]) -> Result<f64, String> {
    let mut took = Samples {
        name: String::new(),
        figures: Vec::new(),
    };
    for kill in 0..KILLS {
        let which = kill % workers.len();
        let pid = workers[which].pid.and_then(|pid| Pid::from_raw(pid as i32));
        let began = Instant::now();
        kill_process(pid.ok_or("no pid")?, Signal::KILL).map_err(|e| e.to_string())?;
        let WorkerReady { worker, .. } = fleet.next_ready().await?;
        took.figures.push(began.elapsed().as_secs_f64() * 1e3);
        if worker.slot != workers[which].slot {
            return Err(format!(
                "{worker:?} is no successor of {:?}",
                workers[which]
            ));
        }
        workers[which] = worker;
    }
    Ok(took.median())
}

fn updates(runtime: &Runtime) -> Result<(), String> {
    let settings = "ready = \"sdk\"\nmin_healthy = \"0s\"";
    let command = roles::command("sdk-worker")?;
    let command: Vec<&str> = command.iter().map(String::as_str).collect();
    let mut fleet = runtime.block_on(Fleet::start(Path::new(OSTLER), &command, settings))?;
    runtime.block_on(fleet.scale_up(4))?;
    let fleet = RefCell::new(fleet);
    let contest = Contest::new("Rolling update of 4 SDK workers, `min_healthy = 0`", "s").with(
        "ostler",
        || {
            let began = Instant::now();
            runtime.block_on(fleet.borrow_mut().reload())?;
            Ok(began.elapsed().as_secs_f64())
        },
    );
    println!("{}", contest.run(5)?);
    Ok(())
}

/// Memory with 4 and with 64 workers, and how often an idle master wakes.
async fn sizes() -> Result<(), String> {
    println!("**An idle master, watched for {IDLE:?}**\n");
    println!(
        "| workers | resident, MiB | of it heap and stacks | of it program and libraries | wake-ups a second |"
    );
    println!("|---:|---:|---:|---:|---:|");
    for count in [4, 64] {
        let settings = "ready = \"notify\"";
        let command = [WORKER, "notify", "0"];
        let mut fleet = Fleet::start(Path::new(OSTLER), &command, settings).await?;
        fleet.scale_up(count).await?;
        tokio::time::sleep(SETTLE).await;
        let before = fleet.process().switches()?;
        tokio::time::sleep(IDLE).await;
        let wakes = (fleet.process().switches()? - before) as f64 / IDLE.as_secs_f64();
        let held = fleet.process().memory()?;
        let [all, own, file] = [held.resident, held.own, held.file].map(|kib| kib as f64 / 1024.0);
        println!("| {count} | {all:.2} | {own:.2} | {file:.2} | {wakes} |");
        fleet.scale_down(count as usize).await?;
    }
    Ok(())
}
