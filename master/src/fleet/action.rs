//! Everything the fleet can want done. The shell performs actions in the order given.

use std::{sync::Arc, time::Duration};

use ostler_bus::{
    Generation, Slot, WorkerId,
    vocab::{
        commands::WorkerReleased,
        control::{Answer, OperationFinished},
        update::{
            AppFailed, AppResized, UpdateAborted, UpdateFinished, UpdateProgress, UpdateRolledBack,
            UpdateStarted, UpdateSuspended,
        },
        worker::{
            ExitStatus, WorkerDisconnected, WorkerDraining, WorkerExited, WorkerHook, WorkerOnline,
            WorkerReady, WorkerSpawned,
        },
    },
};

use super::RequestToken;
use crate::config::app::{AppDefinition, AppName, hooks::HookKind, probe::ProbeKind};

/// Something to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Start a worker. Answered by `Spawned` or `SpawnFailed`.
    Spawn(SpawnOrder),
    /// Call off the start of a worker that is not wanted any more. It is answered all the same, and soon: by `Spawned` if its
    /// process has begun meanwhile.
    CallOff {
        /// Which worker.
        id: WorkerId,
    },
    /// Ask a worker whether it serves. Answered by `Probed`, within the probe's timeout.
    Probe(ProbeOrder),
    /// Run a command beside a worker. Answered by `Hooked`, within the hook's timeout.
    Hook(HookOrder),
    /// Cut short the command that runs beside a worker, if one does. It is answered all the same.
    EndHook {
        /// Which worker.
        id: WorkerId,
    },
    /// Send a signal that asks a worker to end, or makes it. One that is stopped (SIGSTOP) is woken, so that it hears it.
    Signal {
        /// To which worker.
        id: WorkerId,
        /// Signal number.
        signal: i32,
        /// To which of its processes.
        target: SignalTarget,
    },
    /// Tell a worker on the bus to finish what it has and go, and wake it if it is stopped. What follows if it doesn't go
    /// comes as signals.
    Drain {
        /// Which worker.
        id: WorkerId,
        /// Why, in words.
        reason: String,
        /// How long until the next rung of its kill ladder; `None` if there is none.
        deadline: Option<Duration>,
    },
    /// Give a worker its app's `stop_message`; if it doesn't take it, `signal` says the same.
    StopMessage {
        /// Which worker.
        id: WorkerId,
        /// Signal number.
        signal: i32,
        /// To which of its processes.
        target: SignalTarget,
    },
    /// Answer a command.
    Answer {
        /// Which one.
        request: RequestToken,
        /// The one answer.
        answer: Answer,
    },
    /// Tell a worker that its going has been noted: its exit will not be taken for a crash.
    AnswerDisconnect {
        /// Which worker.
        id: WorkerId,
        /// Which of its requests.
        request: RequestToken,
    },
    /// Let go of a worker: it runs on, and nothing of it is told any more.
    Release {
        /// Which worker.
        id: WorkerId,
    },
    /// An app has gone for good: nothing of it is needed any more.
    Forget {
        /// Which app.
        app: AppName,
    },
    /// Tell everyone.
    Publish(Box<FleetEvent>),
    /// Warn whoever reads the log.
    Warn(String),
    /// Tell whoever reads the log.
    Say(String),
    /// Nothing is left to look after: the master may end. Comes once, last.
    Done {
        /// The master's exit code: 0 after a graceful stop, 1 (or [`FORCED_CODE`](super::FORCED_CODE)) after a forced one.
        code: u8,
    },
}

/// Which worker to start, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct SpawnOrder {
    /// Its id, new.
    pub id: WorkerId,
    /// Its app.
    pub app: AppName,
    /// The slot it will hold.
    pub slot: Slot,
    /// Its generation.
    pub generation: Generation,
    /// That generation's definition. One `Arc` per generation.
    pub definition: Arc<AppDefinition>,
}

/// Beside which worker to run a command, and which.
#[derive(Clone, Debug, PartialEq)]
pub struct HookOrder {
    /// The worker, as it is or was started. Its definition has the command.
    pub worker: SpawnOrder,
    /// Which of its commands.
    pub hook: HookKind,
    /// Its process, while it has one.
    pub pid: Option<u32>,
    /// How it ended, once it has.
    pub exit: Option<ExitStatus>,
}

/// Which worker to ask, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct ProbeOrder {
    /// Which worker.
    pub id: WorkerId,
    /// Its slot.
    pub slot: Slot,
    /// The number of the question; comes back with the answer.
    pub ask: u64,
    /// What it is asked for. Its definition has the question.
    pub kind: ProbeKind,
    /// For how long its answer is waited for.
    pub timeout: Duration,
}

/// Which of a worker's processes a signal is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignalTarget {
    /// The process that was spawned. Polite signals go to it alone: many programs pass them on to their children
    /// themselves, and take a second one for "at once".
    Leader,
    /// The process the worker named by `MAINPID=`, if it belongs to its process group; else the leader.
    Main(u32),
    /// Its whole process group. What can't be refused goes to all.
    Group,
}

/// What the fleet tells everyone: the built-in events it is the source of.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    missing_docs,
    reason = "each variant is the vocabulary's event of the same name, documented there"
)]
pub enum FleetEvent {
    WorkerSpawned(WorkerSpawned),
    WorkerOnline(WorkerOnline),
    WorkerReady(WorkerReady),
    WorkerDraining(WorkerDraining),
    WorkerDisconnected(WorkerDisconnected),
    WorkerExited(WorkerExited),
    WorkerHook(WorkerHook),
    WorkerReleased(WorkerReleased),
    UpdateStarted(UpdateStarted),
    UpdateProgress(UpdateProgress),
    UpdateFinished(UpdateFinished),
    UpdateAborted(UpdateAborted),
    UpdateRolledBack(UpdateRolledBack),
    UpdateSuspended(UpdateSuspended),
    AppResized(AppResized),
    AppFailed(AppFailed),
    OperationFinished(OperationFinished),
}
