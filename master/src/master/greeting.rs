//! What a master says of itself at its start: who it is, what is doubtful, and what each app is.

use ostler_bus::Slot;

use super::MasterOptions;
use crate::{
    config::{
        app::{AppDefinition, AppName},
        shell_line,
    },
    escape,
    lock::MasterLock,
    sockets::Sockets,
};

pub(super) fn greet(options: &MasterOptions, lock: &MasterLock, sockets: &Sockets) {
    tracing::info!(
        "ostler {}: master {}, pid {}, bus {}",
        env!("CARGO_PKG_VERSION"),
        options.name,
        std::process::id(),
        lock.home().bus_socket().display()
    );
    for warning in &options.warnings {
        tracing::warn!("{}", escape::line(warning));
    }
    for warning in sockets.starters_doubts() {
        tracing::warn!("{}", escape::line(&warning));
    }
    for app in &options.apps {
        introduce(app, sockets);
    }
}

fn introduce(app: &AppDefinition, sockets: &Sockets) {
    let listening = match addresses(&app.name, sockets).join(" ") {
        none if none.is_empty() => none,
        addresses => format!(", listening on {addresses}"),
    };
    tracing::info!(
        "{}: {} worker{} of {}{listening}",
        app.name,
        app.instances,
        if app.instances == 1 { "" } else { "s" },
        escape::line(&shell_line::shown(&app.command))
    );
}

/// Where an app listens. The listeners of a group are at one address.
fn addresses(app: &AppName, sockets: &Sockets) -> Vec<String> {
    let listening = sockets.of(app).into_iter();
    let listening = listening
        .filter(|socket| socket.spread().is_none() || socket.slot() == Some(Slot(0)))
        .map(|socket| match socket.slot() {
            Some(slot) if socket.spread().is_none() => {
                format!("{}.{slot}={}", socket.name(), socket.address())
            }
            Some(_) | None => format!("{}={}", socket.name(), socket.address()),
        });
    listening.collect()
}
