//! How workers may be replaced: who may be missing, who may not be there together, and that what went back is back.

use std::collections::BTreeSet;

use ostler_bus::vocab::update::{UpdateProgress, UpdateRolledBack};

use super::{
    checker::{Checked, Checker, promise},
    model::Life,
};
use crate::{config::app::update::Strategy, fleet::SpawnOrder};

impl Checker {
    pub(super) fn strategy(&self, app: &str) -> Strategy {
        let app = self.model.apps.get(app);
        app.map_or_else(Strategy::default, |app| app.rules.strategy)
    }

    /// A worker is about to be started: whoever can't be there beside it is gone.
    pub(super) fn in_nobodys_way(&self, order: &SpawnOrder) -> Checked {
        let (slot, generation) = (order.slot, order.generation);
        for (id, worker) in self.model.of(order.app.as_str()) {
            match order.definition.update.strategy {
                Strategy::Surge => {}
                Strategy::Replace => {
                    promise!(worker.slot != slot, "worker {id} is still in slot {slot}");
                }
                Strategy::AllAtOnce => promise!(
                    worker.slot != slot && worker.generation == generation,
                    "worker {id} of generation {} is there still",
                    worker.generation
                ),
            }
        }
        Ok(())
    }

    /// A ready worker was just sent away by us, and nobody is there in its slot: no more may be missing than was said.
    pub(super) fn may_be_missing(&self, name: &str) -> Checked {
        let Some(app) = self.model.apps.get(name) else {
            return Ok(());
        };
        // A slot that has ended for good is not missed, and only the fleet knows which have.
        if app.stops_for_good || app.rules.strategy == Strategy::AllAtOnce {
            return Ok(());
        }
        let ready = self.model.of(name).filter(|(_, worker)| {
            matches!(worker.life, Life::Ready { .. }) && worker.slot.0 < app.size
        });
        let mut there: BTreeSet<_> = ready.map(|(_, worker)| worker.slot).collect();
        // Nobody misses what failed too often, or was stopped.
        let unmissed = app.failed.iter().chain(&app.parked);
        there.extend(unmissed.filter(|slot| slot.0 < app.size).copied());
        let missing = app.size as usize - there.len();
        let most = app.rules.budget(app.size).unavailable as usize;
        promise!(
            missing <= most,
            "a ready worker was sent away: {missing} of {} are missing, {most} may be",
            app.size
        );
        Ok(())
    }

    /// Whoever is told to drain does.
    pub(super) fn drainers(&self, event: &UpdateProgress) -> Checked {
        for drainer in &event.draining {
            let worker = self.model.workers.get(&drainer.worker);
            promise!(
                worker.is_some_and(|worker| worker.slot == drainer.slot && worker.leaving()),
                "worker {} is said to drain",
                drainer.worker
            );
            let shown = worker.map(|worker| worker.held.shown());
            let told = (drainer.held, drainer.held_requests);
            promise!(
                shown == Some(told),
                "worker {} holds {shown:?}, and {told:?} was told",
                drainer.worker
            );
        }
        Ok(())
    }

    pub(super) fn rolled_back(&mut self, event: &UpdateRolledBack) -> Checked {
        let generation = event.generation;
        let left = self
            .model
            .of(&event.app)
            .any(|(_, worker)| worker.generation == generation);
        promise!(
            !left || event.failed.is_some(),
            "rolled back, and workers of generation {generation} are left"
        );
        let app = self.model.apps.get_mut(&event.app);
        let went = app.and_then(|app| app.going_back.take());
        promise!(went == Some(generation), "back from where nobody was");
        Ok(())
    }
}
