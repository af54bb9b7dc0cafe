//! From SIGKILL to the successor: beside other supervisors, and while the bus is flooded.

use std::{cell::RefCell, time::Instant};

use ostler_bus::vocab::worker::{WorkerReady, WorkerRef};
use ostler_tests::bench::{
    Contest,
    fleet::Fleet,
    peers::goals::{Bound, Goals},
    roles::Role,
    supervisors::Rival,
};
use rustix::process::{Pid, Signal, kill_process};
use tokio::runtime::{Builder, Runtime};

use crate::{MISBEHAVE, RIVALS, ROUNDS, WORKERS, median, ostler, ours, present};

/// Workers killed in one turn.
const KILLS: usize = 4;

/// Workers killed in one turn, where only ours are.
const MORE_KILLS: usize = 8;

/// What a flood keeps busy: publisher, hub, reader. As many spin where the bus is idle and the processors are not, which
/// tells what a flood costs as a flood and what as a load.
const FLOODERS: usize = 3;

pub(crate) fn measure(goals: &mut Goals) -> Result<(), String> {
    let mut contest = Contest::new("From SIGKILL to the successor's first word", "ms");
    for (name, kind) in RIVALS {
        if let Some(mut rival) = present(name, Rival::start(kind, MISBEHAVE, WORKERS, false))? {
            contest = contest.with(name, move || kills(&mut rival));
        }
    }
    let results = contest.run(ROUNDS)?;
    println!("{results}");
    let (own, others) = ours(&results);
    let what = "respawn after SIGKILL, ms";
    goals.add_beside(what, Bound::AtMost(20.0), own, &others);
    Ok(())
}

fn kills(rival: &mut Rival) -> Result<f64, String> {
    let mut took = Vec::new();
    for _ in 0..KILLS {
        took.push(rival.kill_one()?.as_secs_f64() * 1e3);
    }
    Ok(median(took))
}

/// Ours alone: what a flood of its bus costs.
pub(crate) fn flooded(goals: &mut Goals) -> Result<(), String> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| e.to_string())?;
    // One that dies after `min_uptime` and the first back-off is replaced at once, as one that had long served would be.
    let settings = "ready = \"notify\"\nmin_uptime = \"1ms\"\nbackoff = { first = \"1ms\" }";
    let command = [MISBEHAVE, "notify", "0"];
    let mut fleet = runtime.block_on(Fleet::start(ostler(), &command, settings))?;
    let workers = runtime.block_on(fleet.scale_up(WORKERS as u32))?;
    let workers: Vec<WorkerRef> = workers.into_iter().map(|ready| ready.worker).collect();
    let subject = RefCell::new((fleet, workers));
    let killed = |runtime: &Runtime| {
        let (fleet, workers) = &mut *subject.borrow_mut();
        runtime.block_on(kills_of(fleet, workers))
    };
    let contest = Contest::new("From SIGKILL to the successor's readiness", "ms")
        .with("idle bus", || killed(&runtime))
        .with("idle bus, busy processors", || {
            let _spinners = (0..FLOODERS)
                .map(|_| Role::start("spin", &[]))
                .collect::<Result<Vec<_>, _>>()?;
            killed(&runtime)
        })
        .with("flooded bus", || {
            let _flood = flood(&subject.borrow().0)?;
            killed(&runtime)
        });
    let results = contest.run(ROUNDS)?;
    println!("{results}");
    let busy = results.ratio("idle bus, busy processors", "idle bus");
    let busy: Vec<_> = busy.map(|r| ("busy processors", r)).into_iter().collect();
    let what = "respawn while the bus is flooded, beside idle";
    let ratio = results.ratio("flooded bus", "idle bus");
    goals.add_beside(what, Bound::AtMost(2.0), ratio, &busy);
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
async fn kills_of(fleet: &mut Fleet, workers: &mut [WorkerRef]) -> Result<f64, String> {
    let mut took = Vec::new();
    for kill in 0..MORE_KILLS {
        let which = kill % workers.len();
        let pid = workers[which].pid.map(u32::cast_signed);
        let began = Instant::now();
        let pid = pid.and_then(Pid::from_raw).ok_or("no process id")?;
        kill_process(pid, Signal::KILL).map_err(|e| e.to_string())?;
        let WorkerReady { worker, .. } = fleet.next_ready().await?;
        took.push(began.elapsed().as_secs_f64() * 1e3);
        if worker.slot != workers[which].slot {
            return Err(format!(
                "{worker:?} is no successor of {:?}",
                workers[which]
            ));
        }
        workers[which] = worker;
    }
    Ok(median(took))
}
