//! What tells a worker to go: the master's word, TERM, INT.

use std::time::Duration;

use ostler_bus::{client::Calls, vocab::worker::Drain};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::{Draining, StartError, drain::DrainTrigger};

/// How long a worker that is sent TERM, without a word from the master, takes to drain. Ostler's own default ladder
/// allows as much.
const DRAIN_TIME: Duration = Duration::from_secs(30);

/// TERM and INT, caught from when this is made.
#[derive(Debug)]
pub(crate) struct Signals {
    term: Signal,
    int: Signal,
}

impl Signals {
    pub(crate) fn catch() -> Result<Self, StartError> {
        let caught = |kind| signal(kind).map_err(StartError::System);
        Ok(Self {
            term: caught(SignalKind::terminate())?,
            int: caught(SignalKind::interrupt())?,
        })
    }
}

/// If the master is gone this worker serves on: a signal can still drain it.
pub(crate) async fn the_master(mut words: Calls<Drain>, trigger: DrainTrigger) {
    while let Some(call) = words.next().await {
        let word = call.request().clone();
        let time = Duration::from_millis(word.deadline_ms);
        trigger.begin(Draining::within(word.reason, time));
        if let Err(error) = call.reply(&()).await {
            tracing::debug!("draining, and the master could not be told so: {error}");
        }
    }
    if !trigger.has_begun() {
        tracing::warn!("the bus is gone, serving on");
    }
}

/// The first signal begins to drain, a later one ends it.
pub(crate) async fn signals(mut signals: Signals, trigger: DrainTrigger) {
    loop {
        let reason = tokio::select! {
            Some(()) = signals.term.recv() => "SIGTERM",
            Some(()) = signals.int.recv() => "SIGINT",
            else => return,
        };
        if trigger.has_begun() {
            trigger.cut();
        }
        trigger.begin(Draining::within(reason, DRAIN_TIME));
    }
}
