//! The trial of a successor: it must become ready, and stay so for a while, before it takes its slot over.
//!
//! ```text
//!  clearing ──nobody is in the way──► starting ──ready──► watched ──long enough, and not too many drain──► takes over
//!                                        │  ▲                │
//!                                        │  └── assumption ──┘            it exits, from wherever: it has failed
//!                                        │      withdrawn
//!                                        └── not in time ──► late ──exited, or LAST_WORDS over──► it has failed
//! ```
//! Which slots are on trial, and in which way, is decided in `budget`; here is how one goes.

use std::{sync::Arc, time::Duration};

use ostler_bus::{Slot as SlotNumber, WorkerId, vocab::update::UpdateStep};

use super::{
    Moment,
    app::{App, Made},
    budget,
    cause::Cause,
    clearing, drain, epitaph,
    mutation::Mutation,
    progress::progress,
    readiness, recycle,
    slot::SlotState,
    turn::Turn,
    update::{self, Course, GivenUp},
    worker::{Occasion, Phase, Worker},
};
use crate::config::app::update::Strategy;

/// How long a trial waits for the last words of a successor that was not ready in time.
const LAST_WORDS: Duration = Duration::from_secs(2);

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
    slot.state = SlotState::Vacant;
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

/// Looks at all trials; true if that changed anything.
pub(super) fn judge(app: &mut App, turn: &mut Turn) -> bool {
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
pub(super) fn deadline(app: &App) -> Option<Moment> {
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

impl Trial {
    fn is_watched(&self) -> bool {
        matches!(self.stage, Stage::Watched(_))
    }
}
