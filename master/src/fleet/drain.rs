//! How a worker is made to go: the kill ladder.
//!
//! ```text
//!  told to go ─► `before_stop`, if it was ready and its app has one
//!                  │ ended, well or not
//!                  ▼
//!                rung 0: the drain message if it is on the bus, else the app's stop message, else the rung's signal
//!                  │ wait over
//!                  ▼
//!                rung 1, 2, …: its signal ─► … ─► KILL to the whole group
//! ```
//! The ladder ends as soon as the worker exits. One that leaves of its own accord gets the first rung's wait for it
//! before the ladder begins. The start of a worker that is told to go before its process exists is called off; if its process
//! has begun all the same, it gets the first rung then.
//! A ladder that would end in waiting ends in KILL all the same. Signals are for the worker's main process, KILL for its
//! whole group; with `kill_group` all are.

use std::time::Duration;

use ostler_bus::vocab::worker::WorkerDraining;

use super::{
    Action, FleetEvent, Moment, SignalTarget,
    cause::Cause,
    hooks,
    ladder::{self, KILL, SIGKILL},
    mutation::Mutation,
    turn::Turn,
    worker::{Bus, Phase, Worker},
};
use crate::config::app::{AppName, Rung, hooks::HookKind};

/// How long a worker that goes of its own accord may take where the ladder's first rung doesn't say.
const OWN_PACE: Duration = Duration::from_secs(30);

/// The most a worker can extend its own deadlines by, in all.
pub(super) const MAX_EXTENSION: Duration = Duration::from_secs(3600);

/// A worker on its way out.
#[derive(Debug)]
pub(super) struct Leaving {
    pub(super) cause: Cause,
    pub(super) was_ready: bool,
    /// Why, in words.
    pub(super) reason: String,
    began: Moment,
    next: Next,
    /// When its turn comes; `None` when nothing comes, or when there is no process yet.
    at: Option<Moment>,
    /// Everything ends at once, with nothing beside it.
    forced: bool,
}

/// What a worker on its way out is told next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// Nothing before its `before_stop` has ended.
    Hook,
    /// This rung of its ladder.
    Rung(usize),
    /// KILL, whatever the ladder says.
    Kill,
    /// KILL was the last word.
    Nothing,
}

impl Leaving {
    /// When the next rung's turn comes.
    pub(super) fn deadline(&self) -> Option<Moment> {
        self.at
    }

    /// Whether it is past asking: "stopping" rather than "draining".
    pub(super) fn insisting(&self) -> bool {
        !self.was_ready
            || self.cause == Cause::Hung
            || !matches!(self.next, Next::Hook | Next::Rung(0 | 1))
    }

    /// Whether KILL was, or is about to be, the last word.
    pub(super) fn killed(&self) -> bool {
        matches!(self.next, Next::Kill | Next::Nothing)
    }

    /// Whether it is killed because everything ends at once.
    pub(super) fn forced(&self) -> bool {
        self.forced
    }

    /// Puts off the next rung, within reason.
    pub(super) fn extend(&mut self, now: Moment, by: Duration) {
        if let Some(at) = self.at {
            self.at = Some(at.max((now + by).min(self.began + MAX_EXTENSION)));
        }
    }
}

/// Tells a worker to go, unless it is going already.
pub(super) fn send_away(worker: &mut Worker, app: &AppName, cause: Cause, turn: &mut Turn) {
    if !begin(worker, app, cause, turn) {
        return;
    }
    hooks::overtake(worker, turn);
    if worker.pid.is_none() {
        call_off(worker, turn);
    } else if !waits_for_hook(worker, app, cause, turn) {
        climb(worker, turn);
    }
}

/// Calls off its start, if that has been ordered.
fn call_off(worker: &Worker, turn: &mut Turn) {
    if !hooks::comes_before(worker) && !turn.mutated(Mutation::StartOnRegardless) {
        turn.act(Action::CallOff { id: worker.id });
    }
}

/// Whether `before_stop` comes first. It is begun as soon as nothing else runs beside the worker.
fn waits_for_hook(worker: &mut Worker, app: &AppName, cause: Cause, turn: &mut Turn) -> bool {
    let has_hook = worker.definition.hooks.before_stop.is_some();
    let Phase::Leaving(leaving) = &mut worker.phase else {
        return false;
    };
    if !has_hook || !leaving.was_ready || !cause.waits_for_hook() {
        return false;
    }
    if !turn.mutated(Mutation::StopBeforeHook) {
        leaving.next = Next::Hook;
    }
    if worker.hook.is_none() {
        hooks::begin(worker, app, HookKind::BeforeStop, turn);
    }
    !turn.mutated(Mutation::StopBeforeHook)
}

/// A command beside a worker has ended: `after_ready`, and `before_stop` may begin; or that itself.
pub(super) fn hook_ended(worker: &mut Worker, app: &AppName, kind: HookKind, turn: &mut Turn) {
    let Phase::Leaving(leaving) = &mut worker.phase else {
        return;
    };
    if leaving.next != Next::Hook {
        return;
    }
    if kind == HookKind::AfterReady {
        hooks::begin(worker, app, HookKind::BeforeStop, turn);
        return;
    }
    leaving.next = Next::Rung(0);
    climb(worker, turn);
}

