//! A whole master from start to end: home and lock, sockets, hub, features, shell; and back in the opposite order.

mod features;
mod notices;

use std::{
    ffi::OsString,
    future::Future,
    io,
    os::unix::net::UnixListener,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use ostler_bus::{
    Slot,
    client::Bus,
    hub::{Admission, Hub, HubOptions, Notices, Rules},
    vocab::rules::{builtins, fleet_history},
};
use tokio::sync::watch;

use self::{
    features::{
        feature, start_chronicle, start_features, start_paperwork, start_service, watch_files,
    },
    notices::pass_on,
};
use crate::{
    cli::error::{CliError, Exit},
    config::{
        app::AppDefinition, bus_table::BusSettings, circumstances::Circumstances, file, shell_line,
    },
    control, escape,
    features::{
        Settling,
        chronicle::Pen,
        keep::keep,
        logs::{self, Lines},
        service::ServiceManager,
        watch::run::Watched,
    },
    fleet::Fleet,
    home::{Home, MasterName, Reach},
    lock::MasterLock,
    log,
    network::NetworkDoor,
    process::{Cgroups, LineQueue, LogFiles, LogWriter, Releases, Spawner},
    shell::{MasterSignal, Reread, Rights, Said, Shell, Watches, Workshop, alarm},
    sockets::{self, Sockets, StarterSockets, balance::Balancer, slots::Groups},
    sys::{self, OpenFiles, Signals},
};

/// How long the end of a master may wait for its last events to be published, and again for its log to be written.
const LAST_LINES: Duration = Duration::from_secs(2);

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
    // First, while there is one thread: signals that come from here on wait to be read.
    let signals = Signals::block(&MasterSignal::ALL).map_err(|e| system("block signals", &e))?;
    let open_files = sys::raise_open_files().ok();
    let manager = ServiceManager::of_this_process().map(Arc::new);
    let environment: Vec<(OsString, OsString)> = std::env::vars_os().collect();
    let home = Home::of_this_process()?;
    let lock = MasterLock::acquire(&home, &options.name)?;
    lock.home()
        .check_lengths(options.apps.iter().map(|app| &app.name))?;
    // As early as can be, so that the first workers need not wait for it; but the master's own limits are as they will be.
    let spawner = Spawner::default();
    spawner.warm_up();
    let sockets = prepare(&lock, &options.apps, starter)?;
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
    greet(&options, &lock, &sockets);
    let wants = |app: &&AppDefinition| app.auto_reload.is_some();
    let (auto_reload, watched) = watch::channel(Watched {
        apps: options.apps.iter().filter(wants).cloned().collect(),
        ..Watched::default()
    });
    let (schedules, hours) = watch::channel(alarm::schedules(&options.apps));
    let (log_files, all_lines) = (LogFiles::default(), Lines::default());
    let workshop = Workshop {
        spawner,
        hub: hub.clone(),
        home: lock.home().clone(),
        sockets,
        balancer: Balancer::default(),
        groups: Groups::default(),
        accepts: Default::default(),
        lookouts: Default::default(),
        watches: Watches::default(),
        cgroups: Cgroups::default(),
        log: lines.clone(),
        log_files: log_files.clone(),
        all_lines: all_lines.outlets(),
        releases: Releases::default(),
        environment,
        open_files: open_files.and_then(|files| files.before),
        rights,
        tokens: options.bus.tcp.as_ref().map(|tcp| tcp.tokens.clone()),
        auto_reload,
        kept: Default::default(),
        schedules,
    };
    let voice = feature(&hub, "shell").await?;
    let kind = |fleet: Fleet| match options.stay {
        Stay::WhileBusy => fleet.leaving_when_done(),
        Stay::Foreground => fleet,
        Stay::Background => fleet.carrying_on(),
    };
    let kind = |fleet| match &manager {
        Some(_) => kind(fleet).managed(),
        None => kind(fleet),
    };
    let shell = Shell::new(
        kind,
        workshop,
        voice.clone(),
        signals,
        options.file.clone().map(|file| reread(file, &options)),
    );
    let shell = match options.signals {
        true => shell,
        false => shell.deaf(),
    };
    // Before anyone can ask: nobody is shown a master without its apps, or told that there is no such app.
    shell.handle().define(options.apps.clone()).await;
    let handle = shell.handle();
    let voice = keep(hub.clone(), "shell's voice", voice, move |bus| {
        let handle = handle.clone();
        async move { handle.speak_through(bus).await }
    });
    let (settling, settled) = Settling::begin();
    let bus = feature(&hub, "logs").await?;
    let (kept, files, handle, mut first) = (
        all_lines.clone(),
        log_files.clone(),
        shell.handle(),
        Some(settling.clone()),
    );
    keep(hub.clone(), "workers' lines", bus, move |bus| {
        logs::run(
            bus,
            kept.clone(),
            files.clone(),
            handle.clone(),
            first.take(),
        )
    });
    let (handle, mut first) = (shell.handle(), Some(settling.clone()));
    let bus = feature(&hub, "control").await?;
    let control = keep(hub.clone(), "control", bus, move |bus| {
        control::run(bus, handle.clone(), first.take())
    });
    tokio::spawn(pass_on(
        notices,
        shell.handle(),
        voice.clone(),
        all_lines.clone(),
    ));
    let pen = Pen::take_up(&options.name);
    let chronicler = match &pen {
        Some(pen) => Some(start_chronicle(&hub, pen.clone(), settling.clone()).await?),
        None => None,
    };
    if let Some(manager) = &manager {
        start_service(&hub, shell.handle(), Arc::clone(manager), settling.clone()).await?;
    }
    start_paperwork(&hub, shell.handle(), &options, settling.clone()).await?;
    start_features(&hub, shell.handle(), &options, settling).await?;
    let watching = watch_files(
        hub.clone(),
        watched,
        options.file.clone(),
        home.path().into(),
    );
    tokio::spawn(watching);
    tokio::spawn(alarm::run(hours, shell.handle()));
    settled.wait().await;
    // Who came meanwhile waits in the socket's queue.
    hub.listen(listener, Admission::default())
        .map_err(|e| system("start the hub", &e))?;
    if let Some(door) = network {
        door.open(&hub)
            .map_err(|e| system("open the bus's network door", &e))?;
    }
    tokio::spawn(beside(feature(&hub, "guide").await?));
    let code = shell.run().await;
    if let Some(manager) = manager {
        manager.stopping();
    }
    last_words([voice, control]).await;
    hub.shutdown().await;
    if let (Some(pen), Some(chronicler)) = (pen, chronicler) {
        pen.put_down(code, chronicler, LAST_LINES).await;
    }
    if !log_files.finish(LAST_LINES).await {
        tracing::warn!("the last lines of log files were not written: the disk doesn't answer");
    }
    tracing::info!("master {} ended", options.name);
    finish(&lines, writer).await;
    drop(lock);
    Ok(code)
}

