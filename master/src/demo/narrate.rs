//! What happens to the fleet, one line each, for as long as the demo runs.

use std::time::{Duration, Instant};

use ostler_bus::{
    client::{Bus, Subscription},
    vocab::{
        update::{AppFailed, AppResized, UpdateAborted, UpdateFinished, UpdateStarted},
        worker::{ExitStatus, WorkerDraining, WorkerExited, WorkerReady},
    },
};

use super::{
    events::Greeting,
    guide::{Stage, Trouble},
};
use crate::{config::units::fine, escape};

/// Everything that is told.
pub(super) struct News {
    ready: Subscription<WorkerReady>,
    draining: Subscription<WorkerDraining>,
    exited: Subscription<WorkerExited>,
    started: Subscription<UpdateStarted>,
    finished: Subscription<UpdateFinished>,
    aborted: Subscription<UpdateAborted>,
    resized: Subscription<AppResized>,
    failed: Subscription<AppFailed>,
    greetings: Subscription<Greeting>,
}

/// Tells what happens until the master ends.
pub(super) async fn until_the_end(stage: &Stage, mut news: News) {
    let begun = Instant::now();
    while let Some(line) = news.next().await {
        let at = format!("{:>7.1} s", begun.elapsed().as_secs_f64());
        let at = stage.screen.style.dim(&at);
        stage
            .screen
            .say(format!("{at}  {}", escape::line(&line)))
            .await;
    }
}

impl News {
    pub(super) async fn subscribe(bus: &Bus) -> Result<Self, Trouble> {
        Ok(Self {
            ready: bus.subscribe().await?,
            draining: bus.subscribe().await?,
            exited: bus.subscribe().await?,
            started: bus.subscribe().await?,
            finished: bus.subscribe().await?,
            aborted: bus.subscribe().await?,
            resized: bus.subscribe().await?,
            failed: bus.subscribe().await?,
            greetings: bus.subscribe().await?,
        })
    }

    /// The next line; `None` when the bus is gone.
    async fn next(&mut self) -> Option<String> {
        loop {
            let line = tokio::select! {
                // Causes before effects, where both are there.
                biased;
                Some(e) = self.started.next_event() => Some(update_began(&e.event)),
                Some(e) = self.resized.next_event() => Some(format!("{} workers instead of {}", e.event.to, e.event.from)),
                Some(e) = self.exited.next_event() => exit(&e.event),
                Some(e) = self.draining.next_event() => going(&e.event),
                Some(e) = self.ready.next_event() => Some(ready(&e.event)),
                Some(e) = self.aborted.next_event() => Some(format!("update given up: {}", e.event.reason)),
                Some(e) = self.finished.next_event() => Some(update_finished(&e.event)),
                Some(e) = self.failed.next_event() => Some(format!("slot {} has failed: {}", e.event.slot, e.event.reason)),
                Some(e) = self.greetings.next_event() => Some(format!("slot {} greets: {}", e.event.from_slot, e.event.text)),
                else => return None,
            };
            if line.is_some() {
                return line;
            }
        }
    }
}

fn ready(event: &WorkerReady) -> String {
    let worker = &event.worker;
    let after = fine(Duration::from_millis(event.after_ms));
    format!(
        "slot {}: worker {} (pid {}) was ready {after} after its start",
        worker.slot,
        worker.id,
        worker.pid.unwrap_or(0)
    )
}

fn going(event: &WorkerDraining) -> Option<String> {
    is_for_good(event).then(|| {
        format!(
            "slot {}: worker {} finishes what it has, then goes ({})",
            event.worker.slot, event.worker.id, event.reason
        )
    })
}

/// Not for a successor, but because no worker is wanted there any more.
pub(super) fn is_for_good(event: &WorkerDraining) -> bool {
    matches!(event.reason.as_str(), "stop" | "kill" | "scale")
}

/// A death that nobody asked for.
fn exit(event: &WorkerExited) -> Option<String> {
    (!event.voluntary).then(|| death(event))
}

/// How a worker ended, with its last words.
pub(super) fn death(event: &WorkerExited) -> String {
    let how = match &event.status {
        ExitStatus::Code(code) => format!("exited with code {code}"),
        ExitStatus::Signal(signal) => format!("was ended by {signal}"),
        ExitStatus::Unknown => "is gone".into(),
        ExitStatus::NotStarted(error) => format!("could not be started: {error}"),
    };
    let last_words = match event.stderr_tail.last() {
        Some(line) => format!("; its last words: {line}"),
        None => String::new(),
    };
    let worker = &event.worker;
    format!(
        "slot {}: worker {} {how}{last_words}",
        worker.slot, worker.id
    )
}

fn update_began(event: &UpdateStarted) -> String {
    format!(
        "update to generation {} of {} workers began: {}",
        event.generation, event.total, event.reason
    )
}

fn update_finished(event: &UpdateFinished) -> String {
    let took = fine(Duration::from_millis(event.took_ms));
    format!("generation {} serves after {took}", event.generation)
}
