//! What a worker's exit means: for the update it was on trial for, or for the slot it held.
//!
//! Whoever was sent away, or said that it goes, did not crash, whatever its code. A failed start and a crash before
//! `min_uptime` count against the slot; a later crash is replaced at once.

use std::time::Duration;

use ostler_bus::{
    Slot as SlotNumber, WorkerId,
    vocab::{
        update::AppFailed,
        worker::{ExitStatus, Next, WorkerExited},
    },
};

use super::{
    Action, Exit, FleetEvent, Moment,
    app::{App, Fatal},
    backoff::Verdict,
    cause::Cause,
    consequence::{self, Consequence},
    decision::{Decision, cause, for_good},
    epitaph::{epitaph, with_last_words},
    hooks, lives,
    mutation::Mutation,
    settle,
    slot::SlotState,
    trial::{self, Aim},
    turn::Turn,
    update,
    worker::{Held, Worker, millis},
};
use crate::config::units::{exact, rough};

/// What was counted longer ago is not told at the end. Longer than it takes to count a few workers that drain at once.
const FRESH: Duration = Duration::from_secs(5);

/// A worker is gone: says so, and lets the update or its slot know.
pub(super) fn exited(app: &mut App, id: WorkerId, exit: Exit, turn: &mut Turn) {
    let Some(mut worker) = app.workers.remove(&id) else {
        return;
    };
    lives::disconnected(&mut worker, &app.name, turn);
    let leaving = worker.leaving();
    let was_ready = leaving.map_or(worker.is_ready(), |leaving| leaving.was_ready);
    let (held, held_requests) = left(&worker, &exit, turn.now);
    let mut told = WorkerExited {
        worker: worker.reference(&app.name),
        status: exit.status.clone(),
        voluntary: leaving.is_some_and(|leaving| leaving.cause.voluntary()),
        was_ready,
        uptime_ms: millis(worker.uptime(turn.now)),
        stderr_tail: exit.stderr_tail.clone(),
        hint: exit.hint.clone(),
        hung: leaving
            .filter(|leaving| leaving.cause == Cause::Hung)
            .and_then(|_| worker.hung.clone()),
        core_dumped: exit.core_dumped,
        trigger: worker.trigger.clone(),
        cause: leaving.map(|leaving| cause(&worker, leaving)),
        next: Next::Nothing,
        because: None,
        held,
        held_requests,
    };
    let place = turn.place();
    let decision = decide(app, &worker, &exit, was_ready, turn);
    (told.next, told.because) = (decision.next, decision.because);
    turn.publish_at(place, FleetEvent::WorkerExited(told));
}

/// What it still had when it went. A count says something only of a worker that was killed, as whoever ends by itself may have
/// finished since, and only if it isn't older than [`FRESH`].
fn left(worker: &Worker, exit: &Exit, now: Moment) -> (Option<u64>, Option<u64>) {
    match (worker.held, &exit.status) {
        (None | Some(Held::Told(_)), _) => worker.held(),
        (Some(Held::Counted { last, .. }), ExitStatus::Signal(_)) => {
            let fresh = last.filter(|(_, at)| now - *at <= FRESH);
            (fresh.map(|(connections, _)| connections), None)
        }
        (
            Some(Held::Counted { .. }),
            ExitStatus::Code(_) | ExitStatus::Unknown | ExitStatus::NotStarted(_),
        ) => (None, None),
    }
}

