//! `cargo bench -p ostler-tests --bench start`: the serial start of trivial workers.

use std::{path::Path, process::ExitCode};

use ostler_tests::bench::{Contest, serial};

const ROUNDS: usize = 7;

fn main() -> ExitCode {
    let worker = Path::new(env!("CARGO_BIN_EXE_misbehave"));
    for count in [4, 64] {
        let contest = Contest::new(&format!("Serial start of {count} trivial workers"), "ms").with(
            "env",
            || {
                let took = serial::through_env(worker, &["trivial"], "ready", count)?;
                Ok(took.as_secs_f64() * 1e3)
            },
        );
        match contest.run(ROUNDS) {
            Ok(results) => println!("{results}"),
            Err(why) => {
                eprintln!("error: {why}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}
