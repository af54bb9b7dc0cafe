//! Replacing workers that serve, but have grown too large or too old: gently, one at a time, as in an update.
//!
//! ```text
//!  ready ──too large, too old──► due ──no update, no other trial──► trial of a successor of the same generation
//!     ▲                           ▲                                    │ takes over: the predecessor drains
//!     │                           └── put off by the back-off ◄────────┘ fails
//!     └── above the hard limit: killed
//! ```
//! An app has one trial at a time, whatever for: that is the budget which updates and recycling share. An update
//! replaces everybody anyway, so it goes before, and ends a recycling under way.

use std::sync::Arc;

use super::{
    Moment,
    app::App,
    drain::{self, Cause},
    slot::SlotState,
    trial::{self, Aim},
    turn::Turn,
    worker::{Occasion, Phase, Worker},
};
use crate::config::{
    app::AppName,
    units::{bytes, exact},
};

/// How much of `max_age` is added at random, at most.
const JITTER: f64 = 0.2;

/// A worker that is to be replaced.
#[derive(Debug)]
pub(super) struct Due {
    /// Why, in words.
    pub(super) why: String,
    /// Not before then: its last successor was no good.
    not_before: Moment,
}

/// When a ready worker will be too old.
fn old_at(worker: &Worker) -> Option<Moment> {
    let age = worker.definition.recycle.max_age?;
    let spread = age.mul_f64(JITTER * worker.luck);
    worker.spawned_at.map(|spawned| spawned + age + spread)
}

/// When a ready worker has something coming.
pub(super) fn deadline(worker: &Worker) -> Option<Moment> {
    match &worker.due {
        Some(_) => None,
        None => old_at(worker),
    }
}

/// Whether a ready worker has become too old.
pub(super) fn pass_time(worker: &mut Worker, turn: &Turn) {
    if deadline(worker).is_none_or(|at| at > turn.now) {
        return;
    }
    let limit = worker.definition.recycle.max_age.unwrap_or_default();
    want(
        worker,
        format!("older than {} (max_age)", exact(limit)),
        turn,
    );
}

/// A worker was found to have so much memory.
pub(super) fn weigh(worker: &mut Worker, app: &AppName, memory: u64, turn: &mut Turn) {
    let Some(limit) = worker.definition.recycle.max_memory else {
        return;
    };
    let over = |limit: u64| {
        format!(
            "{} of memory are more than {} (max_memory)",
            bytes(memory),
            bytes(limit)
        )
    };
    match (limit.hard, &worker.phase) {
        (_, Phase::Leaving(_)) => {}
        (Some(hard), _) if memory > hard => {
            worker.hung = Some(over(hard));
            drain::end(worker, app, Cause::Memory, turn);
        }
        (_, Phase::Ready { .. }) if memory > limit.soft => want(worker, over(limit.soft), turn),
        (_, Phase::Starting { .. } | Phase::Ready { .. }) => {}
    }
}

fn want(worker: &mut Worker, why: String, turn: &Turn) {
    worker.due.get_or_insert(Due {
        why,
        not_before: turn.now,
    });
}

/// When a worker that waits for its successor can be tried again.
pub(super) fn retry_at(app: &App) -> Option<Moment> {
    if app.update.is_some() || app.trial.is_some() || is_busy(app) {
        return None;
    }
    candidates(app).map(|(at, _)| at).min()
}

/// Does whatever can be done about recycling now.
pub(super) fn advance(app: &mut App, turn: &mut Turn) {
    if app.update.is_some() {
        return;
    }
    while app.trial.is_some() {
        if !trial::judge(app, turn) {
            return;
        }
    }
    if is_busy(app) {
        return;
    }
    let due = candidates(app).filter(|(at, _)| *at <= turn.now).min();
    let Some((_, number)) = due else {
        return;
    };
    let Some(slot) = app.slots.get(&number) else {
        return;
    };
    let generation = (slot.generation, Arc::clone(&slot.definition));
    trial::begin(app, number, generation, Aim::Recycle, turn);
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
