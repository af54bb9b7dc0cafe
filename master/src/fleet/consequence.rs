//! What the exit of its holder means for a slot, by what the worker was and by what its app says (`restart`, `stop_exit_codes`,
//! `fatal_exit_codes`, `oneshot`).

use ostler_bus::vocab::worker::ExitStatus;

use super::{
    Exit,
    cause::Cause,
    turn::Turn,
    worker::{Phase, Worker},
};
use crate::config::app::life::Restart;

/// What the exit of its holder means for a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Consequence {
    /// It was sent away: whether there shall be another is decided by what is wanted now.
    Vacant,
    /// That was for good.
    Ended,
    /// Replace it at once.
    Replace,
    /// It left of its own accord so soon that another might too.
    ReplaceLater,
    /// A failed start or an early crash.
    Failure,
    /// That was for good, and not well.
    Fallen,
    /// It can't boot: failed at once.
    Hopeless,
}

pub(super) fn of(worker: &Worker, exit: &Exit, turn: &Turn) -> Consequence {
    let natural = without_policy(worker, exit, turn);
    let life = &worker.definition.life;
    let own_wish = worker
        .leaving()
        .is_some_and(|leaving| leaving.cause == Cause::Own);
    let well = exit.status == ExitStatus::Code(0) || own_wish;
    let restarts = match life.restart {
        Restart::Always => !(life.oneshot && exit.status == ExitStatus::Code(0)),
        Restart::OnCrash => !well,
        Restart::Never => false,
    };
    let hopeless = matches!(&exit.status, ExitStatus::Code(code)
        if worker.is_starting() && life.fatal_exit_codes.contains(code));
    match natural {
        Consequence::Failure if hopeless => Consequence::Hopeless,
        Consequence::Replace | Consequence::ReplaceLater | Consequence::Failure if !restarts => {
            if well {
                Consequence::Ended
            } else {
                Consequence::Fallen
            }
        }
        Consequence::Vacant
        | Consequence::Ended
        | Consequence::Replace
        | Consequence::ReplaceLater
        | Consequence::Failure
        | Consequence::Fallen
        | Consequence::Hopeless => natural,
    }
}

/// What it means where each end is followed by another beginning.
fn without_policy(worker: &Worker, exit: &Exit, turn: &Turn) -> Consequence {
    let definition = &worker.definition;
    // A minimum of zero would make a worker that dies at birth a busy loop.
    let lived = worker.uptime(turn.now) >= definition.min_uptime.max(definition.backoff.first);
    let for_good =
        matches!(exit.status, ExitStatus::Code(code) if definition.stop_exit_codes.contains(&code));
    match &worker.phase {
        Phase::Leaving(leaving) => match leaving.cause {
            Cause::Own if for_good => Consequence::Ended,
            Cause::Own if leaving.was_ready && lived => Consequence::Replace,
            Cause::Own => Consequence::ReplaceLater,
            Cause::Hung | Cause::Memory if leaving.was_ready && lived => Consequence::Replace,
            Cause::StartTimeout | Cause::Hung | Cause::Memory => Consequence::Failure,
            Cause::Update
            | Cause::UpdateGivenUp
            | Cause::Rollback
            | Cause::Recycle
            | Cause::Stop
            | Cause::Restart
            | Cause::Scale
            | Cause::Kill => Consequence::Vacant,
        },
        Phase::Starting { .. } | Phase::Ready { .. } if for_good => Consequence::Ended,
        Phase::Ready { .. } if lived => Consequence::Replace,
        Phase::Starting { .. } | Phase::Ready { .. } => Consequence::Failure,
    }
}
