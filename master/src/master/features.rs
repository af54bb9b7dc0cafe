//! What answers and tells beside the fleet: each feature is a client of the hub, with a connection of its own that is made again.

use std::{path::PathBuf, sync::Arc};

use ostler_bus::{client::Bus, hub::Hub};
use tokio::sync::watch;

use super::MasterOptions;
use crate::{
    cli::error::{CliError, Exit},
    features::{
        Settling, bus_stats,
        chronicle::{self, Pen},
        describe, errors,
        keep::{attach, keep},
        log_tap, roll, save,
        service::{self, ServiceManager},
        status::Keeper,
        system_restart,
        watch::run::{self as watcher, Watched},
    },
    saved::Kept,
    shell::ShellHandle,
    sys,
};

/// A feature's first connection.
pub(super) async fn feature(hub: &Hub, name: &str) -> Result<Bus, CliError> {
    let failed = |error: &dyn std::error::Error| {
        CliError::new(
            Exit::Failed,
            format!("the master's {name} can't reach its own hub"),
        )
        .because(error)
    };
    attach(hub, name).await.map_err(|error| failed(&*error))
}

/// Status, statistics, updates by event, the mark of a restart, the log of all broadcasts.
pub(super) async fn start_features(
    hub: &Hub,
    shell: ShellHandle,
    options: &MasterOptions,
    settling: Settling,
) -> Result<(), CliError> {
    let mark = system_restart::RestartMark::new(None);
    let (asked, noted, name) = (shell.clone(), mark.clone(), options.name.to_string());
    let ruling = hub.clone();
    let mut first = Some(settling.clone());
    let bus = feature(hub, "status").await?;
    keep(hub.clone(), "status", bus, move |bus| {
        let cores = sys::available_cores();
        let keeper = Keeper::new(
            asked.clone(),
            ruling.clone(),
            noted.clone(),
            name.clone(),
            cores,
        );
        keeper.run(bus, first.take())
    });
    let (asked, mut first) = (hub.clone(), Some(settling.clone()));
    let bus = feature(hub, "bus-stats").await?;
    keep(hub.clone(), "bus.stats", bus, move |bus| {
        bus_stats::run(asked.clone(), bus, first.take())
    });
    let (told, mut first) = (shell.clone(), Some(settling.clone()));
    let bus = feature(hub, "errors").await?;
    keep(hub.clone(), "workers' errors", bus, move |bus| {
        errors::run(bus, told.clone(), first.take())
    });
    let mut first = Some(settling.clone());
    let bus = feature(hub, "roll").await?;
    keep(hub.clone(), "updates by event", bus, move |bus| {
        roll::run(bus, shell.clone(), first.take())
    });
    let mut first = Some(settling.clone());
    let bus = feature(hub, "system-restart").await?;
    keep(hub.clone(), "systemRestartNeeded", bus, move |bus| {
        system_restart::run(bus, mark.clone(), first.take())
    });
    let mut first = Some(settling);
    let bus = feature(hub, "log-tap").await?;
    keep(hub.clone(), "log of broadcasts", bus, move |bus| {
        log_tap::run(bus, first.take())
    });
    Ok(())
}

/// Tells who started the master how it is.
pub(super) async fn start_service(
    hub: &Hub,
    shell: ShellHandle,
    manager: Arc<ServiceManager>,
    settling: Settling,
) -> Result<(), CliError> {
    let mut first = Some(settling);
    let bus = feature(hub, "service").await?;
    keep(
        hub.clone(),
        "telling the service manager",
        bus,
        move |bus| {
            let (shell, manager, first) = (shell.clone(), Arc::clone(&manager), first.take());
            async move { service::run(bus, shell, &manager, first).await }
        },
    );
    Ok(())
}

/// Describing apps, and writing them down.
pub(super) async fn start_paperwork(
    hub: &Hub,
    shell: ShellHandle,
    options: &MasterOptions,
    settling: Settling,
) -> Result<(), CliError> {
    let (told, mut first) = (shell.clone(), Some(settling.clone()));
    let bus = feature(hub, "describe").await?;
    keep(hub.clone(), "app.describe", bus, move |bus| {
        describe::run(bus, told.clone(), first.take())
    });
    let kept = Kept {
        master: options.name.clone(),
        bus: options.bus.clone(),
        signals: options.signals,
    };
    let mut first = Some(settling);
    let bus = feature(hub, "save").await?;
    keep(hub.clone(), "save and resurrect", bus, move |bus| {
        save::run(bus, shell.clone(), kept.clone(), first.take())
    });
    Ok(())
}

/// Writes down what the fleet tells, from its first word on.
pub(super) async fn start_chronicle(
    hub: &Hub,
    pen: Pen,
    settling: Settling,
) -> Result<watch::Receiver<Bus>, CliError> {
    let mut first = Some(settling);
    let bus = feature(hub, "chronicle").await?;
    Ok(keep(hub.clone(), "the chronicle", bus, move |bus| {
        chronicle::run(bus, pen.clone(), first.take())
    }))
}

/// Watches files once there is an app that wants it: until then nothing is paid for it.
pub(super) async fn watch_files(
    hub: Hub,
    mut apps: watch::Receiver<Watched>,
    file: Option<PathBuf>,
    home: PathBuf,
) {
    if apps
        .wait_for(|watched| !watched.apps.is_empty())
        .await
        .is_err()
    {
        return;
    }
    match attach(&hub, "watch").await {
        Ok(bus) => {
            keep(hub, "watching files", bus, move |bus| {
                watcher::all(bus, file.clone(), apps.clone(), home.clone())
            });
        }
        Err(error) => tracing::error!("files are not watched: {error}"),
    }
}
