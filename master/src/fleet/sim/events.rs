//! What the fleet may tell everyone, and when. Of workers' lives more is in `lives`, of updates in `updates`.

use ostler_bus::vocab::{update::AppResized, worker::WorkerRef};

use super::{
    checker::{Checked, Checker, promise},
    model::{AppModel, WorkerModel},
};
use crate::fleet::{FleetEvent, Moment};

impl Checker {
    /// Checks an event against what is known, and learns from it.
    pub(super) fn publish(&mut self, now: Moment, event: &FleetEvent) -> Checked {
        *self.seen.entry(name(event)).or_default() += 1;
        match event {
            FleetEvent::WorkerSpawned(event) => {
                let worker = self.worker(&event.worker)?;
                promise!(
                    !std::mem::replace(&mut worker.spawned, true),
                    "spawned twice"
                );
                worker.born = now;
                worker.recycles = event.trigger.starts_with("recycle");
                Ok(())
            }
            FleetEvent::WorkerOnline(event) => self.online(now, event),
            FleetEvent::WorkerReady(event) => self.ready(now, event),
            FleetEvent::WorkerDraining(event) => self.draining(now, &event.worker, &event.reason),
            FleetEvent::WorkerDisconnected(event) => {
                let worker = self.worker(&event.worker)?;
                promise!(
                    !std::mem::replace(&mut worker.disconnected, true),
                    "disconnected twice"
                );
                Ok(())
            }
            FleetEvent::WorkerReleased(event) => self.worker(&event.worker).map(drop),
            FleetEvent::WorkerExited(event) => self.exited(now, event),
            FleetEvent::WorkerHook(event) => self.hook_told(event),
            FleetEvent::UpdateStarted(event) => self.update_started(event),
            FleetEvent::UpdateProgress(event) => self.update_progress(now, event),
            FleetEvent::UpdateFinished(event) => self.update_finished(event),
            FleetEvent::UpdateAborted(event) => self.update_aborted(event),
            FleetEvent::UpdateRolledBack(event) => self.rolled_back(event),
            FleetEvent::AppResized(event) => self.resized(event),
            FleetEvent::UpdateSuspended(_) => Ok(()),
            FleetEvent::AppFailed(event) => {
                self.app(&event.app)?.failed.insert(event.slot);
                Ok(())
            }
            FleetEvent::OperationFinished(event) => {
                promise!(
                    self.open.remove(&event.op),
                    "{:?} ended twice, or never began",
                    event.op
                );
                Ok(())
            }
        }
    }

    pub(super) fn app(&mut self, name: &str) -> Result<&mut AppModel, String> {
        self.model
            .apps
            .get_mut(name)
            .ok_or_else(|| "an unknown app".to_owned())
    }

    fn resized(&mut self, event: &AppResized) -> Checked {
        let app = self.app(&event.app)?;
        promise!(
            app.size == event.to && event.from != event.to,
            "resized to {}",
            event.to
        );
        Ok(())
    }

    pub(super) fn worker(&mut self, reference: &WorkerRef) -> Result<&mut WorkerModel, String> {
        let worker = self
            .model
            .workers
            .get_mut(&reference.id)
            .ok_or("news of nobody")?;
        promise!(
            worker.slot == reference.slot && worker.app == reference.app,
            "somebody else: {reference:?}"
        );
        Ok(worker)
    }
}

fn name(event: &FleetEvent) -> &'static str {
    match event {
        FleetEvent::WorkerSpawned(_) => "spawned",
        FleetEvent::WorkerOnline(_) => "online",
        FleetEvent::WorkerReady(_) => "ready",
        FleetEvent::WorkerDraining(_) => "draining",
        FleetEvent::WorkerDisconnected(_) => "disconnected",
        FleetEvent::WorkerReleased(_) => "told released",
        FleetEvent::WorkerExited(_) => "exited",
        FleetEvent::WorkerHook(_) => "hook",
        FleetEvent::UpdateStarted(_) => "update started",
        FleetEvent::UpdateProgress(_) => "update progress",
        FleetEvent::UpdateFinished(_) => "update finished",
        FleetEvent::UpdateAborted(_) => "update aborted",
        FleetEvent::UpdateRolledBack(event) if event.failed.is_some() => "rollback failed",
        FleetEvent::UpdateRolledBack(_) => "rolled back",
        FleetEvent::UpdateSuspended(_) => "update suspended",
        FleetEvent::AppResized(_) => "resized",
        FleetEvent::AppFailed(_) => "failed",
        FleetEvent::OperationFinished(_) => "operation finished",
    }
}
