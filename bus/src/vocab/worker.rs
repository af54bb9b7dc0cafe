//! The life of a worker, as the master tells it; and what a worker says of itself.

use std::collections::BTreeMap;

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
    /// What it was started for, in words: "first start", "after the end of worker 3", "update to generation 2: …".
    pub trigger: String,
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
    /// Why: "stop", "scale", "update: file changed: src/app.js", "recycle: …".
    pub reason: String,
}

/// A worker listens at a socket that it asked for at run time: alone, or with others that asked for the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Event)]
#[event(topic = "worker.listening")]
pub struct WorkerListening {
    /// The worker.
    pub worker: WorkerRef,
    /// Where, as bound: "127.0.0.1:8080", "udp:127.0.0.1:53", "unix:/run/web.sock".
    pub address: String,
    /// "IPv4", "IPv6" or "Unix".
    pub family: String,
    /// The port, if it has one.
    pub port: Option<u16>,
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

/// What the master does about the place of a worker that has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum Next {
    /// Nothing: nobody is wanted in its slot.
    Nothing,
    /// Its slot is cared for without it: by its successor, or, if it was a successor that proved no good, by its predecessor.
    Succeeded {
        /// Who holds the slot, if anyone does at the moment.
        by: Option<WorkerId>,
    },
    /// Another is started at once, or as soon as it is the slot's turn.
    AtOnce,
    /// Another is started after a while: back-off.
    After {
        /// How long, in milliseconds.
        ms: u64,
    },
    /// The slot is given up.
    GivenUp {
        /// When it is tried again all the same, in milliseconds; `None`: by `start`.
        again_ms: Option<u64>,
    },
    /// That was for good.
    Ended {
        /// And as it should be.
        well: bool,
    },
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
    /// It left a core dump.
    pub core_dumped: bool,
    /// What it had been started for, as in [`WorkerSpawned`].
    pub trigger: String,
    /// Why it was sent away, or went, in words; `None`: it ended unasked.
    pub cause: Option<String>,
    /// What the master does about its place.
    pub next: Next,
    /// Why that, in words, where there was a choice.
    pub because: Option<String>,
    /// How many connections it still had when it went, as it last told ([`Holding`]); of one that never told and was ended by a signal, as
    /// the master last counted them.
    pub held: Option<u64>,
    /// How many requests, likewise.
    pub held_requests: Option<u64>,
}

/// A command that ran beside a worker (`before_start`, `after_ready`, `before_stop`, `after_exit`) has ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Event)]
#[event(topic = "worker.hook")]
pub struct WorkerHook {
    /// The worker.
    pub worker: WorkerRef,
    /// Which: its key in the process file.
    pub hook: String,
    /// Why it failed, if it did; one that was cut short has.
    pub error: Option<String>,
    /// Milliseconds that it took.
    pub took_ms: u64,
}

/// Worker → master: ready to serve.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Request)]
#[request(topic = "_sys.worker.ready", reply = ())]
pub struct Ready {}

/// Worker → master: I live. Sent by the SDK where the app has a `watchdog`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Request)]
#[request(topic = "_sys.worker.heartbeat", reply = ())]
pub struct Heartbeat {}

/// Worker → master: so much have I served. Said by the SDK where `OSTLER_COUNT_REQUESTS` asks for it: once at its start,
/// then when it changes, at most once a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Request)]
#[request(topic = "_sys.worker.served", reply = ())]
pub struct Served {
    /// How many requests have begun since its process did.
    pub requests: u64,
    /// How many of them have not ended.
    pub under_way: u64,
}

/// Worker → master: so many connections have I accepted myself since my process began, where the master doesn't hand them over. Said
/// by the SDK when a listener first waits to accept, then when a count has changed, at most once a second, and when it drains. What is left out
/// is as it was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Request)]
#[request(topic = "_sys.worker.accepted", reply = ())]
pub struct Accepted {
    /// By the names of declared sockets.
    pub sockets: BTreeMap<String, u64>,
}

/// Worker → master: what I still have to finish. Sent by the SDK while it drains; shown to whoever waits for it. Of a worker that
/// never says it the master counts the connections from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Request)]
#[request(topic = "_sys.worker.holding", reply = ())]
pub struct Holding {
    /// How many connections.
    pub held: u64,
    /// How many requests that have not ended: those of HTTP/2 that share a connection, and WebSockets too. `None`: not counted apart.
    pub requests: Option<u64>,
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
