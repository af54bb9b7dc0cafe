//! What a new worker's own numbers say of it: one that fails too many requests is no good, though it lives.

use ostler_bus::{WorkerId, vocab::worker::AppErrors};

use super::{
    app::App,
    turn::Turn,
    update::{self, GivenUp},
};

/// A worker has told how its requests went so far.
pub(super) fn told(app: &mut App, id: WorkerId, numbers: AppErrors, turn: &mut Turn) {
    let Some(worker) = app.workers.get(&id) else {
        return;
    };
    let canary = &worker.definition.update.canary;
    let Some(most) = canary.max_errors else {
        return;
    };
    let enough = numbers.requests >= canary.min_requests.max(1);
    let failed = percent(numbers);
    if worker.leaving().is_some() || !enough || failed <= most {
        return;
    }
    if update::holds_to_account(app, worker.generation) {
        let why = format!(
            "{} failed {} of {} requests ({failed:.1}%): more than {most}% (canary.max_errors)",
            worker.describe(),
            numbers.errors,
            numbers.requests
        );
        update::give_up(app, GivenUp::Failed(&why), turn);
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "beyond 2^53 requests one more or less doesn't matter"
)]
fn percent(numbers: AppErrors) -> f64 {
    numbers.errors as f64 * 100.0 / numbers.requests.max(1) as f64
}