/// Lets the update or the slot know of an end.
fn decide(
    app: &mut App,
    worker: &Worker,
    exit: &Exit,
    was_ready: bool,
    turn: &mut Turn,
) -> Decision {
    let id = worker.id;
    hooks::exited(app, worker, &exit.status, turn);
    let epitaph = epitaph(worker, exit, was_ready, turn);
    if let Some(code) = fatal(app, worker, &exit.status) {
        app.fatal = Some(Fatal {
            code,
            epitaph: epitaph.clone(),
        });
    }
    if let Some(trial) = trial::of_successor(app, id) {
        let (slot, aim) = (trial.slot, trial.aim);
        trial::failed(app, slot, &with_last_words(&epitaph, exit), turn);
        let because = match aim {
            Aim::Update => "it was to prove itself: the update is given up",
            Aim::Recycle => "it was to prove itself: another is tried later",
        };
        return Decision::new(succeeded(app, worker), because);
    }
    let holds = app
        .slots
        .get(&worker.slot)
        .is_some_and(|slot| slot.holder() == Some(id));
    if holds || turn.mutated(Mutation::TrustStaleExit) {
        let decision = vacate(app, worker, exit, epitaph, turn);
        update::predecessor_exited(app, worker, turn);
        return decision;
    }
    update::predecessor_exited(app, worker, turn);
    Decision {
        next: succeeded(app, worker),
        because: None,
    }
}

/// Somebody else has its slot. Without the slot there is nobody to want one.
fn succeeded(app: &App, worker: &Worker) -> Next {
    match app.slots.get(&worker.slot) {
        Some(slot) if app.wanted => Next::Succeeded { by: slot.holder() },
        Some(_) | None => Next::Nothing,
    }
}

/// The code of an exit that means: this app can't boot. While it is updated or one of it serves, it can; and a successor that
/// fails is not the last word.
fn fatal(app: &App, worker: &Worker, status: &ExitStatus) -> Option<i32> {
    let boots = || app.update.is_some() || app.workers.values().any(Worker::is_ready);
    match status {
        ExitStatus::Code(code) if worker.is_starting() => {
            let codes = &worker.definition.life.fatal_exit_codes;
            let excused = || boots() || trial::of_successor(app, worker.id).is_some();
            (codes.contains(code) && !excused()).then_some(*code)
        }
        ExitStatus::Code(_)
        | ExitStatus::Signal(_)
        | ExitStatus::Unknown
        | ExitStatus::NotStarted(_) => None,
    }
}

/// A slot has lost its holder.
fn vacate(
    app: &mut App,
    worker: &Worker,
    exit: &Exit,
    epitaph: String,
    turn: &mut Turn,
) -> Decision {
    let wanted = app.wants(worker.slot, turn);
    let Some(slot) = app.slots.get_mut(&worker.slot) else {
        return Decision {
            next: Next::Nothing,
            because: None,
        };
    };
    // Stopped and started again meanwhile: how it ended says nothing about what the slot is wanted for now.
    let outdated = slot.generation != worker.generation;
    let consequence = if outdated {
        Consequence::Vacant
    } else {
        consequence::of(worker, exit, turn)
    };
    slot.last_exit = Some(epitaph.clone());
    slot.last_worker = (consequence != Consequence::Vacant).then_some(worker.id);
    match consequence {
        Consequence::Vacant => {
            slot.state = SlotState::Vacant;
            let next = if wanted { Next::AtOnce } else { Next::Nothing };
            Decision {
                next,
                because: None,
            }
        }
        Consequence::Ended => {
            slot.state = SlotState::Ended { well: true };
            settle::drop_trial(app, worker.slot, Cause::UpdateGivenUp, turn);
            Decision::new(Next::Ended { well: true }, for_good(worker, exit))
        }
        Consequence::Replace => {
            slot.failures.stable();
            slot.restarts += u32::from(!worker.leaving().is_some_and(|l| l.cause.voluntary()));
            slot.state = SlotState::Backoff { until: turn.now };
            Decision::new(
                Next::AtOnce,
                format!(
                    "it was ready, and lived for {} (min_uptime) or longer",
                    exact(worker.definition.min_uptime)
                ),
            )
        }
        Consequence::ReplaceLater => {
            let until = turn.now + slot.failures.next_delay(&worker.definition, turn.rng());
            slot.state = SlotState::Backoff { until };
            Decision::new(
                Next::After {
                    ms: millis(until - turn.now),
                },
                "it went of its own accord so soon that another might too",
            )
        }
        Consequence::Failure => {
            slot.restarts += 1;
            let decision = fail(app, worker.slot, &epitaph, turn);
            update::newcomer_failed(app, worker, &with_last_words(&epitaph, exit), turn);
            decision
        }
        Consequence::Fallen => {
            slot.last_failure = Some((turn.number(), epitaph.clone()));
            slot.state = SlotState::Ended { well: false };
            // Else a successor on trial would bring back what is not to come back.
            if !update::replaces(app, worker.slot) {
                settle::drop_trial(app, worker.slot, Cause::UpdateGivenUp, turn);
            }
            update::newcomer_failed(app, worker, &with_last_words(&epitaph, exit), turn);
            Decision::new(Next::Ended { well: false }, for_good(worker, exit))
        }
        Consequence::Hopeless => {
            slot.last_failure = Some((turn.number(), epitaph.clone()));
            let next = give_up(app, worker.slot, "can't boot", &epitaph, turn);
            update::newcomer_failed(app, worker, &with_last_words(&epitaph, exit), turn);
            Decision::new(next, "it can't boot: its code is one of fatal_exit_codes")
        }
    }
}

