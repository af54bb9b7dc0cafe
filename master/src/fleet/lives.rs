//! What the news of a worker means for itself. What its exit means for its slot is decided in [`exits`](super::exits).

use std::time::Duration;

use ostler_bus::{
    WorkerId,
    vocab::worker::{ExitStatus, WorkerDisconnected, WorkerOnline, WorkerReady, WorkerSpawned},
};

use super::{
    Action, Exit, FleetEvent, Notification, WorkerNews,
    app::App,
    canary,
    drain::{self, MAX_EXTENSION},
    exits, hang, hooks, probing, progress,
    readiness::{self, Word},
    turn::Turn,
    wear,
    worker::{Bus, Held, Phase, Worker, millis},
};
use crate::config::app::{AppName, Readiness, hooks::HookKind};

/// Takes in news of one of the app's workers.
pub(super) fn hear(app: &mut App, id: WorkerId, news: WorkerNews, turn: &mut Turn) {
    if let WorkerNews::Hooked { hook, outcome } = news {
        return hooks::ended(app, id, hook, outcome, turn);
    }
    let Some(worker) = app.workers.get_mut(&id) else {
        // It has gone, but for a command beside it; whoever asked is answered all the same.
        if let WorkerNews::SdkDisconnect { request } = news {
            turn.act(Action::AnswerDisconnect { id, request });
        }
        return;
    };
    match news {
        WorkerNews::Hooked { .. } => {}
        WorkerNews::Spawned { pid } => spawned(worker, &app.name, pid, turn),
        WorkerNews::SpawnFailed { error } => {
            let exit = Exit {
                status: ExitStatus::NotStarted(error),
                stderr_tail: Vec::new(),
                hint: None,
                core_dumped: false,
            };
            exits::exited(app, id, exit, turn);
        }
        WorkerNews::Exited(exit) => exits::exited(app, id, exit, turn),
        WorkerNews::BusConnected => {
            worker.bus = Bus::Connected;
            takes_part(worker, &app.name, turn);
        }
        WorkerNews::BusClosed => disconnected(worker, &app.name, turn),
        WorkerNews::SdkReady => {
            takes_part(worker, &app.name, turn);
            said_ready(worker, &app.name, Word::Sdk, turn);
        }
        WorkerNews::SdkDisconnect { request } => {
            drain::let_go(worker, &app.name, turn);
            turn.act(Action::AnswerDisconnect { id, request });
        }
        WorkerNews::Heartbeat => {
            takes_part(worker, &app.name, turn);
            worker.heard_at = Some(turn.now);
        }
        WorkerNews::Holds(held) => progress::holds(app, id, Held::Told(held), turn),
        WorkerNews::Counted(connections) => {
            let last = connections.map(|it| (it, turn.now));
            progress::holds(app, id, Held::Counted { connections, last }, turn);
        }
        WorkerNews::Errors(numbers) => canary::told(app, id, numbers, turn),
        WorkerNews::Served {
            requests,
            under_way,
        } => {
            takes_part(worker, &app.name, turn);
            wear::served(worker, requests, under_way, turn);
        }
        WorkerNews::Memory(bytes) => wear::weigh(worker, &app.name, bytes, turn),
        WorkerNews::Probed { ask, answer } => probed(worker, &app.name, ask, answer, turn),
        WorkerNews::Notified(notification) => notified(worker, &app.name, notification, turn),
    }
}

fn spawned(worker: &mut Worker, app: &AppName, pid: u32, turn: &mut Turn) {
    if worker.spawned_at.is_some() {
        return;
    }
    worker.pid = Some(pid);
    worker.spawned_at = Some(turn.now);
    if let Phase::Starting { deadline } = &mut worker.phase {
        *deadline = readiness::start_deadline(&worker.definition, turn.now);
    }
    turn.publish(FleetEvent::WorkerSpawned(WorkerSpawned {
        worker: worker.reference(app),
        trigger: worker.trigger.clone(),
    }));
    drain::spawned(worker, turn);
}

