//! What may be told of an update: that it begins and ends once, takes each step in its turn, and lets nobody take over who has
//! not proved itself.

use std::time::Duration;

use ostler_bus::{
    WorkerId,
    vocab::update::{UpdateAborted, UpdateFinished, UpdateProgress, UpdateStarted, UpdateStep},
};

use super::{
    checker::{Checked, Checker, promise},
    model::Life,
};
use crate::{
    config::app::update::{OnFailure, Strategy},
    fleet::Moment,
};

impl Checker {
    pub(super) fn update_started(&mut self, event: &UpdateStarted) -> Checked {
        let app = self.app(&event.app)?;
        promise!(
            app.updating.is_none() && app.going_back.is_none() && app.wanted,
            "an update begins out of turn"
        );
        app.update_started(event.generation);
        Ok(())
    }

    pub(super) fn update_progress(&mut self, now: Moment, event: &UpdateProgress) -> Checked {
        let app = self.app(&event.app)?;
        let under_way = if event.rollback {
            app.going_back
        } else {
            app.updating
        };
        promise!(
            under_way == Some(event.generation),
            "a step of nothing that is under way"
        );
        promise!(
            event.done <= event.total,
            "more is done than there is to do"
        );
        self.drainers(event)?;
        match event.step {
            UpdateStep::Starting => {
                let worker = self.model.workers.get_mut(&event.worker);
                worker.ok_or("nobody starts")?.on_trial = true;
                Ok(())
            }
            UpdateStep::Replaced => {
                self.app(&event.app)?.failed.remove(&event.slot);
                self.replaced(now, &event.app, event.worker)
            }
            UpdateStep::Stopping => {
                *self.seen.entry("stopped first").or_default() += 1;
                Ok(())
            }
            UpdateStep::Watching | UpdateStep::Draining | UpdateStep::Drained => Ok(()),
        }
    }

    pub(super) fn update_finished(&mut self, event: &UpdateFinished) -> Checked {
        let old = self
            .model
            .of(&event.app)
            .any(|(_, worker)| worker.generation < event.generation);
        promise!(!old, "an update finished with old workers left");
        let app = self.app(&event.app)?;
        promise!(
            app.updating == Some(event.generation),
            "an update finished that wasn't under way"
        );
        app.update_finished();
        Ok(())
    }

    pub(super) fn update_aborted(&mut self, event: &UpdateAborted) -> Checked {
        let app = self.app(&event.app)?;
        promise!(
            app.updating == Some(event.generation),
            "an update aborted that wasn't under way"
        );
        promise!(!event.reason.is_empty(), "no reason given");
        app.update_aborted();
        let rollback = app.rules.on_failure == OnFailure::Rollback;
        promise!(
            event.rolling_back == 0 || rollback && !event.overtaken,
            "goes back unasked"
        );
        app.going_back = (event.rolling_back > 0).then_some(event.generation);
        app.replaced = 0;
        if event.reason.contains("canary.max_errors") {
            *self.seen.entry("too many errors").or_default() += 1;
            let mut workers = self.model.workers.values();
            let told = workers.any(|worker| worker.generation == event.generation && worker.fails);
            promise!(told, "nobody told of so many errors");
        }
        Ok(())
    }

    /// A successor takes over: it must have proved itself.
    fn replaced(&mut self, now: Moment, app: &str, successor: WorkerId) -> Checked {
        let app = self.model.apps.get_mut(app).ok_or("an unknown app")?;
        let worker = self
            .model
            .workers
            .get_mut(&successor)
            .ok_or("replaced by nobody")?;
        worker.on_trial = false;
        let Life::Ready { since, assumed } = worker.life else {
            return Err("replaced by one not ready".into());
        };
        let least = worker
            .definition
            .min_healthy
            .unwrap_or(Duration::from_secs(if assumed { 5 } else { 1 }));
        let canary = worker.definition.canary_healthy.unwrap_or(2 * least);
        let all = app.rules.strategy == Strategy::AllAtOnce;
        let first = all || app.replaced < app.rules.canaries(app.size);
        let least = match app.going_back {
            None if first => canary,
            None | Some(_) => least,
        };
        promise!(
            now - since >= least,
            "replaced after {:?} of {least:?}",
            now - since
        );
        app.replaced += 1;
        Ok(())
    }
}
