//! What answers and tells beside the fleet: each feature is a client of the hub, with a connection of its own that is made again.

use std::{path::PathBuf, sync::Arc};

use ostler_bus::{client::Bus, hub::Hub};
use tokio::sync::watch;

use super::MasterOptions;
use crate::{
    cli::error::{CliError, Exit},
    control,
    features::{
        Settling, bus_stats,
        chronicle::{self, Pen},
        describe, errors,
        keep::{attach, keep},
        log_tap,
        logs::{self, Lines},
        roll, save,
        service::{self, ServiceManager},
        status::Keeper,
        system_restart,
        watch::run::{self as watcher, Watched},
    },
    home::MasterName,
    process::LogFiles,
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
    let (asked, noted) = (shell.clone(), mark.clone());
    let file = options.file.as_ref();
    let file = file.map(|file| file.display().to_string());
    let who = (options.name.to_string(), file);
    let ruling = hub.clone();
    let mut first = Some(settling.clone());
    let bus = feature(hub, "status").await?;
    keep(hub.clone(), "status", bus, move |bus| {
        let cores = sys::available_cores();
        let keeper = Keeper::new(
            asked.clone(),
            ruling.clone(),
            noted.clone(),
            who.clone(),
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

/// Writes down what the fleet tells.
pub(super) struct Chronicle {
    pub(super) pen: Pen,
    /// The connection it listens on.
    pub(super) chronicler: watch::Receiver<Bus>,
}

/// Writes down what the fleet tells, from its first word on; `None` if it can't be written down.
pub(super) async fn start_chronicle(
    hub: &Hub,
    master: &MasterName,
    settling: Settling,
) -> Result<Option<Chronicle>, CliError> {
    let Some(pen) = Pen::take_up(master) else {
        return Ok(None);
    };
    let mut first = Some(settling);
    let (held, bus) = (pen.clone(), feature(hub, "chronicle").await?);
    let chronicler = keep(hub.clone(), "the chronicle", bus, move |bus| {
        chronicle::run(bus, held.clone(), first.take())
    });
    Ok(Some(Chronicle { pen, chronicler }))
}

/// Workers' lines, for whoever follows them.
pub(super) async fn start_logs(
    hub: &Hub,
    shell: ShellHandle,
    lines: Lines,
    files: LogFiles,
    settling: Settling,
) -> Result<(), CliError> {
    let mut first = Some(settling);
    let bus = feature(hub, "logs").await?;
    keep(hub.clone(), "workers' lines", bus, move |bus| {
        let (lines, files) = (lines.clone(), files.clone());
        logs::run(bus, lines, files, shell.clone(), first.take())
    });
    Ok(())
}

/// What operators ask for. Gives the connection on which they are answered.
pub(super) async fn start_control(
    hub: &Hub,
    shell: ShellHandle,
    settling: Settling,
) -> Result<watch::Receiver<Bus>, CliError> {
    let mut first = Some(settling);
    let bus = feature(hub, "control").await?;
    Ok(keep(hub.clone(), "control", bus, move |bus| {
        control::run(bus, shell.clone(), first.take())
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