/// A worker said that it is going: it gets a while before it is made to.
pub(super) fn let_go(worker: &mut Worker, app: &AppName, turn: &mut Turn) {
    if !begin(worker, app, Cause::Own, turn) {
        return;
    }
    let pace = worker
        .definition
        .kill_ladder
        .first()
        .and_then(|rung| rung.wait)
        .unwrap_or(OWN_PACE);
    if let Phase::Leaving(leaving) = &mut worker.phase {
        leaving.at = Some(turn.now + pace);
    }
    hooks::overtake(worker, turn);
}

/// Kills a worker at once, wherever it is on its ladder.
pub(super) fn kill(worker: &mut Worker, app: &AppName, turn: &mut Turn) {
    end(worker, app, Cause::Kill, turn);
    if let Phase::Leaving(leaving) = &mut worker.phase {
        leaving.forced = true;
    }
}

/// The same, for whatever cause.
pub(super) fn end(worker: &mut Worker, app: &AppName, cause: Cause, turn: &mut Turn) {
    begin(worker, app, cause, turn);
    let Phase::Leaving(leaving) = &mut worker.phase else {
        return;
    };
    if leaving.next == Next::Nothing {
        return;
    }
    leaving.next = Next::Kill;
    hooks::cut_short(worker, turn);
    match worker.pid {
        Some(_) => climb(worker, turn),
        None => call_off(worker, turn),
    }
}

/// The process exists now: if it was told to go before, this is when it hears.
pub(super) fn spawned(worker: &mut Worker, turn: &mut Turn) {
    if worker.leaving().is_some_and(|leaving| leaving.at.is_none()) {
        climb(worker, turn);
    }
}

/// Goes on to the next rung, as often as its turn has come.
pub(super) fn climb_if_due(worker: &mut Worker, turn: &mut Turn) {
    while worker
        .leaving()
        .and_then(Leaving::deadline)
        .is_some_and(|at| at <= turn.now)
    {
        climb(worker, turn);
    }
}

/// Begins a leave; false if it had begun.
fn begin(worker: &mut Worker, app: &AppName, cause: Cause, turn: &mut Turn) -> bool {
    if worker.leaving().is_some() {
        return false;
    }
    let was_ready = worker.is_ready();
    let why = match cause {
        Cause::Recycle => worker.due.as_ref().map(|due| &due.why),
        Cause::Update | Cause::Rollback => worker.outdated.as_ref(),
        Cause::UpdateGivenUp
        | Cause::Stop
        | Cause::Restart
        | Cause::Scale
        | Cause::Kill
        | Cause::Own
        | Cause::StartTimeout
        | Cause::Hung
        | Cause::Memory => None,
    };
    let reason = match why {
        Some(why) => format!("{}: {why}", cause.in_words()),
        None => cause.in_words().to_owned(),
    };
    worker.phase = Phase::Leaving(Leaving {
        cause,
        was_ready,
        reason: reason.clone(),
        began: turn.now,
        next: Next::Rung(0),
        at: None,
        forced: false,
    });
    turn.publish(FleetEvent::WorkerDraining(WorkerDraining {
        worker: worker.reference(app),
        reason,
    }));
    true
}

/// Takes the next rung.
fn climb(worker: &mut Worker, turn: &mut Turn) {
    let (id, main, on_bus) = (worker.id, worker.main_pid, worker.bus == Bus::Connected);
    let rung = worker.leaving().and_then(|leaving| match leaving.next {
        Next::Rung(step) => ladder::step(worker, leaving.cause, step),
        Next::Kill => Some(KILL),
        Next::Hook | Next::Nothing => None,
    });
    let Phase::Leaving(leaving) = &mut worker.phase else {
        return;
    };
    leaving.at = None;
    let Some(Rung { signal, wait }) = rung else {
        return;
    };
    if signal == SIGKILL {
        leaving.next = Next::Nothing;
        let target = SignalTarget::Group;
        turn.act(Action::Signal { id, signal, target });
        return;
    }
    leaving.at = wait.map(|wait| turn.now + wait);
    let Next::Rung(step) = leaving.next else {
        return;
    };
    leaving.next = Next::Rung(step + 1);
    if step == 0 && on_bus && leaving.cause != Cause::Hung {
        let reason = leaving.cause.in_words().to_owned();
        let deadline = wait;
        turn.act(Action::Drain {
            id,
            reason,
            deadline,
        });
        return;
    }
    let asks = leaving.cause != Cause::Hung;
    let stop = &worker.definition.stop;
    let target = match (stop.kill_group && asks, main) {
        (true, _) => SignalTarget::Group,
        (false, Some(main)) => SignalTarget::Main(main),
        (false, None) => SignalTarget::Leader,
    };
    turn.act(match step == 0 && asks && stop.message.is_some() {
        true => Action::StopMessage { id, signal, target },
        false => Action::Signal { id, signal, target },
    });
}

/// How long a worker on its way out has until it is killed, if it and the command before take all their time; `None` if never,
/// or if it is not on its way.
pub(super) fn left(worker: &Worker, now: Moment) -> Option<Duration> {
    let leaving = worker.leaving()?;
    let (mut left, next) = match leaving.next {
        Next::Hook => (hooks::left(worker, HookKind::BeforeStop, now), 0),
        Next::Rung(next) => (leaving.at.map_or(Duration::ZERO, |at| at - now), next),
        Next::Kill | Next::Nothing => return Some(Duration::ZERO),
    };
    for step in next.. {
        match ladder::step(worker, leaving.cause, step)?.wait {
            Some(wait) => left += wait,
            None => break,
        }
    }
    Some(left)
}
