//! Updates under load: how long they take, and what is lost.

use std::time::Duration;

use ostler_tests::{
    bench::{
        peers::goals::{Bound, Goals},
        supervisors::servers::{Fleet, Kind},
    },
    load::{Load, Pace, Plan, Tally},
};
use tokio::runtime::{Builder, Runtime};

use crate::{DEFAULTS, OSTLER, WORKERS, median, present};

/// Updates under one load.
const UPDATES: usize = 2;

/// Connections of a load.
const CONNECTIONS: usize = 8;

/// Requests a second of a paced load.
pub(crate) const RATE: f64 = 500.0;

/// How long an update may take, or so many answers as are waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A kind of load: its name, and what it changes of a plan.
type Kindled = (&'static str, fn(Plan) -> Plan);

const LOADS: [Kindled; 3] = [
    ("new connections", |plan| plan),
    ("kept alive", Plan::keep_alive),
    ("paced", |plan| Plan {
        pace: Pace::PerSecond(RATE),
        ..plan
    }),
];

const UNWATCHED: (&str, Kind) = (
    "Ostler, `min_healthy = 0`",
    Kind::Ostler {
        program: OSTLER,
        min_healthy: Some("0s"),
    },
);

const WATCHED: (&str, Kind) = ("Ostler, with the defaults", DEFAULTS);

const FLEETS: [(&str, Kind); 5] = [
    UNWATCHED,
    WATCHED,
    ("Gunicorn", Kind::Gunicorn),
    ("nginx", Kind::Nginx),
    ("PM2", Kind::Pm2),
];

/// What became of a fleet's updates.
struct Updated {
    /// Seconds, the median.
    took: f64,
    /// By load.
    tallies: Vec<Tally>,
    /// Workers that were ready at any moment, at least; not all tell.
    ready: Option<usize>,
}

impl Updated {
    fn lost(&self) -> f64 {
        self.tallies.iter().map(Tally::lost).sum::<u64>() as f64
    }
}

pub(crate) fn measure(goals: &mut Goals) -> Result<(), String> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| e.to_string())?;
    println!(
        "**{UPDATES} updates of {WORKERS} workers under each load: requests that failed, of how many**\n"
    );
    let loads = LOADS.map(|(name, _)| name).join(" | ");
    println!("| | an update took, s | {loads} | ready, at least |");
    println!("|---|---:|---:|---:|---:|---:|");
    let mut all = Vec::new();
    for (name, kind) in FLEETS {
        let updated = Fleet::start(kind, WORKERS).and_then(|fleet| updates(&runtime, fleet));
        if let Some(updated) = present(name, updated)? {
            let lost = updated.tallies.iter().map(lost).collect::<Vec<_>>();
            let ready = updated.ready.map_or(String::new(), |n| n.to_string());
            let lost = lost.join(" | ");
            println!("| {name} | {:.2} | {lost} | {ready} |", updated.took);
            all.push((name, updated));
        }
    }
    println!();
    judge(&all, goals);
    Ok(())
}

fn judge(all: &[(&'static str, Updated)], goals: &mut Goals) {
    let of = |(wanted, _): (&str, Kind)| {
        let found = all.iter().find(|(name, _)| *name == wanted);
        found.map(|(_, updated)| updated)
    };
    let others = |figure: fn(&Updated) -> f64| {
        let others = all.iter().filter(|(name, _)| *name != UNWATCHED.0);
        let others: Vec<_> = others.map(|(name, u)| (*name, figure(u))).collect();
        others
    };
    let what = format!("rolling update of {WORKERS} SDK workers, `min_healthy = 0`, s");
    let took = of(UNWATCHED).map(|updated| updated.took);
    goals.add_beside(&what, Bound::AtMost(0.7), took, &others(|u| u.took));
    let what = "requests that failed in updates, of all loads";
    let failed = of(UNWATCHED).map(Updated::lost);
    goals.add_beside(what, Bound::AtMost(0.0), failed, &others(Updated::lost));
    for (name, kind) in [UNWATCHED, WATCHED] {
        let ready = of((name, kind)).and_then(|updated| updated.ready);
        let what = format!("workers ready at any moment of updates: {name}");
        let ready = ready.map(|n| n as f64);
        goals.add(&what, Bound::AtLeast(WORKERS as f64), ready);
    }
}

fn updates(runtime: &Runtime, mut fleet: Fleet) -> Result<Updated, String> {
    let mut readiness = fleet.readiness()?;
    let (mut took, mut tallies) = (Vec::new(), Vec::new());
    for (_, kindled) in LOADS {
        let plan = Plan::to(fleet.address).connections(CONNECTIONS);
        let load = Load::start(kindled(plan))?;
        runtime.block_on(load.answers(100, PATIENCE))?;
        for _ in 0..UPDATES {
            took.push(fleet.update(PATIENCE)?.as_secs_f64());
            runtime.block_on(load.answers(100, PATIENCE))?;
        }
        tallies.push(runtime.block_on(load.stop()));
    }
    let ready = readiness.as_mut().map(|readiness| readiness.least());
    Ok(Updated {
        took: median(took),
        tallies,
        ready: ready.transpose()?,
    })
}

/// A tally in a cell.
pub(crate) fn lost(tally: &Tally) -> String {
    format!("{} of {}", tally.lost(), tally.requests())
}
