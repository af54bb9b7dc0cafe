//! How a trial goes: the successor starts when nobody is in its way, is watched when it is ready, and takes over.

use std::{sync::Arc, time::Duration};

use ostler_bus::{Slot as SlotNumber, vocab::update::UpdateStep};

use super::{
    super::{
        Moment,
        app::App,
        budget,
        cause::Cause,
        clearing, drain, epitaph,
        mutation::Mutation,
        progress::progress,
        readiness,
        slot::SlotState,
        turn::Turn,
        update,
        worker::{Occasion, Phase, Worker},
    },
    Aim, Stage, Trial, Way, cause, failed, reason, trigger,
};
use crate::config::app::update::Strategy;

/// How long a trial waits for the last words of a successor that was not ready in time.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Looks at all trials; true if that changed anything.
pub(in crate::fleet) fn judge(app: &mut App, turn: &mut Turn) -> bool {
    let slots: Vec<SlotNumber> = app.trials.iter().map(|trial| trial.slot).collect();
    let mut changed = false;
    for slot in slots {
        // One may end them all.
        changed |= judge_one(app, slot, turn);
    }
    changed
}

fn judge_one(app: &mut App, slot: SlotNumber, turn: &mut Turn) -> bool {
    let Some(at) = app.trials.iter().position(|trial| trial.slot == slot) else {
        return false;
    };
    let trial = &app.trials[at];
    let Some(successor) = trial.successor() else {
        return start(app, at, turn);
    };
    let Some(worker) = app.workers.get(&successor) else {
        return false;
    };
    let before = trial.stage;
    let stage = stage(worker, before, turn.now);
    let aim = trial.aim;
    if let Stage::Late(_, until) = stage
        && until <= turn.now
    {
        let why = epitaph::late(worker);
        failed(app, slot, &why, turn);
        return true;
    }
    app.trials[at].stage = stage;
    let changed = stage != before;
    if changed && matches!(stage, Stage::Watched(_)) && aim == Aim::Update {
        progress(app, slot, successor, UpdateStep::Watching, turn);
    }
    if !changed && may_take_over(app, &app.trials[at], turn.now) {
        take_over(app, at, turn);
        return true;
    }
    changed
}

/// Starts the successor, if nobody is in its way.
fn start(app: &mut App, at: usize, turn: &mut Turn) -> bool {
    let trial = &app.trials[at];
    let (slot, aim, made) = (trial.slot, trial.aim, trial.made.clone());
    let clear = trial.way == Way::Beside || clearing::clear(app, slot, made.0, trial.strategy);
    if !clear && !turn.mutated(Mutation::CrowdSlots) {
        return false;
    }
    let (why, respite) = (trigger(app, slot, aim), trial.respite);
    let id = app.spawn(slot, made, Occasion::Successor, turn);
    if let Some(worker) = app.workers.get_mut(&id) {
        (worker.trigger, worker.respite) = (why, respite);
    }
    app.trials[at].stage = Stage::Starting(id);
    if aim == Aim::Update {
        progress(app, slot, id, UpdateStep::Starting, turn);
    }
    true
}

/// How far the trial of this successor is, having been so far before.
fn stage(worker: &Worker, before: Stage, now: Moment) -> Stage {
    let id = worker.id;
    match (&worker.phase, before) {
        (Phase::Starting { .. }, _) => Stage::Starting(id),
        (Phase::Ready { .. }, _) => Stage::Watched(id),
        (Phase::Leaving(_), Stage::Late(..)) => before,
        (Phase::Leaving(leaving), Stage::Clearing | Stage::Starting(_) | Stage::Watched(_)) => {
            match leaving.cause {
                Cause::StartTimeout => Stage::Late(id, now + LAST_WORDS),
                Cause::Update
                | Cause::UpdateGivenUp
                | Cause::Rollback
                | Cause::Stop
                | Cause::Restart
                | Cause::Scale
                | Cause::Kill
                | Cause::Hung
                | Cause::Recycle
                | Cause::Memory
                | Cause::Own => before,
            }
        }
    }
}

/// Whether a successor has proved itself, and there is room for its predecessor to drain. Versions that can't run together
/// are taken over together.
fn may_take_over(app: &App, trial: &Trial, now: Moment) -> bool {
    let proven = |trial: &Trial| proven_at(app, trial).is_some_and(|at| at <= now);
    match (trial.aim, trial.strategy) {
        (Aim::Update, Strategy::AllAtOnce) => app.trials.iter().all(proven),
        (Aim::Update | Aim::Recycle, _) => {
            let room = trial.way == Way::Instead || !budget::drains_full(app);
            room && proven(trial)
        }
    }
}

/// The successor becomes its slot's holder; whoever held it drains.
fn take_over(app: &mut App, at: usize, turn: &mut Turn) {
    let trial = app.trials.remove(at);
    let (cause, why) = (cause(app, trial.aim), reason(app));
    let (Some(successor), Some(slot)) = (trial.successor(), app.slots.get_mut(&trial.slot)) else {
        return;
    };
    let before = (slot.generation, Arc::clone(&slot.definition));
    let predecessor = slot.holder();
    slot.adopt(trial.made.0, &trial.made.1);
    slot.state = SlotState::Held(successor);
    slot.last_worker = None;
    if let (Aim::Update, Some(update)) = (trial.aim, &mut app.update) {
        update.replaced(trial.slot, before);
        progress(app, trial.slot, successor, UpdateStep::Replaced, turn);
    }
    if let Some(worker) = predecessor.and_then(|id| app.workers.get_mut(&id)) {
        worker.outdated = why;
        drain::send_away(worker, &app.name, cause, turn);
    }
}

/// When this successor will have been ready long enough.
fn proven_at(app: &App, trial: &Trial) -> Option<Moment> {
    let worker = app.workers.get(&trial.successor()?)?;
    let Phase::Ready { since, assumed } = worker.phase else {
        return None;
    };
    let canary = trial.aim == Aim::Update && update::watches_canaries(app);
    Some(
        since
            + match canary {
                true => readiness::canary_healthy(&worker.definition, assumed),
                false => readiness::min_healthy(&worker.definition, assumed),
            },
    )
}

/// When [`judge`] wants to be called.
pub(in crate::fleet) fn deadline(app: &App) -> Option<Moment> {
    let due = |trial: &Trial| match trial.stage {
        Stage::Late(_, until) => Some(until),
        Stage::Clearing | Stage::Starting(_) => None,
        Stage::Watched(_) if trial.way == Way::Beside && budget::drains_full(app) => None,
        Stage::Watched(_) => proven_at(app, trial),
    };
    let together = |trial: &&Trial| {
        trial.aim == Aim::Update && trial.strategy == Strategy::AllAtOnce && trial.is_watched()
    };
    let alone = app
        .trials
        .iter()
        .filter(|trial| !together(trial))
        .filter_map(due);
    // The last of them decides.
    let all: Option<Vec<Moment>> = app
        .trials
        .iter()
        .map(|trial| proven_at(app, trial))
        .collect();
    let last = all.filter(|_| app.trials.iter().any(|trial| together(&trial)));
    alone
        .chain(last.and_then(|all| all.into_iter().max()))
        .min()
}
