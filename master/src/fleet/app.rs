//! An app: its slots, its workers, and what is wanted of it.
//!
//! Commands and news only note what is wanted and what is so; [`settle`](super::settle) then does whatever brings the
//! one to the other. So no command has to know what else is going on.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use ostler_bus::{
    Generation, OpId, Slot as SlotNumber, WorkerId,
    vocab::{control::Outcome, update::AppResized},
};

use super::{
    Action, FleetEvent, MAX_INSTANCES,
    guard::LoopGuard,
    hooks::{self, Remains},
    mutation::Mutation,
    operations::pay,
    order::Rise,
    probing::Probing,
    slot::{Slot, SlotState},
    trial::Trial,
    turn::Turn,
    update::{self, GivenUp, Pending, Update},
    worker::{Bus, Occasion, Phase, Worker},
};
use crate::config::app::{AppDefinition, AppName, hooks::HookKind};

/// An app.
#[derive(Debug)]
pub(super) struct App {
    pub(super) name: AppName,
    /// What the next generation will be.
    pub(super) definition: Arc<AppDefinition>,
    /// What vacant slots are filled for, in words.
    pub(super) called_for: String,
    /// The newest generation there has been.
    pub(super) newest: Generation,
    /// The generation vacant slots are filled with, unless an update under way has proved a newer one.
    pub(super) serving: (Generation, Arc<AppDefinition>),
    /// Whether it should run at all.
    pub(super) wanted: bool,
    /// It is to be forgotten once its last worker has gone.
    pub(super) going: bool,
    /// Whether its turn to start has come.
    pub(super) rise: Rise,
    /// How many workers it should have.
    pub(super) size: u32,
    /// By number. Those from `size` up are on their way out.
    pub(super) slots: BTreeMap<SlotNumber, Slot>,
    /// All that have not exited: holders of slots, the successor of an update, and those that drain.
    pub(super) workers: BTreeMap<WorkerId, Worker>,
    /// Workers that have exited, but for a command beside them.
    pub(super) remains: BTreeMap<WorkerId, Remains>,
    pub(super) update: Option<Update>,
    /// The one successor that is on trial, for the update or for a worker to be recycled.
    pub(super) trial: Option<Trial>,
    /// The one update that begins when the running one has ended.
    pub(super) pending: Option<Pending>,
    pub(super) last_update: Option<String>,
    pub(super) guard: LoopGuard,
    pub(super) waits: Vec<Wait>,
    /// A worker has found, in this step, that the app can't boot.
    pub(super) fatal: Option<Fatal>,
}

/// An exit that means: this app can't boot.
#[derive(Debug)]
pub(super) struct Fatal {
    pub(super) code: i32,
    pub(super) epitaph: String,
}

/// An operation that waits for something to have come about.
#[derive(Debug)]
pub(super) struct Wait {
    pub(super) op: OpId,
    pub(super) errand: Errand,
    pub(super) goal: Goal,
}

/// Which command an operation comes from: decides what overtakes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Errand {
    /// Overtaken by a stop.
    Start,
    /// Overtaken by a start.
    Stop,
    /// Overtaken by a stop, and by another change of size.
    Scale,
}

/// What an operation waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Goal {
    /// Each of these slots is ready, has ended for good, or has failed in or after this step.
    Started {
        /// Which slots.
        slots: Range<u32>,
        /// Since which step a failure counts.
        since: u64,
    },
    /// No worker holds a slot beyond the app's size.
    Shrunk,
    /// No worker is left.
    Stopped,
}

impl App {
    pub(super) fn new(definition: AppDefinition, turn: &Turn) -> Self {
        let definition = Arc::new(definition);
        Self {
            name: definition.name.clone(),
            called_for: "first start".into(),
            newest: Generation(1),
            serving: (Generation(1), Arc::clone(&definition)),
            wanted: definition.start.autostart,
            going: false,
            rise: Rise::Held {
                since: turn.number(),
            },
            size: definition.instances.min(MAX_INSTANCES),
            definition,
            slots: BTreeMap::new(),
            workers: BTreeMap::new(),
            remains: BTreeMap::new(),
            update: None,
            trial: None,
            pending: None,
            last_update: None,
            guard: LoopGuard::default(),
            waits: Vec::new(),
            fatal: None,
        }
    }

