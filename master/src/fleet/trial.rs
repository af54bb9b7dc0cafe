//! The trial of a successor: it must become ready, and stay so for a while, before it takes its slot over.
//!
//! ```text
//!  starting ──ready──► watched ──long enough, and not too many drain──► takes over
//!     │  ▲                │
//!     │  └── assumption ──┘                    it exits, from wherever: the update is given up
//!     │      withdrawn
//!     └── not in time ──► late ──exited, or LAST_WORDS over──► the update is given up
//! ```

use std::{sync::Arc, time::Duration};

use ostler_bus::{Generation, Slot as SlotNumber, WorkerId, vocab::update::UpdateStep};

use super::{
    Moment,
    app::App,
    drain::{self, Cause},
    exits, readiness, recycle,
    slot::SlotState,
    turn::Turn,
    update::{GivenUp, give_up, progress},
    worker::{Occasion, Phase, Worker},
};
use crate::config::app::AppDefinition;

/// How long the abort of an update waits for the last words of a successor that was not ready in time.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A successor on trial.
#[derive(Debug)]
pub(super) struct Trial {
    pub(super) slot: SlotNumber,
    pub(super) successor: WorkerId,
    pub(super) aim: Aim,
    stage: Stage,
}

/// What a successor is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aim {
    /// The running update.
    Update,
    /// To take the place of one of its own generation.
    Recycle,
}

/// How far a trial is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Not ready yet.
    Starting,
    /// Ready, and being watched.
    Watched,
    /// Not ready in time: the update is given up when it has exited, or then.
    Late(Moment),
}

/// What this worker is for, if it is the successor on trial.
pub(super) fn aim_of(app: &App, id: WorkerId) -> Option<Aim> {
    let trial = app.trial.as_ref()?;
    (trial.successor == id).then_some(trial.aim)
}

/// The slot that a successor is on trial for.
pub(super) fn slot_on_trial(app: &App) -> Option<SlotNumber> {
    Some(app.trial.as_ref()?.slot)
}

/// Brings up the successor for a slot.
pub(super) fn begin(
    app: &mut App,
    slot: SlotNumber,
    generation: (Generation, Arc<AppDefinition>),
    aim: Aim,
    turn: &mut Turn,
) {
    let trigger = trigger(app, slot, aim);
    let successor = app.spawn(slot, generation, Occasion::Successor, turn);
    if let Some(worker) = app.workers.get_mut(&successor) {
        worker.trigger = trigger;
    }
    app.trial = Some(Trial {
        slot,
        successor,
        aim,
        stage: Stage::Starting,
    });
    if aim == Aim::Update {
        progress(app, slot, successor, UpdateStep::Starting, turn);
    }
}

/// What the successor is started for, in words.
fn trigger(app: &App, slot: SlotNumber, aim: Aim) -> String {
    match (aim, &app.update, app.holder(slot)) {
        (Aim::Update, Some(update), _) => {
            format!(
                "update to generation {}: {}",
                update.generation, update.reason
            )
        }
        (Aim::Recycle, _, Some(old)) => match &old.due {
            Some(due) => format!("recycle of worker {}: {}", old.id, due.why),
            None => format!("recycle of worker {}", old.id),
        },
        (Aim::Update, None, _) => "update".into(),
        (Aim::Recycle, _, None) => "recycle".into(),
    }
}

/// The successor is no good.
pub(super) fn failed(app: &mut App, why: &str, turn: &mut Turn) {
    match app.trial.as_ref().map(|trial| trial.aim) {
        Some(Aim::Update) => give_up(app, GivenUp::Failed(why), turn),
        Some(Aim::Recycle) => recycle::give_up(app, turn),
        None => {}
    }
}

