//! How the rest of the master speaks to the one task that owns the fleet.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use ostler_bus::{
    Slot, WorkerId,
    client::Bus,
    vocab::commands::{AppAdd, AppSignal, SignalAnswer},
    vocab::control::{Answer, AppSend, RefusalKind, SendAnswer},
    vocab::plan::PlanAnswer,
    vocab::update::WorkerRestartNeeded,
    vocab::worker::Accepted,
};
use tokio::sync::{mpsc, oneshot, watch};

use super::{
    add::{Refused, Which},
    balance::Handed,
    passing::Said as Passed,
    portraits::Drawn,
    reread::{Asked, Reading, Said},
    worker::Process,
};
use crate::{
    config::app::{AppDefinition, AppName},
    fleet::{Command, Requester, Snapshot, WorkerNews},
    sockets::SocketId,
};

/// Messages that may wait for the shell; senders wait for room. The shell never waits for any of them.
const WAITING: usize = 1024;

/// What reaches the shell from its own process.
#[derive(Debug)]
pub(super) enum Message {
    /// A worker's process runs.
    Started { id: WorkerId, process: Process },
    /// Something was learnt of a worker.
    News { id: WorkerId, news: WorkerNews },
    /// A worker goes of its own accord, and waits to hear that this was noted.
    Disconnecting {
        id: WorkerId,
        noted: oneshot::Sender<()>,
    },
    /// Someone wants something done.
    Command {
        command: Command,
        answer: oneshot::Sender<Answer>,
    },
    /// The process file should be read again.
    Read(Reading),
    /// It was.
    FileRead(Result<Said, String>),
    /// Apps are to be added.
    Add {
        wanted: AppAdd,
        which: Which,
        answer: oneshot::Sender<Answer>,
    },
    /// They were read.
    ReadToAdd {
        said: Result<Vec<AppDefinition>, Refused>,
        which: Which,
        answer: oneshot::Sender<Answer>,
    },
    /// Workers are to be sent a signal.
    SignalWorkers {
        wanted: AppSignal,
        answer: oneshot::Sender<SignalAnswer>,
    },
    /// Workers should be replaced.
    RestartNeeded {
        wish: WorkerRestartNeeded,
        by: Requester,
    },
    /// It is the hour of this app.
    CronDue(AppName),
    /// A line for workers' standard input.
    Line {
        line: AppSend,
        answer: oneshot::Sender<SendAnswer>,
    },
    /// Apps were defined, or defined anew.
    Define(Vec<AppDefinition>),
    /// A worker has shut a shared listener down, and so often it could not be opened again.
    ListenerDied { socket: SocketId, failures: u32 },
    /// A worker takes connections of a socket from the master.
    Takes { id: WorkerId, handed: Handed },
    /// A worker tells what it has accepted itself.
    Accepted { id: WorkerId, told: Accepted },
    /// A worker says something about descriptors.
    Passing { id: WorkerId, said: Passed },
    /// A worker has waited long enough for what becomes of a connection that it gave.
    GiftOverdue { giver: WorkerId, gift: u64 },
    /// A worker has been ready for so long that it should have.
    Overdue { id: WorkerId },
    /// Nothing waits any more for a worker whose slot goes, or it did for too long.
    MayPart { id: WorkerId },
    /// Connections waited for slots of this app that have gone: perhaps they don't any more.
    LeftOver(AppName),
    /// Connections wait for a slot that has failed.
    Awaited { app: AppName, slot: Slot },
    /// The bus to publish on from here on.
    Voice(Bus),
    /// The hub began anew: every connection to it has ended.
    HubRestarted,
    /// Someone wants to know how apps are defined.
    Portraits {
        selector: Option<String>,
        answer: oneshot::Sender<Result<Vec<Drawn>, Refused>>,
    },
    /// Someone wants to know how things stand.
    Snapshot(oneshot::Sender<Snapshot>),
}

/// What a shell that has ended would say.
fn stopping() -> (RefusalKind, String) {
    (RefusalKind::Stopping, "the master is stopping".into())
}

/// Speaks to the shell. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ShellHandle {
    sender: mpsc::Sender<Message>,
    changes: Arc<AtomicU64>,
    ending: watch::Sender<bool>,
}

impl ShellHandle {
    /// A handle, and the end that the shell reads.
    pub(super) fn new() -> (Self, mpsc::Receiver<Message>) {
        let (sender, messages) = mpsc::channel(WAITING);
        let changes = Arc::default();
        let this = Self {
            sender,
            changes,
            ending: watch::Sender::new(false),
        };
        (this, messages)
    }

    /// Notes that the fleet has changed.
    pub(super) fn changed(&self) {
        self.changes.fetch_add(1, Ordering::Release);
    }

    /// Grows with every change of the fleet: a snapshot is still true while this is what it was before it was taken.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Has a command carried out; gives the master's one answer.
    pub async fn command(&self, command: Command) -> Answer {
        let (answer, answered) = oneshot::channel();
        self.send(Message::Command { command, answer }).await;
        let (kind, reason) = stopping();
        answered.await.unwrap_or(Answer::Refused { kind, reason })
    }

