//! Holds what goes into the fleet and what comes out of it to what is promised. Knows nothing of how the fleet works.
//! Who may come to be is in `births`, what workers may be told in `words`, what events may say in `events`, what must be so
//! when nothing happens any more in `verdict`.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use ostler_bus::{
    Generation, OpId,
    vocab::{control::Answer, worker::AppErrors},
};

use super::model::{Model, WorkerModel};
use crate::{
    config::app::{AppDefinition, update::Canary},
    fleet::{Action, FleetEvent, Input, Moment, Notification, RequestToken, WorkerNews},
};

/// The error says what was promised and is not so.
pub(super) type Checked = Result<(), String>;

/// Fails with a text unless the promise holds.
macro_rules! promise {
    ($holds:expr, $($text:tt)+) => {
        if !$holds {
            return Err(format!($($text)+));
        }
    };
}

pub(super) use promise;

/// The watcher of one history.
#[derive(Debug, Default)]
pub(super) struct Checker {
    pub(super) model: Model,
    unanswered: BTreeSet<RequestToken>,
    /// The operations that have not ended.
    pub(super) open: BTreeSet<OpId>,
    pub(super) done: bool,
    /// How often which events were told.
    pub(super) seen: BTreeMap<&'static str, u64>,
    pub(super) last_worker: u64,
    /// The master ends when nothing is left to run.
    pub(super) leaves: bool,
    /// What each generation of each app was made from.
    pub(super) made: BTreeMap<(String, Generation), Arc<AppDefinition>>,
}

impl Checker {
    /// For a master that ends when nothing is left to run, or one that doesn't.
    pub(super) fn of(leaves: bool) -> Self {
        Self {
            leaves,
            ..Self::default()
        }
    }

    /// Checks one step.
    pub(super) fn check(&mut self, now: Moment, input: &Input, actions: &[Action]) -> Checked {
        let exits = self.take_in(now, input, actions);
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
            .filter(|action| matches!(action, Action::Publish(event) if matches!(**event, FleetEvent::WorkerExited(_))));
        promise!(
            told.count() == exits,
            "{exits} exits were told differently often: {input:?}"
        );
        promise!(
            self.unanswered.is_empty(),
            "a request was not answered: {input:?}"
        );
        self.nobody_hangs(now)?;
        // Who is there, and who should be, changes by what is done or asked for, and not by what is only heard.
        if actions.is_empty() && matches!(input, Input::Worker { .. } | Input::Tick) {
            return Ok(());
        }
        self.hold()
            .map_err(|broken| format!("{broken}\n  after {input:?}"))
    }

    /// Notes what goes in; how many exits must be told because of it.
    fn take_in(&mut self, now: Moment, input: &Input, actions: &[Action]) -> usize {
        match input {
            Input::Define(definition) => self.model.define(definition),
            Input::DefineAll(definitions) => {
                for definition in definitions {
                    self.model.define(definition);
                }
            }
            Input::Worker {
                id,
                news: WorkerNews::Exited(_) | WorkerNews::SpawnFailed { .. },
            } => {
                self.model.learn_of_exit(*id, input);
                return usize::from(self.model.workers.contains_key(id));
            }
            Input::Worker {
                news: WorkerNews::SdkDisconnect { request },
                ..
            } => {
                self.unanswered.insert(*request);
            }
            Input::Worker {
                id,
                news: WorkerNews::Probed { ask, answer },
            } => {
                if let Some(worker) = self.model.workers.get_mut(id)
                    && worker.asked.take_if(|asked| asked == ask).is_some()
                {
                    worker.answered |= answer.is_ok();
                    worker.bad = if answer.is_ok() { 0 } else { worker.bad + 1 };
                }
            }
            Input::Worker {
                id,
                news: WorkerNews::Notified(Notification::Alive),
            } => {
                if let Some(worker) = self.model.workers.get_mut(id) {
                    worker.beat = now;
                }
            }
            Input::Worker {
                id,
                news: WorkerNews::Memory(bytes),
            } => {
                if let Some(worker) = self.model.workers.get_mut(id) {
                    worker.memory = worker.memory.max(*bytes);
                }
            }
            Input::Worker {
                id,
                news:
                    WorkerNews::Served {
                        requests,
                        under_way,
                    },
            } => {
                if let Some(worker) = self.model.workers.get_mut(id) {
                    worker.serves(*requests, *under_way, now);
                }
            }
            Input::Worker {
                id,
                news: WorkerNews::Errors(numbers),
            } => {
                if let Some(worker) = self.model.workers.get_mut(id) {
                    worker.fails |= fails(&worker.definition.update.canary, *numbers);
                }
            }
            Input::Worker {
                id,
                news: WorkerNews::Holds(holding),
            } => {
                if let Some(worker) = self.model.workers.get_mut(id) {
                    worker.held.told = Some(*holding);
                }
            }
            Input::Worker {
                id,
                news: WorkerNews::Counted(connections),
            } => {
                if let Some(worker) = self.model.workers.get_mut(id) {
                    worker.held.count(*connections, now);
                }
            }
            Input::Paused(_) => {
                let workers = self.model.workers.values_mut();
                workers.for_each(|worker| worker.paused(now));
                *self.seen.entry("stood still").or_default() += 1;
            }
            Input::CronDue(app) => self.model.hour_of(app.as_str()),
            Input::Command { request, command } => {
                self.unanswered.insert(*request);
                let accepted = |action: &Action| matches!(action, Action::Answer { request: r, answer: Answer::Accepted { .. } } if r == request);
                if actions.iter().any(accepted) {
                    self.model.accept(command);
                }
            }
            Input::Worker {
                id,
                news: WorkerNews::Hooked { hook, outcome },
            } => return self.hook_ended(*id, *hook, outcome),
            Input::Worker { .. }
            | Input::RestartNeeded { .. }
            | Input::Awaited { .. }
            | Input::Tick => {}
        }
        0
    }

