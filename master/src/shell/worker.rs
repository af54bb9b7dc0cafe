//! One worker's process from start to end, as a task that only reports; and what it takes to start one.

use std::{
    collections::HashMap,
    ffi::OsString,
    io,
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use ostler_bus::{
    WorkerId,
    hub::{Hub, Principal},
    vocab::worker::ExitStatus,
};

use super::{
    handle::{Message, ShellHandle},
    rights::Rights,
};
use crate::{
    config::app::{AppDefinition, AppName},
    fleet::{self, SignalTarget, Snapshot, SpawnOrder, WorkerNews},
    home::MasterHome,
    process::{
        self, Child, Gifts, Identity, LineQueue, Notification, NotifySocket, Spawned, Spawner,
    },
    sockets::{BoundSocket, Sockets},
};

/// How long a dead worker's pipes are still read, if others hold them open.
const PIPE_GRACE: Duration = Duration::from_millis(100);

/// How often the memory of a worker with a limit is looked at.
const WEIGH_EVERY: Duration = Duration::from_secs(1);

/// Everything a worker is made from.
#[derive(Debug)]
pub struct Workshop {
    /// Starts processes.
    pub spawner: Spawner,
    /// The hub that workers are connected to.
    pub hub: Hub,
    /// Where the sockets of workers are.
    pub home: MasterHome,
    /// All declared sockets, bound.
    pub sockets: Sockets,
    /// How many of an app's sockets, the first ones, are watched: none at first, also of those that are bound.
    pub watched: HashMap<AppName, usize>,
    /// Where workers' lines go.
    pub log: LineQueue,
    /// The master's own environment at its start.
    pub environment: Vec<(OsString, OsString)>,
    /// The soft limit on open files that the master was started with.
    pub open_files: Option<u64>,
    /// What each app's workers may do on the bus.
    pub rights: Rights,
    /// The file of tokens for the bus's network door, if it has one.
    pub tokens: Option<PathBuf>,
}

/// A running worker's process, as the shell holds it.
#[derive(Clone, Debug)]
pub(super) struct Process {
    child: Arc<Child>,
    /// What it was made from.
    pub(super) order: Arc<SpawnOrder>,
    /// The first rung of its kill ladder: what tells it to go if the bus can't.
    pub(super) polite: i32,
}

impl Process {
    pub(super) fn pid(&self) -> u32 {
        self.child.pid()
    }

    pub(super) fn signal(&self, signal: i32, target: SignalTarget) -> io::Result<()> {
        match target {
            SignalTarget::Leader => self.child.signal(signal),
            SignalTarget::Main(pid) => self.child.signal_member(pid, signal),
            SignalTarget::Group => self.child.signal_group(signal),
        }
    }
}

impl Workshop {
    /// Makes ready what the workers of an app will need; an app that can't have it is passed over, and that is said.
    pub(super) fn prepare(
        &mut self,
        app: AppDefinition,
        shell: &ShellHandle,
    ) -> Option<AppDefinition> {
        let prepared = self
            .home
            .create_app_dir(&app.name)
            .map(drop)
            .map_err(|error| error.to_string());
        let prepared = prepared.and_then(|()| {
            self.sockets.bind(&app).map_err(|error| match error.hint() {
                Some(hint) => format!("{error}; {hint}"),
                None => error.to_string(),
            })
        });
        if let Err(error) = prepared {
            tracing::error!("{}: its definition was passed over: {error}", app.name);
            return None;
        }
        self.watch(&app.name, shell);
        Some(app)
    }

    /// Watches those of an app's listeners that aren't yet.
    fn watch(&mut self, app: &AppName, shell: &ShellHandle) {
        let sockets = self.sockets.of(app);
        let watched = self.watched.insert(app.clone(), sockets.len());
        for socket in sockets.iter().skip(watched.unwrap_or(0)) {
            self.watch_one(app, socket, shell);
        }
    }

    fn watch_one(&self, app: &AppName, socket: &BoundSocket, shell: &ShellHandle) {
        let watch = match self.sockets.watch(socket) {
            Ok(watch) => watch,
            Err(error) => {
                return tracing::warn!(
                    "{app}: the socket {:?} can't be watched: {error}",
                    socket.name()
                );
            }
        };
        let (app, socket, shell) = (app.clone(), socket.name().to_owned(), shell.clone());
        tokio::spawn(async move {
            if watch.died().await.is_ok() {
                shell.send(Message::ListenerDied { app, socket }).await;
            }
        });
    }

    /// Opens a listener again that a worker has shut down for all.
    pub(super) fn mend(&mut self, app: &AppName, socket: &str, shell: &ShellHandle) {
        match self.sockets.listen_again(app, socket) {
            Some(Ok(mended)) => {
                tracing::warn!(
                    "{app}: a worker has called shutdown on the socket {socket:?}, which closes it for all; it listens again ({mended:?}). A worker that wants no more connections must close its descriptor instead"
                );
                for bound in self
                    .sockets
                    .of(app)
                    .iter()
                    .filter(|bound| bound.name() == socket)
                {
                    self.watch_one(app, bound, shell);
                }
            }
            Some(Err(error)) => tracing::error!(
                "{app}: a worker has shut the socket {socket:?} down, and it can't be opened again: {error}"
            ),
            None => {}
        }
    }

    /// What to do about an exit, where its last words tell.
    pub(super) fn hint(&self, app: &AppName, exit: &fleet::Exit) -> Option<String> {
        let asked = exit.status == ExitStatus::Code(0);
        (!asked).then(|| process::exit_hint(&exit.stderr_tail, self.sockets.of(app)))?
    }

    /// Adds to a snapshot what only the shell knows.
    pub(super) fn fill_in(&self, snapshot: &mut Snapshot) {
        for app in &mut snapshot.apps {
            app.sockets = self.sockets.status(&app.name);
        }
    }

    pub(super) fn reap_orphans(&self) {
        if let Err(error) = self.spawner.reap_orphans() {
            tracing::warn!("orphans can't be reaped: {error}");
        }
    }

    /// Starts a worker; what becomes of it is reported to `shell`.
    pub(super) fn start(&self, order: SpawnOrder, shell: ShellHandle) {
        let begun = self.begin(&order);
        let (spawner, hub, log) = (self.spawner.clone(), self.hub.clone(), self.log.clone());
        tokio::spawn(async move {
            let id = order.id;
            match begun {
                Ok(begun) => begun.run(&order, spawner, hub, log, &shell).await,
                Err(error) => shell.news(id, WorkerNews::SpawnFailed { error }).await,
            }
        });
    }

    fn begin(&self, order: &SpawnOrder) -> Result<Begun, String> {
        let app = &order.definition;
        let who = Identity {
            app: order.app.clone(),
            slot: order.slot,
            id: order.id,
            generation: order.generation,
        };
        let path = self.home.notify_socket(&order.app, order.id);
        let notify =
            NotifySocket::bind(path).map_err(|error| format!("make its notify socket: {error}"))?;
        let (ours, theirs) =
            UnixStream::pair().map_err(|error| format!("make its bus socket: {error}"))?;
        let sockets = self.sockets.of(&order.app);
        let gifts = Gifts {
            sockets,
            notify: Some(notify.path()),
            bus: Some(&self.home.bus_socket()),
            bus_fd: true,
        };
        let spec = process::spawn_spec(
            self.environment.iter().cloned(),
            app,
            &who,
            gifts,
            self.open_files,
        );
        let mut fds = self
            .sockets
            .descriptors(&order.app)
            .map_err(|error| format!("hand over its sockets: {error}"))?;
        fds.push(OwnedFd::from(theirs));
        let spawned = Box::pin(self.spawner.spawn(spec, fds));
        Ok(Begun {
            who,
            notify,
            bus: ours,
            spawned,
        })
    }
}

type Spawning =
    std::pin::Pin<Box<dyn Future<Output = Result<Spawned, process::SpawnError>> + Send>>;

/// A worker whose process is being made.
struct Begun {
    who: Identity,
    notify: NotifySocket,
    bus: UnixStream,
    spawned: Spawning,
}

impl Begun {
    async fn run(
        self,
        order: &SpawnOrder,
        spawner: Spawner,
        hub: Hub,
        log: LineQueue,
        shell: &ShellHandle,
    ) {
        let id = order.id;
        let spawned = match self.spawned.await {
            Ok(spawned) => spawned,
            Err(error) => {
                let hint = error
                    .hint()
                    .map_or_else(String::new, |hint| format!(" ({hint})"));
                return shell
                    .news(
                        id,
                        WorkerNews::SpawnFailed {
                            error: format!("{error}{hint}"),
                        },
                    )
                    .await;
            }
        };
        let child = Arc::new(spawned.child);
        let output = process::capture(
            spawned.stdout,
            spawned.stderr,
            Arc::new(self.who.clone()),
            vec![log],
        );
        // Before anybody hears of it: what is then sent to it has a mailbox to wait in.
        if let Err(error) = hub.attach(self.bus, principal(&self.who, child.pid())) {
            tracing::error!("worker {id} has no bus: {error}");
        }
        shell
            .send(Message::Started {
                id,
                process: Process {
                    child: Arc::clone(&child),
                    order: Arc::new(order.clone()),
                    polite: order
                        .definition
                        .kill_ladder
                        .first()
                        .map_or(libc::SIGTERM, |rung| rung.signal),
                },
            })
            .await;
        // While the worker gets ready: the next one, or this one's successor, need not wait for its shim.
        spawner.keep_spare();
        let weighed = order.definition.recycle.max_memory.is_some();
        let listening = listen(id, &self.notify, &child, shell);
        let status = match weighed {
            true => weighing(id, child.pid(), shell, listening).await,
            false => listening.await,
        };
        if let Err(error) = hub.revoke(id) {
            tracing::debug!("the token of worker {id} was not withdrawn: {error}");
        }
        let stderr_tail = match output {
            Ok(output) => output.finish(PIPE_GRACE).await.stderr_tail,
            Err(error) => vec![format!("(its output could not be read: {error})")],
        };
        shell
            .news(
                id,
                WorkerNews::Exited(fleet::Exit {
                    status,
                    stderr_tail,
                    hint: None,
                }),
            )
            .await;
    }
}

/// Looks each second how large the worker is, until it ends.
async fn weighing(
    id: WorkerId,
    pid: u32,
    shell: &ShellHandle,
    until: impl Future<Output = ExitStatus>,
) -> ExitStatus {
    let mut until = std::pin::pin!(until);
    let mut seconds = tokio::time::interval(WEIGH_EVERY);
    loop {
        tokio::select! {
            status = &mut until => return status,
            _ = seconds.tick() => {
                if let Some(bytes) = process::resident_memory(pid) {
                    shell.news(id, WorkerNews::Memory(bytes)).await;
                }
            }
        }
    }
}

/// Passes on what the worker notifies, until it ends. Neither waits for the other: a worker's own child may hold the
/// socket's path, and send without end.
async fn listen(
    id: WorkerId,
    notify: &NotifySocket,
    child: &Child,
    shell: &ShellHandle,
) -> ExitStatus {
    let say = async |notifications| {
        for notification in notifications {
            let news = WorkerNews::Notified(translate(notification));
            shell.news(id, news).await;
        }
    };
    loop {
        tokio::select! {
            notifications = notify.recv() => match notifications {
                Ok(notifications) => say(notifications).await,
                Err(error) => {
                    tracing::warn!("worker {id}: notifications can't be received: {error}");
                    return child.exited().await;
                }
            },
            status = child.exited() => {
                say(notify.last_words()).await;
                return status;
            }
        }
    }
}

fn translate(notification: Notification) -> fleet::Notification {
    match notification {
        Notification::Ready => fleet::Notification::Ready,
        Notification::Stopping => fleet::Notification::Stopping,
        Notification::Status(text) => fleet::Notification::Status(text),
        Notification::ExtendTimeout(by) => fleet::Notification::ExtendTimeout(by),
        Notification::MainPid(pid) => fleet::Notification::MainPid(pid),
        Notification::Watchdog => fleet::Notification::Alive,
        Notification::WatchdogTrigger => fleet::Notification::Broken,
        Notification::Reloading | Notification::Barrier => fleet::Notification::Other,
    }
}

fn principal(who: &Identity, pid: u32) -> Principal {
    Principal::Worker {
        app: who.app.to_string(),
        id: who.id,
        slot: who.slot,
        generation: who.generation,
        pid,
    }
}
