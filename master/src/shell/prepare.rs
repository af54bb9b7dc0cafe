//! What the workers of an app need before the first of them starts, and what is given back when the app, or a slot, has gone.

use std::collections::{BTreeSet, VecDeque};

use ostler_bus::vocab::control::RefusalKind;

use super::{ShellHandle, Workshop};
use crate::{
    config::app::{AppDefinition, AppName},
    fleet::{Fleet, SpawnOrder},
    home::Reach,
    process::Outlet,
    sockets::{Added, BindError, Next, Retired},
};

/// What keeps an app from being prepared.
pub(super) struct Unprepared {
    /// Which app.
    pub(super) app: AppName,
    /// What it is, in words.
    pub(super) why: String,
}

impl Unprepared {
    fn new(app: &AppDefinition, why: String) -> Self {
        Self {
            app: app.name.clone(),
            why,
        }
    }

    /// How that is refused: a line each.
    pub(super) fn refusal(all: &[Self]) -> (RefusalKind, String) {
        let lines: Vec<&str> = all.iter().map(|it| it.why.as_str()).collect();
        (RefusalKind::WrongState, lines.join("\n"))
    }
}

impl Workshop {
    /// Makes ready what the workers of these apps will need, and tells which have it. One that can't have it, or is known to be
    /// `wrong`, is passed over, and that is said.
    pub(super) fn prepare(
        &mut self,
        mut apps: Vec<AppDefinition>,
        mut wrong: Vec<Unprepared>,
        shell: &ShellHandle,
    ) -> Vec<AppDefinition> {
        loop {
            self.pass_over(&mut apps, wrong);
            match self.try_prepare_all(Next::all(&apps)) {
                Ok(()) => break,
                Err(more) => wrong = more,
            }
        }
        for app in &apps {
            self.equip(app, shell);
        }
        apps
    }

    /// Takes these out, and whoever would have given one of them an address, at which nobody would listen then.
    fn pass_over(&self, apps: &mut Vec<AppDefinition>, wrong: Vec<Unprepared>) {
        let mut wrong = VecDeque::from(wrong);
        let mut over = BTreeSet::new();
        while let Some(Unprepared { app, why }) = wrong.pop_front() {
            tracing::error!("{why}; this definition was passed over");
            let its = apps.iter().find(|its| its.name == app);
            let givers = its.map(|its| self.sockets.givers(its, Next::all(apps)));
            over.insert(app.clone());
            for (giver, address) in givers.into_iter().flatten() {
                if !over.contains(&giver) {
                    let why =
                        format!("{giver}: {address} was to be had by {app}, which was passed over");
                    wrong.push_back(Unprepared { app: giver, why });
                }
            }
        }
        apps.retain(|app| !over.contains(&app.name));
    }

    /// What would keep any of these apps from being prepared, if this is what apps are next. Nothing is changed.
    pub(super) fn check(&self, next: Next<'_>) -> Result<(), Vec<Unprepared>> {
        let mut wrong = Vec::new();
        for app in next.apps {
            let name = self.check_name(app).err();
            let sockets = self.sockets.check(app, next).into_iter();
            let all = name
                .into_iter()
                .chain(sockets.map(|error| of_app(app, &error)));
            wrong.extend(all.map(|why| Unprepared::new(app, why)));
        }
        match wrong.is_empty() {
            true => Ok(()),
            false => Err(wrong),
        }
    }

    /// A name must leave room for the paths of its workers' sockets.
    fn check_name(&self, app: &AppDefinition) -> Result<(), String> {
        let fits = self.home.check_lengths([&app.name]);
        fits.map_err(|error| format!("{}: {error}", app.name))
    }

    /// Makes an app's directory and binds the sockets that it doesn't have yet; those are told, so that they can be taken
    /// back.
    fn try_prepare(&mut self, app: &AppDefinition, next: Next<'_>) -> Result<Added, String> {
        let dir = self.home.create_app_dir(&app.name, Reach::of(app));
        dir.map_err(|error| format!("{}: {error}", app.name))?;
        let bound = self.sockets.bind_for_next(app, next);
        bound.map_err(|error| of_app(app, &error))
    }

