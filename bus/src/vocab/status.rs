//! `masterStatus`: the state of machine, master, apps and workers.

use serde::{Deserialize, Serialize};

use crate::{Event, Generation, Request, Schema, Slot, WorkerId};

/// A question to the master.
///
/// As a request it is answered to the asker. As an event it makes the master broadcast a [`StatusReport`]; with an
/// `id` the report is also published on the topic `id`, if the asker may publish there itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Event, Request)]
#[event(topic = "masterStatus")]
#[request(topic = "masterStatus", reply = StatusReport)]
pub struct MasterStatus {
    /// A topic to answer on as well.
    pub id: Option<String>,
}

/// The state of machine, master, apps and workers. Retained on its topic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Event)]
#[event(topic = "masterStatus.report")]
pub struct StatusReport {
    /// The master process.
    pub master: MasterInfo,
    /// The machine's name.
    pub hostname: String,
    /// Kernel name and release.
    pub os: String,
    /// The machine.
    pub machine: MachineInfo,
    /// The apps, by name.
    pub apps: Vec<AppStatus>,
    /// The workers, by app, slot and id. Environment values are never part of it.
    pub workers: Vec<WorkerStatus>,
}

/// The master process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Schema)]
pub struct MasterInfo {
    /// The master's name.
    pub title: String,
    /// Ostler's version.
    pub version: String,
    /// The process file that it was started with, if it was one.
    pub file: Option<String>,
    /// Its process id.
    pub pid: u32,
    /// Seconds it has been up.
    pub uptime: u64,
    /// Its resident memory, in bytes.
    pub memory: u64,
    /// Whether `systemRestartNeeded` was heard.
    pub restart_needed: bool,
    /// Why, if a reason was given.
    pub restart_reason: Option<String>,
    /// Workers alive and cores to use: "4 of 8".
    pub cores_used: String,
}

/// The machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Schema)]
pub struct MachineInfo {
    /// Seconds it has been up.
    pub uptime: u64,
    /// Load averages over 1, 5 and 15 minutes.
    pub load_average: [f64; 3],
    /// Memory in all, in bytes.
    pub memory_total: u64,
    /// Memory in use, in bytes.
    pub memory_used: u64,
    /// Memory in use when the master started, in bytes.
    pub memory_used_at_boot: u64,
    /// CPU use of all cores together since the last report, 0 to 100.
    pub cpu_percent: f64,
}

/// The state of an app.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Schema)]
pub struct AppStatus {
    /// Its name.
    pub name: String,
    /// "waiting" (for apps that start before it), "starting", "running", "updating", "rolling back", "restarting",
    /// "stopping", "stopped", "failed".
    pub state: String,
    /// How many workers it should have.
    pub instances: u32,
    /// How many are ready.
    pub ready: u32,
    /// The newest generation.
    pub generation: Generation,
    /// How its newest workers are found ready: "auto", "notify", "sdk", "delay(2s)".
    pub readiness: String,
    /// Its sockets: name and address as bound.
    pub sockets: Vec<SocketStatus>,
    /// How the last update ended, in words.
    pub last_update: Option<String>,
    /// Its namespace, if it has one.
    pub namespace: Option<String>,
    /// When `cron` has its workers replaced next: "2026-11-23T04:00:00+02:00".
    pub next_cron: Option<String>,
}

/// A socket: declared, or asked for by workers at run time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Schema)]
pub struct SocketStatus {
    /// Its name; of one that was asked for what was asked for ("127.0.0.1:0", a second one "127.0.0.1:0#2").
    pub name: String,
    /// Its address as bound: "127.0.0.1:8080", "udp:127.0.0.1:53", "unix:/run/web.sock".
    pub address: String,
    /// How its workers share it: "shared", "balanced", "slot" or "sticky"; "unknown" if that could not be asked in time.
    pub mode: String,
    /// Why, where that was not said for certain.
    pub why: Option<String>,
    /// The slot whose workers alone have it; `None`: all have.
    pub slot: Option<Slot>,
    /// The number under which the master's own starter passed it on, if it did.
    pub passed_as: Option<u32>,
    /// What waits there, where the kernel tells.
    pub queue: Option<SocketQueue>,
    /// How the master hands its connections over, while it does.
    pub balance: Option<BalanceStatus>,
    /// The workers that have asked for it at run time; none while one is awaited that may. `None` for a declared socket.
    pub asked_by: Option<Vec<WorkerId>>,
    /// What its slot gets of the connections, where the kernel spreads them over slots.
    pub share: Option<SlotShare>,
    /// What workers have accepted themselves; `None` if none has told: only those of the SDK do.
    pub accepts: Option<AcceptStatus>,
}

/// What workers have accepted themselves at a socket, as they tell it: each within about a second. What one was about to tell when it was
/// killed is missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct AcceptStatus {
    /// Connections since the socket was bound, also by workers that have ended.
    pub accepted: u64,
    /// The workers that tell it.
    pub workers: Vec<AcceptingWorker>,
}

/// A worker that accepts connections itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct AcceptingWorker {
    /// Which worker.
    pub id: WorkerId,
    /// Connections that it has accepted since it began.
    pub accepted: u64,
}

