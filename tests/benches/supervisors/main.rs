//! `cargo bench -p ostler-tests --bench supervisors [-- PART…]`: the master beside other supervisors, in turns.
//!
//! Parts: `respawn`, `start`, `update`; without any, all of them, in about four minutes. Whoever isn't installed
//! (`tests/bench/setup.sh`) is left out and named.

use std::{process::ExitCode, time::Duration};

use ostler_tests::{
    bench::{
        Contest, Samples, roles,
        supervisors::{
            self, Rival,
            rival::Kind,
            servers::{self, Fleet},
        },
    },
    load::{Load, Pace, Plan, Tally},
};
use tokio::runtime::{Builder, Runtime};

const OSTLER: &str = env!("CARGO_BIN_EXE_ostler-under-test");
const TALKER: &str = env!("CARGO_BIN_EXE_talker");

const ROUNDS: usize = 7;

/// Workers killed in one turn.
const KILLS: usize = 8;

/// Updates under one load.
const UPDATES: usize = 3;

/// Connections of a load.
const CONNECTIONS: usize = 8;

/// Requests a second of a paced load.
const RATE: f64 = 500.0;

type Part = (&'static str, fn() -> Result<(), String>);

const PARTS: [Part; 3] = [("respawn", respawn), ("start", start), ("update", update)];

fn main() -> ExitCode {
    if let Some(code) = roles::play(&supervisors::ROLES) {
        return code;
    }
    let words: Vec<String> = std::env::args().skip(1).collect();
    let any = PARTS
        .iter()
        .any(|(name, _)| words.iter().any(|w| w == name));
    for (name, part) in PARTS {
        if any && !words.iter().any(|word| word == name) {
            continue;
        }
        if let Err(why) = part() {
            eprintln!("error: {name}: {why}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// From SIGKILL to the successor's first word.
fn respawn() -> Result<(), String> {
    let rivals = [
        ("Ostler", Kind::Ostler(OSTLER)),
        ("PM2", Kind::Pm2),
        ("supervisord", Kind::Supervisord),
    ];
    let mut contest = Contest::new("From SIGKILL to the successor's first word", "ms");
    for (name, kind) in rivals {
        match Rival::start(kind, 4, false) {
            Ok(mut rival) => contest = contest.with(name, move || kills(&mut rival)),
            Err(why) if kind == Kind::Ostler(OSTLER) => return Err(why),
            Err(why) => eprintln!("left out: {name}: {why}"),
        }
    }
    println!("{}", contest.run(ROUNDS)?);
    Ok(())
}

fn kills(rival: &mut Rival) -> Result<f64, String> {
    let mut took = Samples {
        name: String::new(),
        figures: Vec::new(),
    };
    for _ in 0..KILLS {
        took.figures.push(rival.kill_one()?.as_secs_f64() * 1e3);
    }
    Ok(took.median())
}

/// From a master's own start to its last worker's first word, as many at once as it can.
fn start() -> Result<(), String> {
    let ms = |took: Duration| took.as_secs_f64() * 1e3;
    for workers in [4, 64] {
        let title =
            format!("{workers} workers, as many at once as can be, from the master's own start");
        let mut contest = Contest::new(&title, "ms");
        match servers::nginx_start(workers) {
            Ok(_) => {
                contest = contest.with("nginx, which forks its own", move || {
                    servers::nginx_start(workers).map(ms)
                });
            }
            Err(why) => eprintln!("left out: nginx: {why}"),
        }
        let rivals = [
            ("Ostler", Kind::Ostler(OSTLER)),
            ("supervisord", Kind::Supervisord),
        ];
        for (name, kind) in rivals {
            match Rival::start(kind, workers, true) {
                Ok(_) => {
                    contest = contest.with(name, move || {
                        Rival::start(kind, workers, true).map(|rival| ms(rival.took))
                    });
                }
                Err(why) if kind == Kind::Ostler(OSTLER) => return Err(why),
                Err(why) => eprintln!("left out: {name}: {why}"),
            }
        }
        println!("{}", contest.run(ROUNDS)?);
    }
    Ok(())
}

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

/// Updates under load: what is lost.
fn update() -> Result<(), String> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| e.to_string())?;
    let fleets = [
        (
            "Ostler, `min_healthy = 0`",
            servers::Kind::Ostler(OSTLER, TALKER, "0s"),
        ),
        (
            "Ostler, with the defaults",
            servers::Kind::Ostler(OSTLER, TALKER, "1s"),
        ),
        ("Gunicorn, SIGHUP", servers::Kind::Gunicorn),
        ("nginx, SIGHUP", servers::Kind::Nginx),
        ("PM2 with Node, `reload`", servers::Kind::Pm2),
    ];
    println!(
        "**{UPDATES} updates of four workers under each load: requests that failed, of how many**\n"
    );
    println!("| | an update took, s | new connections | kept alive | paced |");
    println!("|---|---:|---:|---:|---:|");
    for (name, kind) in fleets {
        match updates(&runtime, kind) {
            Ok(row) => println!("| {name} | {row} |"),
            Err(why) if matches!(kind, servers::Kind::Ostler(..)) => return Err(why),
            Err(why) => eprintln!("left out: {name}: {why}"),
        }
    }
    println!();
    Ok(())
}

fn updates(runtime: &Runtime, kind: servers::Kind) -> Result<String, String> {
    let mut fleet = Fleet::start(kind)?;
    let mut took = Samples {
        name: String::new(),
        figures: Vec::new(),
    };
    let mut cells = Vec::new();
    for (_, kindled) in LOADS {
        let plan = Plan {
            connections: CONNECTIONS,
            ..fleet.plan()
        };
        let load = Load::start(kindled(plan))?;
        runtime.block_on(load.answers(100, Duration::from_secs(10)))?;
        for _ in 0..UPDATES {
            took.figures.push(fleet.update()?.as_secs_f64());
            runtime.block_on(load.answers(100, Duration::from_secs(10)))?;
        }
        cells.push(cell(&runtime.block_on(load.stop())));
    }
    Ok(format!("{:.2} | {}", took.median(), cells.join(" | ")))
}

fn cell(tally: &Tally) -> String {
    format!("{} of {}", tally.lost(), tally.requests())
}
