//! `depends_on` and `priority` hold for the first worker of an app after nothing of it was wanted.

use std::collections::BTreeSet;

use super::{
    checker::{Checked, Checker, promise},
    model::{AppModel, Life},
};
use crate::config::app::AppDefinition;

impl Checker {
    /// A worker of this app is about to be started.
    pub(super) fn in_order(&mut self, name: &str, definition: &AppDefinition) -> Checked {
        let Some(app) = self.model.apps.get_mut(name) else {
            return Ok(());
        };
        if std::mem::replace(&mut app.begun, true) {
            return Ok(());
        }
        let runs = |app: &&AppModel| !app.wants_none();
        for needed in &definition.start.depends_on {
            let app = self.model.apps.get(needed.as_str()).filter(runs);
            if let Some(app) = app.filter(|app| !app.stops_for_good) {
                let ready = self.ready_slots(needed.as_str(), app.size) + app.parked.len();
                promise!(
                    ready >= app.size as usize,
                    "{name} begins, but {needed} has {ready} of {} ready",
                    app.size
                );
            }
        }
        for (other, app) in self.model.apps.iter().filter(|(_, app)| runs(app)) {
            let goes_first = app.priority > definition.start.priority && app.depends_on.is_empty();
            promise!(!goes_first || app.begun, "{name} begins before {other}");
        }
        Ok(())
    }

    fn ready_slots(&self, app: &str, size: u32) -> usize {
        let ready = self.model.of(app).filter(|(_, worker)| {
            matches!(worker.life, Life::Ready { .. }) && worker.slot.0 < size
        });
        let slots: BTreeSet<_> = ready.map(|(_, worker)| worker.slot).collect();
        slots.len()
    }
}
