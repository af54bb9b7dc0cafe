//! `ls` and `ping`: asking the master how it is.

use std::process::ExitCode;

use ostler_bus::{
    client::Bus,
    vocab::status::{MasterStatus, StatusReport},
};
use serde::Serialize;
use tokio::time::Instant;

use super::{
    args::JsonArgs,
    bus_errors::of_master,
    connect::{self, Wanted},
    error::CliError,
    output, render,
    style::Style,
};
use crate::escape;

/// The state of everything.
pub(super) async fn ask(bus: &Bus) -> Result<StatusReport, CliError> {
    bus.request(&MasterStatus::default())
        .await
        .map_err(of_master)
}

/// `ostler ls`
pub(super) fn ls(args: JsonArgs, wanted: Wanted<'_>) -> Result<ExitCode, CliError> {
    connect::talk(wanted, async |session| {
        let report = ask(&session.bus).await?;
        let text = match args.json {
            true => render::json(&report)?,
            false => render::status(&report, Style::of_stdout()),
        };
        output::print(&text)?;
        Ok(ExitCode::SUCCESS)
    })
}

/// What `ping` found.
#[derive(Debug, Serialize)]
struct Pong {
    master: String,
    pid: u32,
    version: String,
    ms: f64,
}

/// `ostler ping`
pub(super) fn ping(args: JsonArgs, wanted: Wanted<'_>) -> Result<ExitCode, CliError> {
    connect::talk(wanted, async |session| {
        let asked = Instant::now();
        let report = ask(&session.bus).await?;
        let took = asked.elapsed();
        let pong = Pong {
            master: report.master.title,
            pid: report.master.pid,
            version: report.master.version,
            // Whole microseconds: what is beyond them is noise.
            ms: took.as_micros() as f64 / 1_000.0,
        };
        output::print(&match args.json {
            true => render::json(&pong)?,
            false => format!(
                "{} (pid {}) answered in {:.2} ms\n",
                escape::line(&pong.master),
                pong.pid,
                pong.ms
            ),
        })?;
        Ok(ExitCode::SUCCESS)
    })
}
