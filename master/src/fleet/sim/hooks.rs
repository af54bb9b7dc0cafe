//! The commands beside workers: how long they take in the fake world, and what is promised of them.

use ostler_bus::{WorkerId, vocab::worker::WorkerHook};

use super::{
    checker::{Checked, Checker, promise},
    model::{Life, WorkerModel},
    world::{Event, World},
};
use crate::{
    config::app::hooks::HookKind,
    fleet::{HookOrder, Input, Moment, WorkerNews},
};

impl World {
    /// A command begins: it ends by itself, well or not, or it hangs until its time is over.
    pub(super) fn hook(&mut self, now: Moment, order: &HookOrder) {
        let (id, hook) = (order.worker.id, order.hook);
        let Some(definition) = order.worker.definition.hooks.of(hook) else {
            return;
        };
        let hangs = !self.calm && self.rng.chance(10);
        let fails = !self.calm && self.rng.chance(15);
        let (after, outcome) = match hangs {
            true => (definition.timeout, Err("it took too long".to_owned())),
            false if fails => (self.rng.millis(0, 200), Err("it exited with 1".to_owned())),
            false => (self.rng.millis(0, 200), Ok(())),
        };
        self.hooks.insert(id, hook);
        self.plan(now + after, Event::HookEnds(id, hook, outcome));
    }

    /// It is killed, unless it has just ended.
    pub(super) fn end_hook(&mut self, now: Moment, id: WorkerId) {
        if let Some(hook) = self.hooks.get(&id).copied() {
            let soon = now + self.rng.millis(0, 5);
            let killed = Err("it was cut short".to_owned());
            self.plan(soon, Event::HookEnds(id, hook, killed));
        }
    }

    /// It ends, if it hasn't.
    pub(super) fn hook_ends(
        &mut self,
        id: WorkerId,
        hook: HookKind,
        outcome: Result<(), String>,
    ) -> Vec<Input> {
        if self.hooks.get(&id) != Some(&hook) {
            return Vec::new();
        }
        self.hooks.remove(&id);
        let news = WorkerNews::Hooked { hook, outcome };
        vec![Input::Worker { id, news }]
    }
}

/// What is known of the commands beside a worker.
#[derive(Debug, Default)]
pub(super) struct HookModel {
    running: Option<HookKind>,
    begun: Vec<HookKind>,
    ended: Vec<HookKind>,
    /// `before_start` ended well.
    prepared: bool,
}

impl HookModel {
    /// Whether a process may be started.
    pub(super) fn prepared(&self, worker: &WorkerModel) -> bool {
        self.prepared || worker.definition.hooks.before_start.is_none()
    }

    /// Whether it may hear that it should go.
    fn released(&self) -> bool {
        self.ended.contains(&HookKind::BeforeStop)
    }
}

impl Checker {
    /// A command begins: each once, one at a time, and in its place.
    pub(super) fn hook(&mut self, order: &HookOrder) -> Checked {
        if order.hook == HookKind::BeforeStart {
            self.ordered(&order.worker)?;
        }
        let id = order.worker.id;
        let hooks = self.model.hooks.entry(id).or_default();
        promise!(hooks.running.is_none(), "two commands at once");
        promise!(!hooks.begun.contains(&order.hook), "a command twice");
        let worker = self.model.workers.get(&id);
        let fits = match (order.hook, worker.map(|worker| &worker.life)) {
            (HookKind::BeforeStart, Some(Life::Starting)) => !worker.is_some_and(|w| w.spawned),
            (HookKind::AfterReady, Some(Life::Ready { .. })) => true,
            (HookKind::BeforeStop, Some(Life::Leaving { .. })) => {
                worker.is_some_and(|worker| worker.told.is_empty())
            }
            (HookKind::AfterExit, None) => order.exit.is_some(),
            (
                HookKind::BeforeStart
                | HookKind::AfterReady
                | HookKind::BeforeStop
                | HookKind::AfterExit,
                _,
            ) => false,
        };
        promise!(fits, "a command out of turn, at {worker:?}");
        promise!(
            !self.model.forced,
            "a command begins when everything ends at once"
        );
        hooks.running = Some(order.hook);
        hooks.begun.push(order.hook);
        *self.seen.entry(order.hook.name()).or_default() += 1;
        Ok(())
    }

