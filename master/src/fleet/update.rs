//! Rolling updates: one new worker first, and no old one goes before its successor has proved itself.
//!
//! ```text
//!  asked ─► pending ─► begin ─► trial of the next slot ◄───────────────────────────┐
//!             ▲                   │ successor starting ─► ready, watched ─► takes over: predecessor drains
//!   asked during an update        │                                                │ no slot left
//!   joins the one pending         └─ successor fails ─► aborted, old kept          ▼
//!   update                                                            wait for the drained ─► finished
//! ```
//! * The first successor is the canary and is watched for `canary_healthy`, the others for `min_healthy`.
//! * Steps don't wait for drains, but never are there more than `max_draining` of them.
//! * An update's definition is fixed when it begins; whatever is asked for later begins afterwards. Requests are joined
//!   with the *pending* update only: joined with the running one, a deploy would be lost.
//! * A new worker that fails a start or crashes early gives the update up, whether it has taken over yet or not, as long
//!   as there are old ones left to keep.

use std::sync::Arc;

use ostler_bus::{
    Generation, OpId, Slot as SlotNumber, WorkerId,
    vocab::{
        control::Outcome,
        update::{UpdateAborted, UpdateFinished, UpdateProgress, UpdateStarted, UpdateStep},
    },
};

use super::{
    FleetEvent, Moment,
    app::App,
    drain::{self, Cause},
    guard::Asker,
    mutation::Mutation,
    operations::pay,
    recycle,
    slot::SlotState,
    trial::{self, Aim},
    turn::Turn,
    worker::{Worker, millis},
};
use crate::config::{app::AppDefinition, units::rough};

/// An update under way.
#[derive(Debug)]
pub(super) struct Update {
    pub(super) generation: Generation,
    pub(super) definition: Arc<AppDefinition>,
    /// What asked for it, in words.
    pub(super) reason: String,
    /// How many slots have been taken over.
    pub(super) done: u32,
    ops: Vec<OpId>,
    began: Moment,
}

/// The update that comes next.
#[derive(Debug)]
pub(super) struct Pending {
    ops: Vec<OpId>,
    reason: String,
    asker: Asker,
}

