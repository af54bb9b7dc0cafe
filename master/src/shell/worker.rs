//! One worker's process from start to end, as a task that only reports; and what it takes to start one.

use std::{
    collections::BTreeSet,
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
use tokio::sync::watch;

use super::{
    alarm::{self, Schedules},
    balance::{Standing, taking},
    handle::{Message, ShellHandle},
    listeners::Watches,
    panics::{self, Made},
    rights::Rights,
};
use crate::{
    config::{
        app::{AppDefinition, AppName, given::Stdin},
        shell_line,
    },
    features::watch::run::Watched,
    fleet::{self, SignalTarget, SpawnOrder, WorkerNews},
    home::MasterHome,
    process::{
        self, Cgroups, Child, Gifts, Identity, LineQueue, LogFiles, Notification, NotifySocket,
        Outlet, Outlets, Releases, Spawned, Spawner, StdinLines, WorkerGroup,
    },
    sockets::{
        SocketId, Sockets,
        balance::{Balancer, Channel},
        slots::Groups,
    },
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
    /// Hands connections to workers.
    pub balancer: Balancer,
    /// Has the kernel choose among slots.
    pub groups: Groups,
    /// Who watches each of them: nobody at first, also of those that are bound.
    pub watches: Watches,
    /// Where workers' control groups are.
    pub cgroups: Cgroups,
    /// Where workers' lines go that go into no file.
    pub log: LineQueue,
    /// Where the others go.
    pub log_files: LogFiles,
    /// Where all of them go besides.
    pub all_lines: Vec<Outlet>,
    /// What each generation runs.
    pub releases: Releases,
    /// The master's own environment at its start.
    pub environment: Vec<(OsString, OsString)>,
    /// The soft limit on open files that the master was started with.
    pub open_files: Option<u64>,
    /// What each app's workers may do on the bus.
    pub rights: Rights,
    /// The file of tokens for the bus's network door, if it has one.
    pub tokens: Option<PathBuf>,
    /// The apps whose files are watched.
    pub auto_reload: watch::Sender<Watched>,
    /// The apps some of whose workers were let go of, and keep their sockets.
    pub kept: BTreeSet<AppName>,
    /// The apps with a schedule, as they are defined now.
    pub schedules: watch::Sender<Schedules>,
}

/// A running worker's process, as the shell holds it.
#[derive(Clone, Debug)]
pub(super) struct Process {
    child: Arc<Child>,
    /// What it was made from.
    pub(super) order: Arc<SpawnOrder>,
    /// Whether its leader is a shell that waits for others, and what is for it is for them too.
    pub(super) by_shell: bool,
    /// Where lines for its standard input go, if they go anywhere.
    pub(super) stdin: Option<StdinLines>,
    /// Whether it may be handed connections.
    pub(super) standing: Standing,
    /// Sockets whose connections it could be handed, and has not asked for.
    pub(super) untaken: BTreeSet<SocketId>,
}

impl Process {
    pub(super) fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// Tells it to go by the first rung's signal.
    pub(super) fn ask_politely(&self) -> io::Result<()> {
        let definition = &self.order.definition;
        let first = definition.kill_ladder.first();
        let target = match definition.stop.kill_group {
            true => SignalTarget::Group,
            false => SignalTarget::Leader,
        };
        self.signal(first.map_or(libc::SIGTERM, |rung| rung.signal), target)
    }

    /// It is told to go: notes what could not be recognised as its own afterwards.
    pub(super) fn note_leavers(&self) {
        self.child.note_leavers();
    }

    /// Lets go of it: it is nobody's to end.
    pub(super) fn let_go(&self) {
        self.child.let_go();
    }

    pub(super) fn signal(&self, signal: i32, target: SignalTarget) -> io::Result<()> {
        match target {
            SignalTarget::Leader if self.by_shell => self.child.signal_group(signal),
            SignalTarget::Leader => self.child.signal(signal),
            SignalTarget::Main(pid) => self.child.signal_member(pid, signal),
            SignalTarget::Group => self.child.signal_group(signal),
        }
    }
}

impl Workshop {
    /// Has the files of these apps watched besides, if they want it, and their schedules kept.
    pub(super) fn watch_also(&self, apps: &[AppDefinition]) {
        self.schedules.send_if_modified(|kept| {
            let before = kept.clone();
            kept.retain(|name, _| apps.iter().all(|app| app.name != *name));
            kept.extend(alarm::schedules(apps));
            *kept != before
        });
        let mut all = self.auto_reload.borrow().apps.clone();
        all.retain(|known| apps.iter().all(|app| app.name != known.name));
        all.extend(apps.iter().filter(|app| app.auto_reload.is_some()).cloned());
        self.auto_reload.send_if_modified(|watched| {
            let changed = watched.apps != all;
            watched.apps = all;
            changed
        });
    }

    /// Has the files of these apps watched that want it, and of no others, and their schedules kept; where there is no new
    /// definition, the old one holds.
    pub(super) fn watch_files(&self, apps: Vec<(AppName, Option<AppDefinition>)>) {
        self.schedules.send_if_modified(|kept| {
            let schedules = alarm::redefined(kept, &apps);
            let changed = *kept != schedules;
            *kept = schedules;
            changed
        });
        let before = self.auto_reload.borrow().apps.clone();
        let old = |name: &AppName| before.iter().find(|app| app.name == *name).cloned();
        let now: Vec<AppDefinition> = apps
            .into_iter()
            .filter_map(|(name, new)| new.or_else(|| old(&name)))
            .filter(|app| app.auto_reload.is_some())
            .collect();
        self.auto_reload.send_if_modified(|watched| {
            let changed = watched.apps != now;
            watched.apps = now;
            changed
        });
    }

    /// Has files watched of those apps alone that are to run.
    pub(super) fn watch_running(&self, apps: BTreeSet<AppName>) {
        self.auto_reload.send_if_modified(|watched| {
            let changed = watched.running != apps;
            watched.running = apps;
            changed && !watched.apps.is_empty()
        });
    }

    /// What to do about an exit, where its last words tell.
    pub(super) fn hint(&self, of: &SpawnOrder, exit: &fleet::Exit) -> Option<String> {
        let asked = exit.status == ExitStatus::Code(0);
        (!asked).then(|| {
            process::exit_hint(&exit.stderr_tail, &self.sockets.of_worker(&of.app, of.slot))
        })?
    }

    pub(super) fn reap_orphans(&self) {
        if let Err(error) = self.spawner.reap_orphans() {
            tracing::warn!("orphans can't be reaped: {error}");
        }
    }

    /// Starts a worker; what becomes of it is reported to `shell`.
    pub(super) fn start(&mut self, mut order: SpawnOrder, shell: ShellHandle) {
        order.definition = self
            .releases
            .of(&order.app, order.generation, &order.definition);
        let bound = self.bind_slot(&order, &shell);
        let begun = bound.and_then(|()| self.begin(&order));
        let (spawner, hub) = (self.spawner.clone(), self.hub.clone());
        tokio::spawn(async move {
            let id = order.id;
            let begun = match begun {
                Ok(begun) => begun,
                Err(error) => return shell.news(id, WorkerNews::SpawnFailed { error }).await,
            };
            let made = Made::default();
            let life = begun.run(&order, spawner, hub.clone(), &shell, &made);
            if panics::caught(id, life, &made, &shell).await {
                withdraw(&hub, id);
            }
        });
    }

    /// What an app's workers may inherit: the master's own environment, or what a reload brought instead.
    fn inherited(&self, app: &AppDefinition) -> Vec<(OsString, OsString)> {
        let brought = app.overlay.inherited.as_ref();
        brought.map_or_else(
            || self.environment.clone(),
            |variables| {
                let pairs = variables.iter();
                pairs
                    .map(|(name, value)| (name.into(), value.into()))
                    .collect()
            },
        )
    }

    fn begin(&self, order: &SpawnOrder) -> Result<Begun, String> {
        let app = &order.definition;
        let who = Identity {
            app: order.app.clone(),
            slot: order.slot,
            id: order.id,
            generation: order.generation,
        };
        let owner = app.process.user.as_ref().map(|user| user.uid);
        let path = self.home.notify_socket(&order.app, order.id);
        let notify = NotifySocket::bind(path, owner)
            .map_err(|error| format!("make its notify socket: {error}"))?;
        let (ours, theirs) =
            UnixStream::pair().map_err(|error| format!("make its bus socket: {error}"))?;
        let cgroup = match &app.process.cgroup {
            Some(limits) => self.cgroups.make(&who, limits),
            None => Ok(None),
        }
        .map_err(|error| format!("make its control group: {error}"))?;
        let sockets = self.sockets.of_worker(&order.app, order.slot);
        let gifts = Gifts {
            sockets: &sockets,
            notify: Some(notify.path()),
            bus: Some(&self.home.bus_socket()),
            bus_fd: true,
            channels: true,
            cgroup: cgroup.as_ref().map(WorkerGroup::dir),
        };
        let spec = process::spawn_spec(self.inherited(app), app, &who, gifts, self.open_files);
        let mut fds = self
            .sockets
            .descriptors(&order.app, order.slot)
            .map_err(|error| format!("hand over its sockets: {error}"))?;
        fds.push(OwnedFd::from(theirs));
        let channels = self
            .channels(order, &mut fds)
            .map_err(|error| format!("make a channel for connections: {error}"))?;
        let mut stdin = None;
        if app.given.stdin == Some(Stdin::Lines) {
            let (lines, end) =
                StdinLines::new().map_err(|error| format!("make its standard input: {error}"))?;
            fds.push(end);
            stdin = Some(lines);
        }
        let spawned = Box::pin(self.spawner.spawn(spec, fds));
        let outlets = self
            .log_files
            .outlets(app, &who, &self.log, &self.all_lines);
        Ok(Begun {
            who,
            outlets,
            notify,
            bus: ours,
            cgroup,
            stdin,
            channels,
            spawned,
        })
    }
}

type Spawning =
    std::pin::Pin<Box<dyn Future<Output = Result<Spawned, process::SpawnError>> + Send>>;

/// A worker whose process is being made.
struct Begun {
    who: Identity,
    outlets: Outlets,
    notify: NotifySocket,
    bus: UnixStream,
    cgroup: Option<WorkerGroup>,
    stdin: Option<StdinLines>,
    channels: Vec<(SocketId, Channel)>,
    spawned: Spawning,
}

impl Begun {
    async fn run(
        self,
        order: &SpawnOrder,
        spawner: Spawner,
        hub: Hub,
        shell: &ShellHandle,
        made: &Made,
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
        made.set(Arc::clone(&child));
        let output = process::capture(
            spawned.stdout,
            spawned.stderr,
            (Arc::new(self.who.clone()), child.pid()),
            self.outlets,
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
                    stdin: self.stdin,
                    by_shell: shell_line::stays(&order.definition.command),
                    standing: Standing::Starting,
                    untaken: self.channels.iter().map(|(socket, _)| *socket).collect(),
                },
            })
            .await;
        // Ended with the worker.
        let _taking = taking(id, self.channels, shell);
        // While the worker gets ready: the next one, or this one's successor, need not wait for its shim.
        spawner.keep_spare();
        let weighed = order.definition.recycle.max_memory.is_some();
        let listening = listen(id, &self.notify, &child, shell);
        let living = async {
            match weighed {
                true => weighing(id, child.pid(), shell, listening).await,
                false => listening.await,
            }
        };
        let status = tokio::select! {
            status = living => Some(status),
            () = child.when_let_go() => None,
        };
        // It may end in the moment in which it is let go of.
        let Some(status) = status.filter(|_| !child.is_let_go()) else {
            withdraw(&hub, id);
            // Nobody reads what it notifies any more: it is told so, and not kept waiting.
            drop(self.notify);
            return let_go(id, &child, self.cgroup, output).await;
        };
        withdraw(&hub, id);
        if let Some(cgroup) = self.cgroup {
            cgroup.end().await;
        }
        let left = spawner.clear(id, Some(&child)).await;
        if !left.all {
            tracing::warn!(
                "worker {id} has left processes behind that don't end, killed as they are"
            );
        }
        let stderr_tail = match output {
            Ok(output) => output.finish(PIPE_GRACE).await.stderr_tail,
            Err(error) => vec![format!("(its output could not be read: {error})")],
        };
        shell
            .news(
                id,
                WorkerNews::Exited(fleet::Exit {
                    hint: left_hint(&status, left.count),
                    status,
                    stderr_tail,
                    core_dumped: child.dumped_core(),
                }),
            )
            .await;
    }
}