    /// Has the process file read again and taken up; gives the master's one answer.
    pub async fn take_up(&self, environment: Option<String>) -> Answer {
        let (answer, answered) = oneshot::channel();
        let asked = Asked::TakeUp(answer);
        self.send(Message::Read(Reading { environment, asked }))
            .await;
        let (kind, reason) = stopping();
        answered.await.unwrap_or(Answer::Refused { kind, reason })
    }

    /// What taking the process file up would do.
    pub async fn plan(&self, environment: Option<String>) -> PlanAnswer {
        let (answer, answered) = oneshot::channel();
        let asked = Asked::Plan(answer);
        self.send(Message::Read(Reading { environment, asked }))
            .await;
        let (kind, reason) = stopping();
        answered
            .await
            .unwrap_or(PlanAnswer::Refused { kind, reason })
    }

    /// Has apps added; gives the master's one answer.
    pub async fn add(&self, wanted: AppAdd, which: Which) -> Answer {
        let (answer, answered) = oneshot::channel();
        self.send(Message::Add {
            wanted,
            which,
            answer,
        })
        .await;
        let (kind, reason) = stopping();
        answered.await.unwrap_or(Answer::Refused { kind, reason })
    }

    /// Has a signal sent to workers.
    pub async fn signal_workers(&self, wanted: AppSignal) -> SignalAnswer {
        let (answer, answered) = oneshot::channel();
        self.send(Message::SignalWorkers { wanted, answer }).await;
        let (kind, reason) = stopping();
        answered
            .await
            .unwrap_or(SignalAnswer::Refused { kind, reason })
    }

    /// Puts a line into workers' standard input.
    pub async fn send_line(&self, line: AppSend) -> SendAnswer {
        let (answer, answered) = oneshot::channel();
        self.send(Message::Line { line, answer }).await;
        answered.await.unwrap_or_else(|_| SendAnswer::Refused {
            kind: RefusalKind::Stopping,
            reason: "the master is stopping".into(),
        })
    }

    /// Says that workers should be replaced.
    pub async fn restart_needed(&self, wish: WorkerRestartNeeded, by: Requester) {
        self.send(Message::RestartNeeded { wish, by }).await;
    }

    /// Tells that it is the hour of an app (`cron`).
    pub async fn cron_due(&self, app: AppName) {
        self.send(Message::CronDue(app)).await;
    }

    /// Tells what was learnt of a worker.
    pub async fn news(&self, id: WorkerId, news: WorkerNews) {
        self.send(Message::News { id, news }).await;
    }

    /// Tells what a worker has accepted itself.
    pub async fn accepted(&self, id: WorkerId, told: Accepted) {
        self.send(Message::Accepted { id, told }).await;
    }

    /// Tells that a worker goes of its own accord; returns when that has been noted.
    pub async fn disconnecting(&self, id: WorkerId) {
        let (noted, is_noted) = oneshot::channel();
        self.send(Message::Disconnecting { id, noted }).await;
        // Not noted: the worker is gone already, or the master is.
        let _gone = is_noted.await;
    }

    /// Defines apps, or defines them anew for their next generation.
    pub async fn define(&self, apps: Vec<AppDefinition>) {
        self.send(Message::Define(apps)).await;
    }

    /// Has the shell publish on `bus`; returns when that has ended.
    ///
    /// # Errors
    /// None.
    pub async fn speak_through(&self, bus: Bus) -> Result<(), Infallible> {
        self.send(Message::Voice(bus.clone())).await;
        bus.closed().await;
        Ok(())
    }

    /// Tells that the hub began anew: no worker is on the bus any more.
    pub async fn hub_restarted(&self) {
        self.send(Message::HubRestarted).await;
    }

    /// How the apps that a selector means are defined, by name; `None` is every one.
    ///
    /// # Errors
    /// Why they are not told.
    pub async fn portraits(&self, selector: Option<String>) -> Result<Vec<Drawn>, Refused> {
        let (answer, answered) = oneshot::channel();
        self.send(Message::Portraits { selector, answer }).await;
        answered.await.unwrap_or_else(|_| Err(stopping()))
    }

    /// Notes that the master has begun to end.
    pub(super) fn ends(&self) {
        self.ending
            .send_if_modified(|ending| !std::mem::replace(ending, true));
    }

    /// Whether the master has begun to end.
    #[must_use]
    pub fn ending(&self) -> watch::Receiver<bool> {
        self.ending.subscribe()
    }

    /// How things stand; `None` if the shell has ended.
    pub async fn snapshot(&self) -> Option<Snapshot> {
        let (sender, receiver) = oneshot::channel();
        self.send(Message::Snapshot(sender)).await;
        receiver.await.ok()
    }

    pub(super) async fn send(&self, message: Message) {
        // After the shell has ended nobody is left to tell; whoever waits for an answer sees its channel close.
        let _ended = self.sender.send(message).await;
    }
}