    /// Takes over the definition of the next generation.
    pub(super) fn redefine(&mut self, definition: AppDefinition, turn: &mut Turn) {
        if definition.instances != self.definition.instances {
            self.resize(definition.instances.min(MAX_INSTANCES), turn);
        }
        self.definition = Arc::new(definition);
    }

    /// Comes again before it has gone.
    pub(super) fn revive(&mut self, definition: AppDefinition, turn: &mut Turn) {
        self.going = false;
        self.overtake_waits("the app came again", &[Errand::Stop], turn);
        self.wanted = definition.start.autostart;
        self.size = definition.instances.min(MAX_INSTANCES);
        self.definition = Arc::new(definition);
        self.begin_anew(turn);
        self.called_for = "start: the app came again".into();
        for slot in self.slots.values_mut() {
            slot.try_again();
        }
    }

    /// Changes the size; what scaling commands were waiting for is overtaken.
    pub(super) fn resize(&mut self, to: u32, turn: &mut Turn) {
        let from = std::mem::replace(&mut self.size, to);
        if from == to {
            return;
        }
        self.called_for = format!("scale from {from} to {to}");
        if from == 0 {
            self.begin_anew(turn);
        }
        if to == 0 {
            update::give_up(self, GivenUp::Overtaken("scale"), turn);
            update::drop_pending(self, "scale", turn);
        }
        turn.publish(FleetEvent::AppResized(AppResized {
            app: self.name.to_string(),
            from,
            to,
        }));
        self.overtake_waits("another change of size", &[Errand::Scale], turn);
    }

    /// Ends the waits on these errands as overtaken.
    pub(super) fn overtake_waits(&mut self, by: &str, errands: &[Errand], turn: &mut Turn) {
        for wait in self
            .waits
            .extract_if(.., |wait| errands.contains(&wait.errand))
        {
            pay(wait.op, Outcome::Superseded(by.to_owned()), turn);
        }
    }

    /// Whether slot `number` should have a worker.
    pub(super) fn wants(&self, number: SlotNumber, turn: &Turn) -> bool {
        let one_more = u32::from(turn.mutated(Mutation::OneTooMany) && self.size > 0);
        self.wanted && number.0 < self.size + one_more
    }

    /// The generation that vacant slots are filled with.
    pub(super) fn filling(&self) -> (Generation, Arc<AppDefinition>) {
        match &self.update {
            Some(update) if update.done > 0 => (update.generation, Arc::clone(&update.definition)),
            Some(_) | None => (self.serving.0, Arc::clone(&self.serving.1)),
        }
    }

    /// A generation of its own for the definition as it is now.
    pub(super) fn next_generation(&mut self) -> (Generation, Arc<AppDefinition>) {
        self.newest = Generation(self.newest.0 + 1);
        (self.newest, Arc::clone(&self.definition))
    }

    /// Starts from nothing: whatever slots there are are tried with the definition as it is now.
    pub(super) fn begin_anew(&mut self, turn: &Turn) {
        self.renew();
        self.rise = Rise::Held {
            since: turn.number(),
        };
    }

    /// A generation of the definition as it is now, for whatever slots there are.
    pub(super) fn renew(&mut self) {
        self.serving = self.next_generation();
        for slot in self.slots.values_mut() {
            slot.adopt(self.serving.0, &self.serving.1);
        }
    }

