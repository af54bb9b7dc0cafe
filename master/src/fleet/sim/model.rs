//! What the checker believes the fleet to be, from what it saw go in and come out.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use ostler_bus::{
    Generation, Slot, WorkerId,
    vocab::{
        control::{AppScale, ScaleTo},
        worker::ExitStatus,
    },
};

use super::{hooks::HookModel, script};
use crate::{
    config::app::{AppDefinition, AppName, life::Restart, update::UpdateRules},
    fleet::{Command, Input, Moment, WorkerNews},
};

/// An app as it should be.
#[derive(Debug, Default)]
pub(super) struct AppModel {
    pub(super) size: u32,
    pub(super) wanted: bool,
    pub(super) instances: u32,
    /// Slots of its may be left without a worker.
    pub(super) stops_for_good: bool,
    /// A worker may be replaced without an update.
    pub(super) recycles: bool,
    /// The last version there is.
    pub(super) version: u64,
    /// The update under way.
    pub(super) updating: Option<Generation>,
    /// The generation that is being taken back.
    pub(super) going_back: Option<Generation>,
    /// How its workers are replaced.
    pub(super) rules: UpdateRules,
    /// Its largest size since none of its slots had two workers, or one that was to be the second.
    pub(super) widest: u32,
    /// The slots that failed too often, and got no other worker since.
    pub(super) failed: BTreeSet<Slot>,
    /// How many slots it has replaced.
    pub(super) replaced: u32,
    /// The last update began after the last change.
    covers: bool,
    /// The last change was tried and found no good.
    pub(super) excused: bool,
    /// It is in no file any more, or was deleted.
    pub(super) removed: bool,
    /// Its slots that were stopped by themselves.
    pub(super) parked: BTreeSet<Slot>,
    /// It is being restarted: those up to this one must go before another is started.
    pub(super) restarting: Option<WorkerId>,
    /// Nothing has happened to it yet but its first start.
    pub(super) pristine: bool,
    /// A worker of it has been started since none was wanted.
    pub(super) begun: bool,
    pub(super) priority: i32,
    /// It waits for others.
    pub(super) depends_on: Vec<AppName>,
}

impl AppModel {
    pub(super) fn define(&mut self, definition: &AppDefinition) {
        if self.removed {
            (self.removed, self.begun, self.pristine) = (false, false, false);
            (self.wanted, self.size) = (definition.start.autostart, definition.instances);
            self.parked.clear();
        } else if self.version == 0 {
            (self.wanted, self.pristine) = (definition.start.autostart, true);
            self.size = definition.instances;
        } else {
            self.pristine = false;
            if definition.instances != self.instances {
                self.size = definition.instances;
            }
        }
        self.park_none_beyond();
        self.priority = definition.start.priority;
        self.depends_on.clone_from(&definition.start.depends_on);
        self.instances = definition.instances;
        let life = &definition.life;
        self.stops_for_good = !definition.stop_exit_codes.is_empty()
            || life.restart != Restart::Always
            || life.retry_failed.is_none()
            || !life.fatal_exit_codes.is_empty()
            || life.oneshot;
        self.rules = definition.update.clone();
        let recycle = &definition.recycle;
        self.recycles |=
            recycle.max_age.is_some() || recycle.max_memory.is_some() || recycle.counts_requests();
        self.version = script::version(definition);
        (self.covers, self.excused) = (false, false);
    }

    /// Whether no worker of it is wanted.
    pub(super) fn wants_none(&self) -> bool {
        !self.wanted || (0..self.size).all(|slot| self.parked.contains(&Slot(slot)))
    }

    fn park_none_beyond(&mut self) {
        let size = self.size;
        self.parked.retain(|slot| slot.0 < size);
        self.begun &= !self.wants_none();
    }

    fn park(&mut self, slot: Slot) {
        self.parked.insert(slot);
        self.begun &= !self.wants_none();
    }

    /// What starting it, or one of its slots, means.
    fn start(&mut self, slot: Option<Slot>) {
        self.excused &= !self.wants_none();
        if !self.wanted {
            let others = (0..self.size).map(Slot);
            self.parked = others.filter(|_| slot.is_some()).collect();
        }
        match slot {
            Some(slot) => drop(self.parked.remove(&slot)),
            None => self.parked.clear(),
        }
        (self.wanted, self.pristine) = (true, false);
    }

    pub(super) fn update_started(&mut self, generation: Generation) {
        self.updating = Some(generation);
        (self.covers, self.excused, self.pristine) = (true, false, false);
        self.replaced = 0;
    }

    pub(super) fn update_aborted(&mut self) {
        self.updating = None;
        self.excused = self.covers;
    }

    pub(super) fn update_finished(&mut self) {
        self.updating = None;
        self.excused = false;
    }
}

