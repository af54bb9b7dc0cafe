//! `cargo bench -p ostler-tests --bench bus [-- PART…]`: the hub beside other brokers, in turns, on loopback.
//!
//! Parts: `deliveries`, `latency`, `ask`, `crowd`, `json`, `stalled`; without any, all of them, in about four minutes.
//! `--rounds N` instead of five, `--only NAME,NAME` for some contenders. `OSTLER_BENCH_OTHER=PATH`, another build of this
//! benchmark: its hub takes part as well, in turns with this one's.
//!
//! Brokers come from the system (`tests/bench/setup.sh`); who isn't there is left out and named.
//! `--features async-nats` adds NATS's own library.

mod board;
mod brokers;
mod crowd;
mod deliveries;
mod latency;
mod mixed;

use std::process::ExitCode;

use ostler_tests::bench::{
    bus, fleet,
    peers::{self, goals::Goals},
    roles,
};

use brokers::Brokers;

/// A part of the benchmark: its name, and what it does.
type Part = (
    &'static str,
    fn(&Brokers, usize, &mut Goals) -> Result<(), String>,
);

const PARTS: [Part; 6] = [
    ("deliveries", deliveries::measure),
    ("latency", latency::measure),
    ("ask", latency::ask),
    ("crowd", crowd::measure),
    ("json", mixed::json),
    ("stalled", mixed::stalled),
];

const ROUNDS: usize = 5;

fn main() -> ExitCode {
    let roles: Vec<_> = bus::ROLES
        .into_iter()
        .chain(peers::ROLES)
        .chain(fleet::ROLES)
        .collect();
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
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .collect();
    let rounds = match words.iter().position(|word| word == "--rounds") {
        Some(at) => words
            .get(at + 1)
            .and_then(|n| n.parse().ok())
            .ok_or("--rounds N")?,
        None => ROUNDS,
    };
    let is_asked = |name: &str| {
        let any = PARTS
            .iter()
            .any(|(known, _)| words.iter().any(|word| word == known));
        !any || words.iter().any(|word| word == name)
    };
    let _ = peers::crowd::raise_descriptors();
    let brokers = Brokers::start()?;
    let mut goals = Goals::default();
    for (name, part) in PARTS {
        if is_asked(name) {
            println!("## {name}\n");
            part(&brokers, rounds, &mut goals)?;
        }
    }
    println!("## Goals\n\n{goals}");
    Ok(())
}