    /// Makes ready what all that are defined next need, or nothing.
    pub(super) fn try_prepare_all(&mut self, next: Next<'_>) -> Result<(), Vec<Unprepared>> {
        self.check(next)?;
        let mut added = Vec::new();
        for app in next.apps {
            match self.try_prepare(app, next) {
                Ok(new) => added.push(new),
                Err(why) => {
                    for new in added {
                        self.sockets.take_back(new);
                    }
                    return Err(vec![Unprepared::new(app, why)]);
                }
            }
        }
        Ok(())
    }

    /// Sees to the rest of what an app needs, which can't fail: it is only said if something doesn't hold.
    pub(super) fn equip(&mut self, app: &AppDefinition, shell: &ShellHandle) {
        if let Some(limits) = &app.process.cgroup {
            for missing in self.cgroups.prepare(limits) {
                tracing::warn!("{}: {missing}", app.name);
            }
        }
        self.sockets.share(app);
        self.join_groups(&app.name);
        self.watch_listeners(&app.name, shell);
    }

    /// Gives back what the workers of an app needed; tells of its slots' own sockets at which something waited, which is lost.
    pub(super) fn forget(&mut self, app: &AppName) -> Vec<Retired> {
        self.groups.forget(app);
        self.lookouts.forget(app);
        let listeners = self.sockets.listeners(app);
        let lost = match self.kept.remove(app) {
            true => {
                self.sockets.leave(app);
                Vec::new()
            }
            false => self.sockets.forget(app),
        };
        let passed_on = listeners.into_iter().filter_map(|id| self.served(id));
        self.balancer.forget(app, passed_on.collect());
        self.let_go_of_listeners();
        self.rights.forget(app);
        self.renew_rules();
        self.schedules
            .send_if_modified(|kept| kept.remove(app).is_some());
        self.auto_reload.send_if_modified(|watched| {
            let before = watched.apps.len();
            watched.apps.retain(|known| known.name != *app);
            watched.apps.len() != before
        });
        for outlet in &self.all_lines {
            match outlet {
                Outlet::Book(book) => book.forget(Some(app.as_str())),
                Outlet::Queue(_) | Outlet::File(_) => {}
            }
        }
        lost
    }

    /// Closes the sockets that definitions have left out and no worker of this fleet has any more; tells of slots' own at which
    /// something waited, which is lost.
    pub(super) fn close_left_out(&mut self, fleet: &Fleet) -> Vec<(AppName, Vec<Retired>)> {
        let left_out = self
            .sockets
            .left_out(|app, socket| fleet.may_have(app, socket));
        let any = !left_out.is_empty();
        let mut lost = Vec::new();
        for it in left_out {
            let (app, name) = (&it.app, &it.declaration.name);
            if it.declaration.options.mode.is_group() {
                self.groups.forget_one(app, name);
            }
            match self.kept.contains(app) {
                true => self.sockets.leave_left_out(&it),
                false => lost.push((app.clone(), self.sockets.close_left_out(&it))),
            }
            let passed_on = it.ids.iter().any(|id| self.sockets.get(*id).is_some());
            if !passed_on {
                it.ids.iter().for_each(|id| self.balancer.close(*id));
                tracing::info!(
                    "{app}: its socket {name:?} ({}) is closed: it is declared no more, and the last worker that had it has gone",
                    it.declaration.address
                );
            }
            self.look_for_strangers(app);
        }
        if any {
            self.let_go_of_listeners();
        }
        lost
    }

    /// Binds what a slot that came with a larger size has for itself.
    pub(super) fn bind_slot(
        &mut self,
        order: &SpawnOrder,
        shell: &ShellHandle,
    ) -> Result<(), String> {
        let added = self.sockets.bind_slot(&order.definition, order.slot);
        let added = added.map_err(|error| of_socket(&error))?;
        if !added.is_empty() {
            self.watch_listeners(&order.app, shell);
            self.join_groups(&order.app);
            let sockets = self
                .sockets
                .of_worker(&order.definition, order.slot)
                .into_iter();
            let own: Vec<String> = sockets
                .filter(|socket| socket.slot().is_some())
                .map(|socket| format!("{}={}", socket.name(), socket.address()))
                .collect();
            tracing::info!(
                "{}.{}: listening on {}",
                order.app,
                order.slot,
                own.join(" ")
            );
        }
        Ok(())
    }
}

fn of_app(app: &AppDefinition, error: &BindError) -> String {
    format!("{}: {}", app.name, of_socket(error))
}

fn of_socket(error: &BindError) -> String {
    match error.hint() {
        Some(hint) => format!("{error}; {hint}"),
        None => error.to_string(),
    }
}