    fn act(&mut self, now: Moment, action: &Action) -> Checked {
        match action {
            Action::Spawn(order) => self.spawn(order),
            Action::CallOff { id } => self.called_off(*id),
            Action::Hook(order) => self.hook(order),
            Action::EndHook { .. } => Ok(()),
            Action::Signal { id, signal, target } => {
                self.aimed(*id, *signal, *target)?;
                self.told(now, *id, *signal)
            }
            Action::Drain { id, .. } => self.told(now, *id, 0),
            Action::StopMessage { id, target, .. } => {
                self.aimed(*id, 0, *target)?;
                self.told(now, *id, 0)
            }
            Action::Probe(order) => self.asked(order),
            Action::Release { id } => self.released(*id),
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
            Action::Forget { app } => {
                let removed = self
                    .model
                    .apps
                    .get(app.as_str())
                    .is_some_and(|app| app.removed);
                let left = self.model.of(app.as_str()).count();
                promise!(
                    removed && left == 0,
                    "{app} is forgotten with {left} workers"
                );
                // One that comes again begins at the first.
                self.made.retain(|(name, _), _| name != app.as_str());
                *self.seen.entry("forgotten").or_default() += 1;
                Ok(())
            }
            Action::Publish(event) => self.publish(now, event),
            Action::Warn(_) | Action::Say(_) => Ok(()),
            Action::Done { code } => {
                promise!(!self.done, "it ends twice");
                self.done = true;
                if self.leaves && !self.model.ending {
                    self.model.ending = true;
                    return self.may_leave();
                }
                promise!(self.model.ending, "the end was not asked for");
                promise!(
                    *code == self.model.fatal.unwrap_or(u8::from(self.model.forced)),
                    "the exit code is {code}"
                );
                Ok(())
            }
        }
    }

    /// The master ends by itself: nothing may be left, or be about to be started.
    fn may_leave(&mut self) -> Checked {
        *self.seen.entry("left").or_default() += 1;
        promise!(
            self.model.workers.is_empty() && self.open.is_empty(),
            "it ends before all is done"
        );
        let runs = |app: &&super::model::AppModel| app.wanted && app.size > 0;
        for app in self.model.apps.values().filter(runs) {
            promise!(
                app.stops_for_good || !app.depends_on.is_empty(),
                "it ends although an app is to run"
            );
        }
        Ok(())
    }

    /// What must hold after every step.
    fn hold(&mut self) -> Checked {
        let workers = &self.model.workers;
        for (id, worker) in workers {
            let starts = !worker.spawned && self.prepared(*id, worker);
            promise!(
                !(starts && worker.leaving()) || worker.called_off,
                "the start of worker {id} was not called off"
            );
        }
        for (name, app) in &mut self.model.apps {
            let mut staying: BTreeMap<_, usize> = BTreeMap::new();
            let of = |worker: &&WorkerModel| worker.app == *name && !worker.leaving();
            for worker in workers.values().filter(of) {
                *staying.entry(worker.slot).or_default() += 1;
            }
            let all: usize = staying.values().sum();
            promise!(
                !staying.keys().any(|slot| app.parked.contains(slot)),
                "a worker of a stopped slot was not told to go"
            );
            let last = app.restarting;
            promise!(
                workers
                    .iter()
                    .filter(|(_, worker)| worker.app == *name)
                    .all(|(id, worker)| last.is_none_or(|last| *id > last) || worker.leaving()),
                "a worker of a restarted app was not told to go"
            );
            promise!(
                app.wanted || all == 0,
                "{all} workers of a stopped app were not told to go"
            );
            let double = staying.values().filter(|workers| **workers > 1).count();
            // A successor stays when the app becomes smaller, and also while the one beside it is gone for a moment.
            let narrow = double == 0 && !workers.values().filter(of).any(|w| w.on_trial);
            app.widest = if narrow {
                app.size
            } else {
                app.widest.max(app.size)
            };
            let surge = app.rules.budget(app.widest).surge as usize;
            promise!(
                all <= app.size as usize + surge,
                "{all} workers for {} instances",
                app.size
            );
            let replaces = app.updating.is_some() || app.going_back.is_some() || app.recycles;
            let most = if replaces { surge } else { 0 };
            promise!(
                double <= most && staying.values().all(|n| *n <= 2),
                "two current workers in a slot"
            );
        }
        Ok(())
    }
}

/// Whether these numbers are too bad.
fn fails(canary: &Canary, numbers: AppErrors) -> bool {
    let most = canary.max_errors.unwrap_or(100.0);
    let requests = u32::try_from(numbers.requests).unwrap_or(u32::MAX);
    let errors = u32::try_from(numbers.errors).unwrap_or(u32::MAX);
    numbers.requests >= canary.min_requests
        && f64::from(errors) > f64::from(requests) * most / 100.0
}

fn is_answer(action: &Action) -> bool {
    matches!(
        action,
        Action::Answer { .. } | Action::AnswerDisconnect { .. }
    )
}
