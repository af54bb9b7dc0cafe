//! Updates to bad versions, under load: what is lost, who stays, and whether the next good one works.

use std::time::Duration;

use ostler_tests::{
    bench::{
        peers::goals::{Bound, Goals},
        supervisors::{
            servers::{Fleet, Kind},
            site::Version,
        },
    },
    load::{Load, LoadHandle, Plan, Tally},
};
use tokio::runtime::{Builder, Runtime};

use crate::{
    DEFAULTS, WORKERS, present,
    update::{PATIENCE, RATE, lost},
};

/// How long a fleet is watched after the request, at least: twice as long as a worker may take to get ready.
const WATCH: Duration = Duration::from_secs(6);

/// How long a good update may take afterwards.
const MENDING: Duration = Duration::from_secs(15);

/// How long a request may take.
const ANSWER: Duration = Duration::from_secs(2);

/// Connections of a load. More than are needed for its rate, so that few that hang don't slow it.
const CONNECTIONS: usize = 32;

const FLEETS: [(&str, Kind); 3] = [
    ("Ostler", DEFAULTS),
    ("PM2", Kind::Pm2),
    ("Gunicorn", Kind::Gunicorn),
];

/// What became of a fleet.
struct Spoilt {
    /// On new connections, and on those kept alive.
    tallies: [Tally; 2],
    /// Workers of before that still run.
    kept: usize,
    /// Workers that were ready at any moment, at least; not all tell.
    ready: Option<usize>,
    /// Bad workers that were born.
    births: usize,
    /// The supervisor lives.
    lives: bool,
    /// How long the next good update took, in seconds, or why there was none.
    mended: Result<f64, String>,
}

impl Spoilt {
    fn lost(&self) -> u64 {
        self.tallies.iter().map(Tally::lost).sum()
    }
}

pub(crate) fn measure(goals: &mut Goals) -> Result<(), String> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| e.to_string())?;
    println!(
        "**An update of {WORKERS} workers to a version that is bad, under {RATE} requests a second of each kind: \
         requests that failed, of how many**\n"
    );
    println!(
        "| the bad version | | new connections | kept alive | old workers kept | ready, at least | bad workers born \
         | supervisor | the next good update, s |"
    );
    println!("|---|---|---:|---:|---:|---:|---:|---|---|");
    let mut all = Vec::new();
    for (name, kind) in FLEETS {
        if let Some(spoilt) = present(name, fleet(&runtime, name, kind))? {
            all.push((name, spoilt));
        }
    }
    println!();
    judge(&all, goals);
    Ok(())
}

/// One fleet goes through all bad versions, one after the other. Where it has ended or could not be mended, a new one
/// stands in for the next.
fn fleet(runtime: &Runtime, name: &str, kind: Kind) -> Result<Vec<(Version, Spoilt)>, String> {
    let mut all = Vec::new();
    let mut fleet = Fleet::start(kind, WORKERS)?;
    for version in Version::BAD {
        let spoilt = spoil(runtime, &mut fleet, version)?;
        println!("{}", row(version, name, &spoilt));
        if name == "Ostler" {
            let failures = spoilt.tallies.iter().flat_map(|tally| &tally.failures);
            failures.for_each(|failure| eprintln!("{name}, {}: {failure:?}", version.name()));
        }
        if spoilt.mended.is_err() && version != Version::Crashes {
            fleet = Fleet::start(kind, WORKERS)?;
        }
        all.push((version, spoilt));
    }
    Ok(all)
}

fn spoil(runtime: &Runtime, fleet: &mut Fleet, version: Version) -> Result<Spoilt, String> {
    let mut readiness = fleet.readiness()?;
    let before = fleet.workers()?;
    let plan = Plan::to(fleet.address)
        .connections(CONNECTIONS)
        .per_second(RATE)
        .timeout(ANSWER);
    let loads = [plan.clone(), plan.keep_alive()].map(Load::start);
    let [new, kept_alive] = loads;
    let loads: [LoadHandle; 2] = [new?, kept_alive?];
    for load in &loads {
        runtime.block_on(load.answers(100, PATIENCE))?;
    }
    let births = fleet.spoil(version, WATCH)?;
    let [new, kept_alive] = loads.map(|load| runtime.block_on(load.stop()));
    let lives = fleet.lives();
    let now = fleet.workers().unwrap_or_default();
    let ready = readiness.as_mut().map(|readiness| readiness.least());
    Ok(Spoilt {
        tallies: [new, kept_alive],
        kept: before.iter().filter(|pid| now.contains(pid)).count(),
        ready: ready.transpose()?,
        births,
        lives,
        mended: mend(runtime, fleet),
    })
}

/// The next good update, and whether it serves.
fn mend(runtime: &Runtime, fleet: &mut Fleet) -> Result<f64, String> {
    let took = fleet.update(MENDING)?;
    let plan = fleet.plan().requests(100);
    let tally = runtime.block_on(Load::start(plan)?.finish());
    match tally.lost() {
        0 => Ok(took.as_secs_f64()),
        _ => Err(tally.to_string()),
    }
}

fn row(version: Version, name: &str, spoilt: &Spoilt) -> String {
    let [new, kept_alive] = spoilt.tallies.each_ref().map(lost);
    let mended = match &spoilt.mended {
        Ok(took) => format!("{took:.2}"),
        Err(why) => {
            eprintln!("{name}, {}: no good update: {why}", version.name());
            "failed".into()
        }
    };
    let lives = if spoilt.lives { "lives" } else { "has ended" };
    let ready = spoilt.ready.map_or(String::new(), |n| n.to_string());
    format!(
        "| {} | {name} | {new} | {kept_alive} | {} of {WORKERS} | {ready} | {} | {lives} | {mended} |",
        version.does(),
        spoilt.kept,
        spoilt.births
    )
}

fn judge(all: &[(&'static str, Vec<(Version, Spoilt)>)], goals: &mut Goals) {
    let versions = Version::BAD.len();
    let mut judge = |what: &str, bound, figure: &dyn Fn(&[&Spoilt]) -> f64| {
        let figures = all.iter().map(|(name, versions)| {
            let spoilt: Vec<_> = versions.iter().map(|(_, spoilt)| spoilt).collect();
            (*name, figure(&spoilt))
        });
        let (own, others): (Vec<_>, Vec<_>) = figures.partition(|(name, _)| *name == "Ostler");
        let own = own.first().map(|(_, figure)| *figure);
        goals.add_beside(what, bound, own, &others);
    };
    let sum = |of: fn(&Spoilt) -> bool| {
        move |all: &[&Spoilt]| all.iter().filter(|spoilt| of(spoilt)).count() as f64
    };
    for (at, version) in Version::BAD.into_iter().enumerate() {
        let what = format!("bad version that {}: requests that failed", version.does());
        judge(&what, Bound::AtMost(0.0), &|all| all[at].lost() as f64);
    }
    judge(
        "bad versions: old workers kept, at least",
        Bound::AtLeast(WORKERS as f64),
        &|all| all.iter().map(|s| s.kept).min().unwrap_or(0) as f64,
    );
    judge(
        "bad versions: bad workers born, at most",
        Bound::AtMost(3.0),
        &|all| all.iter().map(|s| s.births).max().unwrap_or(0) as f64,
    );
    let versions = Bound::AtLeast(versions as f64);
    judge(
        "bad versions after which the next good update worked",
        versions,
        &sum(|spoilt| spoilt.mended.is_ok()),
    );
    judge(
        "bad versions that the supervisor outlived",
        versions,
        &sum(|spoilt| spoilt.lives),
    );
}
