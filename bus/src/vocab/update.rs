//! Updates: what asks for them, and how they go.

use serde::{Deserialize, Serialize};

use super::worker::WorkerRef;
use crate::{Event, Generation, OpId, Schema, Slot, WorkerId};

/// Anyone → master: replace the workers one by one.
///
/// From a worker without `app`: its own app. From a client without `app`: all apps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Event)]
#[event(topic = "workerRestartNeeded")]
pub struct WorkerRestartNeeded {
    /// Which app.
    pub app: Option<String>,
    /// Why, in words.
    pub reason: Option<String>,
}

/// Anyone allowed → master: the whole server needs a restart. Kept in status until the master is restarted or upgraded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Event)]
#[event(topic = "systemRestartNeeded")]
pub struct SystemRestartNeeded {
    /// Why, in words.
    pub reason: Option<String>,
}

/// A rolling update has begun.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Event)]
#[event(topic = "update.started")]
pub struct UpdateStarted {
    /// The app.
    pub app: String,
    /// The generation being brought up.
    pub generation: Generation,
    /// How many slots will be replaced.
    pub total: u32,
    /// What asked for it, in words.
    pub reason: String,
    /// The operations that this update carries out.
    pub ops: Vec<OpId>,
}

/// What just happened in an update.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Schema)]
pub enum UpdateStep {
    /// This slot's worker was told to go before its successor starts (`max_unavailable`, `strategy = "replace"`).
    Stopping,
    /// The successor of this slot's worker was started.
    Starting,
    /// The successor is ready and is being watched for `min_healthy` (the first one: `canary_healthy`).
    Watching,
    /// The successor has taken over; its predecessor drains.
    Replaced,
    /// A predecessor that drains has told what it still holds.
    Draining,
    /// The predecessor is gone.
    Drained,
}

/// A worker on its way out because of an update.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct Drainer {
    /// Its slot.
    pub slot: Slot,
    /// The worker.
    pub worker: WorkerId,
    /// How many connections it still has: as it told ([`Holding`](super::worker::Holding)), else as the master counts those that came
    /// to its listeners; `None` if neither is there.
    pub held: Option<u64>,
    /// How many requests, if it told.
    pub held_requests: Option<u64>,
    /// Milliseconds until it is killed if it has not gone by then; `None`: it has all the time it wants.
    pub left_ms: Option<u64>,
}

/// A step of a rolling update, or of going back after one that failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Event)]
#[event(topic = "update.progress")]
pub struct UpdateProgress {
    /// The app.
    pub app: String,
    /// The generation being brought up.
    pub generation: Generation,
    /// The slot this step is about.
    pub slot: Slot,
    /// The worker this step is about.
    pub worker: WorkerId,
    /// The step.
    pub step: UpdateStep,
    /// Slots replaced so far.
    pub done: u32,
    /// Slots to replace.
    pub total: u32,
    /// The update has failed, and what it had replaced goes back to what it was.
    pub rollback: bool,
    /// Who drains because of it, by slot.
    pub draining: Vec<Drainer>,
}

/// Every worker of the app is of this generation, and the old ones are gone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Event)]
#[event(topic = "update.finished")]
pub struct UpdateFinished {
    /// The app.
    pub app: String,
    /// The generation that now serves.
    pub generation: Generation,
    /// Milliseconds it took.
    pub took_ms: u64,
}

/// The update was given up; workers not yet replaced serve on. With `on_failure = "rollback"` the others go back to what
/// they were, and [`UpdateRolledBack`] tells how that ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Event)]
#[event(topic = "update.aborted")]
pub struct UpdateAborted {
    /// The app.
    pub app: String,
    /// The generation that was to be brought up.
    pub generation: Generation,
    /// Why, in words, with the failed worker's last lines if it had any.
    pub reason: String,
    /// A later command took its place; nothing has failed.
    pub overtaken: bool,
    /// Slots already replaced when it was given up.
    pub replaced: u32,
    /// How many of them now go back to what they were; 0 if they stay.
    pub rolling_back: u32,
}

/// What an update that failed had replaced has gone back to what it was, or not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Event)]
#[event(topic = "update.rolled_back")]
pub struct UpdateRolledBack {
    /// The app.
    pub app: String,
    /// The generation that was taken back.
    pub generation: Generation,
    /// Slots that went back.
    pub slots: u32,
    /// Milliseconds it took.
    pub took_ms: u64,
    /// Why slots are left as they are, if any are: in words.
    pub failed: Option<String>,
}

/// Further updates that workers of this app ask for are ignored for a while: each new generation asked for the next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Event)]
#[event(topic = "update.suspended")]
pub struct UpdateSuspended {
    /// The app.
    pub app: String,
    /// Why, and until when, in words.
    pub reason: String,
}

/// The number of workers an app should have was changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Event)]
#[event(topic = "app.resized")]
pub struct AppResized {
    /// The app.
    pub app: String,
    /// How many it should have had.
    pub from: u32,
    /// How many it should have now.
    pub to: u32,
}

/// A slot crashed too often and is given up for a while.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Event)]
#[event(topic = "app.failed")]
pub struct AppFailed {
    /// The app.
    pub app: String,
    /// The slot.
    pub slot: Slot,
    /// Why, in words.
    pub reason: String,
}

/// Connections or datagrams waited for a slot that has gone, alone or with its app, and nobody was there to take them: they were
/// reset or thrown away.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Event)]
#[event(topic = "app.connections_lost")]
pub struct ConnectionsLost {
    /// The app.
    pub app: String,
    /// The slot.
    pub slot: Slot,
    /// The socket's name.
    pub socket: String,
    /// How many connections; of a UDP socket, how many datagrams.
    pub connections: u32,
}

/// A worker called `shutdown` on a listener, which closes it for all that share it. The master opens it again at once; where it
/// can't, it tries until it can, and tells it once more then.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Event)]
#[event(topic = "app.listener_shut")]
pub struct ListenerShut {
    /// The app.
    pub app: String,
    /// The socket's name.
    pub socket: String,
    /// The slot whose workers alone have it; `None`: all have.
    pub slot: Option<Slot>,
    /// Who did it, if only one could have: a worker, or a process of its own.
    pub worker: Option<WorkerRef>,
    /// Why it could not be opened again just now; `None`: it listens.
    pub error: Option<String>,
}

/// The process file changed on disk; nothing was done about it yet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Event)]
#[event(topic = "config.changed")]
pub struct ConfigChanged {
    /// The file.
    pub path: String,
    /// What to do to make it take effect.
    pub hint: String,
}
