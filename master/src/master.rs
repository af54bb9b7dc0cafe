//! A whole master from start to end: home and lock, sockets, hub, features, shell; and back in the opposite order.

mod end;
mod features;
mod greeting;
mod ground;
mod hub;
mod notices;
mod reread;
mod supervision;

use std::{future::Future, io, path::PathBuf, sync::Arc};

use ostler_bus::client::Bus;

pub(crate) use self::hub::start_hub;
use self::{
    features::{
        feature, start_chronicle, start_control, start_features, start_logs, start_paperwork,
        start_service, watch_files,
    },
    ground::Ground,
    hub::open_doors,
    notices::pass_on,
    supervision::Supervision,
};
use crate::{
    cli::error::{CliError, Exit},
    config::{app::AppDefinition, bus_table::BusSettings},
    features::Settling,
    home::MasterName,
    log,
    shell::alarm,
    shortage,
    sockets::StarterSockets,
};

/// What a master is started with.
#[derive(Debug)]
pub struct MasterOptions {
    /// Its name: one master of a name per home.
    pub name: MasterName,
    /// Its apps.
    pub apps: Vec<AppDefinition>,
    /// What was said of the bus.
    pub bus: BusSettings,
    /// Whether it heeds signals beyond those that end it.
    pub signals: bool,
    /// The process file, if there is one: read again at SIGHUP, and watched with `--auto-reload`.
    pub file: Option<PathBuf>,
    /// The named environment that the process file is read for.
    pub environment: Option<String>,
    /// What is hardly meant in the process file, in words.
    pub warnings: Vec<String>,
    /// How its log is written.
    pub log: log::Format,
    /// Whether it ends when nothing is left to run, and what it makes of an app that can't boot.
    pub stay: Stay,
    /// Where its log goes.
    pub log_to: log::Destination,
    /// Which of the master's own lines are written, unless `OSTLER_LOG` says otherwise: usually [`log::DEFAULT`].
    pub log_default: &'static str,
}

/// Until when a master stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stay {
    /// Until nothing is left to run, or an app can't boot.
    WhileBusy,
    /// Until it is told to end, or an app can't boot.
    Foreground,
    /// Until it is told to end.
    Background,
}

/// Runs a master until it is told to stop, with `beside` next to it (the demo's guide; nothing, usually). Gives its exit code.
///
/// # Errors
/// What kept it from starting. Nothing is left behind.
pub fn run<F>(options: MasterOptions, beside: impl FnOnce(Bus) -> F) -> Result<u8, CliError>
where
    F: Future<Output = ()> + Send + 'static,
{
    // First, while nothing else is open.
    let starter = StarterSockets::take();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| system("start the runtime", &e))?;
    let code = runtime.block_on(start(options, starter, beside));
    // Whatever is still under way belongs to a master that is no more.
    runtime.shutdown_background();
    code
}

async fn start<F>(
    options: MasterOptions,
    starter: StarterSockets,
    beside: impl FnOnce(Bus) -> F,
) -> Result<u8, CliError>
where
    F: Future<Output = ()> + Send + 'static,
{
    // Whatever comes after the lock goes before it.
    let Ground {
        lock,
        home,
        manager,
        network,
        listener,
        hub,
        notices,
        log,
        tools,
    } = Ground::prepare(&options, starter)?;
    let Supervision {
        shell,
        voice,
        watched,
        hours,
        log_files,
        all_lines,
    } = Supervision::begin(&options, &hub, lock.home(), tools, manager.is_some()).await?;
    let (settling, settled) = Settling::begin();
    let (lines, files) = (all_lines.clone(), log_files.clone());
    start_logs(&hub, shell.handle(), lines, files, settling.clone()).await?;
    let control = start_control(&hub, shell.handle(), settling.clone()).await?;
    tokio::spawn(pass_on(notices, shell.handle(), voice.clone(), all_lines));
    let chronicle = start_chronicle(&hub, &options.name, settling.clone()).await?;
    if let Some(manager) = &manager {
        start_service(&hub, shell.handle(), Arc::clone(manager), settling.clone()).await?;
    }
    start_paperwork(&hub, shell.handle(), &options, settling.clone()).await?;
    start_features(&hub, shell.handle(), &options, settling).await?;
    let (file, home) = (options.file.clone(), home.path().into());
    tokio::spawn(watch_files(hub.clone(), watched, file, home));
    tokio::spawn(alarm::run(hours, shell.handle()));
    settled.wait().await;
    // Who came meanwhile waits in the socket's queue.
    open_doors(&hub, listener, network)?;
    tokio::spawn(beside(feature(&hub, "guide").await?));
    let code = shell.run().await;
    if let Some(manager) = manager {
        manager.stopping();
    }
    end::last_words([voice, control]).await;
    hub.shutdown().await;
    end::last_lines(code, chronicle, &log_files).await;
    tracing::info!("master {} ended", options.name);
    log.finish().await;
    drop(lock);
    Ok(code)
}

fn system(what: &str, error: &io::Error) -> CliError {
    let failure = CliError::new(Exit::Failed, format!("can't {what}")).because(error);
    match shortage::apart_from_children() {
        Some(why) => failure.hint(why),
        None => failure,
    }
}
