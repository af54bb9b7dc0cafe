//! Rolling updates: a few new workers first, and no old one goes before its successor has proved itself, or its app says
//! that so many may be missing.
//!
//! ```text
//!  asked ─► pending ─► begin ─► trials of the next slots ◄─────────────────────────┐
//!             ▲                   │ successor starting ─► ready, watched ─► takes over: predecessor drains
//!   asked during an update        │                                                │ no slot left
//!   joins the one pending         └─ successor fails ─► aborted: old kept,         ▼
//!   update                           or rolled back                  wait for the drained ─► finished
//! ```
//! * The first successors are the canaries and are watched for `canary_healthy`, the others for `min_healthy`; nobody else
//!   is replaced before the canaries have proved themselves.
//! * Steps don't wait for drains; how many go on at once is decided in `budget`.
//! * An update's definition is fixed when it begins; whatever is asked for later begins afterwards. Requests are joined
//!   with the *pending* update only: joined with the running one, a deploy would be lost.
//! * A new worker that fails a start, crashes early or fails too many requests gives the update up, whether it has taken
//!   over yet or not, as long as there are old ones left to keep; going back is told in `rollback`.

use std::{collections::BTreeMap, sync::Arc};

use ostler_bus::{
    Generation, OpId, Slot as SlotNumber,
    vocab::{
        control::Outcome,
        update::{UpdateAborted, UpdateFinished, UpdateStarted, UpdateStep},
    },
};

use super::{
    FleetEvent, Moment,
    app::{App, Made},
    budget,
    cause::Cause,
    guard::Asker,
    mutation::Mutation,
    operations::pay,
    progress::{self, progress},
    recycle, rollback,
    slot::{Slot, SlotState},
    trial::{self, Aim, Way},
    turn::Turn,
    worker::{Worker, millis},
};
use crate::config::{
    app::{
        AppDefinition,
        update::{OnFailure, Strategy},
    },
    units::rough,
};

/// An update under way.
#[derive(Debug)]
pub(super) struct Update {
    pub(super) generation: Generation,
    pub(super) definition: Arc<AppDefinition>,
    /// What asked for it, in words.
    pub(super) reason: String,
    asker: Asker,
    pub(super) course: Course,
    /// How many slots have been taken over: by the new generation or, on the way back, from it.
    pub(super) done: u32,
    /// What the slots were that the new generation has taken over.
    before: BTreeMap<SlotNumber, Made>,
    pub(super) ops: Vec<OpId>,
    pub(super) began: Moment,
}

/// Where an update is going.
#[derive(Debug)]
pub(super) enum Course {
    /// The new generation is brought up.
    Forward,
    /// It was no good, and what it has taken over goes back.
    Back {
        /// Why it was no good.
        why: String,
    },
}

impl Update {
    pub(super) fn goes_back(&self) -> bool {
        matches!(self.course, Course::Back { .. })
    }

    /// What its new workers are made from; none if it goes back.
    pub(super) fn brings(&self) -> Option<Made> {
        let made = || (self.generation, Arc::clone(&self.definition));
        (!self.goes_back()).then(made)
    }

    /// What its workers are made from, also on the way back.
    pub(super) fn definitions(&self) -> impl Iterator<Item = &Arc<AppDefinition>> {
        let before = self.before.values().map(|(_, definition)| definition);
        before.chain([&self.definition])
    }

    /// A slot was taken over that was this before.
    pub(super) fn replaced(&mut self, slot: SlotNumber, before: Made) {
        self.done += 1;
        match self.course {
            Course::Forward => drop(self.before.insert(slot, before)),
            Course::Back { .. } => {}
        }
    }

    /// Whether this slot is still to be replaced. Those that ended well, or were stopped, are left in peace.
    fn is_to_do(&self, slot: &Slot) -> bool {
        let open = match slot.state {
            SlotState::Ended { well } => !well && self.mends(),
            SlotState::Vacant
            | SlotState::Held(_)
            | SlotState::Backoff { .. }
            | SlotState::Failed { .. }
            | SlotState::Stopped => true,
        };
        self.is_for(slot) && open
    }

    /// Whether this slot is to be of another generation.
    fn is_for(&self, slot: &Slot) -> bool {
        let new = slot.generation == self.generation;
        new == self.goes_back()
    }

    /// Whether it brings up what has ended, and not well. What the app's own workers ask for mends nothing: one that shuts its
    /// socket down and then crashes would be back, whatever `restart` says.
    fn mends(&self) -> bool {
        match (&self.course, self.asker) {
            (Course::Back { .. }, _) | (Course::Forward, Asker::File(_) | Asker::Outside) => true,
            (Course::Forward, Asker::Own(_)) => false,
        }
    }

    /// What the successor in a slot is made from.
    fn successor(&self, slot: SlotNumber, serving: &Made) -> Made {
        let back = || self.before.get(&slot).unwrap_or(serving).clone();
        self.brings().unwrap_or_else(back)
    }
}

