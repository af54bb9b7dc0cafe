//! The fleet as others may see it: plain values, for status.

use std::borrow::Cow;

use ostler_bus::{
    Slot as SlotNumber,
    vocab::status::{AppStatus, WorkerStatus},
};
use serde::{Deserialize, Serialize};

use super::{
    Moment,
    app::App,
    hooks::{self, Remains},
    order::Rise,
    readiness,
    slot::{Slot, SlotState},
    worker::{Bus, Occasion, Phase, Worker, millis},
};

/// The state of all apps and workers.
///
/// What only the shell knows is left for it to fill in: [`AppStatus::sockets`] is empty, [`AppStatus::next_cron`] and
/// [`WorkerStatus::memory`] are `None`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// By name.
    pub apps: Vec<AppStatus>,
    /// By app, slot and id. A slot without a worker has an entry without an id.
    pub workers: Vec<WorkerStatus>,
}

impl Snapshot {
    pub(super) fn take<'a>(apps: impl Iterator<Item = &'a App>, now: Moment) -> Self {
        let mut snapshot = Self::default();
        for app in apps {
            snapshot.apps.push(app_status(app));
            let first = snapshot.workers.len();
            snapshot.workers.extend(
                app.workers
                    .values()
                    .map(|worker| worker_status(app, worker, now)),
            );
            let empty = app.slots.iter().filter(|(_, slot)| slot.holder().is_none());
            snapshot
                .workers
                .extend(empty.map(|(number, slot)| slot_status(app, *number, slot, now)));
            snapshot.workers[first..].sort_by_key(|worker| (worker.slot, worker.id));
        }
        snapshot
    }
}

fn app_status(app: &App) -> AppStatus {
    AppStatus {
        name: app.name.to_string(),
        state: app_state(app).into(),
        instances: app.size,
        ready: u32::try_from(app.ready()).unwrap_or(u32::MAX),
        generation: app.newest,
        readiness: app.definition.ready.to_string(),
        sockets: Vec::new(),
        last_update: app.last_update.clone(),
        namespace: app.definition.namespace.as_ref().map(ToString::to_string),
        next_cron: None,
    }
}

fn app_state(app: &App) -> &'static str {
    let none_left = app.is_empty();
    let any = |state: fn(&SlotState) -> bool| app.slots.values().any(|slot| state(&slot.state));
    let all_ended = app.slots.iter().all(|(number, slot)| match slot.state {
        SlotState::Ended { .. } => true,
        SlotState::Vacant
        | SlotState::Held(_)
        | SlotState::Backoff { .. }
        | SlotState::Failed { .. }
        | SlotState::Stopped => app.parked.contains(number),
    });
    let fills = |worker: &Worker| worker.occasion == Occasion::Fill && worker.is_starting();
    let filling = app.workers.values().any(fills);
    if app.wants_none() {
        return if none_left { "stopped" } else { "stopping" };
    }
    match app.rise {
        Rise::Emptying { .. } if !none_left => return "restarting",
        Rise::Held { .. } | Rise::Emptying { .. } => return "waiting",
        Rise::Rising { .. } | Rise::Over => {}
    }
    if let Some(update) = &app.update {
        return if update.goes_back() {
            "rolling back"
        } else {
            "updating"
        };
    }
    match app.ready() {
        0 if all_ended && none_left && !app.slots.is_empty() => "stopped",
        0 if any(|state| matches!(state, SlotState::Failed { .. })) => "failed",
        0 => "starting",
        _ if any(|state| *state == SlotState::Vacant) || filling => "starting",
        _ => "running",
    }
}

fn worker_status(app: &App, worker: &Worker, now: Moment) -> WorkerStatus {
    let slot = app.slots.get(&worker.slot);
    let (held, held_requests) = worker.held();
    WorkerStatus {
        app: app.name.to_string(),
        slot: worker.slot,
        id: Some(worker.id),
        pid: worker.pid,
        generation: worker.generation,
        state: phase(worker).into(),
        assumed_ready: matches!(worker.phase, Phase::Ready { assumed: true, .. }),
        current: slot.is_some_and(|slot| slot.holder() == Some(worker.id)),
        starting: worker.is_starting(),
        closing: worker.leaving().is_some(),
        dead: false,
        connected: worker.bus == Bus::Connected,
        restarts: slot.map_or(0, |slot| slot.restarts),
        age_ms: millis(now - worker.spawned_at.unwrap_or(worker.ordered_at)),
        memory: None,
        cpu_ms: None,
        status_text: worker.status_text.clone(),
        waits_for: hooks::awaited(worker)
            .or_else(|| readiness::awaited(worker).map(Cow::into_owned)),
        last_exit: slot.and_then(|slot| slot.last_exit.clone()),
        retry_in_ms: None,
        check_in_ms: worker
            .heard_at
            .max(worker.heard_well_at)
            .map(|at| millis(now - at)),
        failures: slot.map_or(0, |slot| slot.failures.within(&slot.definition, now)),
        backoff_ms: slot.map_or(0, |slot| millis(slot.failures.delay())),
        requests: worker.served.map(|served| served.requests),
        recycle: worker.due.as_ref().map(|due| due.in_words(now)),
        held,
        held_requests,
    }
}

fn phase(worker: &Worker) -> &'static str {
    match &worker.phase {
        Phase::Starting { .. } => "starting",
        Phase::Ready { .. } => "ready",
        Phase::Leaving(leaving) if leaving.insisting() => "stopping",
        Phase::Leaving(_) => "draining",
    }
}

/// A slot that has no worker just now.
fn slot_status(app: &App, number: SlotNumber, slot: &Slot, now: Moment) -> WorkerStatus {
    let state = match slot.state {
        SlotState::Vacant | SlotState::Held(_) => "starting",
        SlotState::Backoff { .. } => "backoff",
        SlotState::Failed { .. } => "failed",
        SlotState::Ended { .. } | SlotState::Stopped => "stopped",
    };
    WorkerStatus {
        app: app.name.to_string(),
        slot: number,
        id: None,
        pid: None,
        generation: slot.generation,
        state: state.into(),
        assumed_ready: false,
        current: true,
        starting: slot.state == SlotState::Vacant,
        closing: false,
        dead: true,
        connected: false,
        restarts: slot.restarts,
        age_ms: 0,
        memory: None,
        cpu_ms: None,
        status_text: None,
        waits_for: app.remains_in(number).map(Remains::awaited),
        last_exit: slot.last_exit.clone(),
        retry_in_ms: slot.retry_at().map(|at| millis(at - now)),
        check_in_ms: None,
        failures: slot.failures.within(&slot.definition, now),
        backoff_ms: millis(slot.failures.delay()),
        requests: None,
        recycle: None,
        held: None,
        held_requests: None,
    }
}
