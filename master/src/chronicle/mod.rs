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

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::{
    read::{Chronicle, masters, read},
    write::{Entry, Writer},
};
use crate::home::MasterName;

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
