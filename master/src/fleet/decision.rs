//! What was decided about a worker's end, and the words for it: why it went, and why what follows.

use ostler_bus::vocab::worker::{ExitStatus, Next};

use super::{Exit, cause::Cause, drain::Leaving, epitaph, worker::Worker};
use crate::config::app::life::Restart;

/// What is done about a worker's end.
pub(super) struct Decision {
    pub(super) next: Next,
    /// Why that, in words.
    pub(super) because: Option<String>,
}

impl Decision {
    pub(super) fn new(next: Next, because: impl Into<String>) -> Self {
        Self {
            next,
            because: Some(because.into()),
        }
    }
}

/// Why a worker was sent away, or went, in words.
pub(super) fn cause(worker: &Worker, leaving: &Leaving) -> String {
    match (leaving.cause, &worker.hung) {
        (Cause::StartTimeout, _) => epitaph::not_in_time(worker),
        (Cause::Hung | Cause::Memory, Some(why)) => format!("{}: {why}", leaving.reason),
        (
            Cause::Update
            | Cause::UpdateGivenUp
            | Cause::Rollback
            | Cause::Stop
            | Cause::Restart
            | Cause::Scale
            | Cause::Kill
            | Cause::Own
            | Cause::Hung
            | Cause::Recycle
            | Cause::Memory,
            _,
        ) => leaving.reason.clone(),
    }
}

/// Why there is not to be another, in words.
pub(super) fn for_good(worker: &Worker, exit: &Exit) -> String {
    let life = &worker.definition.life;
    match &exit.status {
        ExitStatus::Code(code) if worker.definition.stop_exit_codes.contains(code) => {
            format!("{code} is one of stop_exit_codes")
        }
        ExitStatus::Code(0) if life.oneshot => "it is oneshot, and done".into(),
        ExitStatus::Code(_)
        | ExitStatus::Signal(_)
        | ExitStatus::Unknown
        | ExitStatus::NotStarted(_) => match life.restart {
            Restart::Never => "restart is \"never\"".into(),
            Restart::OnCrash | Restart::Always => {
                "it ended as it should, and restart is \"on_crash\"".into()
            }
        },
    }
}