/// What a slot gets of the connections that the kernel spreads over slots.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct SlotShare {
    /// Why it gets none just now, in words; `None`: it gets some.
    pub left_out: Option<String>,
    /// How many buckets of client addresses, or of UDP's flows, are its own just now, where connections or datagrams are spread by
    /// them; of 256, or 1,024 for more than 32 slots.
    pub buckets: Option<u32>,
    /// The most connections that were ever seen waiting there; of UDP, bytes as in [`SocketQueue`]. They are looked at only while
    /// there are some.
    pub longest: u32,
    /// How often it was left out because its queue was longer than others'.
    pub times_long: u64,
}

/// What waits at a socket until a worker takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct SocketQueue {
    /// Connections that no worker has accepted; of UDP, bytes of memory that unread datagrams take.
    pub waiting: u32,
    /// How many may wait.
    pub room: u32,
    /// Connections or datagrams that the kernel has turned away since the socket was bound, mostly for want of room; 0 where it
    /// doesn't count them.
    pub dropped: u32,
}

/// A socket whose connections the master accepts and hands to workers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct BalanceStatus {
    /// Connections accepted so far.
    pub accepted: u64,
    /// Connections handed over once more: the first worker died, drained or refused before it took them.
    pub given_again: u64,
    /// Those of them that a worker gave back because it was full; `None`: a master that doesn't count them apart.
    pub refused: Option<u64>,
    /// Accepted connections that no worker has room for: only after workers went, or for workers of one slot.
    pub waiting: u64,
    /// The workers that take connections.
    pub workers: Vec<BalancedWorker>,
    /// What more there is where clients keep their slots, by the headers of a proxy.
    pub proxied: Option<ProxiedStatus>,
}

/// A socket behind a proxy that tells who the clients are (the PROXY protocol), and each of whose clients keeps its slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct ProxiedStatus {
    /// What becomes of the header: "keep" or "strip".
    pub header: String,
    /// Connections whose header has not come yet.
    pub awaited: u64,
    /// Connections that were refused because they began with something else.
    pub malformed: u64,
    /// Connections that were refused because their header did not come in time.
    pub late: u64,
    /// How many buckets of client addresses each slot has just now, by its number; of 256, or 1,024 for more than 32 slots.
    pub buckets: Vec<u32>,
}

/// A worker that takes connections from the master.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct BalancedWorker {
    /// Which worker.
    pub id: WorkerId,
    /// Connections that it has open.
    pub open: u32,
    /// Connections handed to it that it has not taken yet.
    pub handed: u32,
    /// Connections that it has taken so far.
    pub taken: u64,
    /// Connections that it has given back because it was full; `None`: a master that doesn't count them.
    pub refused: Option<u64>,
    /// The most that it may have open; `None`: any number.
    pub max_connections: Option<u32>,
}

/// The state of a worker, or of a slot that has none just now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Schema)]
pub struct WorkerStatus {
    /// Its app.
    pub app: String,
    /// Its slot.
    pub slot: Slot,
    /// Its id; `None` for a slot without a worker.
    pub id: Option<WorkerId>,
    /// Its process id.
    pub pid: Option<u32>,
    /// Its generation.
    pub generation: Generation,
    /// "starting", "ready", "draining", "stopping"; for a slot without a worker "starting", "backoff", "stopped", "failed".
    pub state: String,
    /// Ready because it lives, not because it said so.
    pub assumed_ready: bool,
    /// False while it drains beside its successor, and for a successor that has not taken over yet.
    pub current: bool,
    /// Not ready yet.
    pub starting: bool,
    /// On its way out.
    pub closing: bool,
    /// Its process is gone.
    pub dead: bool,
    /// Its bus connection is open.
    pub connected: bool,
    /// Unplanned restarts of this slot.
    pub restarts: u32,
    /// Milliseconds since it was spawned.
    pub age_ms: u64,
    /// Its resident memory, in bytes.
    pub memory: Option<u64>,
    /// Milliseconds of a core that its own process has used since it began: twice asked, they tell how busy it is.
    pub cpu_ms: Option<u64>,
    /// What it last said of itself (`STATUS=`).
    pub status_text: Option<String>,
    /// What it waits for while it is not ready, in words, if the master waits for its word.
    pub waits_for: Option<String>,
    /// How the slot's previous worker ended, in words.
    pub last_exit: Option<String>,
    /// Milliseconds until the slot is tried again, while it backs off.
    pub retry_in_ms: Option<u64>,
    /// Milliseconds since it last said that it lives, or answered well when it was asked.
    pub check_in_ms: Option<u64>,
    /// Failed starts and early crashes of the slot that count towards `max_restarts`.
    pub failures: u32,
    /// Milliseconds of the back-off that the slot is in, or was in last; 0 once a worker has lived long enough.
    pub backoff_ms: u64,
    /// How many requests it has served, if it says so: only workers of apps with `max_requests` or `idle_timeout` do.
    pub requests: Option<u64>,
    /// Why it is to be replaced although it serves, in words, and in how long at the earliest; `None` if it isn't.
    pub recycle: Option<String>,
    /// How many connections it still has, while it drains: as it told ([`Holding`](super::worker::Holding)), else as the master counts
    /// those that came to its listeners; `None` if neither is there.
    pub held: Option<u64>,
    /// How many requests, if it told.
    pub held_requests: Option<u64>,
}
