//! `cargo bench -p ostler-tests --bench sockets [-- PART…]`: ways to share a port, in turns, each role a process of its own.
//!
//! Parts: `throughput`, `node`, `stalled`, `fairness`, `handover`, `losses`; without any, these, in nine minutes. And
//! `article`, about four minutes: other people's clients on a service whose workers crash and are replaced.
//!
//! A mode that this build's process file refuses, and whoever isn't installed (`tests/bench/setup.sh`), is left out and
//! named.

mod article;
mod fairness;
mod losses;
mod node;
mod sites;
mod stalled;
mod throughput;

use std::process::ExitCode;

use ostler_tests::bench::{
    peers::{
        self,
        goals::{Bound, Goals},
    },
    roles,
    sockets::{self, handover},
    system,
};
use tokio::runtime::{Builder, Runtime};

const OSTLER: &str = env!("CARGO_BIN_EXE_ostler-under-test");
const LOAD: &str = env!("CARGO_BIN_EXE_load");

/// A part of the benchmark: its name, and what it does.
type Part = (&'static str, fn(&Runtime, &mut Goals) -> Result<(), String>);

const PARTS: [Part; 7] = [
    ("throughput", throughput::measure),
    ("node", node::measure),
    ("stalled", stalled::measure),
    ("fairness", fairness::measure),
    ("handover", hand_over),
    ("losses", losses::measure),
    (ARTICLE, article::measure),
];

/// The part that must be asked for.
const ARTICLE: &str = "article";

fn main() -> ExitCode {
    let all: Vec<_> = sockets::ROLES.into_iter().chain(peers::ROLES).collect();
    if let Some(code) = roles::play(&all) {
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
    let words: Vec<String> = std::env::args().skip(1).collect();
    let named = |name: &str| words.iter().any(|word| word == name);
    let any = PARTS.iter().any(|(name, _)| named(name));
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| e.to_string())?;
    if let Some(note) = system::of_sessions() {
        println!("{note}\n");
    }
    let mut goals = Goals::default();
    for (name, part) in PARTS {
        if named(name) || (!any && name != ARTICLE) {
            println!("## {name}\n");
            part(&runtime, &mut goals).map_err(|why| format!("{name}: {why}"))?;
        }
    }
    println!("## Goals\n\n{goals}");
    Ok(())
}

fn hand_over(runtime: &Runtime, goals: &mut Goals) -> Result<(), String> {
    let results = handover::measure(runtime, OSTLER)?;
    println!("{results}");
    goals.add(
        "balanced: master's time for a connection, beside a naive hand-over",
        Bound::AtMost(1.2),
        results.round_ratio("ostler", "naive"),
    );
    Ok(())
}
