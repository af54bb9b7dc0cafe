//! `cargo bench -p ostler-tests --bench supervisors [-- PART…]`: the master beside other supervisors, in turns.
//!
//! Parts: `respawn`, `flood`, `start`, `update`, `bad`, `idle`; without any, all of them, in about four minutes. Prints
//! Markdown: each part's tables, and at the end all goals. Whoever isn't installed (`tests/bench/setup.sh`) is left out
//! and named.

mod bad;
mod idle;
mod respawn;
mod start;
mod update;

use std::{path::Path, process::ExitCode};

use ostler_tests::bench::{
    Results, Samples, bus, fleet,
    peers::goals::Goals,
    roles,
    supervisors::{self, rival, servers},
};

const OSTLER: &str = env!("CARGO_BIN_EXE_ostler-under-test");
const MISBEHAVE: &str = env!("CARGO_BIN_EXE_misbehave");

/// The others, each by its name.
const RIVALS: [(&str, rival::Kind); 3] = [
    ("Ostler", rival::Kind::Ostler(OSTLER)),
    ("PM2", rival::Kind::Pm2),
    ("supervisord", rival::Kind::Supervisord),
];

/// Ours with its defaults.
const DEFAULTS: servers::Kind = servers::Kind::Ostler {
    program: OSTLER,
    min_healthy: None,
};

/// Rounds of a contest.
const ROUNDS: usize = 5;

/// Workers of a fleet that serves.
const WORKERS: usize = 4;

/// Many workers.
const MANY: usize = 64;

type Part = (&'static str, fn(&mut Goals) -> Result<(), String>);

const PARTS: [Part; 6] = [
    ("respawn", respawn::measure),
    ("flood", respawn::flooded),
    ("start", start::measure),
    ("update", update::measure),
    ("bad", bad::measure),
    ("idle", idle::measure),
];

fn main() -> ExitCode {
    let roles: Vec<_> = bus::ROLES
        .into_iter()
        .chain(fleet::ROLES)
        .chain(supervisors::ROLES)
        .collect();
    if let Some(code) = roles::play(&roles) {
        return code;
    }
    let words: Vec<String> = std::env::args().skip(1).collect();
    let any = PARTS
        .iter()
        .any(|(name, _)| words.iter().any(|w| w == name));
    let mut goals = Goals::default();
    for (name, part) in PARTS {
        if any && !words.iter().any(|word| word == name) {
            continue;
        }
        if let Err(why) = part(&mut goals) {
            eprintln!("error: {name}: {why}");
            return ExitCode::FAILURE;
        }
    }
    println!("{goals}");
    ExitCode::SUCCESS
}

/// Ours must take part; who else doesn't is told, and left out.
fn present<T>(name: &str, started: Result<T, String>) -> Result<Option<T>, String> {
    match started {
        Ok(started) => Ok(Some(started)),
        Err(why) if name.starts_with("Ostler") => Err(why),
        Err(why) => {
            eprintln!("left out: {name}: {why}");
            Ok(None)
        }
    }
}

/// The medians of who took part, by name.
fn medians(results: &Results) -> Vec<(&str, f64)> {
    let samples = results.samples.iter();
    samples.map(|s| (s.name.as_str(), s.median())).collect()
}

/// The median of ours, and those of the others.
fn ours(results: &Results) -> (Option<f64>, Vec<(&str, f64)>) {
    let (own, others): (Vec<_>, Vec<_>) = medians(results)
        .into_iter()
        .partition(|(name, _)| *name == "Ostler");
    (own.first().map(|(_, median)| *median), others)
}

fn median(figures: Vec<f64>) -> f64 {
    let name = String::new();
    Samples { name, figures }.median()
}

fn ostler() -> &'static Path {
    Path::new(OSTLER)
}
