//! What makes a worker that serves due to be replaced: it has grown, grown old, served enough, or has nothing to do.
//!
//! One that took over from a recycled worker is left alone for a while ([`Worker::respite`]), however large it is and
//! whatever it has served: a limit that is too tight for any worker would else have them replaced without end. Each that is
//! too large again within that time doubles it for the next.

use std::{cmp::Reverse, time::Duration};

use ostler_bus::Generation;

use super::{
    Action, Moment,
    app::App,
    cause::Cause,
    drain,
    recycle::Due,
    turn::Turn,
    worker::{Phase, Worker},
};
use crate::config::{
    app::AppName,
    units::{bytes, exact},
};

/// How much of `max_age` and of `max_requests` is added at random, at most.
const JITTER: f64 = 0.2;

/// For how long the successor of a recycled worker is left alone at least.
const RESPITE: Duration = Duration::from_secs(60);

/// For how long at most, however tight the limit.
const LONGEST_RESPITE: Duration = Duration::from_secs(3600);

/// So long after it became ready a worker that counts has said so.
const COUNTS_BY: Duration = Duration::from_secs(10);

/// What a worker has served, as it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Served {
    /// How many requests have begun.
    pub(super) requests: u64,
    /// How many of them have not ended.
    under_way: u64,
    /// When that last changed.
    at: Moment,
}

/// What a worker is due for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// It has too much memory.
    Memory,
    /// It has served enough.
    Requests,
    /// It is old.
    Age,
    /// It has nothing to do.
    Idle,
    /// It is the hour.
    Cron,
}

/// When a ready worker has something coming.
pub(super) fn deadline(worker: &Worker) -> Option<Moment> {
    match &worker.due {
        Some(_) => None,
        None => old_at(worker).into_iter().chain(idle_at(worker)).min(),
    }
}

/// When it will be too old.
fn old_at(worker: &Worker) -> Option<Moment> {
    let age = worker.definition.recycle.max_age?;
    let spread = age.mul_f64(JITTER * worker.luck);
    worker.spawned_at.map(|spawned| spawned + age + spread)
}

/// When it will have had nothing to do for too long. One that never had anything to do is as fresh as any other.
fn idle_at(worker: &Worker) -> Option<Moment> {
    let time = worker.definition.recycle.idle_timeout?;
    let served = worker.served.as_ref()?;
    (served.requests > 0 && served.under_way == 0).then(|| served.at + time)
}

/// How many requests are enough for it.
fn enough(worker: &Worker) -> Option<u64> {
    let limit = worker.definition.recycle.max_requests?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "a random part of a count: saturating, and never negative"
    )]
    let spread = (limit as f64 * JITTER * worker.luck) as u64;
    Some(limit.saturating_add(spread))
}

/// Whether a ready worker has become due.
pub(super) fn pass_time(worker: &mut Worker, app: &AppName, turn: &mut Turn) {
    if worker.due.is_some() {
        return;
    }
    let past = |at: Option<Moment>| at.is_some_and(|at| at <= turn.now);
    let recycle = &worker.definition.recycle;
    let requests = worker.served.map_or(0, |served| served.requests);
    if enough(worker).is_some_and(|enough| requests >= enough) {
        let why = format!("{requests} requests served (max_requests)");
        want(worker, app, Reason::Requests, why, turn);
    } else if past(old_at(worker)) {
        let limit = recycle.max_age.unwrap_or_default();
        let why = format!("older than {} (max_age)", exact(limit));
        want(worker, app, Reason::Age, why, turn);
    } else if past(idle_at(worker)) {
        let time = recycle.idle_timeout.unwrap_or_default();
        let why = format!("nothing served for {} (idle_timeout)", exact(time));
        want(worker, app, Reason::Idle, why, turn);
    }
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
        // It goes for what it goes for, and that is no crash.
        (Some(hard), Phase::Leaving(leaving)) if memory > hard => {
            if !leaving.killed() {
                turn.act(Action::Warn(format!(
                    "{app}.{}: {}: killed on its way out ({}): worker {}",
                    worker.slot,
                    over(hard),
                    leaving.reason,
                    worker.id
                )));
            }
            drain::end(worker, app, Cause::Memory, turn);
        }
        (_, Phase::Leaving(_)) => {}
        (Some(hard), _) if memory > hard => {
            worker.hung = Some(over(hard));
            drain::end(worker, app, Cause::Memory, turn);
        }
        (_, Phase::Ready { .. }) if memory > limit.soft => {
            want(worker, app, Reason::Memory, over(limit.soft), turn);
        }
        // It has given back what it had too much of before its turn came.
        (_, Phase::Ready { .. }) => {
            let waits = |due: &mut Due| due.reason == Reason::Memory && due.not_before > turn.now;
            worker.due.take_if(waits);
        }
        (_, Phase::Starting { .. }) => {}
    }
}

