//! The fleet as others may see it: plain values, for status.

use ostler_bus::vocab::status::{AppStatus, WorkerStatus};
use serde::{Deserialize, Serialize};

/// The state of all apps and workers.
///
/// What only the shell knows is left for it to fill in: [`AppStatus::sockets`] is empty and
/// [`WorkerStatus::memory`] is `None`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// By name.
    pub apps: Vec<AppStatus>,
    /// By app, slot and id. A slot without a worker has an entry without an id.
    pub workers: Vec<WorkerStatus>,
}
