//! Holds what goes into the fleet and what comes out of it to what is promised. Knows nothing of how the fleet works.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use ostler_bus::{
    OpId, WorkerId,
    vocab::{control::Answer, update::UpdateStep, worker::WorkerRef},
};

use super::model::{Life, Model, WorkerModel};
use crate::{
    config::app::Readiness,
    fleet::{Action, FleetEvent, Input, Moment, RequestToken, Snapshot, SpawnOrder, WorkerNews},
};

type Checked = Result<(), String>;

/// Fails with a text unless the promise holds.
macro_rules! promise {
    ($holds:expr, $($text:tt)+) => {
        if !$holds {
            return Err(format!($($text)+));
        }
    };
}

/// The watcher of one history.
#[derive(Debug, Default)]
pub(super) struct Checker {
    model: Model,
    unanswered: BTreeSet<RequestToken>,
    open: BTreeSet<OpId>,
    done: bool,
    last_worker: u64,
}

impl Checker {
    pub(super) fn done(&self) -> bool {
        self.done
    }

    /// Checks one step.
    pub(super) fn check(&mut self, now: Moment, input: &Input, actions: &[Action]) -> Checked {
        let exits = self.take_in(input, actions);
        promise!(
            !self.done || actions.iter().all(is_answer),
            "something is done after the end: {actions:?}"
        );
        for action in actions {
            self.act(now, action)
                .map_err(|broken| format!("{broken}\n  in {input:?}\n  at {action:?}"))?;
        }
        let told = actions
            .iter()
            .filter(|action| matches!(action, Action::Publish(FleetEvent::WorkerExited(_))));
        promise!(
            told.count() == exits,
            "{exits} exits were told differently often: {input:?}"
        );
        promise!(
            self.unanswered.is_empty(),
            "a request was not answered: {input:?}"
        );
        self.hold()
            .map_err(|broken| format!("{broken}\n  after {input:?}"))
    }

    /// Notes what goes in; how many exits must be told because of it.
    fn take_in(&mut self, input: &Input, actions: &[Action]) -> usize {
        match input {
            Input::Define(definition) if !self.model.ending => {
                self.model
                    .apps
                    .entry(definition.name.to_string())
                    .or_default()
                    .define(definition);
            }
            Input::Worker {
                id,
                news: WorkerNews::Exited(_) | WorkerNews::SpawnFailed { .. },
            } => {
                return usize::from(self.model.workers.contains_key(id));
            }
            Input::Worker {
                news: WorkerNews::SdkDisconnect { request },
                ..
            } => {
                self.unanswered.insert(*request);
            }
            Input::Command { request, command } => {
                self.unanswered.insert(*request);
                let accepted = |action: &Action| matches!(action, Action::Answer { request: r, answer: Answer::Accepted { .. } } if r == request);
                if actions.iter().any(accepted) {
                    self.model.accept(command);
                }
            }
            Input::Define(_) | Input::Worker { .. } | Input::RestartNeeded { .. } | Input::Tick => {
            }
        }
        0
    }

    fn act(&mut self, now: Moment, action: &Action) -> Checked {
        match action {
            Action::Spawn(order) => self.spawn(order),
            Action::Signal { id, signal, .. } => self.told(now, *id, *signal),
            Action::Drain { id, .. } => self.told(now, *id, 0),
            Action::Answer { request, answer } => {
                promise!(
                    self.unanswered.remove(request),
                    "{request:?} was answered twice"
                );
                if let Answer::Accepted { op } = answer {
                    promise!(self.open.insert(*op), "{op:?} was given twice");
                }
                Ok(())
            }
            Action::AnswerDisconnect { request, .. } => {
                promise!(
                    self.unanswered.remove(request),
                    "{request:?} was answered twice"
                );
                Ok(())
            }
            Action::Publish(event) => self.publish(now, event),
            Action::Done { code } => {
                promise!(self.model.ending && !self.done, "the end was not asked for");
                promise!(
                    *code == u8::from(self.model.forced),
                    "the exit code is {code}"
                );
                self.done = true;
                Ok(())
            }
        }
    }

