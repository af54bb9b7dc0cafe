//! An app: its slots, its workers, and what is wanted of it.
//!
//! Commands and news only note what is wanted and what is so; [`settle`](super::settle) then does whatever brings the
//! one to the other. So no command has to know what else is going on.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use ostler_bus::{Generation, Slot as SlotNumber, WorkerId, vocab::update::AppResized};

use super::{
    Action, FleetEvent, MAX_INSTANCES,
    goal::{Errand, Goal, Wait},
    guard::LoopGuard,
    hooks::{self, Remains},
    mutation::Mutation,
    order::Rise,
    pending::{self, Pending},
    probing::Probing,
    slot::{Slot, SlotState},
    trial::Trial,
    turn::Turn,
    update::{self, GivenUp, Update},
    worker::{Bus, Occasion, Phase, Worker},
};
use crate::config::app::{
    AppDefinition, AppName,
    hooks::HookKind,
    overlay::{Overlay, Variables},
};

/// What a worker is made from: a generation and its definition. One `Arc` per generation.
pub(super) type Made = (Generation, Arc<AppDefinition>);

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
    pub(super) serving: Made,
    /// What its workers inherit instead of the master's own environment.
    pub(super) inherited: Option<Arc<Variables>>,
    /// Whether it should run at all.
    pub(super) wanted: bool,
    /// It is to be forgotten once its last worker has gone.
    pub(super) going: bool,
    /// It came by command, and is none of the process file's.
    pub(super) added: bool,
    /// Its slots that were stopped by themselves.
    pub(super) parked: BTreeSet<SlotNumber>,
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
    /// The slots whose workers are being replaced, by the update or because they are to be recycled.
    pub(super) trials: Vec<Trial>,
    /// The one update that begins when the running one has ended.
    pub(super) pending: Option<Pending>,
    pub(super) last_update: Option<String>,
    pub(super) guard: LoopGuard,
    pub(super) waits: Vec<Wait>,
    /// The last generation of which was told that its workers don't count what they serve.
    pub(super) told_uncounted: Option<Generation>,
    /// A worker has found, in this step, that the app can't boot.
    pub(super) fatal: Option<Fatal>,
}

/// An exit that means: this app can't boot.
#[derive(Debug)]
pub(super) struct Fatal {
    pub(super) code: i32,
    pub(super) epitaph: String,
}

impl App {
    pub(super) fn new(definition: AppDefinition, turn: &Turn) -> Self {
        let definition = Arc::new(definition);
        Self {
            name: definition.name.clone(),
            called_for: "first start".into(),
            newest: Generation(1),
            serving: (Generation(1), Arc::clone(&definition)),
            inherited: None,
            wanted: definition.start.autostart,
            going: false,
            added: false,
            parked: BTreeSet::new(),
            rise: Rise::Held {
                since: turn.number(),
            },
            size: definition.instances.min(MAX_INSTANCES),
            definition,
            slots: BTreeMap::new(),
            workers: BTreeMap::new(),
            remains: BTreeMap::new(),
            update: None,
            trials: Vec::new(),
            pending: None,
            last_update: None,
            guard: LoopGuard::default(),
            waits: Vec::new(),
            told_uncounted: None,
            fatal: None,
        }
    }

    /// Takes over the definition of the next generation.
    pub(super) fn redefine(&mut self, definition: AppDefinition, turn: &mut Turn) {
        let instances = definition.instances;
        let before = std::mem::replace(&mut self.definition, Arc::new(definition));
        if instances != before.instances {
            self.resize(instances.min(MAX_INSTANCES), turn);
        }
    }

    /// Comes again before it has gone.
    pub(super) fn revive(&mut self, definition: AppDefinition, turn: &mut Turn) {
        self.going = false;
        self.parked.clear();
        self.overtake_waits("the app came again", &[Errand::Stop], turn);
        self.wanted = definition.start.autostart;
        self.size = definition.instances.min(MAX_INSTANCES);
        self.definition = Arc::new(definition);
        self.begin_anew("start", turn);
        self.called_for = "start: the app came again".into();
        for slot in self.slots.values_mut() {
            slot.try_again();
        }
    }