/// What goes into the background looks like a worker that ends at once.
fn left_hint(status: &ExitStatus, left: usize) -> Option<String> {
    (*status == ExitStatus::Code(0) && left > 0).then(|| {
        let what = match left {
            1 => "a process that it left behind was killed".to_owned(),
            more => format!("{more} processes that it left behind were killed"),
        };
        format!("{what}: a worker stays in the foreground (turn its daemon mode off)")
    })
}

/// A worker that runs on: nothing of it is told any more, but what it prints is read, and its end must be seen, as it is our
/// child.
async fn let_go(
    id: WorkerId,
    child: &Child,
    cgroup: Option<WorkerGroup>,
    output: io::Result<process::Output>,
) {
    if let Some(cgroup) = cgroup {
        cgroup.let_go();
    }
    if let Ok(output) = output {
        let [stdout, stderr] = output.hand_over().await;
        if let Err(error) = process::drain(stdout, stderr) {
            tracing::warn!("worker {id} can't print any more: {error}");
        }
    }
    child.exited().await;
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

/// A worker that has ended can't come back.
fn withdraw(hub: &Hub, id: WorkerId) {
    if let Err(error) = hub.revoke(id) {
        tracing::debug!("the token of worker {id} was not withdrawn: {error}");
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
            notifications = notify.recv(child.pid()) => match notifications {
                Ok(notifications) => say(notifications).await,
                Err(error) => {
                    tracing::warn!("worker {id}: notifications can't be received: {error}");
                    return child.exited().await;
                }
            },
            status = child.exited() => {
                say(notify.last_words(child.pid())).await;
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
