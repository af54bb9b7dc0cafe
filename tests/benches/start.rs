//! `cargo bench -p ostler-tests --bench start`: the serial start of trivial workers, beside starting as many through `env`.

use std::{cell::RefCell, path::Path, process::ExitCode, time::Instant};

use ostler_tests::bench::{Contest, fleet::Fleet, serial};
use tokio::runtime::Builder;

const ROUNDS: usize = 7;

const OSTLER: &str = env!("CARGO_BIN_EXE_ostler-under-test");
const WORKER: &str = env!("CARGO_BIN_EXE_misbehave");

/// Says READY=1, then prints `ready`.
const NOTIFY: [&str; 3] = [WORKER, "notify", "0"];

fn main() -> ExitCode {
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
    for count in [4, 64] {
        let fleet = runtime.block_on(Fleet::start(
            Path::new(OSTLER),
            &NOTIFY,
            "ready = \"notify\"",
        ))?;
        let fleet = RefCell::new(fleet);
        let title = format!("Serial start of {count} trivial workers");
        let contest = Contest::new(&title, "ms")
            .with("env", || {
                let took = serial::through_env(Path::new(WORKER), &["trivial"], "ready", count)?;
                Ok(took.as_secs_f64() * 1e3)
            })
            .with("ostler", || {
                runtime.block_on(start(&mut fleet.borrow_mut(), count))
            });
        println!("{}", contest.run(ROUNDS)?);
    }
    Ok(())
}

/// From the command to the last one's readiness, in milliseconds.
async fn start(fleet: &mut Fleet, count: usize) -> Result<f64, String> {
    let began = Instant::now();
    fleet.scale_up(count as u32).await?;
    let took = began.elapsed().as_secs_f64() * 1e3;
    fleet.scale_down(count).await?;
    Ok(took)
}
