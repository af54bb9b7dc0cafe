//! When a worker is ready, and until when it may take its time.
//!
//! `auto`: a worker that takes part (it has connected to the bus, or has sent a notification) is ready when it says so.
//! One that does neither is *assumed* ready when it has lived [`ASSUME_AFTER`], and must then stay up longer before its
//! predecessor goes. If it turns out to take part before that time is over, the assumption is withdrawn: it was only slow.
//! A worker that is not ready in time has failed to start; running out of time never makes anything ready.

use std::{borrow::Cow, time::Duration};

use super::{Moment, worker::Worker};
use crate::config::app::{AppDefinition, Readiness};

/// A silent worker is assumed ready after living this long.
pub(super) const ASSUME_AFTER: Duration = Duration::from_secs(1);

/// How long a worker must stay up after it said that it was ready, if nothing else is configured.
const HEALTHY_SAID: Duration = Duration::from_secs(1);

/// The same after it was assumed to be.
const HEALTHY_ASSUMED: Duration = Duration::from_secs(5);

/// A worker that has not said that it is ready after so long is told of: most take a second or two, and whoever waits for
/// one that will never say it should not wait for its whole time.
pub(super) const SLOW_AFTER: Duration = Duration::from_secs(5);

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

/// What of a starting worker is waited for, if it is.
pub(super) fn awaited(worker: &Worker) -> Option<Cow<'static, str>> {
    if !worker.is_starting() || worker.spawned_at.is_none() {
        return None;
    }
    // It takes the time that its work takes.
    if worker.definition.life.oneshot {
        return None;
    }
    match &worker.definition.ready {
        Readiness::Auto if worker.takes_part => Some(
            "its word that it is ready, READY=1 on NOTIFY_SOCKET or the SDK's ready(), as it has begun to speak to the master".into(),
        ),
        Readiness::Notify => Some("READY=1 on NOTIFY_SOCKET".into()),
        Readiness::Sdk => Some("the SDK's ready()".into()),
        Readiness::Probe(probe) => Some(match &worker.probing.trouble {
            Some(trouble) => format!("an answer to {}: {trouble}", probe.check).into(),
            None => format!("an answer to {}", probe.check).into(),
        }),
        Readiness::Auto | Readiness::Delay(_) => None,
    }
}

/// When a starting worker is to be told of as slow, if it stays as it is.
pub(super) fn slow_at(worker: &Worker) -> Option<Moment> {
    let spawned = worker.spawned_at.filter(|_| !worker.told_slow)?;
    let timeout = worker.definition.start_timeout;
    // Soon after follows that it is late.
    (awaited(worker).is_some() && timeout > SLOW_AFTER).then(|| spawned + SLOW_AFTER)
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