    fn spawn(&mut self, order: &SpawnOrder) -> Checked {
        let SpawnOrder {
            id,
            app: name,
            slot,
            generation,
            definition,
        } = order;
        promise!(id.0 == self.last_worker + 1, "ids have a gap or repeat");
        self.last_worker = id.0;
        let app = self.model.apps.get(name.as_str()).ok_or("an unknown app")?;
        promise!(app.wanted, "a worker of a stopped app is started");
        promise!(
            slot.0 < app.size,
            "slot {slot} is beyond the size {}",
            app.size
        );
        let starting = self
            .model
            .of(name.as_str())
            .any(|(_, worker)| worker.life == Life::Starting);
        promise!(!app.pristine || !starting, "two start at once");
        let worker = WorkerModel {
            app: name.to_string(),
            slot: *slot,
            generation: *generation,
            definition: Arc::clone(definition),
            spawned: false,
            online: false,
            disconnected: false,
            life: Life::Starting,
            told: Vec::new(),
        };
        self.model.workers.insert(*id, worker);
        Ok(())
    }

    /// A worker is sent a signal, or the drain message.
    fn told(&mut self, now: Moment, id: WorkerId, signal: i32) -> Checked {
        let forced = self.model.forced;
        let worker = self
            .model
            .workers
            .get_mut(&id)
            .ok_or("a signal to nobody")?;
        promise!(worker.spawned, "a signal to what is not there yet");
        let Life::Leaving { since, .. } = &worker.life else {
            return Err("a signal to one that may stay".into());
        };
        promise!(!worker.told.contains(&signal), "told {signal} twice");
        let patience = worker
            .definition
            .kill_ladder
            .iter()
            .filter_map(|rung| rung.wait)
            .sum::<Duration>();
        promise!(
            signal != 9 || forced || now - *since >= patience,
            "killed after {:?}",
            now - *since
        );
        worker.told.push(signal);
        Ok(())
    }

    fn publish(&mut self, now: Moment, event: &FleetEvent) -> Checked {
        match event {
            FleetEvent::WorkerSpawned(event) => {
                let worker = self.worker(&event.worker)?;
                promise!(
                    !std::mem::replace(&mut worker.spawned, true),
                    "spawned twice"
                );
            }
            FleetEvent::WorkerOnline(event) => {
                let worker = self.worker(&event.worker)?;
                promise!(!std::mem::replace(&mut worker.online, true), "online twice");
                withdraw_assumption(worker, now);
            }
            FleetEvent::WorkerReady(event) => {
                let worker = self.worker(&event.worker)?;
                promise!(worker.spawned && !worker.leaving(), "ready out of turn");
                worker.life = Life::Ready {
                    since: now,
                    assumed: event.assumed,
                };
            }
            FleetEvent::WorkerDraining(event) => {
                self.draining(now, &event.worker, &event.reason)?
            }
            FleetEvent::WorkerDisconnected(event) => {
                let worker = self.worker(&event.worker)?;
                promise!(
                    !std::mem::replace(&mut worker.disconnected, true),
                    "disconnected twice"
                );
            }
            FleetEvent::WorkerExited(event) => {
                let worker = self.worker(&event.worker)?;
                let asked = matches!(&worker.life, Life::Leaving { reason, .. } if reason != "not ready in time");
                promise!(event.voluntary == asked, "voluntary: {}", event.voluntary);
                let name = worker.app.clone();
                self.model.workers.remove(&event.worker.id);
                self.model.apps.entry(name).or_default().pristine = false;
            }
            FleetEvent::UpdateStarted(event) => {
                let app = self
                    .model
                    .apps
                    .get_mut(&event.app)
                    .ok_or("an unknown app")?;
                promise!(
                    app.updating.is_none() && app.wanted,
                    "an update begins out of turn"
                );
                app.update_started(event.generation);
            }
            FleetEvent::UpdateProgress(event) if event.step == UpdateStep::Replaced => {
                self.replaced(now, &event.app, event.worker)?;
            }
            FleetEvent::UpdateProgress(_) => {}
            FleetEvent::UpdateFinished(event) => {
                let old = self
                    .model
                    .of(&event.app)
                    .any(|(_, worker)| worker.generation < event.generation);
                promise!(!old, "an update finished with old workers left");
                let app = self
                    .model
                    .apps
                    .get_mut(&event.app)
                    .ok_or("an unknown app")?;
                promise!(
                    app.updating == Some(event.generation),
                    "an update finished that wasn't under way"
                );
                app.update_finished();
            }
            FleetEvent::UpdateAborted(event) => {
                let app = self
                    .model
                    .apps
                    .get_mut(&event.app)
                    .ok_or("an unknown app")?;
                promise!(
                    app.updating == Some(event.generation),
                    "an update aborted that wasn't under way"
                );
                promise!(!event.reason.is_empty(), "no reason given");
                app.update_aborted();
            }
            FleetEvent::AppResized(event) => {
                let app = self.model.apps.get(&event.app).ok_or("an unknown app")?;
                promise!(
                    app.size == event.to && event.from != event.to,
                    "resized to {}",
                    event.to
                );
            }
            FleetEvent::UpdateSuspended(_) | FleetEvent::AppFailed(_) => {}
            FleetEvent::OperationFinished(event) => {
                promise!(
                    self.open.remove(&event.op),
                    "{:?} ended twice, or never began",
                    event.op
                );
            }
        }
        Ok(())
    }

