//! `cargo bench -p ostler-tests --bench handover`: what it costs the master to accept a connection and hand it to a worker,
//! beside a master that does nothing else. Goal: at most 1.2 times.

use std::process::ExitCode;

use ostler_tests::bench::{
    peers, roles,
    sockets::{self, handover},
};
use tokio::runtime::Builder;

const OSTLER: &str = env!("CARGO_BIN_EXE_ostler-under-test");

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
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    println!("{}", handover::measure(&runtime, OSTLER)?);
    Ok(())
}
