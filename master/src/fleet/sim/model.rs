//! What the checker believes the fleet to be, from what it saw go in and come out.

mod app;
mod held;
mod worker;

use std::collections::BTreeMap;

use ostler_bus::{
    Slot, WorkerId,
    vocab::{
        control::{AppScale, ScaleTo},
        worker::ExitStatus,
    },
};

pub(super) use self::{
    app::AppModel,
    held::HeldModel,
    worker::{Life, WorkerModel},
};
use super::{hooks::HookModel, script};
use crate::{
    config::app::AppDefinition,
    fleet::{Command, Input, WorkerNews},
};

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

    /// An exit before readiness, with a code that means that the app can't boot, ends the master: not during an update, not
    /// while another of the app serves, and not if it was to take the place of one that serves.
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
        let serves = |(_, worker): (_, &WorkerModel)| matches!(worker.life, Life::Ready { .. });
        let excused = updating || worker.recycles || self.of(&worker.app).any(serves);
        if fatal && worker.life == Life::Starting && !excused && !self.ending {
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
