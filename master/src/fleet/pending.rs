//! The one update that begins when the running one has ended. Whatever is asked for meanwhile joins it.

use ostler_bus::{OpId, vocab::control::Outcome};

use super::{app::App, guard::Asker, mutation::Mutation, operations::pay, turn::Turn};
use crate::config::app::overlay::Variables;

/// The update that comes next.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) ops: Vec<OpId>,
    pub(super) reason: String,
    pub(super) asker: Asker,
    /// More variables for its generation.
    pub(super) extra: Variables,
}

/// Asks for an update; it begins when none is running.
pub(super) fn ask(app: &mut App, op: Option<OpId>, reason: &str, asker: Asker, turn: &Turn) {
    if turn.mutated(Mutation::MergeIntoRunning)
        && let Some(update) = &mut app.update
    {
        update.ops.extend(op);
        return;
    }
    match &mut app.pending {
        Some(pending) => {
            pending.ops.extend(op);
            pending.asker = pending.asker.max(asker);
        }
        None => {
            app.pending = Some(Pending {
                ops: op.into_iter().collect(),
                reason: reason.to_owned(),
                asker,
                extra: Variables::new(),
            });
        }
    }
}

/// Gives the generation of the pending update more variables.
pub(super) fn give(app: &mut App, extra: &Variables) {
    if let Some(pending) = &mut app.pending {
        pending.extra.extend(extra.clone());
    }
}

/// Forgets the pending update.
pub(super) fn drop_it(app: &mut App, by: &str, turn: &mut Turn) {
    for op in app
        .pending
        .take()
        .map(|pending| pending.ops)
        .unwrap_or_default()
    {
        pay(op, Outcome::Superseded(by.to_owned()), turn);
    }
}

/// Takes the pending update out, if there is one.
pub(super) fn take(app: &mut App) -> Option<Pending> {
    app.pending.take()
}
