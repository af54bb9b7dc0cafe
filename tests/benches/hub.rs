//! `cargo bench -p ostler-tests --bench hub`: deliveries through the bus beside a relay that parses nothing.

use std::{cell::RefCell, process::ExitCode};

use ostler_tests::bench::{Contest, Samples, relay};

const ROUNDS: usize = 7;

fn main() -> ExitCode {
    let cpu = RefCell::new(Vec::new());
    let setup = relay::Setup::default();
    let contest = Contest::new("1 publisher → 4 subscribers, 64 bytes", "M deliveries/s").with(
        "raw relay",
        || {
            let figures = relay::run(setup)?;
            cpu.borrow_mut().push(figures.cpu_nanos_per_delivery);
            Ok(figures.deliveries_per_second / 1e6)
        },
    );
    match contest.run(ROUNDS) {
        Ok(results) => {
            let cpu = Samples {
                name: "raw relay".into(),
                figures: cpu.take(),
            };
            println!(
                "{results}\nraw relay: {:.1} ns of processor time a delivery",
                cpu.median()
            );
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::FAILURE
        }
    }
}
