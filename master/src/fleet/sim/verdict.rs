//! What must be so when all has come to rest, and at the end; and that status tells the truth meanwhile.

use std::collections::BTreeSet;

use super::{
    checker::{Checked, Checker, promise},
    model::{AppModel, Life, WorkerModel},
};
use crate::{
    config::app::AppName,
    fleet::{Moment, Snapshot},
};

impl Checker {
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
        // Whoever wants an app that waits for a failed one waits with it.
        let mut apps = self.model.apps.values();
        let stuck = apps.any(|app| app.wanted && self.waits_for_a_failed_one(app, snapshot));
        promise!(
            self.open.is_empty() || stuck,
            "at rest, but these have not ended: {:?}",
            self.open
        );
        for (name, app) in &self.model.apps {
            promise!(app.updating.is_none(), "at rest, but {name} is updating");
            promise!(
                app.going_back.is_none(),
                "at rest, but {name} is rolling back"
            );
            self.has_its_workers(name, app, snapshot)?;
            let stale = self
                .model
                .of(name)
                .find(|(_, worker)| worker.version() != app.version);
            if let (Some((id, worker)), false) = (stale, app.excused) {
                let runs = worker.version();
                return Err(format!(
                    "worker {id} runs {runs}, the last version is {}",
                    app.version
                ));
            }
        }
        Ok(())
    }

    fn has_its_workers(&self, name: &str, app: &AppModel, snapshot: &Snapshot) -> Checked {
        let size = match app.wanted {
            true => app.size as usize - app.parked.len(),
            false => 0,
        };
        let ready = |worker: &WorkerModel| matches!(worker.life, Life::Ready { .. });
        let serving = self
            .model
            .of(name)
            .filter(|(_, worker)| ready(worker))
            .count();
        let empty = snapshot
            .workers
            .iter()
            .filter(|status| status.app == name && status.id.is_none());
        let ended = empty
            .filter(|status| {
                ["stopped", "failed"].contains(&status.state.as_str())
                    && !app.parked.contains(&status.slot)
            })
            .count();
        let ended = if app.stops_for_good {
            ended.min(size)
        } else {
            0
        };
        if self.waits_for_a_failed_one(app, snapshot) {
            promise!(serving == 0, "{name} has workers before its turn");
            return Ok(());
        }
        promise!(
            serving + ended == size,
            "at rest, but {name} has {serving} of {size} workers"
        );
        let all = self.model.of(name).count();
        promise!(
            all == serving,
            "at rest, but {name} has others than ready workers"
        );
        let mut workers = self.model.of(name);
        let spent =
            workers.find(|(_, worker)| worker.is_spent() && !worker.definition.life.oneshot);
        if let Some((id, _)) = spent {
            return Err(format!("at rest, but worker {id} has served enough"));
        }
        Ok(())
    }

    /// Whether its turn can't come before somebody sees to what it depends on: that has failed, and isn't tried again.
    fn waits_for_a_failed_one(&self, app: &AppModel, snapshot: &Snapshot) -> bool {
        let failed = |name: &AppName| {
            let needed = self.model.apps.get(name.as_str());
            let mut workers = snapshot.workers.iter();
            needed.is_some_and(|needed| needed.wanted && needed.size > 0 && needed.stops_for_good)
                && workers.any(|status| {
                    status.app == name.as_str()
                        && ["stopped", "failed"].contains(&status.state.as_str())
                })
        };
        !app.begun && app.depends_on.iter().any(failed)
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
        self.hooks_are_over()?;
        promise!(deadline.is_none(), "wants to be woken after the end");
        Ok(())
    }
}