    fn worker(&mut self, reference: &WorkerRef) -> Result<&mut WorkerModel, String> {
        let worker = self
            .model
            .workers
            .get_mut(&reference.id)
            .ok_or("news of nobody")?;
        promise!(
            worker.slot == reference.slot && worker.app == reference.app,
            "somebody else: {reference:?}"
        );
        Ok(worker)
    }

    /// A successor takes over: it must have proved itself.
    fn replaced(&mut self, now: Moment, app: &str, successor: WorkerId) -> Checked {
        let app = self.model.apps.get_mut(app).ok_or("an unknown app")?;
        let worker = self
            .model
            .workers
            .get(&successor)
            .ok_or("replaced by nobody")?;
        let Life::Ready { since, assumed } = worker.life else {
            return Err("replaced by one not ready".into());
        };
        let least = worker
            .definition
            .min_healthy
            .unwrap_or(Duration::from_secs(if assumed { 5 } else { 1 }));
        let canary = worker.definition.canary_healthy.unwrap_or(2 * least);
        let least = if app.replaced == 0 { canary } else { least };
        promise!(
            now - since >= least,
            "replaced after {:?} of {least:?}",
            now - since
        );
        app.replaced += 1;
        Ok(())
    }

    fn draining(&mut self, now: Moment, reference: &WorkerRef, reason: &str) -> Checked {
        let worker = self.worker(reference)?;
        promise!(!worker.leaving(), "told to go twice");
        let ready = matches!(worker.life, Life::Ready { .. });
        worker.life = Life::Leaving {
            since: now,
            reason: reason.to_owned(),
        };
        if reason != "update" {
            return Ok(());
        }
        let takes_over = |worker: &WorkerModel| {
            worker.slot == reference.slot
                && worker.generation > reference.generation
                && matches!(worker.life, Life::Ready { .. })
        };
        let succeeded = self
            .model
            .of(&reference.app)
            .any(|(_, worker)| takes_over(worker));
        promise!(
            !ready || succeeded,
            "a ready worker was sent away without a ready successor"
        );
        let by_update =
            |w: &WorkerModel| matches!(&w.life, Life::Leaving { reason, .. } if reason == "update");
        let draining = self
            .model
            .of(&reference.app)
            .filter(|(_, worker)| by_update(worker))
            .count();
        let most = self
            .model
            .apps
            .get(&reference.app)
            .map_or(0, |app| app.size.div_ceil(4).max(2));
        promise!(draining <= most as usize, "{draining} drain at once");
        Ok(())
    }

