//! What the fleet may tell everyone, and when.

use std::time::Duration;

use ostler_bus::{
    WorkerId,
    vocab::{
        update::{
            AppResized, UpdateAborted, UpdateFinished, UpdateProgress, UpdateStarted, UpdateStep,
        },
        worker::{WorkerExited, WorkerOnline, WorkerReady, WorkerRef},
    },
};

use super::{
    checker::{Checked, Checker, promise},
    model::{AppModel, Life, WorkerModel},
};
use crate::{
    config::app::{
        Readiness,
        update::{OnFailure, Strategy},
    },
    fleet::{FleetEvent, Moment},
};

/// A worker that relieved another is not too large again, nor has it served enough, for so long.
const RESPITE: Duration = Duration::from_secs(60);

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
            FleetEvent::WorkerExited(event) => self.exited(event),
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

    fn app(&mut self, name: &str) -> Result<&mut AppModel, String> {
        self.model
            .apps
            .get_mut(name)
            .ok_or_else(|| "an unknown app".to_owned())
    }

    fn online(&mut self, now: Moment, event: &WorkerOnline) -> Checked {
        let worker = self.worker(&event.worker)?;
        promise!(!std::mem::replace(&mut worker.online, true), "online twice");
        withdraw_assumption(worker, now);
        Ok(())
    }

    fn ready(&mut self, now: Moment, event: &WorkerReady) -> Checked {
        let worker = self.worker(&event.worker)?;
        promise!(worker.spawned && !worker.leaving(), "ready out of turn");
        let probed = matches!(worker.definition.ready, Readiness::Probe(_));
        promise!(!probed || worker.answered, "ready without an answer");
        // Whatever it was asked before that was another question.
        (worker.bad, worker.asked) = (0, None);
        worker.life = Life::Ready {
            since: now,
            assumed: event.assumed,
        };
        // During an update it may be a successor that comes to nothing.
        let app = self.app(&event.worker.app)?;
        if app.updating.is_none() && app.going_back.is_none() {
            app.failed.remove(&event.worker.slot);
        }
        Ok(())
    }

    fn exited(&mut self, event: &WorkerExited) -> Checked {
        let worker = self.worker(&event.worker)?;
        let asked = matches!(&worker.life, Life::Leaving { reason, .. } if !["not ready in time", "hung", "too much memory"].contains(&reason.as_str()));
        promise!(event.voluntary == asked, "voluntary: {}", event.voluntary);
        let (id, slot) = (event.worker.id, event.worker.slot);
        if worker.definition.hooks.after_exit.is_some() {
            self.model.to_clean.push(id);
        }
        self.model.workers.remove(&id);
        self.model.gone.push((id, event.worker.app.clone(), slot));
        self.app(&event.worker.app)?.pristine = false;
        Ok(())
    }

    fn update_started(&mut self, event: &UpdateStarted) -> Checked {
        let app = self.app(&event.app)?;
        promise!(
            app.updating.is_none() && app.going_back.is_none() && app.wanted,
            "an update begins out of turn"
        );
        app.update_started(event.generation);
        Ok(())
    }

    fn update_progress(&mut self, now: Moment, event: &UpdateProgress) -> Checked {
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

    fn update_finished(&mut self, event: &UpdateFinished) -> Checked {
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

    fn update_aborted(&mut self, event: &UpdateAborted) -> Checked {
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

    fn resized(&mut self, event: &AppResized) -> Checked {
        let app = self.app(&event.app)?;
        promise!(
            app.size == event.to && event.from != event.to,
            "resized to {}",
            event.to
        );
        Ok(())
    }

    fn worker(&mut self, reference: &WorkerRef) -> Result<&mut WorkerModel, String> {
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

    fn draining(&mut self, now: Moment, reference: &WorkerRef, reason: &str) -> Checked {
        let worker = self.worker(reference)?;
        promise!(!worker.leaving(), "told to go twice");
        let may_be_recycled = worker.may_be_recycled(now);
        promise!(
            reason != "hung" || worker.is_hung(now),
            "a worker that lives was taken for hung"
        );
        let ready = matches!(worker.life, Life::Ready { .. });
        worker.was_ready = ready;
        let too_soon = worker.relieves
            && ["served enough", "grown"].contains(&kind(reason))
            && now - worker.born < RESPITE;
        worker.life = Life::Leaving {
            since: now,
            reason: reason.to_owned(),
        };
        if reason == "hung" {
            *self.seen.entry("hung").or_default() += 1;
        }
        let recycled = reason.starts_with("recycle: ");
        if recycled {
            promise!(may_be_recycled, "recycled for no reason: {reason}");
            promise!(
                !too_soon,
                "recycled again as soon as it was ready: {reason}"
            );
            *self.seen.entry(kind(reason)).or_default() += 1;
        }
        if reason == "too much memory" {
            *self.seen.entry("too large").or_default() += 1;
        }
        if !is_update(reason) && !recycled {
            return Ok(());
        }
        let newer = |worker: &WorkerModel| match recycled {
            true => worker.generation == reference.generation,
            false => worker.generation != reference.generation,
        };
        let takes_over = |worker: &WorkerModel| {
            worker.slot == reference.slot
                && newer(worker)
                && matches!(worker.life, Life::Ready { .. })
        };
        let succeeded = self
            .model
            .of(&reference.app)
            .any(|(_, worker)| takes_over(worker));
        if ready && !succeeded {
            self.may_be_missing(&reference.app)?;
        }
        if recycled {
            let workers = self.model.workers.values_mut();
            for worker in workers.filter(|worker| worker.app == reference.app && takes_over(worker))
            {
                worker.relieves = true;
            }
        }
        let by_update = |w: &WorkerModel| matches!(&w.life, Life::Leaving { reason, .. } if is_update(reason) || reason.starts_with("recycle: "));
        let draining = self
            .model
            .of(&reference.app)
            .filter(|(_, worker)| by_update(worker))
            .count();
        let most = self
            .model
            .apps
            .get(&reference.app)
            .map_or(0, |app| app.size.div_ceil(4).max(2));
        let all = self.strategy(&reference.app) == Strategy::AllAtOnce;
        promise!(all || draining <= most as usize, "{draining} drain at once");
        Ok(())
    }
}

/// Whether this is why a worker goes that an update, or its rollback, has replaced.
fn is_update(reason: &str) -> bool {
    reason.starts_with("update: ") || reason.starts_with("rollback: ")
}

/// Why a worker was recycled.
fn kind(reason: &str) -> &'static str {
    let kinds = [
        ("(max_memory)", "grown"),
        ("(max_requests)", "served enough"),
        ("(max_age)", "old"),
        ("(idle_timeout)", "idle"),
        ("(cron", "its hour"),
    ];
    let kind = kinds.iter().find(|(mark, _)| reason.contains(mark));
    kind.map_or("recycled", |(_, kind)| kind)
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

/// A worker that was assumed ready turns out to take part: soon enough, and it is starting still.
fn withdraw_assumption(worker: &mut WorkerModel, now: Moment) {
    let least = worker
        .definition
        .min_healthy
        .unwrap_or(Duration::from_secs(5));
    if let Life::Ready {
        since,
        assumed: true,
    } = worker.life
        && worker.definition.ready == Readiness::Auto
        && now - since < least
    {
        worker.life = Life::Starting;
    }
}