/// How an update ends that doesn't finish.
#[derive(Clone, Copy, Debug)]
pub(super) enum GivenUp<'a> {
    /// Its new workers are no good.
    Failed(&'a str),
    /// A command came in between.
    Overtaken(&'a str),
}

/// Asks for an update; it begins when none is running.
pub(super) fn ask(app: &mut App, op: Option<OpId>, reason: &str, asker: Asker, turn: &Turn) {
    if turn.mutated(Mutation::MergeIntoRunning)
        && let Some(update) = &mut app.update
    {
        update.ops.extend(op);
        return;
    }
    match &mut app.pending {
        Some(pending) => {
            pending.ops.extend(op);
            pending.asker = pending.asker.max(asker);
        }
        None => {
            app.pending = Some(Pending {
                ops: op.into_iter().collect(),
                reason: reason.to_owned(),
                asker,
            });
        }
    }
}

/// Does whatever can be done about updates now.
pub(super) fn advance(app: &mut App, turn: &mut Turn) {
    loop {
        if app.update.is_none() && !begin(app, turn) {
            return;
        }
        while step(app, turn) {}
        if app.update.is_some() {
            return;
        }
    }
}

/// Gives the running update up: workers not yet replaced serve on.
pub(super) fn give_up(app: &mut App, why: GivenUp<'_>, turn: &mut Turn) {
    let Some(update) = app.update.take() else {
        return;
    };
    let trial = app.trial.take_if(|trial| trial.aim == Aim::Update);
    if let Some(worker) = trial.and_then(|trial| app.workers.get_mut(&trial.successor)) {
        drain::send_away(worker, &app.name, Cause::UpdateGivenUp, turn);
    }
    let (outcome, reason, overtaken) = match why {
        GivenUp::Failed(why) => (Outcome::Failed(why.to_owned()), why.to_owned(), false),
        GivenUp::Overtaken(by) => (
            Outcome::Superseded(by.to_owned()),
            format!("overtaken by {by}"),
            true,
        ),
    };
    app.last_update = Some(format!(
        "generation {} given up: {reason}",
        update.generation
    ));
    turn.publish(FleetEvent::UpdateAborted(UpdateAborted {
        app: app.name.to_string(),
        generation: update.generation,
        reason,
        overtaken,
        replaced: update.done,
    }));
    for op in update.ops {
        pay(op, outcome.clone(), turn);
    }
}

/// Forgets the pending update.
pub(super) fn drop_pending(app: &mut App, by: &str, turn: &mut Turn) {
    for op in app
        .pending
        .take()
        .map(|pending| pending.ops)
        .unwrap_or_default()
    {
        pay(op, Outcome::Superseded(by.to_owned()), turn);
    }
}

/// Takes the pending update out, if there is one; whoever waits for it.
pub(super) fn take_pending(app: &mut App) -> Option<Vec<OpId>> {
    app.pending.take().map(|pending| pending.ops)
}

/// A worker that holds its slot has failed; if it is of the generation being brought up, that is no good.
pub(super) fn newcomer_failed(app: &mut App, worker: &Worker, why: &str, turn: &mut Turn) {
    let concerns = app
        .update
        .as_ref()
        .is_some_and(|update| update.generation == worker.generation);
    if concerns && next_slot(app).is_some() {
        give_up(app, GivenUp::Failed(why), turn);
    }
}

/// A worker other than the successor is gone; perhaps it was one that had been replaced.
pub(super) fn predecessor_exited(app: &App, worker: &Worker, turn: &mut Turn) {
    if worker
        .leaving()
        .is_some_and(|leaving| leaving.cause == Cause::Update)
    {
        progress(app, worker.slot, worker.id, UpdateStep::Drained, turn);
    }
}

/// Begins the pending update, if there is one.
fn begin(app: &mut App, turn: &mut Turn) -> bool {
    let Some(pending) = app.pending.take() else {
        return false;
    };
    // It would replace a worker that the update replaces anyway.
    recycle::give_up(app, turn);
    let (generation, definition) = app.next_generation();
    app.guard.note(turn.now, pending.asker, generation);
    app.update = Some(Update {
        generation,
        definition,
        reason: pending.reason.clone(),
        done: 0,
        ops: pending.ops.clone(),
        began: turn.now,
    });
    turn.publish(FleetEvent::UpdateStarted(UpdateStarted {
        app: app.name.to_string(),
        generation,
        total: total(app),
        reason: pending.reason,
        ops: pending.ops,
    }));
    true
}

/// One step; false if there is nothing to do now.
fn step(app: &mut App, turn: &mut Turn) -> bool {
    let Some(update) = &app.update else {
        return false;
    };
    if app.trial.is_some() {
        return trial::judge(app, turn);
    }
    let generation = (update.generation, Arc::clone(&update.definition));
    match next_slot(app) {
        Some(_) if trial::drains_full(app) => false,
        Some(slot) => {
            trial::begin(app, slot, generation, Aim::Update, turn);
            true
        }
        None => finish(app, turn),
    }
}

/// Nothing is left to replace: the update has finished when the old ones are gone.
fn finish(app: &mut App, turn: &mut Turn) -> bool {
    let Some(generation) = app.update.as_ref().map(|update| update.generation) else {
        return false;
    };
    if app
        .workers
        .values()
        .any(|worker| worker.generation < generation)
    {
        return false;
    }
    let Some(update) = app.update.take() else {
        return false;
    };
    let took = turn.now - update.began;
    app.serving = (update.generation, update.definition);
    app.last_update = Some(format!("generation {generation} in {}", rough(took)));
    turn.publish(FleetEvent::UpdateFinished(UpdateFinished {
        app: app.name.to_string(),
        generation,
        took_ms: millis(took),
    }));
    for op in update.ops {
        pay(op, Outcome::Done, turn);
    }
    true
}

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
    }));
}

/// How many slots this update replaces, as far as can be said now.
fn total(app: &App) -> u32 {
    let done = app.update.as_ref().map_or(0, |update| update.done);
    done + u32::try_from(old_slots(app).count()).unwrap_or(u32::MAX)
}

fn next_slot(app: &App) -> Option<SlotNumber> {
    old_slots(app).next()
}

/// The slots that are still of an older generation, in order. Those that ended for good are left in peace.
fn old_slots(app: &App) -> impl Iterator<Item = SlotNumber> {
    let generation = app
        .update
        .as_ref()
        .map_or(Generation(0), |update| update.generation);
    let wanted = app.slots.range(..SlotNumber(app.size));
    wanted
        .filter(move |(_, slot)| {
            slot.generation < generation && !matches!(slot.state, SlotState::Ended { .. })
        })
        .map(|(number, _)| *number)
}