fn notified(worker: &mut Worker, app: &AppName, notification: Notification, turn: &mut Turn) {
    match notification {
        Notification::Ready => {
            // Not first "takes part", then "ready": an assumption would be withdrawn in between.
            said_ready(worker, app, Word::Notify, turn);
            takes_part(worker, app, turn);
        }
        Notification::Stopping => {
            takes_part(worker, app, turn);
            drain::let_go(worker, app, turn);
        }
        Notification::Status(text) => {
            takes_part(worker, app, turn);
            worker.status_text = Some(text);
        }
        Notification::ExtendTimeout(by) => {
            takes_part(worker, app, turn);
            extend(worker, by, turn);
        }
        Notification::Alive => {
            takes_part(worker, app, turn);
            worker.heard_at = Some(turn.now);
        }
        Notification::Broken => {
            takes_part(worker, app, turn);
            let why = "it said so itself (WATCHDOG=trigger)".to_owned();
            hang::call(worker, app, why, turn);
        }
        Notification::MainPid(pid) => {
            takes_part(worker, app, turn);
            worker.main_pid = Some(pid);
        }
        Notification::Other => takes_part(worker, app, turn),
    }
}

/// From now on only its explicit word counts. An assumption made too early is withdrawn.
fn takes_part(worker: &mut Worker, app: &AppName, turn: &mut Turn) {
    if std::mem::replace(&mut worker.takes_part, true) {
        return;
    }
    turn.publish(FleetEvent::WorkerOnline(WorkerOnline {
        worker: worker.reference(app),
    }));
    if let (
        Phase::Ready {
            since,
            assumed: true,
        },
        Some(spawned),
    ) = (&worker.phase, worker.spawned_at)
        && worker.definition.ready == Readiness::Auto
        && turn.now - *since < readiness::min_healthy(&worker.definition, true)
    {
        let heard_since = worker.deaf_until.map_or(spawned, |at| at.max(spawned));
        worker.phase = Phase::Starting {
            deadline: readiness::start_deadline(&worker.definition, heard_since),
        };
    }
}

fn said_ready(worker: &mut Worker, app: &AppName, word: Word, turn: &mut Turn) {
    if !readiness::counts(&worker.definition.ready, word) {
        return;
    }
    match worker.phase {
        Phase::Starting { .. } | Phase::Ready { assumed: true, .. } => {
            ready(worker, app, false, turn);
        }
        Phase::Ready { assumed: false, .. } | Phase::Leaving(_) => {}
    }
}

/// An answer from outside: a good one makes a worker ready that waits for it; too many bad ones, and a ready one is hung.
fn probed(
    worker: &mut Worker,
    app: &AppName,
    ask: u64,
    answer: Result<(), String>,
    turn: &mut Turn,
) {
    let good = answer.is_ok();
    if !probing::answered(worker, ask, answer, turn) {
        return;
    }
    match worker.phase {
        Phase::Starting { .. } if good => ready(worker, app, false, turn),
        Phase::Starting { .. } | Phase::Leaving(_) => {}
        Phase::Ready { .. } => hang::answered(worker, app, good, turn),
    }
}

/// Makes a worker ready, and says so.
pub(super) fn ready(worker: &mut Worker, app: &AppName, assumed: bool, turn: &mut Turn) {
    worker.phase = Phase::Ready {
        since: turn.now,
        assumed,
    };
    probing::begin(worker, turn);
    turn.publish(FleetEvent::WorkerReady(WorkerReady {
        worker: worker.reference(app),
        assumed,
        after_ms: millis(worker.uptime(turn.now)),
    }));
    if !std::mem::replace(&mut worker.greeted, true) {
        hooks::begin(worker, app, HookKind::AfterReady, turn);
    }
}

fn extend(worker: &mut Worker, by: Duration, turn: &Turn) {
    match &mut worker.phase {
        Phase::Starting {
            deadline: Some(deadline),
        } => {
            let limit = worker.spawned_at.unwrap_or(turn.now) + MAX_EXTENSION;
            *deadline = (*deadline).max((turn.now + by).min(limit));
        }
        Phase::Starting { deadline: None } | Phase::Ready { .. } => {}
        Phase::Leaving(leaving) => leaving.extend(turn.now, by),
    }
}

/// Its bus connection is gone, if it had one.
pub(super) fn disconnected(worker: &mut Worker, app: &AppName, turn: &mut Turn) {
    if worker.bus == Bus::Connected {
        worker.bus = Bus::Closed;
        let worker = worker.reference(app);
        turn.publish(FleetEvent::WorkerDisconnected(WorkerDisconnected {
            worker,
        }));
    }
}
