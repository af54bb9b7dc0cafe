//! What everyone is told of a running update: its steps, and who drains because of it, what they still hold, and how long
//! that may take.

use ostler_bus::{
    Slot as SlotNumber, WorkerId,
    vocab::update::{Drainer, UpdateProgress, UpdateStep},
};

use super::{
    FleetEvent, Moment,
    app::App,
    cause::Cause,
    drain,
    turn::Turn,
    update::to_do,
    worker::{Held, Worker, millis},
};

/// Tells everyone about a step of the running update.
pub(super) fn progress(
    app: &App,
    slot: SlotNumber,
    worker: WorkerId,
    step: UpdateStep,
    turn: &mut Turn,
) {
    let Some(update) = &app.update else { return };
    turn.publish(FleetEvent::UpdateProgress(UpdateProgress {
        app: app.name.to_string(),
        generation: update.generation,
        slot,
        worker,
        step,
        done: update.done,
        total: total(app),
        rollback: update.goes_back(),
        draining: who(app, turn.now),
    }));
}

/// How many slots this update replaces, as far as can be said now.
pub(super) fn total(app: &App) -> u32 {
    app.update.as_ref().map_or(0, |update| {
        let left = to_do(app, update).count();
        update.done + u32::try_from(left).unwrap_or(u32::MAX)
    })
}

/// Whether a worker goes because an update, or its rollback, has replaced it.
pub(super) fn by_update(worker: &Worker) -> bool {
    worker
        .leaving()
        .is_some_and(|leaving| matches!(leaving.cause, Cause::Update | Cause::Rollback))
}

/// All that do, by slot.
pub(super) fn who(app: &App, now: Moment) -> Vec<Drainer> {
    let drain = app.workers.values().filter(|worker| by_update(worker));
    let mut drainers: Vec<Drainer> = drain
        .map(|worker| {
            let (held, held_requests) = worker.held();
            Drainer {
                slot: worker.slot,
                worker: worker.id,
                held,
                held_requests,
                left_ms: drain::left(worker, now).map(millis),
            }
        })
        .collect();
    drainers.sort_by_key(|drainer| (drainer.slot, drainer.worker));
    drainers
}

/// What a worker still holds was told, or counted; its own word holds.
pub(super) fn holds(app: &mut App, id: WorkerId, held: Held, turn: &mut Turn) {
    let Some(worker) = app.workers.get_mut(&id) else {
        return;
    };
    let held = match (held, worker.held) {
        (Held::Counted { .. }, Some(Held::Told(_))) => return,
        // It may have ended, and that not been noted yet.
        (Held::Counted { last: None, .. }, Some(before @ Held::Counted { .. })) => before.unknown(),
        (Held::Told(_), _) | (Held::Counted { .. }, Some(Held::Counted { .. }) | None) => held,
    };
    let before = worker.held();
    worker.held = Some(held);
    let changed = worker.held() != before;
    let (slot, tells) = (worker.slot, changed && by_update(worker));
    if tells {
        progress(app, slot, id, UpdateStep::Draining, turn);
    }
}
