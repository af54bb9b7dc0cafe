//! What tells a worker to go: the master's word, TERM, INT.

use std::time::Duration;

use futures::StreamExt;
use ostler_bus::{
    client::{Delivery, Subscription},
    vocab::worker::Drain,
};
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
pub(crate) async fn the_master(mut words: Subscription<Drain>, trigger: DrainTrigger) {
    while let Some(delivery) = words.next().await {
        match delivery {
            Delivery::Event(word) => {
                let time = Duration::from_millis(word.event.deadline_ms);
                trigger.begin(Draining::within(word.event.reason, time));
            }
            Delivery::Misfit { reason, .. } => {
                // What is meant is clear, even if the words are not.
                tracing::warn!("the master's word to drain is of another release ({reason})");
                trigger.begin(Draining::within("drain", DRAIN_TIME));
            }
            Delivery::Lagged { .. } => trigger.begin(Draining::within("drain", DRAIN_TIME)),
            Delivery::Disconnected(why) if trigger.has_begun() => tracing::debug!("{why}"),
            Delivery::Disconnected(why) => tracing::warn!("the bus is gone, serving on: {why}"),
        }
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
