//! Topics of direct messages: an ordinary topic behind a prefix that only the addressed may subscribe to.

use crate::{Slot, WorkerId};

/// What is sent to one worker.
pub(super) fn to_worker(id: WorkerId, topic: &str) -> String {
    format!("to.worker.{id}.{topic}")
}

/// What is sent to whichever worker has the slot.
pub(super) fn to_slot(app: &str, slot: Slot, topic: &str) -> String {
    format!("to.slot.{app}.{slot}.{topic}")
}

/// What is sent to the workers of an app.
pub(super) fn to_app(app: &str, topic: &str) -> String {
    format!("to.app.{app}.{topic}")
}

/// The topics under which a worker is sent what is for `topic`: by its id, its slot, its app.
#[must_use]
pub fn direct_topics(app: &str, slot: Slot, id: WorkerId, topic: &str) -> [String; 3] {
    [
        to_worker(id, topic),
        to_slot(app, slot, topic),
        to_app(app, topic),
    ]
}
