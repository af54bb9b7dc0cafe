//! How an app's slots stand towards whoever wants to be served: what decides which of them get connections.

use ostler_bus::Slot;

use super::{Fleet, app::App, slot::SlotState, worker::Phase};
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
        let services = (0..app.size).map(|slot| of(app, Slot(slot)));
        Some((app.size, services.collect()))
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

fn of(app: &App, number: Slot) -> Service {
    let ready = |phase: &Phase| match phase {
        Phase::Ready { .. } => true,
        Phase::Starting { .. } | Phase::Leaving(_) => false,
    };
    let mut there = app.workers.values().filter(|worker| worker.slot == number);
    if there.any(|worker| ready(&worker.phase)) {
        return Service::Serves;
    }
    if app.parked.contains(&number) {
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
