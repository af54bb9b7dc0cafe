//! The trial of a successor: it must become ready, and stay so for a while, before it takes its slot over.
//!
//! ```text
//!  clearing ──nobody is in the way──► starting ──ready──► watched ──long enough, and not too many drain──► takes over
//!                                        │  ▲                │
//!                                        │  └── assumption ──┘            it exits, from wherever: it has failed
//!                                        │      withdrawn
//!                                        └── not in time ──► late ──exited, or LAST_WORDS over──► it has failed
//! ```
//! Which slots are on trial, and in which way, is decided in `budget`; here is how one begins and is called off, in [`judge`] how
//! it goes.

mod judge;

use std::time::Duration;

use ostler_bus::{Slot as SlotNumber, WorkerId, vocab::update::UpdateStep};

pub(super) use self::judge::{deadline, judge};
use super::{
    Moment,
    app::{App, Made},
    cause::Cause,
    drain,
    progress::progress,
    recycle,
    slot::SlotState,
    turn::Turn,
    update::{self, Course, GivenUp},
};
use crate::config::app::update::Strategy;

/// A slot whose worker is being replaced.
#[derive(Debug)]
pub(super) struct Trial {
    pub(super) slot: SlotNumber,
    pub(super) aim: Aim,
    pub(super) way: Way,
    /// What the successor is made from.
    made: Made,
    strategy: Strategy,
    /// For how long the successor is not to be replaced for its size.
    pub(super) respite: Duration,
    stage: Stage,
}

/// What a successor is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aim {
    /// The running update, or its rollback.
    Update,
    /// To take the place of one of its own generation.
    Recycle,
}

/// Where a successor comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Beside whoever holds the slot, who drains when it is taken over.
    Beside,
    /// In the place of whoever held it, who was told to go first.
    Instead,
}

/// How far a trial is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Somebody is in the way still.
    Clearing,
    /// Not ready yet.
    Starting(WorkerId),
    /// Ready, and being watched.
    Watched(WorkerId),
    /// Not ready in time: it has failed when it has exited, or then.
    Late(WorkerId, Moment),
}

impl Trial {
    /// Its process, once it is ordered.
    pub(super) fn successor(&self) -> Option<WorkerId> {
        match self.stage {
            Stage::Clearing => None,
            Stage::Starting(id) | Stage::Watched(id) | Stage::Late(id, _) => Some(id),
        }
    }

    fn is_watched(&self) -> bool {
        matches!(self.stage, Stage::Watched(_))
    }
}

/// The trial that this worker is the successor of.
pub(super) fn of_successor(app: &App, id: WorkerId) -> Option<&Trial> {
    app.trials
        .iter()
        .find(|trial| trial.successor() == Some(id))
}

/// Whether a slot's worker is being replaced.
pub(super) fn on_trial(app: &App, slot: SlotNumber) -> bool {
    app.trials.iter().any(|trial| trial.slot == slot)
}

/// Begins to replace a slot's worker.
pub(super) fn begin(
    app: &mut App,
    slot: SlotNumber,
    (made, strategy): (Made, Strategy),
    (aim, way): (Aim, Way),
    turn: &mut Turn,
) {
    if way == Way::Instead {
        vacate(app, slot, aim, turn);
    }
    app.trials.push(Trial {
        slot,
        aim,
        way,
        made,
        strategy,
        respite: Duration::ZERO,
        stage: Stage::Clearing,
    });
}

/// Whoever holds the slot goes first.
fn vacate(app: &mut App, number: SlotNumber, aim: Aim, turn: &mut Turn) {
    let (cause, why) = (cause(app, aim), reason(app));
    let Some(slot) = app.slots.get_mut(&number) else {
        return;
    };
    let holder = slot.holder();
    if slot.state == SlotState::Vacant {
        // If nothing comes of it, it is filled as any other would be.
        slot.adopt(app.serving.0, &app.serving.1);
    }
    // If nothing comes of it, what has ended has ended.
    if !matches!(slot.state, SlotState::Ended { .. }) {
        slot.state = SlotState::Vacant;
    }
    if let Some(worker) = holder.and_then(|id| app.workers.get_mut(&id)) {
        let id = worker.id;
        worker.outdated = why;
        drain::send_away(worker, &app.name, cause, turn);
        if aim == Aim::Update {
            progress(app, number, id, UpdateStep::Stopping, turn);
        }
    }
}

/// Why a worker goes that is replaced for this.
fn cause(app: &App, aim: Aim) -> Cause {
    match (aim, &app.update) {
        (Aim::Recycle, _) => Cause::Recycle,
        (Aim::Update, Some(update)) if update.goes_back() => Cause::Rollback,
        (Aim::Update, _) => Cause::Update,
    }
}

/// Why the running update came, or goes back, in words.
fn reason(app: &App) -> Option<String> {
    let update = app.update.as_ref()?;
    Some(match &update.course {
        Course::Forward => update.reason.clone(),
        Course::Back { why } => why.clone(),
    })
}

/// What the successor is started for, in words.
fn trigger(app: &App, slot: SlotNumber, aim: Aim) -> String {
    match (aim, &app.update, app.holder(slot)) {
        (Aim::Update, Some(update), _) => {
            let what = match update.course {
                Course::Forward => "update to",
                Course::Back { .. } => "rollback of",
            };
            let why = reason(app).unwrap_or_default();
            format!("{what} generation {}: {why}", update.generation)
        }
        (Aim::Recycle, _, Some(old)) => match &old.due {
            Some(due) => format!("recycle of worker {}: {}", old.id, due.why),
            None => format!("recycle of worker {}", old.id),
        },
        (Aim::Update, None, _) => "update".into(),
        (Aim::Recycle, _, None) => "recycle".into(),
    }
}

/// A successor is no good.
pub(super) fn failed(app: &mut App, slot: SlotNumber, why: &str, turn: &mut Turn) {
    let trial = app.trials.iter().find(|trial| trial.slot == slot);
    match trial.map(|trial| trial.aim) {
        Some(Aim::Update) => update::give_up(app, GivenUp::Failed(why), turn),
        Some(Aim::Recycle) => recycle::give_up(app, turn),
        None => {}
    }
}

/// Ends the trials that pass this test: their successors go, and a slot that was cleared is tried again with what it had.
pub(super) fn drop_all(
    app: &mut App,
    ends: impl Fn(&Trial) -> bool,
    cause: Cause,
    turn: &mut Turn,
) {
    let ended: Vec<Trial> = app.trials.extract_if(.., |trial| ends(trial)).collect();
    for trial in ended {
        let successor = trial.successor().and_then(|id| app.workers.get_mut(&id));
        if let Some(worker) = successor {
            drain::send_away(worker, &app.name, cause, turn);
        }
        if let Some(slot) = app.slots.get_mut(&trial.slot)
            && (trial.way, slot.state) == (Way::Instead, SlotState::Vacant)
        {
            slot.state = SlotState::Backoff { until: turn.now };
        }
    }
}
