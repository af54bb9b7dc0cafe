//! The life of a worker, as the master tells it; and what a worker says of itself.

use serde::{Deserialize, Serialize};

use crate::{Event, Generation, Request, Schema, Slot, WorkerId};

/// Which worker an event is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, Schema)]
pub struct WorkerRef {
    /// Its app.
    pub app: String,
    /// Its slot.
    pub slot: Slot,
    /// Its id.
    pub id: WorkerId,
    /// Its generation.
    pub generation: Generation,
    /// Its process id; `None` before it was spawned.
    pub pid: Option<u32>,
}

/// A process was started; it is not ready yet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Event)]
#[event(topic = "worker.spawned")]
pub struct WorkerSpawned {
    /// The worker.
    pub worker: WorkerRef,
}

/// A worker has connected to the bus, or has sent its first notification: it takes part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Event)]
#[event(topic = "worker.online")]
pub struct WorkerOnline {
    /// The worker.
    pub worker: WorkerRef,
}

/// A worker is ready to serve. Told again when one that was assumed to be says so itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Event)]
#[event(topic = "worker.ready")]
pub struct WorkerReady {
    /// The worker.
    pub worker: WorkerRef,
    /// True if it never said so and is taken to be ready because it lives.
    pub assumed: bool,
    /// Milliseconds from spawn to ready.
    pub after_ms: u64,
}

/// A worker was told to finish what it has and go.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Event)]
#[event(topic = "worker.draining")]
pub struct WorkerDraining {
    /// The worker.
    pub worker: WorkerRef,
    /// Why: "update", "stop", "scale", …
    pub reason: String,
}

/// A worker's bus connection ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Event)]
#[event(topic = "worker.disconnected")]
pub struct WorkerDisconnected {
    /// The worker.
    pub worker: WorkerRef,
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum ExitStatus {
    /// It exited with this code.
    Code(i32),
    /// This signal ended it ("SIGKILL").
    Signal(String),
    /// It is gone, and how can't be known (another process reaped it).
    Unknown,
    /// It was never started: what failed, and the error.
    NotStarted(String),
}

/// A worker's process has ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Event)]
#[event(topic = "worker.exited")]
pub struct WorkerExited {
    /// The worker.
    pub worker: WorkerRef,
    /// How it ended.
    pub status: ExitStatus,
    /// True if it was asked to go, or said that it would: not a crash, whatever the code.
    pub voluntary: bool,
    /// Whether it had been ready.
    pub was_ready: bool,
    /// Milliseconds from spawn to exit.
    pub uptime_ms: u64,
    /// Its last lines on standard error, oldest first.
    pub stderr_tail: Vec<String>,
    /// What to do about it, where the master can tell.
    pub hint: Option<String>,
    /// Why it was taken for hung, if it was: it was made to go.
    pub hung: Option<String>,
}

/// Worker → master: ready to serve.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Request)]
#[request(topic = "_sys.worker.ready", reply = ())]
pub struct Ready {}

/// Worker → master: I live. Sent by the SDK where the app has a `watchdog`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Request)]
#[request(topic = "_sys.worker.heartbeat", reply = ())]
pub struct Heartbeat {}

/// Worker → master: what I still have to finish. Sent by the SDK while it drains; shown while an update waits for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Request)]
#[request(topic = "_sys.worker.holding", reply = ())]
pub struct Holding {
    /// How many requests or connections.
    pub held: u64,
}

/// Worker → all: how the requests went that this worker has answered since it began. While an update runs the master holds
/// a new worker to `canary.max_errors` by it; everyone else may listen. Workers alone may tell it, as often as they like:
/// numbers only grow, so the last one says it all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Event)]
#[event(topic = "app.errors")]
pub struct AppErrors {
    /// Requests answered.
    pub requests: u64,
    /// Those of them that failed by the app's own fault.
    pub errors: u64,
}

/// Worker → master: I am going of my own accord; the answer comes when the master has noted it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Request)]
#[request(topic = "_sys.worker.disconnect", reply = ())]
pub struct Disconnect {}

/// Master → worker, on `to.worker.<id>.drain`: finish what you have, take nothing new, then exit. The answer says that it
/// was heard; a worker that doesn't answer gets the signal instead.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Request)]
#[request(topic = "to.worker.drain", reply = ())]
pub struct Drain {
    /// Why.
    pub reason: String,
    /// Milliseconds until the next rung of the kill ladder.
    pub deadline_ms: u64,
}

impl Drain {
    /// The topic on which worker `id` is told to drain.
    #[must_use]
    pub fn topic(id: WorkerId) -> String {
        format!("to.worker.{id}.drain")
    }
}
