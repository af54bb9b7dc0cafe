//! Asking workers from outside: when, and what their answers mean.
//!
//! ```text
//!  due ──ask──► asked ──answer──► due again after the interval
//! ```
//! Questions are numbered, so that the answer to one that nobody waits for any more is not taken for another's. The shell
//! answers each in bounded time: no answer within the probe's timeout is an answer.

use super::{
    Action, Moment, ProbeOrder,
    turn::Turn,
    worker::{Phase, Worker},
};
use crate::config::app::probe::{Probe, ProbeKind};

/// What is known of a worker from asking it.
#[derive(Debug, Default)]
pub(super) struct Probing {
    /// The number of the last question.
    asked: u64,
    /// It waits for its answer.
    waits: bool,
    /// Not before then; unset: at once.
    next: Option<Moment>,
    /// How the last failure reads, until there is a good answer.
    pub(super) trouble: Option<String>,
    /// How many answers in a row were bad.
    pub(super) failures: u32,
}

/// What a worker is asked for at this point of its life.
fn kind(worker: &Worker) -> Option<ProbeKind> {
    match worker.phase {
        Phase::Starting { .. } => worker.spawned_at.map(|_| ProbeKind::Ready),
        Phase::Ready { .. } => Some(ProbeKind::Health),
        Phase::Leaving(_) => None,
    }
}

/// The probe that it is asked by.
fn probe(worker: &Worker) -> Option<&Probe> {
    worker.definition.probe(kind(worker)?)
}

/// When it is to be asked next.
pub(super) fn deadline(worker: &Worker) -> Option<Moment> {
    probe(worker)?;
    let probing = &worker.probing;
    (!probing.waits).then(|| probing.next.or(worker.spawned_at))?
}

/// A worker has become ready: what it is asked from now on is another question, after a while.
pub(super) fn begin(worker: &mut Worker, turn: &Turn) {
    let next = probe(worker).map(|probe| turn.now + probe.interval);
    worker.probing = Probing {
        asked: worker.probing.asked,
        next,
        ..Probing::default()
    };
}

/// Asks, if it is time.
pub(super) fn ask_if_due(worker: &mut Worker, turn: &mut Turn) {
    if deadline(worker).is_none_or(|at| at > turn.now) {
        return;
    }
    let (Some(kind), Some(probe)) = (kind(worker), probe(worker)) else {
        return;
    };
    let timeout = probe.timeout;
    worker.probing.asked += 1;
    worker.probing.waits = true;
    turn.act(Action::Probe(ProbeOrder {
        id: worker.id,
        slot: worker.slot,
        ask: worker.probing.asked,
        kind,
        timeout,
    }));
}

/// Takes in an answer; false if nobody waits for it any more.
pub(super) fn answered(
    worker: &mut Worker,
    ask: u64,
    answer: Result<(), String>,
    turn: &Turn,
) -> bool {
    let interval = probe(worker).map(|probe| probe.interval);
    let probing = &mut worker.probing;
    let awaited = probing.waits && probing.asked == ask;
    probing.waits &= !awaited;
    let Some(interval) = interval.filter(|_| awaited) else {
        return false;
    };
    probing.next = Some(turn.now + interval);
    probing.failures = match &answer {
        Ok(()) => 0,
        Err(_) => probing.failures.saturating_add(1),
    };
    probing.trouble = answer.err();
    true
}
