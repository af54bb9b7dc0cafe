//! Who sent an event. The hub stamps it from what it knows of the connection; a sender can't forge it.

use serde::{Deserialize, Serialize};

use crate::{Generation, Schema, Slot, WorkerId};

/// Who sent an event, as the hub knows it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, Schema)]
pub enum Origin {
    /// The master itself, or the hub.
    Master,
    /// A worker, by the bus socket it inherited.
    Worker {
        /// Its app.
        app: String,
        /// Its id.
        id: WorkerId,
        /// Its slot.
        slot: Slot,
        /// Its generation.
        generation: Generation,
        /// Its process id at spawn.
        pid: u32,
    },
    /// Any other process, by the name it gave at HELLO.
    Client {
        /// The name it gave.
        name: String,
        /// Its connection at this hub.
        conn: u64,
    },
}