    /// Notes that a command has ended; how many exits must be told because of it.
    pub(super) fn hook_ended(
        &mut self,
        id: WorkerId,
        hook: HookKind,
        outcome: &Result<(), String>,
    ) -> usize {
        let hooks = self.model.hooks.entry(id).or_default();
        if hooks.running.take_if(|running| *running == hook).is_none() {
            return 0;
        }
        hooks.ended.push(hook);
        let leaving = self.model.workers.get(&id).map(WorkerModel::leaving);
        let good = outcome.is_ok() && leaving == Some(false);
        hooks.prepared |= hook == HookKind::BeforeStart && good;
        usize::from(hook == HookKind::BeforeStart && !good && leaving.is_some())
    }

    /// Its end is told, after it came.
    pub(super) fn hook_told(&self, event: &WorkerHook) -> Checked {
        let hooks = self.model.hooks.get(&event.worker.id);
        let hooks = hooks.ok_or("the end of a command that never began")?;
        let known = hooks.ended.iter().any(|hook| hook.name() == event.hook);
        promise!(known, "the end of a command that has not ended");
        Ok(())
    }

    /// Whether nothing is between a worker and its process any more.
    pub(super) fn prepared(&self, id: WorkerId, worker: &WorkerModel) -> bool {
        let hooks = self.model.hooks.get(&id);
        hooks.map_or(worker.definition.hooks.before_start.is_none(), |hooks| {
            hooks.prepared(worker)
        })
    }

    /// Whether a worker on its way out may hear of it now.
    pub(super) fn may_be_told(&self, id: WorkerId, signal: i32) -> Checked {
        let Some(worker) = self.model.workers.get(&id) else {
            return Ok(());
        };
        let Life::Leaving { reason, .. } = &worker.life else {
            return Ok(());
        };
        // "update: reload", "recycle: older than 1d".
        let cause = reason.split(": ").next().unwrap_or_default();
        let by_us = [
            "update",
            "update given up",
            "stop",
            "restart",
            "scale",
            "kill",
            "recycle",
        ];
        let asked = by_us.contains(&cause);
        let waits = worker.definition.hooks.before_stop.is_some() && worker.was_ready && asked;
        let released = self.model.hooks.get(&id).is_some_and(HookModel::released);
        let killed = signal == 9 && self.model.forced;
        promise!(
            !waits || released || killed,
            "told {signal} before its before_stop has ended"
        );
        Ok(())
    }

    /// A slot's next worker, but for the successor of an update, comes when the last one's `after_exit` has ended.
    pub(super) fn cleaned(&self, app: &str, slot: ostler_bus::Slot) -> bool {
        let mut gone = self.model.gone.iter();
        !gone.any(|(id, of, at)| {
            let hooks = self.model.hooks.get(id);
            of == app && *at == slot && hooks.is_some_and(|hooks| hooks.running.is_some())
        })
    }

    /// Everything that began has ended, and every worker had its `after_exit`, once.
    pub(super) fn hooks_are_over(&self) -> Checked {
        for (id, hooks) in &self.model.hooks {
            promise!(
                hooks.running.is_none(),
                "worker {id}'s {:?} still runs",
                hooks.running
            );
        }
        if self.model.forced {
            return Ok(());
        }
        for id in &self.model.to_clean {
            let hooks = self.model.hooks.get(id);
            let cleaned = hooks.is_some_and(|hooks| hooks.ended.contains(&HookKind::AfterExit));
            promise!(cleaned, "worker {id} never had its after_exit");
        }
        Ok(())
    }
}