/// A worker as it should be.
#[derive(Debug)]
pub(super) struct WorkerModel {
    pub(super) app: String,
    pub(super) slot: Slot,
    pub(super) generation: Generation,
    pub(super) definition: Arc<AppDefinition>,
    pub(super) spawned: bool,
    /// Its start was called off.
    pub(super) called_off: bool,
    pub(super) online: bool,
    pub(super) disconnected: bool,
    pub(super) life: Life,
    /// It was ready when it was told to go.
    pub(super) was_ready: bool,
    /// The question it has not answered.
    pub(super) asked: Option<u64>,
    /// It has answered well.
    pub(super) answered: bool,
    /// How many answers in a row, since it has been ready, were bad.
    pub(super) bad: u32,
    /// When it last said that it lives.
    pub(super) beat: Moment,
    /// When its process began.
    pub(super) born: Moment,
    /// The most memory it was found to have.
    pub(super) memory: u64,
    /// How many requests it has served, how many of them have not ended, and when that last changed.
    pub(super) served: Option<(u64, u64, Moment)>,
    /// It had been idle for too long once, or its hour has come.
    pub(super) worn: bool,
    /// It was started by an update, and has not taken over yet.
    pub(super) on_trial: bool,
    /// It took over from one that was recycled.
    pub(super) relieves: bool,
    /// It told that more of its requests failed than may.
    pub(super) fails: bool,
    /// Signals it got, and 0 for a drain message.
    pub(super) told: Vec<i32>,
}

/// Where a worker is in its life.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Life {
    Starting,
    Ready { since: Moment, assumed: bool },
    Leaving { since: Moment, reason: String },
}

impl WorkerModel {
    pub(super) fn leaving(&self) -> bool {
        matches!(self.life, Life::Leaving { .. })
    }

    /// Whether it is ready, but was not heard of in time, or did not answer well too often.
    pub(super) fn is_hung(&self, now: Moment) -> bool {
        let Life::Ready { since, .. } = self.life else {
            return false;
        };
        let life = &self.definition.life;
        let silent = now - self.beat.max(since);
        life.watchdog.is_some_and(|limit| silent >= limit)
            || life
                .health
                .as_ref()
                .is_some_and(|health| self.bad >= health.failures)
    }

    pub(super) fn serves(&mut self, requests: u64, under_way: u64, now: Moment) {
        if self
            .served
            .is_none_or(|(r, u, _)| (r, u) != (requests, under_way))
        {
            self.worn |= self.is_idle(now);
            self.served = Some((requests, under_way, now));
        }
    }

    fn is_idle(&self, now: Moment) -> bool {
        let idle = |time| matches!(self.served, Some((1.., 0, at)) if now - at >= time);
        self.definition.recycle.idle_timeout.is_some_and(idle)
    }

    /// Whether it is too old, was too large, has served enough, is or was idle, or its hour has come.
    pub(super) fn may_be_recycled(&self, now: Moment) -> bool {
        let recycle = &self.definition.recycle;
        let requests = self.served.map_or(0, |(requests, ..)| requests);
        self.worn
            || self.is_idle(now)
            || recycle.max_requests.is_some_and(|most| requests >= most)
            || recycle.max_age.is_some_and(|age| now - self.born >= age)
            || recycle
                .max_memory
                .is_some_and(|limit| self.memory > limit.soft)
    }

    pub(super) fn version(&self) -> u64 {
        script::version(&self.definition)
    }
}

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) apps: BTreeMap<String, AppModel>,
    pub(super) workers: BTreeMap<WorkerId, WorkerModel>,
    /// The commands beside them, also of those that are gone.
    pub(super) hooks: BTreeMap<WorkerId, HookModel>,
    /// Those that are gone, and where they were.
    pub(super) gone: Vec<(WorkerId, String, Slot)>,
    /// Those that are gone and must have their `after_exit`.
    pub(super) to_clean: Vec<WorkerId>,
    pub(super) ending: bool,
    /// It ends because an app can't boot.
    pub(super) fatal: Option<u8>,
    pub(super) forced: bool,
}

impl Model {
    pub(super) fn define(&mut self, definition: &AppDefinition) {
        if !self.ending {
            let app = self.apps.entry(definition.name.to_string());
            app.or_default().define(definition);
        }
    }