/// Whoever asked for the end is answered, and hears of it: what was said last is at the hub before that ends.
async fn last_words(voices: [watch::Receiver<Bus>; 2]) {
    for voice in voices {
        let voice = voice.borrow().clone();
        if let Err(error) = voice.drain(LAST_LINES).await {
            tracing::debug!("the last events were not published: {error}");
        }
    }
}

/// Directories and sockets of all apps, before the first worker.
fn prepare(
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
fn bind_bus(path: &Path) -> Result<UnixListener, CliError> {
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

fn reread(file: PathBuf, options: &MasterOptions) -> Reread {
    let (path, signals) = (file.clone(), options.signals);
    let (environment, bus) = (options.environment.clone(), options.bus.clone());
    let read = Arc::new(move |environment| {
        file::read(&path, &Circumstances::here(environment))
            .map(|file| Said {
                held_back: held_back(&bus, signals, &file),
                apps: file.apps,
            })
            .map_err(|errors| errors.to_string())
    });
    Reread {
        file,
        environment,
        read,
    }
}

/// What can't be taken up while the master runs.
fn held_back(bus: &BusSettings, signals: bool, file: &file::ProcessFile) -> Vec<String> {
    let mut held_back = bus.held_back(&file.bus);
    if file.signals != signals {
        held_back.push("`signals` takes effect when the master is started again".to_owned());
    }
    held_back
}

fn greet(options: &MasterOptions, lock: &MasterLock, sockets: &Sockets) {
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
        let listening = sockets.of(&app.name).into_iter();
        // Those of a group are at one address.
        let listening = listening
            .filter(|socket| socket.spread().is_none() || socket.slot() == Some(Slot(0)))
            .map(|socket| match socket.slot() {
                Some(slot) if socket.spread().is_none() => {
                    format!("{}.{slot}={}", socket.name(), socket.address())
                }
                Some(_) | None => format!("{}={}", socket.name(), socket.address()),
            })
            .collect::<Vec<String>>();
        let listening = if listening.is_empty() {
            String::new()
        } else {
            format!(", listening on {}", listening.join(" "))
        };
        tracing::info!(
            "{}: {} worker{} of {}{listening}",
            app.name,
            app.instances,
            if app.instances == 1 { "" } else { "s" },
            escape::line(&shell_line::shown(&app.command))
        );
    }
}

async fn finish(lines: &LineQueue, writer: LogWriter) {
    // What can't be written by then is stuck behind a stopped terminal.
    let _late = tokio::time::timeout(LAST_LINES, lines.end()).await;
    writer.finish(LAST_LINES).await;
}

fn system(what: &str, error: &io::Error) -> CliError {
    CliError::new(Exit::Failed, format!("can't {what}")).because(error)
}