/// Counts a failure of a slot and decides when it is tried again.
fn fail(app: &mut App, number: SlotNumber, epitaph: &str, turn: &mut Turn) -> Decision {
    let step = turn.number();
    let Some(slot) = app.slots.get_mut(&number) else {
        return Decision {
            next: Next::Nothing,
            because: None,
        };
    };
    slot.last_failure = Some((step, epitaph.to_owned()));
    let verdict = slot.failures.count(turn.now, &slot.definition, turn.rng());
    let counted = format!(
        "failure {} of {} within {} (max_restarts)",
        slot.failures.within(&slot.definition, turn.now),
        slot.definition.max_restarts.max(1),
        exact(slot.definition.restart_window)
    );
    let next = match verdict {
        Verdict::RetryAt(until) => {
            slot.state = SlotState::Backoff { until };
            Next::After {
                ms: millis(until - turn.now),
            }
        }
        Verdict::GiveUp => give_up(app, number, "failed too often", epitaph, turn),
    };
    Decision::new(next, counted)
}

/// A slot is failed: nobody tries it before long.
fn give_up(app: &mut App, number: SlotNumber, why: &str, epitaph: &str, turn: &mut Turn) -> Next {
    let Some(slot) = app.slots.get_mut(&number) else {
        return Next::Nothing;
    };
    let rest = slot.definition.life.retry_failed;
    slot.state = SlotState::Failed {
        until: rest.map(|rest| turn.now + rest),
    };
    let again = match rest {
        Some(rest) => format!("tried again in {} or by `start`", rough(rest)),
        None => "tried again by `start`".to_owned(),
    };
    turn.publish(FleetEvent::AppFailed(AppFailed {
        app: app.name.to_string(),
        slot: number,
        reason: format!("{why}; {again}: {epitaph}"),
    }));
    Next::GivenUp {
        again_ms: rest.map(millis),
    }
}

/// Connections or datagrams wait for a slot: if it has failed it is tried again when the longest back-off is over, whatever
/// `retry_failed` says; unless nobody wants it any more.
pub(super) fn awaited(app: &mut App, number: SlotNumber, turn: &mut Turn) {
    if !app.wants(number, turn) {
        return;
    }
    let Some(slot) = app.slots.get_mut(&number) else {
        return;
    };
    let rest = slot.definition.backoff.max;
    let soon = turn.now + rest;
    if let SlotState::Failed { until } = &mut slot.state
        && until.is_none_or(|until| until > soon)
    {
        *until = Some(soon);
        turn.act(Action::Say(format!(
            "{}.{number}: clients wait for it, so it is tried again in {}",
            app.name,
            rough(rest)
        )));
    }
}