    /// What must hold after every step.
    fn hold(&self) -> Checked {
        for (name, app) in &self.model.apps {
            let mut staying: BTreeMap<_, usize> = BTreeMap::new();
            for (_, worker) in self.model.of(name).filter(|(_, worker)| !worker.leaving()) {
                *staying.entry(worker.slot).or_default() += 1;
            }
            let all: usize = staying.values().sum();
            promise!(
                app.wanted || all == 0,
                "{all} workers of a stopped app were not told to go"
            );
            promise!(
                all <= app.size as usize + 1,
                "{all} workers for {} instances",
                app.size
            );
            let double = staying.values().filter(|workers| **workers > 1).count();
            let most = usize::from(app.updating.is_some());
            promise!(
                double <= most && staying.values().all(|n| *n <= 2),
                "two current workers in a slot"
            );
        }
        Ok(())
    }

    /// What the snapshot says must be what happened.
    pub(super) fn compare(&self, snapshot: &Snapshot) -> Checked {
        let mut current = BTreeSet::new();
        for status in &snapshot.workers {
            let Some(id) = status.id else { continue };
            let worker = self
                .model
                .workers
                .get(&id)
                .ok_or("status shows one that is gone")?;
            let ready = matches!(worker.life, Life::Ready { .. });
            promise!(
                status.closing == worker.leaving(),
                "worker {id} closing: {}",
                status.closing
            );
            promise!(
                (status.state == "ready") == ready,
                "worker {id} is {}",
                status.state
            );
            let second = status.current && !current.insert((&status.app, status.slot));
            promise!(!second, "slot {} has two current workers", status.slot);
        }
        let shown = snapshot
            .workers
            .iter()
            .filter(|status| status.id.is_some())
            .count();
        promise!(
            shown == self.model.workers.len(),
            "status shows {shown} of {}",
            self.model.workers.len()
        );
        Ok(())
    }

    /// When nothing is going to happen any more, all must be as it was asked for.
    pub(super) fn at_rest(&self, snapshot: &Snapshot) -> Checked {
        promise!(
            self.open.is_empty(),
            "at rest, but these have not ended: {:?}",
            self.open
        );
        for (name, app) in &self.model.apps {
            promise!(app.updating.is_none(), "at rest, but {name} is updating");
            let size = if app.wanted { app.size } else { 0 };
            let ready = |w: &WorkerModel| matches!(w.life, Life::Ready { .. });
            let serving = self
                .model
                .of(name)
                .filter(|(_, worker)| ready(worker))
                .count();
            let ended = snapshot
                .workers
                .iter()
                .filter(|s| s.app == *name && s.id.is_none() && s.state == "stopped");
            let ended = if app.stops_for_good {
                ended.count().min(size as usize)
            } else {
                0
            };
            promise!(
                serving + ended == size as usize,
                "at rest, but {name} has {serving} of {size} workers"
            );
            promise!(
                self.model.of(name).count() == serving,
                "at rest, but {name} has others than ready workers"
            );
            let stale = self
                .model
                .of(name)
                .find(|(_, worker)| worker.version() != app.version);
            if let (Some((id, worker)), false) = (stale, app.excused) {
                return Err(format!(
                    "worker {id} runs {}, the last version is {}",
                    worker.version(),
                    app.version
                ));
            }
        }
        Ok(())
    }

    /// When the master may end, nothing must be left.
    pub(super) fn at_end(&self, deadline: Option<Moment>) -> Checked {
        promise!(self.done, "told to end, and doesn't");
        promise!(
            self.model.workers.is_empty(),
            "workers are left: {:?}",
            self.model.workers.keys()
        );
        promise!(
            self.open.is_empty(),
            "these have not ended: {:?}",
            self.open
        );
        promise!(deadline.is_none(), "wants to be woken after the end");
        Ok(())
    }
}

fn is_answer(action: &Action) -> bool {
    matches!(
        action,
        Action::Answer { .. } | Action::AnswerDisconnect { .. }
    )
}

/// A worker that was assumed ready turns out to take part: soon enough, and it is starting still.
fn withdraw_assumption(worker: &mut WorkerModel, now: Moment) {
    let least = worker
        .definition
        .min_healthy
        .unwrap_or(Duration::from_secs(5));
    if let Life::Ready {
        since,
        assumed: true,
    } = worker.life
        && worker.definition.ready == Readiness::Auto
        && now - since < least
    {
        worker.life = Life::Starting;
    }
}
