//! Everything that can happen to the fleet.
//!
//! Whatever is said about a worker carries its id, which is never used twice: news of a worker that is gone finds
//! nobody and is dropped by construction. The shell may therefore deliver late, twice, or in any order.

use std::time::Duration;

use ostler_bus::{
    Generation, Slot, WorkerId,
    vocab::{
        commands::{AppAwait, AppDelete, AppRestart},
        control::{AppReload, AppReset, AppScale, AppStart, AppStop, MasterKill},
        update::WorkerRestartNeeded,
        worker::{AppErrors, ExitStatus, Holding},
    },
};

use crate::config::app::{AppDefinition, AppName, hooks::HookKind};

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "one is taken in at a time and none is stored: a box would only add an allocation"
)]
pub enum Input {
    /// An app was defined. A new one is started; for a known one this is the definition of its next generation, which
    /// comes with the next update or start (a changed number of instances takes effect at once).
    Define(AppDefinition),
    /// Apps were defined that belong together: none begins before all are known.
    DefineAll(Vec<AppDefinition>),
    /// A worker made itself heard, or something was learnt of it.
    Worker {
        /// Which worker.
        id: WorkerId,
        /// What was learnt.
        news: WorkerNews,
    },
    /// Someone wants something done and waits for an [`Answer`](super::Action::Answer).
    Command {
        /// Comes back with the answer.
        request: RequestToken,
        /// What is wanted.
        command: Command,
    },
    /// Workers should be replaced; nobody waits for an answer.
    RestartNeeded {
        /// Which app, and why. Without an app: the worker's own, or all if it wasn't a worker that asked.
        wish: WorkerRestartNeeded,
        /// Who asked.
        by: Requester,
    },
    /// It is the hour (`cron`) of this app.
    CronDue(AppName),
    /// Connections wait for a slot that has failed: it is tried again before long.
    Awaited {
        /// Its app.
        app: AppName,
        /// The slot.
        slot: Slot,
    },
    /// The master itself stood still for so long at least, and what is due is due too early for all: workers may have spoken
    /// meanwhile, and nobody listened.
    Paused(Duration),
    /// A deadline was reached. (Every input lets due deadlines happen; this one does nothing else.)
    Tick,
}

/// What the shell learns of one worker.
///
/// After [`Action::Spawn`](super::Action::Spawn) comes exactly one of [`Spawned`](Self::Spawned) and
/// [`SpawnFailed`](Self::SpawnFailed), in bounded time and before any other news of that worker; after `Spawned`
/// exactly one [`Exited`](Self::Exited). After [`Action::Hook`](super::Action::Hook) comes exactly one [`Hooked`](Self::Hooked),
/// also when the worker has exited meanwhile. Whatever comes twice or afterwards is ignored.
#[derive(Clone, Debug, PartialEq)]
pub enum WorkerNews {
    /// Its program runs.
    Spawned {
        /// Its process id.
        pid: u32,
    },
    /// It could not be started.
    SpawnFailed {
        /// What failed, and the error.
        error: String,
    },
    /// Its process is gone.
    Exited(Exit),
    /// Its inherited bus connection said hello.
    BusConnected,
    /// Its bus connection ended.
    BusClosed,
    /// It said on the bus that it is ready.
    SdkReady,
    /// It said on the bus that it is going of its own accord, and waits for
    /// [`Action::AnswerDisconnect`](super::Action::AnswerDisconnect).
    SdkDisconnect {
        /// Comes back with the answer.
        request: RequestToken,
    },
    /// It sent a notification (`NOTIFY_SOCKET`).
    Notified(Notification),
    /// It said on the bus that it lives.
    Heartbeat,
    /// It said on the bus how much it has served.
    Served {
        /// How many requests have begun since its process did.
        requests: u64,
        /// How many of them have not ended.
        under_way: u64,
    },
    /// It said on the bus how much it still has to finish.
    Holds(Holding),
    /// The master has counted how many connections it still has; `None`: it could not be counted.
    Counted(Option<u64>),
    /// It said on the bus how its requests went so far.
    Errors(AppErrors),
    /// Its process was found to have so many bytes of resident memory.
    Memory(u64),
    /// A command beside it has ended.
    Hooked {
        /// Which.
        hook: HookKind,
        /// Whether it ended well; else what went wrong, in words.
        outcome: Result<(), String>,
    },
    /// It was asked whether it serves.
    Probed {
        /// Which question.
        ask: u64,
        /// Its answer; else what went wrong, in words.
        answer: Result<(), String>,
    },
}

/// How a worker's process ended, and what it left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// How it ended.
    pub status: ExitStatus,
    /// Its last lines on standard error, oldest first.
    pub stderr_tail: Vec<String>,
    /// What to do about it, where the shell can tell.
    pub hint: Option<String>,
    /// It left a core dump.
    pub core_dumped: bool,
}

/// One assignment of a notification datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notification {
    /// `READY=1`.
    Ready,
    /// `STOPPING=1`: it is going of its own accord.
    Stopping,
    /// `STATUS=…`: what it says of itself.
    Status(String),
    /// `EXTEND_TIMEOUT_USEC=…`: give it at least this long from now. At most an hour in all is granted.
    ExtendTimeout(Duration),
    /// `WATCHDOG=1`: it lives.
    Alive,
    /// `WATCHDOG=trigger`: it finds itself broken.
    Broken,
    /// `MAINPID=…`: which process of its group takes signals.
    MainPid(u32),
    /// Anything else that the fleet only needs to know of because it shows that the worker takes part.
    Other,
}

/// What an operator can ask for.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Start a stopped app; try crashed, failed and ended slots again at once.
    Start(AppStart),
    /// Stop all workers of an app. Overtakes everything else that goes on with it.
    Stop(AppStop),
    /// Stop workers, then start them.
    Restart(AppRestart),
    /// Take apps out of the fleet.
    Delete(AppDelete),
    /// Add these apps, and start them.
    Add(Vec<AppDefinition>),
    /// Wait until apps have started.
    Await(AppAwait),
    /// Replace an app's workers one by one.
    Reload(AppReload),
    /// Change an app's size.
    Scale(AppScale),
    /// Forget restarts and failures.
    Reset(AppReset),
    /// Take these definitions up: they are all there are to be.
    TakeUp(Vec<AppDefinition>),
    /// Stop everything and end. Asked again with `force`, everything is killed at once.
    Kill(MasterKill),
}

/// Names one request that waits for an answer. The shell makes them up; each is answered exactly once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestToken(pub u64);

/// Who asked for workers to be replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Requester {
    /// A worker.
    Worker {
        /// Its id.
        id: WorkerId,
        /// Its app.
        app: AppName,
        /// Its generation.
        generation: Generation,
    },
    /// Another process on the bus, by the name it gave.
    Client(String),
    /// A watched file that changed, by its path.
    File(String),
    /// A signal to the master, by its name.
    Signal(&'static str),
    /// The master itself, which had to put a new socket in the place of the one of this name: workers hold a dead one.
    Socket(String),
}
