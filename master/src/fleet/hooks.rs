//! Commands that are run beside a worker at turns of its life.
//!
//! ```text
//!  ordered ── before_start ─good─► spawned ──► ready ── after_ready: nobody waits for it
//!                   └─bad─► failed to start
//!  told to go, having been ready ── before_stop, whatever becomes of it ──► first rung of the kill ladder
//!  exited, or could not be started ── after_exit, once ──► its slot may have its next worker
//! ```
//! One runs at a time for a worker. A stop overtakes `before_start` and `after_ready`: they are cut short, which counts as
//! their end. `before_stop` is for a worker that serves and is asked to go: not for one that goes by itself, hangs, or has
//! grown too large. A forced end cuts short what runs, and nothing is begun any more.
//!
//! The shell answers each [`Action::Hook`] once, in bounded time: it kills what takes longer than its time.

use std::time::Duration;

use ostler_bus::{
    Slot as SlotNumber, WorkerId,
    vocab::worker::{ExitStatus, WorkerHook, WorkerRef},
};

use super::{
    Action, Exit, FleetEvent, HookOrder, Moment, SpawnOrder,
    app::App,
    drain, exits,
    turn::Turn,
    worker::{Worker, millis},
};
use crate::config::app::{AppName, hooks::HookKind};

/// A hook that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Running {
    pub(super) kind: HookKind,
    since: Moment,
}

/// What is left of a worker that has exited: a hook that runs.
#[derive(Debug)]
pub(super) struct Remains {
    worker: WorkerRef,
    order: SpawnOrder,
    status: ExitStatus,
    running: Running,
    /// Nothing more is begun.
    last: bool,
}

impl Remains {
    pub(super) fn slot(&self) -> SlotNumber {
        self.worker.slot
    }

    /// "worker 7's after_exit".
    pub(super) fn awaited(&self) -> String {
        format!(
            "the {} command of worker {}",
            self.running.kind.name(),
            self.worker.id
        )
    }
}

/// Begins a hook of a worker, if its app has it; false if not.
pub(super) fn begin(worker: &mut Worker, app: &AppName, kind: HookKind, turn: &mut Turn) -> bool {
    if worker.definition.hooks.of(kind).is_none() {
        return false;
    }
    let since = turn.now;
    worker.hook = Some(Running { kind, since });
    turn.act(Action::Hook(HookOrder {
        worker: worker.order(app),
        hook: kind,
        pid: worker.pid,
        exit: None,
    }));
    true
}

/// The worker is to go: what only makes sense for one that stays is cut short.
pub(super) fn overtake(worker: &Worker, turn: &mut Turn) {
    match worker.hook.map(|running| running.kind) {
        Some(HookKind::BeforeStart | HookKind::AfterReady) => cut_short(worker, turn),
        Some(HookKind::BeforeStop | HookKind::AfterExit) | None => {}
    }
}

/// Whatever runs for it is cut short.
pub(super) fn cut_short(worker: &Worker, turn: &mut Turn) {
    if worker.hook.is_some() {
        turn.act(Action::EndHook { id: worker.id });
    }
}

/// A hook has ended, or was cut short.
pub(super) fn ended(
    app: &mut App,
    id: WorkerId,
    kind: HookKind,
    outcome: Result<(), String>,
    turn: &mut Turn,
) {
    if app.remains.contains_key(&id) {
        return ended_for_remains(app, id, kind, outcome, turn);
    }
    let Some(worker) = app.workers.get_mut(&id) else {
        return;
    };
    let Some(running) = worker.hook.take_if(|running| running.kind == kind) else {
        return;
    };
    let error = outcome.err();
    let whose = worker.reference(&app.name);
    publish(whose, running, error.clone(), turn);
    match kind {
        HookKind::BeforeStart => {
            let error = error.map(|why| format!("before_start: {why}"));
            match (worker.leaving().is_some(), error) {
                (false, None) => turn.act(Action::Spawn(worker.order(&app.name))),
                (false, Some(why)) => not_started(app, id, why, turn),
                (true, _) => {
                    not_started(app, id, "it was told to go before it began".into(), turn);
                }
            }
        }
        HookKind::AfterReady | HookKind::BeforeStop => {
            drain::hook_ended(worker, &app.name, kind, turn);
        }
        HookKind::AfterExit => {}
    }
}