    /// Orders a worker. It does not hold its slot yet.
    pub(super) fn spawn(
        &mut self,
        slot: SlotNumber,
        (generation, definition): (Generation, Arc<AppDefinition>),
        occasion: Occasion,
        turn: &mut Turn,
    ) -> WorkerId {
        let id = turn.next_worker();
        let trigger = self.trigger(slot);
        let mut worker = Worker {
            id,
            slot,
            generation,
            definition,
            occasion,
            trigger,
            pid: None,
            ordered_at: turn.now,
            spawned_at: None,
            phase: Phase::Starting { deadline: None },
            bus: Bus::Unseen,
            takes_part: false,
            told_slow: false,
            main_pid: None,
            status_text: None,
            probing: Probing::default(),
            heard_at: None,
            heard_well_at: None,
            hung: None,
            due: None,
            outdated: None,
            hook: None,
            greeted: false,
            luck: turn.rng().unit(),
        };
        if !hooks::begin(&mut worker, &self.name, HookKind::BeforeStart, turn) {
            turn.act(Action::Spawn(worker.order(&self.name)));
        }
        self.workers.insert(id, worker);
        id
    }

    /// What a worker for this slot is started for now, in words.
    fn trigger(&self, number: SlotNumber) -> String {
        let slot = self.slots.get(&number);
        let rested = |slot: &Slot| matches!(slot.state, SlotState::Failed { .. });
        match slot.and_then(|slot| slot.last_worker) {
            Some(id) if slot.is_some_and(rested) => {
                format!("tried again after a rest (retry_failed), worker {id} was the last")
            }
            Some(id) => format!("after the end of worker {id}"),
            None => self.called_for.clone(),
        }
    }

    /// The worker that holds this slot.
    pub(super) fn holder(&self, slot: SlotNumber) -> Option<&Worker> {
        self.slots
            .get(&slot)?
            .holder()
            .and_then(|id| self.workers.get(&id))
    }

    /// Whether no worker is left, nor a command beside one that has exited.
    pub(super) fn is_empty(&self) -> bool {
        self.workers.is_empty() && self.remains.is_empty()
    }

    /// What a slot's next worker waits for, if one that held it has exited but for a command beside it.
    pub(super) fn remains_in(&self, slot: SlotNumber) -> Option<&Remains> {
        self.remains.values().find(|left| left.slot() == slot)
    }

    /// How many slots have a ready worker.
    pub(super) fn ready(&self) -> usize {
        self.slots
            .keys()
            .filter(|slot| self.holder(**slot).is_some_and(Worker::is_ready))
            .count()
    }

    /// Whether this goal has been reached; if so, with what went wrong on the way.
    pub(super) fn reached(&self, goal: &Goal) -> Option<Outcome> {
        match goal {
            Goal::Started { slots, since } => {
                let mut failed = Vec::new();
                for number in slots.start..slots.end.min(self.size) {
                    if let Err(why) = self.started(SlotNumber(number), *since)? {
                        failed.push(why);
                    }
                }
                Some(if failed.is_empty() {
                    Outcome::Done
                } else {
                    Outcome::Failed(failed.join("; "))
                })
            }
            Goal::Shrunk => {
                let beyond = self
                    .slots
                    .range(SlotNumber(self.size)..)
                    .any(|(_, slot)| slot.holder().is_some());
                let cleaned = self.remains.values().all(|left| left.slot().0 < self.size);
                (!beyond && cleaned).then_some(Outcome::Done)
            }
            Goal::Stopped => self.is_empty().then_some(Outcome::Done),
        }
    }

    /// How the start of a slot went; `None` while it is under way.
    fn started(&self, number: SlotNumber, since: u64) -> Option<Result<(), String>> {
        let slot = self.slots.get(&number)?;
        if let Some((step, why)) = &slot.last_failure
            && *step >= since
        {
            return Some(Err(why.clone()));
        }
        match slot.state {
            SlotState::Held(id) => self.workers.get(&id)?.is_ready().then_some(Ok(())),
            SlotState::Ended { well: true } => Some(Ok(())),
            SlotState::Ended { well: false } => {
                let why = slot.last_failure.as_ref().map(|(_, why)| why.clone());
                Some(Err(why.unwrap_or_default()))
            }
            SlotState::Vacant
            | SlotState::Backoff { .. }
            | SlotState::Failed { .. }
            | SlotState::Stopped => None,
        }
    }
}
