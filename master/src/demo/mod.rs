//! `ostler demo`: a whole fleet in one command. A master with workers of a small web service ([`worker`]: this same
//! binary, an app of the SDK), and beside it a guide ([`guide`]) that shows what a fleet does, with real requests, a real
//! kill and a real update, then says what to try.
//!
//! The guide is a client of the bus like any other and can do nothing that another program with its rights couldn't.

mod acts;
mod ask;
mod commands;
mod events;
mod guide;
mod narrate;
mod screen;
mod worker;

use std::{
    net::{Ipv4Addr, SocketAddr},
    process::ExitCode,
    sync::{Arc, OnceLock},
    time::Duration,
};

use self::{guide::Guide, screen::Screen};
use crate::{
    cli::{
        args::DemoArgs,
        error::{CliError, Exit},
    },
    config::{
        address,
        app::{AppDefinition, AppName, SocketAddress},
        settings::{Instances, Settings},
    },
    home::MasterName,
    log,
    master::{self, MasterOptions, Stay},
    sys,
};

pub(crate) use self::worker::main as worker_main;

/// The hidden word that makes this binary a worker of the demo.
pub(crate) const WORKER_COMMAND: &str = "__demo-worker";

/// Name of the app, and of the master unless another one is asked for.
const NAME: &str = "demo";

/// Name of the app's socket.
const SOCKET: &str = "http";

/// What of the master's own log is shown besides the guide's words, unless `OSTLER_LOG` says otherwise. The lives of
/// workers are what the guide speaks of.
const LOG: &str = "warn,ostler::shell::perform=off,ostler::shell::lines=off";

/// Runs the demo until Ctrl-C.
///
/// # Errors
/// What kept the master or its workers from starting.
pub(crate) fn run(args: DemoArgs, name: Option<MasterName>) -> Result<ExitCode, CliError> {
    let app = definition(args)?;
    let options = MasterOptions {
        name: name.unwrap_or_else(|| MasterName::from(&app.name)),
        apps: vec![app],
        bus: crate::config::bus_table::BusSettings::default(),
        file: None,
        environment: None,
        warnings: Vec::new(),
        log: log::Format::Human,
        log_to: log::Destination::Streams,
        signals: true,
        stay: Stay::Foreground,
        log_default: LOG,
    };
    let failure = Arc::new(OnceLock::new());
    let guide = Guide {
        instances: args.instances,
        master: options.name.clone(),
        screen: Screen::of_stdout(),
        failure: Arc::clone(&failure),
    };
    let code = master::run(options, |bus| guide.run(bus))?;
    if let Some(failure) = failure.get() {
        return Err(CliError::new(Exit::Failed, failure));
    }
    screen::last_words("Every worker has ended, and so has the master.");
    Ok(ExitCode::from(code))
}

/// The app. Where it differs from the defaults it is quicker: people are watching.
fn definition(args: DemoArgs) -> Result<AppDefinition, CliError> {
    let program = std::env::current_exe().map_err(|error| {
        CliError::new(Exit::Failed, "can't find this program's own file").because(&error)
    })?;
    let program = program.to_str().ok_or_else(|| {
        CliError::new(
            Exit::Failed,
            "the path of this program's own file is not UTF-8",
        )
    })?;
    let name = AppName::new(NAME).expect("a token");
    let at = SocketAddr::from((Ipv4Addr::LOCALHOST, args.port));
    let settings = Settings {
        instances: Some(Instances::Exactly(args.instances)),
        listen: Some(vec![address::declaration(
            SOCKET.into(),
            SocketAddress::Tcp(at),
        )]),
        min_healthy: Some(Duration::from_millis(250)),
        canary_healthy: Some(Duration::from_millis(500)),
        // A worker killed by hand is replaced at once, without the pause for those that keep crashing.
        min_uptime: Some(Duration::from_millis(100)),
        ..Settings::default()
    };
    let command = vec![program.to_owned(), WORKER_COMMAND.to_owned()];
    Ok(settings.define(name, command, sys::available_cores()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_workers_are_this_program_on_a_loopback_port() {
        let app = definition(DemoArgs {
            instances: 3,
            port: 0,
        })
        .unwrap();
        assert_eq!((app.instances, app.command.len()), (3, 2));
        assert_eq!(app.command[1], WORKER_COMMAND);
        let SocketAddress::Tcp(at) = &app.listen[0].address else {
            panic!("{:?}", app.listen)
        };
        assert!(at.ip().is_loopback());
    }
}
