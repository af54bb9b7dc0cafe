//! Who may come to be, and when; and who may be called off, or let go of.

use std::sync::Arc;

use ostler_bus::WorkerId;

use super::{
    checker::{Checked, Checker, promise},
    model::{HeldModel, Life, WorkerModel},
};
use crate::fleet::{Moment, SpawnOrder};

impl Checker {
    /// A process is to be started: when all that comes before has ended well.
    pub(super) fn spawn(&mut self, order: &SpawnOrder) -> Checked {
        if order.definition.hooks.before_start.is_none() {
            return self.ordered(order);
        }
        let worker = self.model.workers.get(&order.id);
        let worker = worker.ok_or("started without its before_start")?;
        let hooks = self.model.hooks.get(&order.id);
        promise!(
            hooks.is_some_and(|hooks| hooks.prepared(worker)),
            "started before its before_start ended well"
        );
        promise!(!worker.spawned && !worker.leaving(), "started out of turn");
        Ok(())
    }

    /// A start is called off: one that is under way, of a worker that is to go.
    pub(super) fn called_off(&mut self, id: WorkerId) -> Checked {
        let worker = self.model.workers.get_mut(&id);
        let worker = worker.ok_or("nobody's start is called off")?;
        promise!(
            worker.leaving() && !worker.spawned,
            "called off out of turn"
        );
        worker.called_off = true;
        *self.seen.entry("called off").or_default() += 1;
        Ok(())
    }

    /// A worker comes to be.
    pub(super) fn ordered(&mut self, order: &SpawnOrder) -> Checked {
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
        promise!(!app.parked.contains(slot), "a stopped slot is started");
        let restarted = app.restarting;
        let oldest = self.model.of(name.as_str()).map(|(id, _)| id).min();
        promise!(
            oldest.is_none_or(|oldest| restarted.is_none_or(|last| oldest > last)),
            "a restart starts one before the last has gone"
        );
        let starting = self
            .model
            .of(name.as_str())
            .filter(|(_, worker)| worker.life == Life::Starting)
            .count();
        let parallel = definition.start.parallel as usize;
        promise!(
            !app.pristine || starting < parallel,
            "more than {parallel} start at once"
        );
        let succeeds = app.updating.is_some() || app.going_back.is_some() || app.recycles;
        self.in_order(name.as_str(), definition)?;
        promise!(
            succeeds || self.cleaned(name.as_str(), *slot),
            "a worker in a slot whose last one's after_exit runs"
        );
        self.in_nobodys_way(order)?;
        let key = (name.to_string(), *generation);
        let known = self
            .made
            .entry(key)
            .or_insert_with(|| Arc::clone(definition));
        promise!(
            known == definition,
            "generation {generation} is not what it was"
        );
        let worker = WorkerModel {
            app: name.to_string(),
            slot: *slot,
            generation: *generation,
            definition: Arc::clone(definition),
            spawned: false,
            called_off: false,
            online: false,
            disconnected: false,
            life: Life::Starting,
            was_ready: false,
            asked: None,
            answered: false,
            born: Moment::default(),
            memory: 0,
            served: None,
            worn: false,
            on_trial: false,
            recycles: false,
            relieves: false,
            fails: false,
            bad: 0,
            beat: Moment::default(),
            deaf_until: Moment::default(),
            held: HeldModel::default(),
            told: Vec::new(),
        };
        self.model.workers.insert(*id, worker);
        Ok(())
    }

    /// A worker is let go of: only with its app, and none that was told to go.
    pub(super) fn released(&mut self, id: WorkerId) -> Checked {
        let worker = self
            .model
            .workers
            .remove(&id)
            .ok_or("nobody to let go of")?;
        promise!(!worker.leaving(), "told to go, and let go of");
        promise!(worker.spawned, "let go of before there was anything of it");
        let removed = self
            .model
            .apps
            .get(&worker.app)
            .is_some_and(|app| app.removed);
        promise!(removed, "let go of, and its app stays");
        *self.seen.entry("released").or_default() += 1;
        Ok(())
    }
}
