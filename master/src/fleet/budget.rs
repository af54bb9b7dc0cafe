//! How many workers of an app may be replaced at once, for whatever reason: what Kubernetes calls a rolling update, held
//! to slots.
//!
//! * Beside its instances an app has at most `max_surge` successors on trial, those that drain aside.
//! * A ready worker is told to go before its successor is ready only while, with it, no more than `max_unavailable` of the
//!   app's instances are without a ready worker. One that isn't ready is missed by nobody.
//! * At most `max_draining` drain at once; where all go at once, all may.

use ostler_bus::Slot as SlotNumber;

use super::{
    app::App,
    cause::Cause,
    slot::{Slot, SlotState},
    trial::Way,
    worker::Worker,
};
use crate::config::app::update::{Strategy, UpdateRules};

/// In which way the worker of this slot may be replaced now, if it may.
pub(super) fn way(app: &App, slot: SlotNumber, rules: &UpdateRules) -> Option<Way> {
    let all = rules.strategy == Strategy::AllAtOnce;
    if !all && drains_full(app) {
        return None;
    }
    let budget = rules.budget(app.size);
    let begun = |way| app.trials.iter().filter(|trial| trial.way == way).count();
    if begun(Way::Beside) < budget.surge as usize {
        return Some(Way::Beside);
    }
    let most = budget.unavailable as usize;
    let is_missed = app.holder(slot).is_some_and(Worker::is_ready);
    let may_go = !is_missed || missing(app) < most;
    (begun(Way::Instead) < most && may_go).then_some(Way::Instead)
}

/// How many of the wanted slots have no ready worker. Those that were stopped or ended for good aren't missed, and to wait for those that
/// failed too often could be to wait for ever.
fn missing(app: &App) -> usize {
    let is_missing = |(number, slot): &(&SlotNumber, &Slot)| match slot.state {
        SlotState::Ended { .. } | SlotState::Failed { .. } => false,
        SlotState::Held(_) => !app.holder(**number).is_some_and(Worker::is_ready),
        SlotState::Vacant | SlotState::Backoff { .. } | SlotState::Stopped => true,
    };
    let wanted = app.slots.range(..SlotNumber(app.size));
    let stopped = |number: &SlotNumber| app.parked.contains(number);
    wanted
        .filter(|(number, _)| !stopped(number))
        .filter(is_missing)
        .count()
}

/// Whether as many replaced workers drain as may at once.
pub(super) fn drains_full(app: &App) -> bool {
    let most = app
        .definition
        .max_draining
        .unwrap_or_else(|| app.size.div_ceil(4).max(2))
        .max(1);
    let draining = app.workers.values().filter(|worker| {
        worker.leaving().is_some_and(|leaving| {
            matches!(
                leaving.cause,
                Cause::Update | Cause::Rollback | Cause::Recycle
            )
        })
    });
    draining.count() >= most as usize
}