/// A worker says how much it has served.
pub(super) fn served(worker: &mut Worker, requests: u64, under_way: u64, turn: &Turn) {
    let same = |before: &Served| (before.requests, before.under_way) == (requests, under_way);
    if !worker.served.as_ref().is_some_and(same) {
        worker.served = Some(Served {
            requests,
            under_way,
            at: turn.now,
        });
    }
}

/// A ready worker is to be replaced as soon as it can be.
pub(super) fn want(
    worker: &mut Worker,
    app: &AppName,
    reason: Reason,
    why: String,
    turn: &mut Turn,
) {
    let Phase::Ready { since, .. } = worker.phase else {
        return;
    };
    if worker.due.is_some() {
        return;
    }
    let until = match reason {
        Reason::Memory | Reason::Requests => since + worker.respite,
        // They come when they come, and not sooner for being answered.
        Reason::Age | Reason::Idle | Reason::Cron => turn.now,
    };
    let again = until > turn.now;
    // Once for a slot: the next ones wait longer, and say nothing new.
    if again && worker.respite == RESPITE {
        turn.act(Action::Warn(format!(
            "{app}.{}: {why} {} after it became ready, and it had just been replaced for such a thing: if that is usual, raise the limit; the next will be replaced after {}, and later each time: worker {}",
            worker.slot,
            exact(turn.now - since),
            exact(worker.respite),
            worker.id
        )));
    }
    worker.due = Some(Due {
        reason,
        why,
        not_before: until.max(turn.now),
        again,
    });
}

/// For how long the successor of this worker is left alone.
pub(super) fn respite_after(worker: &Worker) -> Duration {
    match &worker.due {
        Some(due) if due.again => (worker.respite * 2).min(LONGEST_RESPITE),
        Some(_) | None => RESPITE,
    }
}

/// When [`warn_if_uncounted`] has something to look at.
pub(super) fn uncounted_at(app: &App) -> Option<Moment> {
    may_be_uncounted(app)
        .then(|| uncounted(app).map(|(at, ..)| at).min())
        .flatten()
}

/// Whether there is a limit that somebody might not keep.
fn may_be_uncounted(app: &App) -> bool {
    app.serving.1.recycle.counts_requests() || app.definition.recycle.counts_requests()
}

/// The workers of an app that were to count what they serve and don't, and from when on that is worth a word.
fn uncounted(app: &App) -> impl Iterator<Item = (Moment, Generation, &'static str, &Worker)> {
    app.workers.values().filter_map(|worker| {
        let key = worker.definition.recycle.counted_by()?;
        let told = app
            .told_uncounted
            .is_some_and(|told| told >= worker.generation);
        match worker.phase {
            Phase::Ready { since, .. } if !told && worker.served.is_none() => {
                Some((since + COUNTS_BY, worker.generation, key, worker))
            }
            Phase::Starting { .. } | Phase::Ready { .. } | Phase::Leaving(_) => None,
        }
    })
}

/// A limit that does nothing shall not seem to be kept.
pub(super) fn warn_if_uncounted(app: &mut App, turn: &mut Turn) {
    if !may_be_uncounted(app) {
        return;
    }
    // What is said of the newest is said of all: those before are about to go.
    let late = uncounted(app).filter(|(at, ..)| *at <= turn.now);
    let late = late.max_by_key(|(_, generation, _, worker)| (*generation, Reverse(worker.id)));
    let Some((_, generation, key, worker)) = late else {
        return;
    };
    let who = worker.describe();
    turn.act(Action::Warn(format!(
        "{}: {key} does nothing: {who} doesn't say what it serves, as only programs with the SDK do",
        app.name
    )));
    app.told_uncounted = Some(generation);
}