/// Looks at the successor on trial; true if that changed anything.
pub(super) fn judge(app: &mut App, turn: &mut Turn) -> bool {
    let full = drains_full(app);
    let done = app.update.as_ref().map_or(0, |update| update.done);
    let Some(trial) = &mut app.trial else {
        return false;
    };
    let (slot, successor, aim) = (trial.slot, trial.successor, trial.aim);
    let Some(worker) = app.workers.get(&successor) else {
        return false;
    };
    let stage = stage(worker, trial.stage, turn.now);
    let changed = std::mem::replace(&mut trial.stage, stage) != stage;
    let proven = proven_at(aim, done, worker).is_some_and(|at| at <= turn.now);
    match stage {
        Stage::Late(until) if until <= turn.now => {
            let why = exits::late(worker);
            failed(app, &why, turn);
            true
        }
        Stage::Watched if changed => {
            if aim == Aim::Update {
                progress(app, slot, successor, UpdateStep::Watching, turn);
            }
            true
        }
        Stage::Watched if proven && !full => {
            take_over(app, turn);
            true
        }
        Stage::Starting | Stage::Watched | Stage::Late(_) => changed,
    }
}

/// How far the trial of this successor is, having been so far before.
fn stage(worker: &Worker, before: Stage, now: Moment) -> Stage {
    match (&worker.phase, before) {
        (Phase::Starting { .. }, _) => Stage::Starting,
        (Phase::Ready { .. }, _) => Stage::Watched,
        (Phase::Leaving(_), Stage::Late(until)) => Stage::Late(until),
        (Phase::Leaving(leaving), Stage::Starting | Stage::Watched) => match leaving.cause {
            Cause::StartTimeout => Stage::Late(now + LAST_WORDS),
            Cause::Update
            | Cause::UpdateGivenUp
            | Cause::Stop
            | Cause::Scale
            | Cause::Kill
            | Cause::Hung
            | Cause::Recycle
            | Cause::Memory
            | Cause::Own => before,
        },
    }
}

/// The successor becomes its slot's holder; whoever held it drains.
fn take_over(app: &mut App, turn: &mut Turn) {
    let Some(trial) = app.trial.take() else {
        return;
    };
    let (Some(slot), Some(successor)) = (
        app.slots.get_mut(&trial.slot),
        app.workers.get(&trial.successor),
    ) else {
        return;
    };
    slot.adopt(successor.generation, &successor.definition);
    let predecessor = slot.holder();
    slot.state = SlotState::Held(trial.successor);
    slot.last_worker = None;
    let cause = match trial.aim {
        Aim::Update => Cause::Update,
        Aim::Recycle => Cause::Recycle,
    };
    let why = app.update.as_ref().map(|update| update.reason.clone());
    if let (Aim::Update, Some(update)) = (trial.aim, &mut app.update) {
        update.done += 1;
        progress(app, trial.slot, trial.successor, UpdateStep::Replaced, turn);
    }
    if let Some(worker) = predecessor.and_then(|id| app.workers.get_mut(&id)) {
        worker.outdated = why;
        drain::send_away(worker, &app.name, cause, turn);
    }
}

/// When this successor will have been ready long enough.
fn proven_at(aim: Aim, done: u32, worker: &Worker) -> Option<Moment> {
    match worker.phase {
        Phase::Ready { since, assumed } if aim == Aim::Update && done == 0 => {
            Some(since + readiness::canary_healthy(&worker.definition, assumed))
        }
        Phase::Ready { since, assumed } => {
            Some(since + readiness::min_healthy(&worker.definition, assumed))
        }
        Phase::Starting { .. } | Phase::Leaving(_) => None,
    }
}

/// When [`judge`] wants to be called.
pub(super) fn deadline(app: &App) -> Option<Moment> {
    let done = app.update.as_ref().map_or(0, |update| update.done);
    let trial = app.trial.as_ref()?;
    match trial.stage {
        Stage::Late(until) => Some(until),
        Stage::Starting => None,
        Stage::Watched if drains_full(app) => None,
        Stage::Watched => app
            .workers
            .get(&trial.successor)
            .and_then(|worker| proven_at(trial.aim, done, worker)),
    }
}

/// Whether as many replaced workers drain as may at once.
pub(super) fn drains_full(app: &App) -> bool {
    let most = app
        .definition
        .max_draining
        .unwrap_or_else(|| app.size.div_ceil(4).max(2))
        .max(1);
    let draining = app.workers.values().filter(|worker| {
        worker
            .leaving()
            .is_some_and(|leaving| matches!(leaving.cause, Cause::Update | Cause::Recycle))
    });
    draining.count() >= most as usize
}
