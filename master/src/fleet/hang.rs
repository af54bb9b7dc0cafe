//! Whether a ready worker still lives: it is heard of in time, and answers well when it is asked.
//!
//! ```text
//!  ready ──silent for `watchdog`, or `failures` bad answers in a row, or WATCHDOG=trigger──► hung
//!          ──► hang signal (a trace, a core) ──grace──► KILL
//! ```
//! A worker's time counts from its own becoming ready, and again from each time it is heard of.

use super::{
    Moment,
    cause::Cause,
    drain,
    mutation::Mutation,
    probing,
    turn::Turn,
    worker::{Phase, Worker},
};
use crate::config::{app::AppName, units::exact};

/// When something is to be done about a ready worker: ask it, or call it hung.
pub(super) fn deadline(worker: &Worker) -> Option<Moment> {
    silent_until(worker)
        .into_iter()
        .chain(probing::deadline(worker))
        .min()
}

/// Until when it must be heard of.
fn silent_until(worker: &Worker) -> Option<Moment> {
    let Phase::Ready { since, .. } = worker.phase else {
        return None;
    };
    let heard = worker.heard_at.map_or(since, |at| at.max(since));
    worker.definition.life.watchdog.map(|time| heard + time)
}

/// The master stood still, nobody knows since when: a worker that says it lives has a whole turn from now on to be heard, and
/// one that starts has all its time again.
pub(super) fn pause(worker: &mut Worker, now: Moment) {
    worker.deaf_until = Some(now);
    let again = now + worker.definition.start_timeout;
    match &mut worker.phase {
        Phase::Starting { deadline } => *deadline = deadline.map(|deadline| deadline.max(again)),
        Phase::Ready { .. } => worker.heard_at = Some(now),
        Phase::Leaving(_) => {}
    }
}

/// What is due happens to a ready worker.
pub(super) fn pass_time(worker: &mut Worker, app: &AppName, turn: &mut Turn) {
    let silent = silent_until(worker).is_some_and(|until| until <= turn.now);
    if silent && !turn.mutated(Mutation::OverlookHang) {
        let limit = worker.definition.life.watchdog.unwrap_or_default();
        call(
            worker,
            app,
            format!("no check-in for {} (watchdog)", exact(limit)),
            turn,
        );
        return;
    }
    probing::ask_if_due(worker, turn);
}

/// An answer about its health.
pub(super) fn answered(worker: &mut Worker, app: &AppName, good: bool, turn: &mut Turn) {
    if good {
        worker.heard_well_at = Some(turn.now);
        return;
    }
    let limit = worker
        .definition
        .life
        .health
        .as_ref()
        .map_or(u32::MAX, |health| health.failures);
    let probing = &worker.probing;
    if probing.failures >= limit {
        let trouble = probing.trouble.as_deref().unwrap_or("no answer");
        let why = format!(
            "{} health checks in a row failed: {trouble}",
            probing.failures
        );
        call(worker, app, why, turn);
    }
}

/// It is hung: it gets its chance to leave a trace, then it is killed.
pub(super) fn call(worker: &mut Worker, app: &AppName, why: String, turn: &mut Turn) {
    if worker.leaving().is_none() {
        worker.hung = Some(why);
        drain::send_away(worker, app, Cause::Hung, turn);
    }
}
