//! What a master stands on before there is a fleet: made in this order, and nothing is left behind if a part of it can't be had.

use std::{ffi::OsString, os::unix::net::UnixListener, sync::Arc};

use ostler_bus::hub::{Hub, Notices};

use super::{
    MasterOptions,
    end::OwnLog,
    greeting::greet,
    hub::{bind_bus, start_hub},
    system,
};
use crate::{
    cli::error::CliError,
    config::app::AppDefinition,
    features::service::ServiceManager,
    home::{Home, Reach},
    lock::MasterLock,
    log,
    network::NetworkDoor,
    process::{LineQueue, Spawner},
    shell::{MasterSignal, Rights},
    sockets::{self, Sockets, StarterSockets},
    sys::{self, OpenFiles, Signals},
};

/// All of it.
pub(super) struct Ground {
    pub(super) lock: MasterLock,
    pub(super) home: Home,
    /// Who started the master, if it wants to be told how it is.
    pub(super) manager: Option<Arc<ServiceManager>>,
    /// The bus's doors, at which nobody is let in yet.
    pub(super) network: Option<NetworkDoor>,
    pub(super) listener: UnixListener,
    pub(super) hub: Hub,
    pub(super) notices: Notices,
    pub(super) log: OwnLog,
    pub(super) tools: Tools,
}

/// What is the shell's to work with.
pub(super) struct Tools {
    pub(super) signals: Signals,
    pub(super) open_files: Option<OpenFiles>,
    /// The master's own at its start.
    pub(super) environment: Vec<(OsString, OsString)>,
    pub(super) spawner: Spawner,
    pub(super) sockets: Sockets,
    pub(super) rights: Rights,
    /// Where the master's own lines go.
    pub(super) lines: LineQueue,
}

impl Ground {
    pub(super) fn prepare(
        options: &MasterOptions,
        starter: StarterSockets,
    ) -> Result<Self, CliError> {
        // First, while there is one thread: signals that come from here on wait to be read.
        let signals =
            Signals::block(&MasterSignal::ALL).map_err(|e| system("block signals", &e))?;
        let open_files = sys::raise_open_files().ok();
        let manager = ServiceManager::of_this_process().map(Arc::new);
        let environment = std::env::vars_os().collect();
        let home = Home::of_this_process()?;
        let lock = MasterLock::acquire(&home, &options.name)?;
        lock.home()
            .check_lengths(options.apps.iter().map(|app| &app.name))?;
        // As early as can be, so that the first workers need not wait for it; but the master's own limits are as they will be.
        let spawner = Spawner::default();
        spawner.warm_up();
        let sockets = bind_all(&lock, &options.apps, starter)?;
        let network = options.bus.tcp.as_ref().map(NetworkDoor::prepare);
        let network = network.transpose()?;
        // What workers leave behind is to be found below this process.
        sys::adopt_orphans().map_err(|e| system("adopt orphans", &e))?;
        let (lines, writer) = log::start(options.log, options.log_default, options.log_to.clone())
            .map_err(|e| system("start the log", &e))?;
        sockets::begin_to_close().map_err(|e| system("start a thread", &e))?;
        let rights = Rights::of(&options.apps, options.file.as_deref());
        let (hub, notices) = start_hub(&options.name, &options.bus, rights.rules(), open_files)
            .map_err(|e| system("start the hub", &e))?;
        let listener = bind_bus(&lock.home().bus_socket())?;
        greet(options, &lock, &sockets);
        let log = OwnLog {
            lines: lines.clone(),
            writer,
        };
        Ok(Self {
            lock,
            home,
            manager,
            network,
            listener,
            hub,
            notices,
            log,
            tools: Tools {
                signals,
                open_files,
                environment,
                spawner,
                sockets,
                rights,
                lines,
            },
        })
    }
}

/// Directories and sockets of all apps, before the first worker.
fn bind_all(
    lock: &MasterLock,
    apps: &[AppDefinition],
    starter: StarterSockets,
) -> Result<Sockets, CliError> {
    let mut sockets = Sockets::new(starter);
    for app in apps {
        lock.home().create_app_dir(&app.name, Reach::of(app))?;
        let _kept = sockets.bind(app)?;
    }
    Ok(sockets)
}
