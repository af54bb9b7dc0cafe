//! When a worker is ready, and until when it may take its time.
//!
//! `auto`: a worker that takes part (it has connected to the bus, or has sent a notification) is ready when it says so.
//! One that does neither is *assumed* ready when it has lived [`ASSUME_AFTER`], and must then stay up longer before its
//! predecessor goes. If it turns out to take part before that time is over, the assumption is withdrawn: it was only slow.
//! A worker that is not ready in time has failed to start; running out of time never makes anything ready.

use std::time::Duration;

use super::{Moment, worker::Worker};
use crate::config::app::{AppDefinition, Readiness};

/// A silent worker is assumed ready after living this long.
pub(super) const ASSUME_AFTER: Duration = Duration::from_secs(1);

/// How long a worker must stay up after it said that it was ready, if nothing else is configured.
const HEALTHY_SAID: Duration = Duration::from_secs(1);

/// The same after it was assumed to be.
const HEALTHY_ASSUMED: Duration = Duration::from_secs(5);

/// How a worker said that it is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// On the bus.
    Sdk,
    /// By `READY=1`.
    Notify,
}

/// Whether this word makes a worker of this app ready.
pub(super) fn counts(readiness: &Readiness, word: Word) -> bool {
    match readiness {
        Readiness::Auto => true,
        Readiness::Notify => word == Word::Notify,
        Readiness::Sdk => word == Word::Sdk,
        Readiness::Delay(_) | Readiness::Probe(_) => false,
    }
}

/// When a starting worker becomes ready without a word, if it stays as it is.
pub(super) fn ready_without_word(worker: &Worker) -> Option<Moment> {
    let spawned = worker.spawned_at?;
    if worker.definition.life.oneshot {
        return None;
    }
    match &worker.definition.ready {
        Readiness::Auto => (!worker.takes_part).then(|| spawned + ASSUME_AFTER),
        Readiness::Delay(delay) => Some(spawned + *delay),
        Readiness::Notify | Readiness::Sdk | Readiness::Probe(_) => None,
    }
}

/// Until when a worker spawned then has time to become ready. Who is ready by delay can't be late.
pub(super) fn start_deadline(definition: &AppDefinition, spawned: Moment) -> Option<Moment> {
    match definition.ready {
        // It takes the time that its work takes.
        _ if definition.life.oneshot => None,
        Readiness::Auto | Readiness::Notify | Readiness::Sdk | Readiness::Probe(_) => {
            Some(spawned + definition.start_timeout)
        }
        Readiness::Delay(_) => None,
    }
}

/// How long a new worker must stay ready before its predecessor goes.
pub(super) fn min_healthy(definition: &AppDefinition, assumed: bool) -> Duration {
    definition.min_healthy.unwrap_or(if assumed {
        HEALTHY_ASSUMED
    } else {
        HEALTHY_SAID
    })
}

/// The same for the first new worker of an update.
pub(super) fn canary_healthy(definition: &AppDefinition, assumed: bool) -> Duration {
    definition
        .canary_healthy
        .unwrap_or_else(|| min_healthy(definition, assumed).saturating_mul(2))
}
