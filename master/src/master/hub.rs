//! The bus as every master has it: its hub, within what may be open at once, and the doors to it.

use std::{io, os::unix::net::UnixListener, path::Path};

use ostler_bus::{
    hub::{Admission, Hub, HubOptions, Notices, Rules},
    vocab::rules::{builtins, fleet_history},
};

use super::system;
use crate::{
    cli::error::{CliError, Exit},
    config::bus_table::BusSettings,
    home::MasterName,
    network::NetworkDoor,
    sys::OpenFiles,
};

/// The hub as every master has it, within what may be open at once.
pub(crate) fn start_hub(
    name: &MasterName,
    settings: &BusSettings,
    rules: Rules,
    files: Option<OpenFiles>,
) -> io::Result<(Hub, Notices)> {
    let mut limits = settings.limits.clone();
    if let Some(most) = files.and_then(|files| files.now) {
        // Half is left for workers: their pipes, sockets and pidfds.
        let most = usize::try_from(most / 2).unwrap_or(usize::MAX);
        limits.connections = limits.connections.min(most);
        // A fifth is kept for whoever comes to see what takes up the rest.
        let share = limits.connections - limits.connections / 5;
        limits.connections_per_uid = limits.connections_per_uid.min(share);
    }
    Hub::start(HubOptions {
        name: name.to_string(),
        limits,
        rules,
        builtins: builtins(),
        // What is said comes first: it may be about the fleet's own topics.
        history: [settings.history.clone(), fleet_history()].concat(),
    })
}

/// The lock is ours, so a socket that is in the way was a dead master's.
pub(super) fn bind_bus(path: &Path) -> Result<UnixListener, CliError> {
    let bound = match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => UnixListener::bind(path),
    };
    bound.map_err(|error| {
        CliError::new(
            Exit::Failed,
            format!("can't make the bus socket {}", path.display()),
        )
        .because(&error)
    })
}

/// Lets everyone in.
pub(super) fn open_doors(
    hub: &Hub,
    listener: UnixListener,
    network: Option<NetworkDoor>,
) -> Result<(), CliError> {
    hub.listen(listener, Admission::default())
        .map_err(|e| system("start the hub", &e))?;
    match network {
        Some(door) => door
            .open(hub)
            .map_err(|e| system("open the bus's network door", &e)),
        None => Ok(()),
    }
}
