//! An idle master's memory and sleep, beside other supervisors'.

use std::{
    fmt::Debug,
    thread::park_timeout,
    time::{Duration, Instant},
};

use ostler_tests::bench::{
    fleet::Process,
    peers::goals::{Bound, Goals},
    supervisors::{
        Rival, rival,
        servers::{self, Fleet},
    },
};

use crate::{MANY, MISBEHAVE, OSTLER, RIVALS, WORKERS, present};

/// How long they are watched.
const IDLE: Duration = Duration::from_secs(10);

/// Before the watch: what was begun has ended by then, threads too that wait 10 s for more of it.
const SETTLE: Duration = Duration::from_secs(12);

/// A supervisor that is watched.
struct Watched {
    name: &'static str,
    workers: usize,
    process: Process,
    _held: Box<dyn Debug>,
}

/// What was seen of one.
struct Seen {
    name: &'static str,
    workers: usize,
    megabytes: f64,
    wakes: f64,
}

pub(crate) fn measure(goals: &mut Goals) -> Result<(), String> {
    let mut all = Vec::new();
    let few = [("Ostler", rival::Kind::Ostler(OSTLER), WORKERS)];
    let many = RIVALS.map(|(name, kind)| (name, kind, MANY));
    for (name, kind, workers) in few.into_iter().chain(many) {
        if let Some(rival) = present(name, Rival::start(kind, MISBEHAVE, workers, true))? {
            all.push(watched(name, workers, rival.process(), rival));
        }
    }
    for (name, kind) in [
        ("nginx", servers::Kind::Nginx),
        ("Gunicorn", servers::Kind::Gunicorn),
    ] {
        if let Some(fleet) = present(name, Fleet::start(kind, MANY))? {
            all.push(watched(name, MANY, fleet.process(), fleet));
        }
    }
    judge(&watch(&all)?, goals);
    Ok(())
}

fn watched(
    name: &'static str,
    workers: usize,
    process: Process,
    held: impl Debug + 'static,
) -> Watched {
    Watched {
        name,
        workers,
        process,
        _held: Box::new(held),
    }
}

/// All at once: they are idle.
fn watch(all: &[Watched]) -> Result<Vec<Seen>, String> {
    println!("**Idle supervisors, watched for {IDLE:?}, all at once**\n");
    println!(
        "| | workers | resident, MB | of it heap and stacks | of it program and libraries | wake-ups a second |"
    );
    println!("|---|---:|---:|---:|---:|---:|");
    pause(SETTLE);
    let before = all.iter().map(|w| w.process.switches());
    let before = before.collect::<Result<Vec<_>, _>>()?;
    pause(IDLE);
    let mut seen = Vec::new();
    for (watched, before) in all.iter().zip(before) {
        let wakes = watched.process.switches()?.since(&before) as f64 / IDLE.as_secs_f64();
        let held = watched.process.memory()?;
        let [megabytes, own, file] =
            [held.resident, held.own, held.file].map(|kib| kib as f64 * 1024.0 / 1e6);
        let Watched { name, workers, .. } = watched;
        println!("| {name} | {workers} | {megabytes:.1} | {own:.1} | {file:.1} | {wakes} |");
        seen.push(Seen {
            name,
            workers: *workers,
            megabytes,
            wakes,
        });
    }
    println!();
    Ok(seen)
}

fn pause(time: Duration) {
    let until = Instant::now() + time;
    while let Some(left) = until.checked_duration_since(Instant::now()) {
        park_timeout(left);
    }
}

fn judge(seen: &[Seen], goals: &mut Goals) {
    let mut judge = |what: &str, workers: usize, bound, figure: fn(&Seen) -> f64| {
        let seen = seen.iter().filter(|seen| seen.workers == workers);
        let (own, others): (Vec<_>, Vec<_>) = seen
            .map(|seen| (seen.name, figure(seen)))
            .partition(|(name, _)| *name == "Ostler");
        let own = own.first().map(|(_, figure)| *figure);
        let what = format!("{what} with {workers} workers");
        goals.add_beside(&what, bound, own, &others);
    };
    for workers in [WORKERS, MANY] {
        let what = "master's memory, MB,";
        judge(what, workers, Bound::AtMost(8.0), |s| s.megabytes);
        let what = "wake-ups of an idle master a second";
        judge(what, workers, Bound::AtMost(0.0), |s| s.wakes);
    }
}
