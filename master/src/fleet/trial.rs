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

use ostler_bus::{Slot as SlotNumber, WorkerId, vocab::update::UpdateStep};

use super::{
    Moment,
    app::App,
    drain::{self, Cause},
    exits, readiness,
    slot::SlotState,
    turn::Turn,
    update::{GivenUp, Update, drains_full, give_up, progress},
    worker::{Occasion, Phase, Worker},
};

/// How long the abort of an update waits for the last words of a successor that was not ready in time.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A successor on trial.
#[derive(Debug)]
pub(super) struct Trial {
    pub(super) slot: SlotNumber,
    pub(super) successor: WorkerId,
    stage: Stage,
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

/// Whether this worker is the successor on trial.
pub(super) fn is_successor(app: &App, id: WorkerId) -> bool {
    let trial = app.update.as_ref().and_then(|update| update.trial.as_ref());
    trial.is_some_and(|trial| trial.successor == id)
}

/// The slot that a successor is on trial for.
pub(super) fn slot_on_trial(app: &App) -> Option<SlotNumber> {
    let trial = app.update.as_ref()?.trial.as_ref()?;
    Some(trial.slot)
}

/// Brings up the successor for a slot.
pub(super) fn begin(app: &mut App, slot: SlotNumber, turn: &mut Turn) -> bool {
    let Some(update) = &app.update else {
        return false;
    };
    let generation = (update.generation, Arc::clone(&update.definition));
    let successor = app.spawn(slot, generation, Occasion::Successor, turn);
    if let Some(update) = &mut app.update {
        update.trial = Some(Trial {
            slot,
            successor,
            stage: Stage::Starting,
        });
    }
    progress(app, slot, successor, UpdateStep::Starting, turn);
    true
}

/// Looks at the successor on trial; true if that changed anything.
pub(super) fn judge(app: &mut App, turn: &mut Turn) -> bool {
    let full = drains_full(app);
    let Some(update) = &mut app.update else {
        return false;
    };
    let Some(trial) = &mut update.trial else {
        return false;
    };
    let (slot, successor) = (trial.slot, trial.successor);
    let Some(worker) = app.workers.get(&successor) else {
        return false;
    };
    let stage = stage(worker, trial.stage, turn.now);
    let changed = std::mem::replace(&mut trial.stage, stage) != stage;
    let proven = proven_at(update, worker).is_some_and(|at| at <= turn.now);
    match stage {
        Stage::Late(until) if until <= turn.now => {
            let why = exits::late(worker);
            give_up(app, GivenUp::Failed(&why), turn);
            true
        }
        Stage::Watched if changed => {
            progress(app, slot, successor, UpdateStep::Watching, turn);
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
            | Cause::Own => before,
        },
    }
}

/// The successor becomes its slot's holder; whoever held it drains.
fn take_over(app: &mut App, turn: &mut Turn) {
    let Some(update) = &mut app.update else {
        return;
    };
    let Some(trial) = update.trial.take() else {
        return;
    };
    update.done += 1;
    let Some(slot) = app.slots.get_mut(&trial.slot) else {
        return;
    };
    slot.adopt(update.generation, &update.definition);
    let predecessor = slot.holder();
    slot.state = SlotState::Held(trial.successor);
    progress(app, trial.slot, trial.successor, UpdateStep::Replaced, turn);
    if let Some(worker) = predecessor.and_then(|id| app.workers.get_mut(&id)) {
        drain::send_away(worker, &app.name, Cause::Update, turn);
    }
}

/// When this successor will have been ready long enough.
fn proven_at(update: &Update, worker: &Worker) -> Option<Moment> {
    match worker.phase {
        Phase::Ready { since, assumed } if update.done == 0 => {
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
    let update = app.update.as_ref()?;
    let trial = update.trial.as_ref()?;
    match trial.stage {
        Stage::Late(until) => Some(until),
        Stage::Starting => None,
        Stage::Watched if drains_full(app) => None,
        Stage::Watched => app
            .workers
            .get(&trial.successor)
            .and_then(|worker| proven_at(update, worker)),
    }
}