    /// What an accepted command means.
    pub(super) fn accept(&mut self, command: &Command) {
        match command {
            Command::Start(start) => {
                let slot = slot_of(start.app.as_deref());
                let apps = self.named(start.app.as_deref());
                apps.filter(|app| app.size > 0)
                    .for_each(|app| app.start(slot));
            }
            Command::Stop(stop) => {
                let slot = slot_of(stop.app.as_deref());
                for app in self.named(stop.app.as_deref()) {
                    match slot {
                        Some(slot) if app.wanted => app.park(slot),
                        Some(_) => {}
                        None => (app.wanted, app.begun) = (false, false),
                    }
                }
            }
            Command::Restart(restart) => {
                let slot = slot_of(restart.app.as_deref());
                let last = self.workers.last_key_value().map(|(id, _)| *id);
                let apps = self.named(restart.app.as_deref());
                for app in apps.filter(|app| app.size > 0) {
                    if slot.is_none() {
                        (app.restarting, app.begun, app.excused) = (last, false, false);
                    }
                    app.start(slot);
                }
            }
            Command::Delete(delete) => self
                .named(Some(&delete.app))
                .for_each(|app| (app.removed, app.wanted, app.begun) = (true, false, false)),
            // Not drawn: the tests tell what they do.
            Command::Add(_) | Command::Await(_) => {}
            Command::Scale(AppScale { app, to }) => {
                for app in self.named(Some(app)) {
                    if app.wants_none() {
                        app.excused = false;
                    }
                    app.pristine = false;
                    app.size = match to {
                        ScaleTo::Exactly(to) => *to,
                        ScaleTo::More(more) => app.size.saturating_add(*more),
                        ScaleTo::Fewer(fewer) => app.size.saturating_sub(*fewer),
                    };
                    app.park_none_beyond();
                }
            }
            Command::TakeUp(definitions) => {
                for (name, app) in &mut self.apps {
                    let stays = |definition: &AppDefinition| definition.name.as_str() == name;
                    if !app.removed && !definitions.iter().any(stays) {
                        (app.removed, app.wanted, app.begun) = (true, false, false);
                    }
                }
                for definition in definitions {
                    self.say_again(definition);
                }
            }
            Command::Reload(_) | Command::Reset(_) => {}
            Command::Kill(kill) => {
                self.ending = true;
                self.forced |= kill.force;
                self.apps.values_mut().for_each(|app| app.wanted = false);
            }
        }
    }

    /// An exit before readiness, with a code that means that the app can't boot, ends the master: not during an update.
    pub(super) fn learn_of_exit(&mut self, id: WorkerId, input: &Input) {
        let Input::Worker {
            news: WorkerNews::Exited(exit),
            ..
        } = input
        else {
            return;
        };
        let (ExitStatus::Code(code), Some(worker)) = (&exit.status, self.workers.get(&id)) else {
            return;
        };
        let fatal = worker.definition.life.fatal_exit_codes.contains(code);
        let updating = self
            .apps
            .get(&worker.app)
            .is_some_and(|app| app.updating.is_some() || app.going_back.is_some());
        if fatal && worker.life == Life::Starting && !updating && !self.ending {
            self.fatal = u8::try_from(*code).ok();
            self.ending = true;
            self.apps.values_mut().for_each(|app| app.wanted = false);
        }
    }

    /// What was said before changes nothing about what was tried.
    fn say_again(&mut self, definition: &AppDefinition) {
        let known = self.apps.get(definition.name.as_str());
        let same = known.filter(|app| !app.removed && app.version == script::version(definition));
        let tried = same.map(|app| (app.covers, app.excused));
        self.define(definition);
        let app = self.apps.get_mut(definition.name.as_str());
        if let Some((app, tried)) = app.zip(tried) {
            (app.covers, app.excused) = tried;
        }
    }

    /// Whoever serves now may be replaced.
    pub(super) fn hour_of(&mut self, name: &str) {
        if let Some(app) = self.apps.get_mut(name) {
            app.recycles = true;
        }
        let workers = self.workers.values_mut();
        for worker in workers.filter(|worker| worker.app == name) {
            worker.worn |= matches!(worker.life, Life::Ready { .. });
        }
    }

    fn named(&mut self, name: Option<&str>) -> impl Iterator<Item = &mut AppModel> {
        let name = name.map(|name| name.split_once(':').map_or(name, |(app, _)| app));
        let wanted = move |app: &str| name.is_none_or(|name| name == app);
        self.apps
            .iter_mut()
            .filter(move |(name, app)| !app.removed && wanted(name))
            .map(|(_, app)| app)
    }

    /// The workers of an app.
    pub(super) fn of<'a>(
        &'a self,
        app: &'a str,
    ) -> impl Iterator<Item = (WorkerId, &'a WorkerModel)> {
        self.workers
            .iter()
            .filter(move |(_, worker)| worker.app == app)
            .map(|(id, worker)| (*id, worker))
    }
}

/// The slot that a selector of the script's names, if it names one.
fn slot_of(selector: Option<&str>) -> Option<Slot> {
    let (_, slot) = selector?.split_once(':')?;
    slot.parse().ok().map(Slot)
}
