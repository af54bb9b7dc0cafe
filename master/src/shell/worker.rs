//! One worker's process from start to end, as a task that only reports.

use std::{
    collections::BTreeSet,
    io,
    os::{fd::OwnedFd, unix::net::UnixStream},
    sync::Arc,
    time::Duration,
};

use ostler_bus::{
    WorkerId,
    hub::{Hub, Principal},
    vocab::worker::ExitStatus,
};
use tokio::{sync::oneshot, task::JoinSet};

use super::{
    balance::{Handed, Standing, taking},
    call_off::unless_called_off,
    handle::{Message, ShellHandle},
    panics::Made,
    passing::serve,
};
use crate::{
    config::shell_line,
    fleet::{self, SignalTarget, SpawnOrder, WorkerNews},
    process::{
        self, Child, Identity, Notification, NotifySocket, Outlets, Spawned, Spawner, StdinLines,
        WorkerGroup,
    },
    sockets::SocketId,
};

/// How long a dead worker's pipes are still read, if others hold them open.
const PIPE_GRACE: Duration = Duration::from_millis(100);

/// How long a dead worker's last words about connections are waited for. Its end of the channel is closed, so that is no time
/// at all, unless others hold it open or it is heard less often just then.
const WORDS_GRACE: Duration = Duration::from_millis(500);

/// How often the memory of a worker with a limit is looked at.
const WEIGH_EVERY: Duration = Duration::from_secs(1);

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
        self.tell(first.map_or(libc::SIGTERM, |rung| rung.signal), target)
    }

    /// Sends it a signal that is to end it, and sees to it that it hears it.
    pub(super) fn tell(&self, signal: i32, target: SignalTarget) -> io::Result<()> {
        self.signal(signal, target)?;
        self.wake(target);
        Ok(())
    }

    /// Wakes it, if it is stopped (SIGSTOP, a debugger, a terminal): until then it hears nothing but SIGKILL.
    pub(super) fn wake(&self, target: SignalTarget) {
        // ESRCH: it has just ended.
        let _ = self.signal(libc::SIGCONT, target);
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

type Spawning =
    std::pin::Pin<Box<dyn Future<Output = Result<Spawned, process::SpawnError>> + Send>>;

/// A worker whose process is being made.
pub(super) struct Begun {
    pub(super) who: Identity,
    pub(super) outlets: Outlets,
    pub(super) notify: NotifySocket,
    pub(super) bus: UnixStream,
    pub(super) cgroup: Option<WorkerGroup>,
    pub(super) stdin: Option<StdinLines>,
    pub(super) channels: Vec<Handed>,
    pub(super) passing: OwnedFd,
    pub(super) spawned: Spawning,
}

impl Begun {
    /// Sees it made, and lives its life to the end, unless the start is called off.
    pub(super) async fn run(
        self,
        order: &SpawnOrder,
        called_off: oneshot::Receiver<()>,
        spawner: Spawner,
        hub: Hub,
        shell: &ShellHandle,
        made: &Made,
    ) {
        let id = order.id;
        // The shell drops its own when it lets go of it.
        let stdin = self.stdin.clone();
        let failed = |error| shell.news(id, WorkerNews::SpawnFailed { error });
        let spawned = match unless_called_off(self.spawned, called_off).await {
            Some(Ok(spawned)) => spawned,
            Some(Err(error)) => {
                let hint = error
                    .hint()
                    .map_or_else(String::new, |hint| format!(" ({hint})"));
                return failed(format!("{error}{hint}")).await;
            }
            None => return failed("it was told to go before it began".into()).await,
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
                    untaken: self.channels.iter().map(|it| it.socket).collect(),
                },
            })
            .await;
        // Ended with the worker.
        let _taking = taking(id, self.channels, shell);
        let mut beside = JoinSet::new();
        beside.spawn(serve(id, self.passing, shell.clone()));
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
            return let_go(id, &child, self.cgroup, output, stdin).await;
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
        // What it has said of connections before it ended holds.
        let heard = async { while beside.join_next().await.is_some() {} };
        let _in_time = tokio::time::timeout(WORDS_GRACE, heard).await;
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

/// A worker that runs on: nothing of it is told any more, but what it prints is read, its input doesn't end, and its own end
/// must be seen, as it is our child.
async fn let_go(
    id: WorkerId,
    child: &Child,
    cgroup: Option<WorkerGroup>,
    output: io::Result<process::Output>,
    stdin: Option<StdinLines>,
) {
    if let Some(cgroup) = cgroup {
        cgroup.let_go();
    }
    let printed = match output {
        Ok(output) => output.hand_over().await,
        Err(_) => [None, None],
    };
    let stdin = stdin.and_then(|lines| {
        let end = lines.end();
        end.inspect_err(|error| {
            tracing::warn!("worker {id} will see its input end: it can't be kept open: {error}");
        })
        .ok()
    });
    if let Err(error) = process::drain(printed, stdin) {
        tracing::warn!("worker {id} has nobody at the other end of its pipes: {error}");
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
pub(super) fn withdraw(hub: &Hub, id: WorkerId) {
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
