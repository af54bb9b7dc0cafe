//! Who must be gone before a slot gets a worker: nobody, unless its app says that some can't be there together.

use ostler_bus::{Generation, Slot as SlotNumber};

use super::app::App;
use crate::config::app::update::Strategy;

/// Whether nobody is in the way of a worker of this generation in this slot.
pub(super) fn clear(
    app: &App,
    slot: SlotNumber,
    generation: Generation,
    strategy: Strategy,
) -> bool {
    let mut workers = app.workers.values();
    match strategy {
        Strategy::Surge => true,
        Strategy::Replace => workers.all(|worker| worker.slot != slot),
        Strategy::AllAtOnce => {
            workers.all(|worker| worker.slot != slot && worker.generation == generation)
        }
    }
}

/// The same, for the next worker of the generation that the slot itself is of.
pub(super) fn is_clear(app: &App, number: SlotNumber) -> bool {
    app.slots.get(&number).is_none_or(|slot| {
        clear(
            app,
            number,
            slot.generation,
            slot.definition.update.strategy,
        )
    })
}
