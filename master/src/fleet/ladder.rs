//! The rungs of a kill ladder: which signal is next, and how long it is waited for then.

use super::{cause::Cause, worker::Worker};
use crate::config::app::{Rung, life::Life};

/// What can't be refused.
pub(super) const SIGKILL: i32 = 9;

/// The last word.
pub(super) const KILL: Rung = Rung {
    signal: SIGKILL,
    wait: None,
};

/// The rung that this worker gets at this step, if it goes for this; `None` once there is no more.
pub(super) fn step(worker: &Worker, cause: Cause, step: usize) -> Option<Rung> {
    match cause == Cause::Hung {
        true => hung_rung(&worker.definition.life, step),
        false => rung(&worker.definition.kill_ladder, step),
    }
}

/// A hung worker hears no wish: it may leave a trace, then it is killed.
fn hung_rung(life: &Life, step: usize) -> Option<Rung> {
    let trace = Rung {
        signal: life.hang_signal,
        wait: Some(life.hang_grace),
    };
    [trace, KILL].get(step).cloned()
}

/// The rung to take at this step, with KILL after a last one that is neither KILL nor patient for ever.
fn rung(ladder: &[Rung], step: usize) -> Option<Rung> {
    if let Some(rung) = ladder.get(step) {
        return Some(rung.clone());
    }
    let open = ladder
        .last()
        .is_none_or(|last| last.wait.is_some() && last.signal != SIGKILL);
    (open && step == ladder.len()).then_some(KILL)
}
