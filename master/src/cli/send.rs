//! `send`: a line for workers' standard input.

use std::process::ExitCode;

use ostler_bus::vocab::control::{AppSend, SendAnswer};

use super::{
    args::SendArgs,
    bus_errors::of_master,
    connect::{self, Wanted},
    error::CliError,
};

/// `ostler send`
pub(super) fn send(args: &SendArgs, wanted: Wanted<'_>) -> Result<ExitCode, CliError> {
    let request = AppSend {
        app: args.to.clone(),
        slot: None,
        line: args.line.clone(),
    };
    connect::talk(wanted, async |session| {
        let asked = session.bus.request(&request).await;
        match asked.map_err(of_master)? {
            SendAnswer::Sent { workers } => {
                println!("sent to {workers}");
                Ok(ExitCode::SUCCESS)
            }
            SendAnswer::Refused { kind, reason } => Err(CliError::new(kind.into(), reason)),
        }
    })
}
