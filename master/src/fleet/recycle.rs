//! Replacing workers that serve, but are worn or whose hour has come: gently, one at a time, as in an update.
//!
//! ```text
//!  ready ──worn (`wear`), or its hour (`cron`)──► due ──no update, no other trial──► trial of a successor of its generation
//!     ▲                                            ▲                                    │ takes over: the predecessor drains
//!     │                                            └── put off by the back-off ◄────────┘ fails
//!     └── above the hard limit: killed
//! ```
//! An app has one trial at a time, whatever for: that is the budget which updates and recycling share. An update
//! replaces everybody anyway, so it goes before, and ends a recycling under way.

use std::{sync::Arc, time::Duration};

use super::{
    Moment,
    app::App,
    drain::{self, Cause},
    mutation::Mutation,
    slot::SlotState,
    trial::{self, Aim},
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
    let first = candidates(app).map(|(at, _)| at).min()?;
    let waits = app.update.is_some() || app.trial.is_some() || is_busy(app);
    (!waits).then_some(first)
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
    while app.trial.is_some() {
        if !trial::judge(app, turn) {
            return;
        }
    }
    let due = candidates(app).filter(|(at, _)| *at <= turn.now).min();
    let Some((_, number)) = due.filter(|_| !is_busy(app)) else {
        return;
    };
    let Some(slot) = app.slots.get(&number) else {
        return;
    };
    let generation = (slot.generation, Arc::clone(&slot.definition));
    let respite = app.holder(number).map(wear::respite_after);
    trial::begin(app, number, generation, Aim::Recycle, turn);
    let successor = app.trial.as_ref().map(|trial| trial.successor);
    if let Some(worker) = successor.and_then(|id| app.workers.get_mut(&id)) {
        worker.respite = respite.unwrap_or_default();
    }
}

/// What is missing comes first, one by one; and not too many drain at once.
fn is_busy(app: &App) -> bool {
    let vacant = app
        .slots
        .values()
        .any(|slot| slot.state == SlotState::Vacant);
    let fills = |worker: &Worker| worker.occasion == Occasion::Fill && worker.is_starting();
    vacant || app.workers.values().any(fills) || trial::drains_full(app)
}

/// The slots whose workers are to be replaced, and from when on.
fn candidates(app: &App) -> impl Iterator<Item = (Moment, ostler_bus::Slot)> {
    app.slots.iter().filter_map(|(number, slot)| {
        let SlotState::Held(id) = slot.state else {
            return None;
        };
        let worker = app.workers.get(&id).filter(|worker| worker.is_ready())?;
        if worker.definition.life.oneshot {
            return None;
        }
        worker.due.as_ref().map(|due| (due.not_before, *number))
    })
}

/// The successor is no good: the old one serves on, and another is tried later.
pub(super) fn give_up(app: &mut App, turn: &mut Turn) {
    let Some(trial) = app.trial.take() else {
        return;
    };
    if let Some(worker) = app.workers.get_mut(&trial.successor) {
        drain::send_away(worker, &app.name, Cause::UpdateGivenUp, turn);
    }
    let Some(slot) = app.slots.get_mut(&trial.slot) else {
        return;
    };
    let delay = slot.failures.next_delay(&slot.definition, turn.rng());
    let due = slot
        .holder()
        .and_then(|id| app.workers.get_mut(&id))
        .and_then(|worker| worker.due.as_mut());
    if let Some(due) = due {
        due.not_before = turn.now + delay;
    }
}
