//! Who must be gone before a slot gets a worker: nobody, unless its app says that some can't be there together.

use std::sync::Arc;

use ostler_bus::{Generation, Slot as SlotNumber};

use super::{app::App, worker::Worker};
use crate::config::app::update::Strategy;

/// Whether nobody is in the way of a worker of this generation in this slot.
pub(super) fn clear(
    app: &App,
    slot: SlotNumber,
    generation: Generation,
    strategy: Strategy,
) -> bool {
    let mut workers = app.workers.values();
    // A command may still clean up after who was there.
    let cleaned = app.remains_in(slot).is_none();
    match strategy {
        Strategy::Surge => true,
        Strategy::Replace => workers.all(|worker| worker.slot != slot) && cleaned,
        Strategy::AllAtOnce => {
            let ours = |worker: &Worker| worker.slot != slot && worker.generation == generation;
            workers.all(ours) && cleaned
        }
    }
}

/// Whether nobody is in the way of the next worker of the generation that the slot itself is of, nor a command that cleans up
/// after the last.
pub(super) fn is_free(app: &App, number: SlotNumber) -> bool {
    let clear = app.slots.get(&number).is_none_or(|slot| {
        let strategy = slot.definition.update.strategy;
        clear(app, number, slot.generation, strategy)
    });
    clear && app.remains_in(number).is_none()
}

/// Of versions that never run together one is the app's: an update that ends half done, because the app became larger meanwhile,
/// would leave slots whose turn never comes. They follow those that run or, where nobody does, the newest.
pub(super) fn agree(app: &mut App) {
    if app.update.is_some() {
        return;
    }
    let stays = |id| app.workers.get(&id).is_some_and(|w| w.leaving().is_none());
    let wanted = app.slots.range(..SlotNumber(app.size));
    let first = wanted.max_by_key(|(_, slot)| (slot.holder().is_some_and(stays), slot.generation));
    let Some((_, slot)) = first else {
        return;
    };
    let (generation, definition) = (slot.generation, Arc::clone(&slot.definition));
    // What was left out of a finished update does not call it back.
    if definition.update.strategy != Strategy::AllAtOnce || generation < app.serving.0 {
        return;
    }
    for slot in app
        .slots
        .values_mut()
        .filter(|slot| slot.holder().is_none())
    {
        slot.adopt(generation, &definition);
    }
    app.serving = (generation, definition);
}
