//! Replacing workers that serve, but are worn or whose hour has come: gently, one at a time, as in an update.
//!
//! ```text
//!  ready ──worn (`wear`), or its hour (`cron`)──► due ──no update, no other trial──► trial of a successor of its generation
//!     ▲                                            ▲                                    │ takes over: the predecessor drains
//!     │                                            └── put off by the back-off ◄────────┘ fails
//!     └── above the hard limit: killed
//! ```
//! An app has one trial at a time, whatever for: that is the budget which updates and recycling share. An update
//! replaces everybody anyway, so it goes before, and ends a recycling under way. Whether the successor comes beside the old
//! one, or in its place, is said by the app's `strategy`.

use std::{sync::Arc, time::Duration};

use super::{
    Moment,
    app::App,
    budget,
    cause::Cause,
    drain,
    mutation::Mutation,
    slot::SlotState,
    trial::{self, Aim, Trial, Way},
    turn::Turn,
    wear::{self, Reason},
    worker::{Occasion, Worker},
};
use crate::config::units::rough;

/// A worker that is to be replaced.
#[derive(Debug)]
pub(super) struct Due {
    /// What for.
    pub(super) reason: Reason,
    /// Why, in words.
    pub(super) why: String,
    /// Not before then: it is too fresh for it, or its last successor was no good.
    pub(super) not_before: Moment,
    /// It is due again, so soon after its predecessor was.
    pub(super) again: bool,
}

impl Due {
    /// "older than 1d (max_age)", and in how long at the earliest.
    pub(super) fn in_words(&self, now: Moment) -> String {
        match self.not_before - now {
            Duration::ZERO => self.why.clone(),
            wait => format!("{}, in {} at the earliest", self.why, rough(wait)),
        }
    }
}

/// When a worker that waits for its successor can be tried again.
pub(super) fn retry_at(app: &App) -> Option<Moment> {
    if app.update.is_some() || !may_begin(app) {
        return None;
    }
    candidates(app).map(|(at, ..)| at).min()
}

/// Does whatever can be done about recycling now.
pub(super) fn advance(app: &mut App, turn: &mut Turn) {
    if turn.mutated(Mutation::IgnoreBudget) {
        for worker in app.workers.values_mut().filter(|w| w.due.is_some()) {
            drain::send_away(worker, &app.name, Cause::Recycle, turn);
        }
    }
    if app.update.is_some() {
        return;
    }
    while trial::judge(app, turn) || begin(app, turn) {}
}

/// Begins to replace the worker that is due first; false if that can't be now.
fn begin(app: &mut App, turn: &mut Turn) -> bool {
    if !may_begin(app) {
        return false;
    }
    let due = candidates(app).filter(|(at, ..)| *at <= turn.now);
    let first = due.min_by_key(|(at, number, _)| (*at, *number));
    let Some((number, way, slot)) =
        first.and_then(|(_, number, way)| Some((number, way, app.slots.get(&number)?)))
    else {
        return false;
    };
    let made = (slot.generation, Arc::clone(&slot.definition));
    let respite = app.holder(number).map(wear::respite_after);
    let strategy = slot.definition.update.strategy;
    trial::begin(app, number, (made, strategy), (Aim::Recycle, way), turn);
    if let Some(trial) = app.trials.last_mut() {
        trial.respite = respite.unwrap_or_default();
    }
    true
}

/// Whether there is anybody to replace, and it may be done now.
fn may_begin(app: &App) -> bool {
    // First, as it is seldom so: this is asked at every step.
    app.workers.values().any(|worker| worker.due.is_some())
        && app.trials.is_empty()
        && !is_busy(app)
}

/// What is missing comes first, one by one; and not too many drain at once.
fn is_busy(app: &App) -> bool {
    let vacant = app
        .slots
        .values()
        .any(|slot| slot.state == SlotState::Vacant);
    let fills = |worker: &Worker| worker.occasion == Occasion::Fill && worker.is_starting();
    vacant || app.workers.values().any(fills) || budget::drains_full(app)
}

/// The slots whose workers are to be replaced, from when on, and in which way: as an update would.
fn candidates(app: &App) -> impl Iterator<Item = (Moment, ostler_bus::Slot, Way)> {
    app.slots.iter().filter_map(|(number, slot)| {
        let SlotState::Held(id) = slot.state else {
            return None;
        };
        let worker = app.workers.get(&id).filter(|worker| worker.is_ready())?;
        if worker.definition.life.oneshot {
            return None;
        }
        let due = worker.due.as_ref()?;
        let way = budget::way(app, *number, &slot.definition.update)?;
        Some((due.not_before, *number, way))
    })
}

/// The successor is no good: the old one, if it is there, serves on, and another is tried later.
pub(super) fn give_up(app: &mut App, turn: &mut Turn) {
    let ours = |trial: &Trial| trial.aim == Aim::Recycle;
    let Some(number) = app.trials.iter().find(|t| ours(t)).map(|t| t.slot) else {
        return;
    };
    trial::drop_all(app, ours, Cause::UpdateGivenUp, turn);
    let Some(slot) = app.slots.get_mut(&number) else {
        return;
    };
    let delay = slot.failures.next_delay(&slot.definition, turn.rng());
    if let SlotState::Backoff { until } = &mut slot.state {
        *until = (*until).max(turn.now + delay);
    }
    let due = slot
        .holder()
        .and_then(|id| app.workers.get_mut(&id))
        .and_then(|worker| worker.due.as_mut());
    if let Some(due) = due {
        due.not_before = turn.now + delay;
    }
}