fn not_started(app: &mut App, id: WorkerId, why: String, turn: &mut Turn) {
    let exit = Exit {
        status: ExitStatus::NotStarted(why),
        stderr_tail: Vec::new(),
        hint: None,
        core_dumped: false,
    };
    exits::exited(app, id, exit, turn);
}

/// A worker has exited: whatever runs for it may end what it does, then comes `after_exit`.
pub(super) fn exited(app: &mut App, worker: &Worker, status: &ExitStatus, turn: &mut Turn) {
    let forced = worker.leaving().is_some_and(drain::Leaving::forced);
    let begins = worker.definition.hooks.after_exit.is_some() && !forced;
    overtake(worker, turn);
    if worker.hook.is_none() && !begins {
        return;
    }
    let first = Running {
        kind: HookKind::AfterExit,
        since: turn.now,
    };
    let remains = Remains {
        worker: worker.reference(&app.name),
        order: worker.order(&app.name),
        status: status.clone(),
        running: worker.hook.unwrap_or(first),
        last: forced || !begins,
    };
    if worker.hook.is_none() {
        begin_after_exit(&remains, turn);
    }
    app.remains.insert(worker.id, remains);
}

fn begin_after_exit(remains: &Remains, turn: &mut Turn) {
    turn.act(Action::Hook(HookOrder {
        worker: remains.order.clone(),
        hook: HookKind::AfterExit,
        pid: None,
        exit: Some(remains.status.clone()),
    }));
}

fn ended_for_remains(
    app: &mut App,
    id: WorkerId,
    kind: HookKind,
    outcome: Result<(), String>,
    turn: &mut Turn,
) {
    let Some(remains) = app.remains.get_mut(&id) else {
        return;
    };
    if remains.running.kind != kind {
        return;
    }
    publish(remains.worker.clone(), remains.running, outcome.err(), turn);
    if kind == HookKind::AfterExit || remains.last {
        app.remains.remove(&id);
        return;
    }
    let since = turn.now;
    remains.running = Running {
        kind: HookKind::AfterExit,
        since,
    };
    begin_after_exit(remains, turn);
}

/// A forced end: of those that have exited, too, nothing is waited for.
pub(super) fn force(app: &mut App, turn: &mut Turn) {
    for (id, remains) in &mut app.remains {
        remains.last = true;
        turn.act(Action::EndHook { id: *id });
    }
}

fn publish(worker: WorkerRef, running: Running, error: Option<String>, turn: &mut Turn) {
    turn.publish(FleetEvent::WorkerHook(WorkerHook {
        worker,
        hook: running.kind.name().to_owned(),
        error,
        took_ms: millis(turn.now - running.since),
    }));
}

/// Whether its `before_start` runs: there is no process yet.
pub(super) fn comes_before(worker: &Worker) -> bool {
    let running = worker.hook.map(|running| running.kind);
    running == Some(HookKind::BeforeStart)
}

/// How long this hook of a worker may still take: all of its time, if it has not begun.
pub(super) fn left(worker: &Worker, kind: HookKind, now: Moment) -> Duration {
    let time = worker.definition.hooks.of(kind).map(|hook| hook.timeout);
    let running = worker.hook.filter(|running| running.kind == kind);
    let spent = running.map_or(Duration::ZERO, |running| now - running.since);
    time.unwrap_or(Duration::ZERO).saturating_sub(spent)
}

/// What of a worker is waited for, if it is a hook.
pub(super) fn awaited(worker: &Worker) -> Option<String> {
    match worker.hook?.kind {
        HookKind::AfterReady => None,
        kind @ (HookKind::BeforeStart | HookKind::BeforeStop | HookKind::AfterExit) => {
            Some(format!("its {} command", kind.name()))
        }
    }
}
