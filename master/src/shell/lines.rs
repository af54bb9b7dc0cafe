//! The lines of the log that an operator reads of the fleet.

use std::time::Duration;

use ostler_bus::vocab::{
    update::{UpdateAborted, UpdateRolledBack},
    worker::{ExitStatus, Next, WorkerExited, WorkerHook, WorkerReady, WorkerRef, WorkerSpawned},
};

use crate::{
    config::{app::hooks::HookKind, units},
    escape,
    fleet::FleetEvent,
};

/// The line of an event that speaks for itself: what the shell knows of an exit is told by [`exited`].
pub(super) fn log(event: &FleetEvent) {
    match event {
        FleetEvent::WorkerSpawned(e) => spawned(e),
        FleetEvent::WorkerReady(e) => ready(e),
        FleetEvent::WorkerDraining(e) => {
            let (w, reason) = (&e.worker, escape::line(&e.reason));
            tracing::info!("{} draining ({reason}): worker {}", place(w), w.id);
        }
        FleetEvent::WorkerReleased(e) => {
            let w = &e.worker;
            tracing::info!("{} was let go of, and runs on: worker {}", place(w), w.id);
        }
        FleetEvent::WorkerHook(e) => hooked(e),
        FleetEvent::UpdateStarted(e) => tracing::info!(
            "{}: update to generation {} of {} workers began: {}",
            e.app,
            e.generation,
            e.total,
            escape::line(&e.reason)
        ),
        FleetEvent::UpdateFinished(e) => tracing::info!(
            "{}: update to generation {} finished in {}",
            e.app,
            e.generation,
            rough(e.took_ms)
        ),
        FleetEvent::UpdateAborted(e) => aborted(e),
        FleetEvent::UpdateRolledBack(e) => rolled_back(e),
        FleetEvent::UpdateSuspended(e) => tracing::warn!("{}: {}", e.app, escape::line(&e.reason)),
        FleetEvent::AppResized(e) => {
            tracing::info!("{}: {} workers instead of {}", e.app, e.to, e.from);
        }
        FleetEvent::AppFailed(e) => {
            tracing::error!("{}.{} failed: {}", e.app, e.slot, escape::line(&e.reason));
        }
        FleetEvent::WorkerOnline(_)
        | FleetEvent::WorkerDisconnected(_)
        | FleetEvent::WorkerExited(_)
        | FleetEvent::UpdateProgress(_)
        | FleetEvent::OperationFinished(_) => {}
    }
}

fn spawned(event: &WorkerSpawned) {
    let (w, pid) = (&event.worker, event.worker.pid.unwrap_or(0));
    tracing::info!("{} started: worker {}, pid {pid}", place(w), w.id);
}

fn ready(event: &WorkerReady) {
    let (w, after) = (&event.worker, rough(event.after_ms));
    let how = match event.assumed {
        true => "taken to be ready",
        false => "ready",
    };
    tracing::info!("{} {how} after {after}: worker {}", place(w), w.id);
}

/// A failed `before_start` is told as the failed start that it is.
fn hooked(event: &WorkerHook) {
    let (w, hook) = (&event.worker, &event.hook);
    match &event.error {
        Some(why) if *hook != HookKind::BeforeStart.name() => tracing::warn!(
            "{} {hook} failed, and life goes on: {}: worker {}",
            place(w),
            escape::line(why),
            w.id
        ),
        Some(_) | None => tracing::debug!(
            "{} {hook} ended after {}: worker {}",
            place(w),
            rough(event.took_ms),
            w.id
        ),
    }
}

fn aborted(event: &UpdateAborted) {
    let (app, reason) = (&event.app, escape::line(&event.reason));
    let (generation, replaced) = (event.generation, event.replaced);
    match event.overtaken {
        true => tracing::info!(
            "{app}: update to generation {generation} given up, {replaced} replaced: {reason}"
        ),
        false => tracing::error!(
            "{app}: update to generation {generation} aborted, {replaced} replaced: {reason}"
        ),
    }
}

fn rolled_back(event: &UpdateRolledBack) {
    let (app, generation, slots) = (&event.app, event.generation, event.slots);
    match &event.failed {
        None => tracing::warn!(
            "{app}: {slots} slots went back from generation {generation} after {}",
            rough(event.took_ms)
        ),
        Some(why) => tracing::error!(
            "{app}: the rollback from generation {generation} failed, {slots} slots went back: {}",
            escape::line(why)
        ),
    }
}

/// How a worker ended. `killed_advice` is for a SIGKILL that nobody asked for.
pub(super) fn exited(event: &WorkerExited, killed_advice: &str) {
    let w = &event.worker;
    let how = match &event.status {
        ExitStatus::Code(code) => format!("exited with code {code}"),
        ExitStatus::Signal(signal) => format!("was ended by {signal}"),
        ExitStatus::Unknown => "is gone, how is not known".into(),
        ExitStatus::NotStarted(error) => {
            format!("could not be started: {}", escape::line(error))
        }
    };
    let after = rough(event.uptime_ms);
    let line = format!("{} {how} after {after}: worker {}", place(w), w.id);
    // What was asked for, and what has done its work.
    if event.voluntary || event.next == (Next::Ended { well: true }) {
        return tracing::info!("{line}");
    }
    let in_brackets = |word: &str, text: &str| format!(" ({word}: {text})");
    let hung = event.hung.as_ref();
    let hung = hung.map(|why| in_brackets("hung", &escape::line(why)));
    let hint = event.hint.as_ref();
    let hint = hint.map(|hint| in_brackets("hint", hint));
    let killed = matches!(&event.status, ExitStatus::Signal(signal) if signal == "SIGKILL");
    tracing::error!(
        "{line}{}{}{}",
        hung.unwrap_or_default(),
        if killed { killed_advice } else { "" },
        hint.unwrap_or_default()
    );
}

fn place(worker: &WorkerRef) -> String {
    format!("{}.{}", worker.app, worker.slot)
}

fn rough(millis: u64) -> String {
    units::rough(Duration::from_millis(millis))
}