    /// Changes the size; what scaling commands were waiting for is overtaken.
    pub(super) fn resize(&mut self, to: u32, turn: &mut Turn) {
        let had_none = self.wants_none();
        let from = std::mem::replace(&mut self.size, to);
        if from == to {
            return;
        }
        self.called_for = format!("scale from {from} to {to}");
        self.parked.retain(|slot| slot.0 < to);
        if had_none && !self.wants_none() {
            self.begin_anew("scale", turn);
        }
        if to == 0 {
            update::give_up(self, GivenUp::Overtaken("scale"), turn);
            pending::drop_it(self, "scale", turn);
        }
        // Slots that come again are wanted, whoever had stopped them before they went.
        let again =
            |wait: &Wait| matches!(wait.goal, Goal::Vacated(slot) if (from..to).contains(&slot.0));
        self.overtake("scale", again, turn);
        turn.publish(FleetEvent::AppResized(AppResized {
            app: self.name.to_string(),
            from,
            to,
        }));
        self.overtake_waits("another change of size", &[Errand::Scale], turn);
    }

    /// Whether slot `number` should have a worker.
    pub(super) fn wants(&self, number: SlotNumber, turn: &Turn) -> bool {
        let one_more = u32::from(turn.mutated(Mutation::OneTooMany) && self.size > 0);
        let emptying = matches!(self.rise, Rise::Emptying { .. });
        self.is_meant_to_run()
            && !emptying
            && number.0 < self.size + one_more
            && !self.parked.contains(&number)
    }

    /// Whether it should run, as far as anybody has said.
    pub(super) fn is_meant_to_run(&self) -> bool {
        self.wanted && self.size > 0
    }

    /// Whether none of its slots should have a worker: it is stopped, as a whole or slot by slot, or has no instances.
    pub(super) fn wants_none(&self) -> bool {
        let parked = |number| self.parked.contains(&SlotNumber(number));
        !self.wanted || (0..self.size).all(parked)
    }

    /// Whether all of its slots that should have a worker have ended as they should.
    pub(super) fn has_ended(&self) -> bool {
        let well = SlotState::Ended { well: true };
        let ended = |number| {
            self.slots
                .get(&number)
                .is_some_and(|slot| slot.state == well)
        };
        let mut wanted = (0..self.size).map(SlotNumber);
        !self.wants_none() && wanted.all(|number| self.parked.contains(&number) || ended(number))
    }

    /// The generation that vacant slots are filled with.
    pub(super) fn filling(&self) -> Made {
        let proved = self.update.as_ref().filter(|update| update.done > 0);
        proved
            .and_then(Update::brings)
            .unwrap_or_else(|| self.serving.clone())
    }

    /// A generation of its own for the definition as it is now, with these variables besides.
    pub(super) fn next_generation(&mut self, extra: Variables) -> Made {
        self.newest = Generation(self.newest.0 + 1);
        let overlay = Overlay {
            inherited: self.inherited.clone(),
            extra,
        };
        let definition = AppDefinition {
            overlay,
            ..AppDefinition::clone(&self.definition)
        };
        (self.newest, Arc::new(definition))
    }

    /// Starts from nothing: whatever slots there are are tried with the definition as it is now, once its turn has come. An
    /// update that still waits for the last workers to go has nobody left to replace.
    pub(super) fn begin_anew(&mut self, by: &str, turn: &mut Turn) {
        update::give_up(self, GivenUp::Overtaken(by), turn);
        self.renew(Variables::new());
        let since = turn.number();
        self.rise = match self.rise {
            Rise::Emptying { .. } => Rise::Emptying { since },
            Rise::Held { .. } | Rise::Rising { .. } | Rise::Over => Rise::Held { since },
        };
    }

    /// A generation of the definition as it is now, for whatever slots there are.
    pub(super) fn renew(&mut self, extra: Variables) {
        self.serving = self.next_generation(extra);
        for slot in self.slots.values_mut() {
            slot.adopt(self.serving.0, &self.serving.1);
        }
    }

    /// What its workers are made from, and those that may still be started.
    pub(super) fn definitions(&self) -> impl Iterator<Item = &Arc<AppDefinition>> {
        let workers = self.workers.values().map(|worker| &worker.definition);
        let slots = self.slots.values().filter(|slot| slot.may_come());
        let slots = slots.map(|slot| &slot.definition);
        let serving = (!self.wants_none()).then_some(&self.serving.1);
        let update = self.update.iter().flat_map(Update::definitions);
        let others = serving.into_iter().chain(update).chain(slots);
        others.chain(workers).chain([&self.definition])
    }

    /// Orders a worker. It does not hold its slot yet.
    pub(super) fn spawn(
        &mut self,
        slot: SlotNumber,
        (generation, definition): Made,
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
            deaf_until: None,
            hung: None,
            served: None,
            due: None,
            outdated: None,
            hook: None,
            greeted: false,
            respite: Duration::ZERO,
            held: None,
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
}
