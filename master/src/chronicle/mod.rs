//! The chronicle of a master: what its fleet told, kept on disk, so that "why" has an answer after the worker, and after the
//! master too.
//!
//! Each master has two files in the [state directory](crate::home::StateDir), `<master>.chronicle.jsonl` and, once that has
//! reached [`FILE_BYTES`], `<master>.chronicle.1.jsonl`, which held what came before: [twice as much](FILE_BYTES) is all it
//! ever takes. Both are JSON lines, for others to read too:
//!
//! ```json
//! {"time_ms":1700000000000,"run":1699999990000,"topic":"worker.exited","event":{…}}
//! ```
//! `run` tells the lives of masters of one name apart, as worker ids begin anew with each. Beside the events of the bus there
//! are [`STARTED`], [`ENDED`] and [`LOST`]. A line that was torn by a crash or a full disk is passed over.

mod read;
mod write;

use ostler_bus::{
    Event as _,
    vocab::{
        commands::WorkerReleased,
        update::{
            AppFailed, AppResized, UpdateAborted, UpdateFinished, UpdateRolledBack, UpdateStarted,
            UpdateSuspended,
        },
        worker::{WorkerDraining, WorkerExited, WorkerHook, WorkerReady, WorkerSpawned},
    },
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::{
    read::{Chronicle, masters, read},
    write::{Entry, Writer},
};
use crate::home::MasterName;

/// What is written down: what `ostler why` tells of, and the master alone decides. How often a worker tells of its requests
/// (`app.errors`), or of what it still holds (`update.progress`), is its own choice, and would push all else out of the files.
pub const TOPICS: [&str; 13] = [
    WorkerSpawned::TOPIC,
    WorkerReady::TOPIC,
    WorkerDraining::TOPIC,
    WorkerHook::TOPIC,
    WorkerExited::TOPIC,
    WorkerReleased::TOPIC,
    UpdateStarted::TOPIC,
    UpdateFinished::TOPIC,
    UpdateAborted::TOPIC,
    UpdateRolledBack::TOPIC,
    UpdateSuspended::TOPIC,
    AppResized::TOPIC,
    AppFailed::TOPIC,
];

/// What one file holds: some ten thousand events, or a thousand crashes with all their last lines.
pub const FILE_BYTES: u64 = 4 << 20;

/// A line that is longer is left out, and that is noted.
pub const LINE_BYTES: usize = 256 << 10;

/// The first line of each life of a master: `{"pid":…,"version":…}`.
pub const STARTED: &str = "master.started";

/// The last line, unless the master was killed: `{"code":…}`.
pub const ENDED: &str = "master.ended";

/// Lines are missing here: `{"count":…}`.
pub const LOST: &str = "chronicle.lost";

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// When it was heard, in milliseconds since 1970.
    pub time_ms: u64,
    /// When the master began, likewise.
    pub run: u64,
    /// Its topic.
    pub topic: String,
    /// What it says.
    pub event: Value,
}

/// The names of a master's two files, the older one first.
fn files(master: &MasterName) -> [String; 2] {
    [
        format!("{master}.chronicle.1.jsonl"),
        format!("{master}{NEWEST}"),
    ]
}

const NEWEST: &str = ".chronicle.jsonl";
