//! What may be told of a worker's life: that it is there, ready, on its way out, gone.

use std::time::Duration;

use ostler_bus::vocab::worker::{WorkerExited, WorkerOnline, WorkerReady, WorkerRef};

use super::{
    checker::{Checked, Checker, promise},
    model::{Life, WorkerModel},
};
use crate::{
    config::app::{Readiness, update::Strategy},
    fleet::Moment,
};

/// A worker that relieved another is not too large again, nor has it served enough, for so long.
const RESPITE: Duration = Duration::from_secs(60);

impl Checker {
    pub(super) fn online(&mut self, now: Moment, event: &WorkerOnline) -> Checked {
        let worker = self.worker(&event.worker)?;
        promise!(!std::mem::replace(&mut worker.online, true), "online twice");
        withdraw_assumption(worker, now);
        Ok(())
    }

    pub(super) fn ready(&mut self, now: Moment, event: &WorkerReady) -> Checked {
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

    pub(super) fn exited(&mut self, now: Moment, event: &WorkerExited) -> Checked {
        let worker = self.worker(&event.worker)?;
        let (told, left) = (
            (event.held, event.held_requests),
            worker.held.left(&event.status, now),
        );
        promise!(told == left, "it left {left:?}, and {told:?} was told");
        let counted = worker.held.told.is_none() && left.0.is_some();
        let asked = matches!(&worker.life, Life::Leaving { reason, .. } if !["not ready in time", "hung", "too much memory"].contains(&reason.as_str()));
        promise!(event.voluntary == asked, "voluntary: {}", event.voluntary);
        let (id, slot) = (event.worker.id, event.worker.slot);
        if worker.definition.hooks.after_exit.is_some() {
            self.model.to_clean.push(id);
        }
        if counted {
            *self.seen.entry("counted").or_default() += 1;
        }
        self.model.workers.remove(&id);
        self.model.gone.push((id, event.worker.app.clone(), slot));
        self.app(&event.worker.app)?.pristine = false;
        Ok(())
    }

    pub(super) fn draining(&mut self, now: Moment, gone: &WorkerRef, reason: &str) -> Checked {
        let worker = self.worker(gone)?;
        promise!(!worker.leaving(), "told to go twice");
        promise!(
            reason != "hung" || worker.is_hung(now),
            "a worker that lives was taken for hung"
        );
        promise!(
            reason != "not ready in time" || worker.is_late(now),
            "a worker that had time was taken for late"
        );
        let recycled = reason.starts_with("recycle: ");
        let too_soon = worker.relieves
            && ["served enough", "grown"].contains(&kind(reason))
            && now - worker.born < RESPITE;
        promise!(
            !recycled || worker.may_be_recycled(now),
            "recycled for no reason: {reason}"
        );
        promise!(
            !recycled || !too_soon,
            "recycled again as soon as it was ready: {reason}"
        );
        worker.was_ready = matches!(worker.life, Life::Ready { .. });
        worker.life = Life::Leaving {
            since: now,
            reason: reason.to_owned(),
        };
        let was_ready = worker.was_ready;
        let seen = match reason {
            "hung" => Some("hung"),
            "too much memory" => Some("too large"),
            _ => recycled.then(|| kind(reason)),
        };
        if let Some(seen) = seen {
            *self.seen.entry(seen).or_default() += 1;
        }
        if is_update(reason) || recycled {
            self.makes_room(gone, was_ready, recycled)?;
        }
        Ok(())
    }

    /// We sent a worker away that might have stayed: another took over, or it may be missing, and not too many drain.
    fn makes_room(&mut self, gone: &WorkerRef, was_ready: bool, recycled: bool) -> Checked {
        let takes_over = |worker: &WorkerModel| {
            worker.slot == gone.slot
                && (worker.generation == gone.generation) == recycled
                && matches!(worker.life, Life::Ready { .. })
        };
        let of = self.model.of(&gone.app);
        let succeeded = of.map(|(_, worker)| worker).any(takes_over);
        if was_ready && !succeeded {
            self.may_be_missing(&gone.app)?;
        }
        if recycled {
            let workers = self.model.workers.values_mut();
            for worker in workers.filter(|worker| worker.app == gone.app && takes_over(worker)) {
                worker.relieves = true;
            }
        }
        let by_us = |worker: &WorkerModel| matches!(&worker.life, Life::Leaving { reason, .. } if is_update(reason) || reason.starts_with("recycle: "));
        let of = self.model.of(&gone.app);
        let draining = of.filter(|(_, worker)| by_us(worker)).count();
        let app = self.model.apps.get(&gone.app);
        let most = app.map_or(0, |app| app.size.div_ceil(4).max(2));
        let all = self.strategy(&gone.app) == Strategy::AllAtOnce;
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