/// How an update ends that doesn't finish.
#[derive(Clone, Copy, Debug)]
pub(super) enum GivenUp<'a> {
    /// Its new workers are no good.
    Failed(&'a str),
    /// A command came in between.
    Overtaken(&'a str),
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
    let ours = |trial: &trial::Trial| trial.aim == Aim::Update;
    trial::drop_all(app, ours, Cause::UpdateGivenUp, turn);
    match &update.course {
        Course::Forward => abort(app, update, why, turn),
        Course::Back { .. } => rollback::give_up(app, update, why, turn),
    }
}

fn abort(app: &mut App, update: Update, why: GivenUp<'_>, turn: &mut Turn) {
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
    let back = match update.definition.update.on_failure {
        OnFailure::Rollback if !overtaken => rollback::slots(app, &update),
        OnFailure::Rollback | OnFailure::KeepOld => 0,
    };
    turn.publish(FleetEvent::UpdateAborted(UpdateAborted {
        app: app.name.to_string(),
        generation: update.generation,
        reason: reason.clone(),
        overtaken,
        replaced: update.done,
        rolling_back: back,
    }));
    if back > 0 && !turn.mutated(Mutation::NeverGoBack) {
        rollback::begin(app, update, reason, turn);
        return;
    }
    for op in update.ops {
        pay(op, outcome.clone(), turn);
    }
}

/// A worker that holds its slot has failed; if it is of the generation being brought up, that is no good.
pub(super) fn newcomer_failed(app: &mut App, worker: &Worker, why: &str, turn: &mut Turn) {
    if holds_to_account(app, worker.generation) {
        give_up(app, GivenUp::Failed(why), turn);
    }
}

/// Whether a worker of this generation that does badly is the end of the running update: there is something left to keep,
/// or to go back to.
pub(super) fn holds_to_account(app: &App, generation: Generation) -> bool {
    app.update.as_ref().is_some_and(|update| {
        let back = update.definition.update.on_failure == OnFailure::Rollback;
        update.generation == generation
            && !update.goes_back()
            && (back || to_do(app, update).next().is_some())
    })
}

/// Whether the successors now on trial are canaries.
pub(super) fn watches_canaries(app: &App) -> bool {
    app.update.as_ref().is_some_and(|update| {
        let rules = &update.definition.update;
        let all = rules.strategy == Strategy::AllAtOnce;
        !update.goes_back() && (all || update.done < rules.canaries(app.size))
    })
}

/// A worker that holds no slot is gone; perhaps it was one that had been replaced.
pub(super) fn predecessor_exited(app: &App, worker: &Worker, turn: &mut Turn) {
    if progress::by_update(worker) {
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
    let (generation, definition) = app.next_generation(pending.extra);
    app.guard.note(turn.now, pending.asker, generation);
    app.update = Some(Update {
        generation,
        definition,
        reason: pending.reason.clone(),
        asker: pending.asker,
        course: Course::Forward,
        done: 0,
        before: BTreeMap::new(),
        ops: pending.ops.clone(),
        began: turn.now,
    });
    turn.publish(FleetEvent::UpdateStarted(UpdateStarted {
        app: app.name.to_string(),
        generation,
        total: progress::total(app),
        reason: pending.reason,
        ops: pending.ops,
    }));
    true
}

/// One step; false if there is nothing to do now.
fn step(app: &mut App, turn: &mut Turn) -> bool {
    if app.update.is_some() && trial::judge(app, turn) {
        return true;
    }
    let Some(update) = &app.update else {
        return false;
    };
    let crowd = || {
        let first = to_do(app, update).find(|slot| !trial::on_trial(app, *slot))?;
        turn.mutated(Mutation::SpendTooMuch)
            .then_some((first, Way::Instead))
    };
    if let Some((slot, way)) = next(app, update).or_else(crowd) {
        let made = update.successor(slot, &app.serving);
        let strategy = update.definition.update.strategy;
        trial::begin(app, slot, (made, strategy), (Aim::Update, way), turn);
        return true;
    }
    let is_over = app.trials.is_empty() && to_do(app, update).next().is_none();
    is_over && finish(app, turn)
}

/// The slot that can be replaced now, and in which way. The canaries come first, and alone.
fn next(app: &App, update: &Update) -> Option<(SlotNumber, Way)> {
    let rules = &update.definition.update;
    let canaries = rules.canaries(app.size) as usize;
    let begun = update.done as usize + app.trials.len();
    if watches_canaries(app) && begun >= canaries && rules.strategy != Strategy::AllAtOnce {
        return None;
    }
    to_do(app, update)
        .filter(|slot| !trial::on_trial(app, *slot))
        .find_map(|slot| Some((slot, budget::way(app, slot, rules)?)))
}

/// Nothing is left to replace: the update has finished when those that were replaced are gone.
fn finish(app: &mut App, turn: &mut Turn) -> bool {
    let Some(update) = app.update.take_if(|update| {
        let back = update.goes_back();
        let mut workers = app.workers.values();
        !workers.any(|worker| (worker.generation == update.generation) == back)
    }) else {
        return false;
    };
    if update.goes_back() {
        rollback::finish(app, update, turn);
        return true;
    }
    let took = turn.now - update.began;
    app.serving = (update.generation, update.definition);
    app.last_update = Some(format!(
        "generation {} in {}",
        update.generation,
        rough(took)
    ));
    turn.publish(FleetEvent::UpdateFinished(UpdateFinished {
        app: app.name.to_string(),
        generation: update.generation,
        took_ms: millis(took),
    }));
    for op in update.ops {
        pay(op, Outcome::Done, turn);
    }
    true
}

/// What a slot is, or is becoming.
pub(super) fn made(app: &App, number: SlotNumber, slot: &Slot) -> Made {
    match app.update.as_ref().filter(|update| update.is_for(slot)) {
        Some(update) => update.successor(number, &app.serving),
        None => (slot.generation, Arc::clone(&slot.definition)),
    }
}

/// Whether a slot is still to be replaced by the running update, if there is one.
pub(super) fn replaces(app: &App, slot: SlotNumber) -> bool {
    let mut update = app.update.iter();
    update.any(|update| to_do(app, update).any(|number| number == slot))
}

/// The slots that are still to be replaced, in order.
pub(super) fn to_do<'a>(app: &'a App, update: &'a Update) -> impl Iterator<Item = SlotNumber> + 'a {
    let wanted = app.slots.range(..SlotNumber(app.size));
    wanted
        .filter(|(number, slot)| update.is_to_do(slot) && !app.parked.contains(number))
        .map(|(number, _)| *number)
}
