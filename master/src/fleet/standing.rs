//! How an app's slots stand towards whoever wants to be served: what decides which of them get connections.

use std::collections::{BTreeMap, BTreeSet};

use ostler_bus::Slot;

use super::{Fleet, app::App, slot::SlotState};
use crate::config::app::AppName;

/// Whether a slot serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// It has a ready worker that isn't told to go.
    Serves,
    /// It doesn't just now: its worker is not ready yet, or comes again soon.
    Awaited,
    /// Its worker has ended, failed too often, or was stopped.
    GivenUp,
}

impl Fleet {
    /// How many slots an app should have, and how each of them stands, by its number.
    #[must_use]
    pub fn services(&self, app: &AppName) -> Option<(u32, Vec<Service>)> {
        let app = self.apps.get(app)?;
        // Each worker is looked at once: this is asked after each step.
        let ready = app.workers.values().filter(|worker| worker.is_ready());
        let serving: BTreeSet<Slot> = ready.map(|worker| worker.slot).collect();
        let service = |slot| match serving.contains(&slot) {
            true => Service::Serves,
            false => idle(app, slot),
        };
        let services = (0..app.size).map(Slot).map(service);
        Some((app.size, services.collect()))
    }

    /// The slots of each app in which another worker is to come, or is not ready yet.
    #[must_use]
    pub fn awaited(&self) -> BTreeMap<&AppName, BTreeSet<Slot>> {
        let awaited = |app: &App| {
            let starting = app.workers.values().filter(|worker| worker.is_starting());
            let empty = app.slots.iter().filter(|(_, slot)| match slot.state {
                SlotState::Vacant | SlotState::Backoff { .. } | SlotState::Failed { .. } => true,
                SlotState::Held(_) | SlotState::Ended { .. } | SlotState::Stopped => false,
            });
            let starting = starting.map(|worker| worker.slot);
            starting.chain(empty.map(|(number, _)| *number)).collect()
        };
        let apps = self.apps.iter();
        apps.map(|(name, app)| (name, awaited(app))).collect()
    }

    /// Whether a slot has failed, and waits to be tried again: also while an update tries another version beside it.
    #[must_use]
    pub fn has_failed(&self, app: &AppName, slot: Slot) -> bool {
        let slot = self.apps.get(app).and_then(|app| app.slots.get(&slot));
        slot.is_some_and(|slot| matches!(slot.state, SlotState::Failed { .. }))
    }

    /// Whether an app has no use for a slot any more, and others could serve whoever would come to it.
    #[must_use]
    pub fn is_dispensed_with(&self, app: &AppName, slot: Slot) -> bool {
        self.apps.get(app).is_some_and(|app| {
            let keeps = |slot| app.is_meant_to_run() && !app.parked.contains(&slot);
            let others = || (0..app.size).map(Slot).any(keeps);
            // One is kept even without workers.
            slot.0 >= app.size.max(1) || (!keeps(slot) && others())
        })
    }
}

/// How a slot stands that has no ready worker.
fn idle(app: &App, number: Slot) -> Service {
    if app.parked.contains(&number) || !app.is_meant_to_run() {
        return Service::GivenUp;
    }
    match app.slots.get(&number).map(|slot| slot.state) {
        Some(SlotState::Failed { .. } | SlotState::Ended { .. } | SlotState::Stopped) => {
            Service::GivenUp
        }
        Some(SlotState::Vacant | SlotState::Held(_) | SlotState::Backoff { .. }) | None => {
            Service::Awaited
        }
    }
}
