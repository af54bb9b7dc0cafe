//! What it takes to start a worker, and how its start begins: sockets, descriptors, control group, order. The rest of its life
//! is in [`worker`](super::worker).

use std::{
    collections::BTreeSet,
    ffi::OsString,
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::PathBuf,
};

use ostler_bus::{hub::Hub, vocab::worker::ExitStatus};
use ostler_worker_sdk::passing;
use tokio::sync::{oneshot, watch};

use super::{
    accepted::Accepts,
    alarm::{self, Schedules},
    handle::ShellHandle,
    listeners::Watches,
    lookouts::Lookouts,
    panics::{self, Made},
    rights::Rights,
    worker::{Begun, withdraw},
};
use crate::{
    config::app::{AppDefinition, AppName, given::Stdin},
    features::watch::run::Watched,
    fleet::{self, SpawnOrder, WorkerNews},
    home::MasterHome,
    process::{
        self, Cgroups, Gifts, Identity, LineQueue, LogFiles, NotifySocket, Outlet, Releases,
        Spawner, StdinLines, WorkerGroup,
    },
    shortage::Told,
    sockets::{Sockets, balance::Balancer, slots::Groups},
};

/// Everything a worker is made from.
#[derive(Debug)]
pub struct Workshop {
    /// Starts processes.
    pub spawner: Spawner,
    /// The hub that workers are connected to.
    pub hub: Hub,
    /// Where the sockets of workers are.
    pub home: MasterHome,
    /// All declared sockets, bound.
    pub sockets: Sockets,
    /// Hands connections to workers.
    pub balancer: Balancer,
    /// Has the kernel choose among slots.
    pub groups: Groups,
    /// What workers accept themselves.
    pub accepts: Accepts,
    /// Who watches each of them: nobody at first, also of those that are bound.
    pub watches: Watches,
    /// Who looks for strangers there: nobody at first.
    pub lookouts: Lookouts,
    /// Where workers' control groups are.
    pub cgroups: Cgroups,
    /// Where workers' lines go that go into no file.
    pub log: LineQueue,
    /// Whether that is a file, which can be opened anew.
    pub log_is_file: bool,
    /// Where the others go.
    pub log_files: LogFiles,
    /// Where all of them go besides.
    pub all_lines: Vec<Outlet>,
    /// What each generation runs.
    pub releases: Releases,
    /// The master's own environment at its start.
    pub environment: Vec<(OsString, OsString)>,
    /// The soft limit on open files that the master was started with.
    pub open_files: Option<u64>,
    /// What each app's workers may do on the bus.
    pub rights: Rights,
    /// The file of tokens for the bus's network door, if it has one.
    pub tokens: Option<PathBuf>,
    /// The apps whose files are watched.
    pub auto_reload: watch::Sender<Watched>,
    /// The apps some of whose workers were let go of, and keep their sockets.
    pub kept: BTreeSet<AppName>,
    /// The apps with a schedule, as they are defined now.
    pub schedules: watch::Sender<Schedules>,
}

impl Workshop {
    /// Has the files of these apps watched besides, if they want it, and their schedules kept.
    pub(super) fn watch_also(&self, apps: &[AppDefinition]) {
        self.schedules.send_if_modified(|kept| {
            let before = kept.clone();
            kept.retain(|name, _| apps.iter().all(|app| app.name != *name));
            kept.extend(alarm::schedules(apps));
            *kept != before
        });
        let mut all = self.auto_reload.borrow().apps.clone();
        all.retain(|known| apps.iter().all(|app| app.name != known.name));
        all.extend(apps.iter().filter(|app| app.auto_reload.is_some()).cloned());
        self.auto_reload.send_if_modified(|watched| {
            let changed = watched.apps != all;
            watched.apps = all;
            changed
        });
    }

    /// Has the files of these apps watched that want it, and of no others, and their schedules kept, as are those of apps that
    /// are gone from the file and run on; where there is no new definition, the old one holds.
    pub(super) fn watch_files(
        &self,
        apps: Vec<(AppName, Option<AppDefinition>)>,
        gone_from_file: &[AppName],
    ) {
        self.schedules.send_if_modified(|kept| {
            let schedules = alarm::redefined(kept, &apps, gone_from_file);
            let changed = *kept != schedules;
            *kept = schedules;
            changed
        });
        let before = self.auto_reload.borrow().apps.clone();
        let old = |name: &AppName| before.iter().find(|app| app.name == *name).cloned();
        let now: Vec<AppDefinition> = apps
            .into_iter()
            .filter_map(|(name, new)| new.or_else(|| old(&name)))
            .filter(|app| app.auto_reload.is_some())
            .collect();
        self.auto_reload.send_if_modified(|watched| {
            let changed = watched.apps != now;
            watched.apps = now;
            changed
        });
    }

    /// Has files watched of those apps alone that are to run.
    pub(super) fn watch_running(&self, apps: BTreeSet<AppName>) {
        self.auto_reload.send_if_modified(|watched| {
            let changed = watched.running != apps;
            watched.running = apps;
            changed && !watched.apps.is_empty()
        });
    }

    /// What to do about an exit, where its last words tell.
    pub(super) fn hint(&self, of: &SpawnOrder, exit: &fleet::Exit) -> Option<String> {
        let asked = exit.status == ExitStatus::Code(0);
        (!asked).then(|| {
            process::exit_hint(
                &exit.stderr_tail,
                &self.sockets.of_worker(&of.definition, of.slot),
            )
        })?
    }

    pub(super) fn reap_orphans(&self) {
        if let Err(error) = self.spawner.reap_orphans() {
            tracing::warn!("orphans can't be reaped: {error}");
        }
    }

    /// Starts a worker, unless that is called off; what becomes of it is reported to `shell`.
    pub(super) fn start(
        &mut self,
        mut order: SpawnOrder,
        called_off: oneshot::Receiver<()>,
        shell: ShellHandle,
    ) {
        self.resolve(&mut order);
        let bound = self.bind_slot(&order, &shell);
        let begun = bound.and_then(|()| self.begin(&order));
        let (spawner, hub) = (self.spawner.clone(), self.hub.clone());
        tokio::spawn(async move {
            let id = order.id;
            let begun = match begun {
                Ok(begun) => begun,
                Err(error) => return shell.news(id, WorkerNews::SpawnFailed { error }).await,
            };
            let made = Made::default();
            let life = begun.run(&order, called_off, spawner, hub.clone(), &shell, &made);
            if panics::caught(id, life, &made, &shell).await {
                withdraw(&hub, id);
            }
        });
    }

    /// Has it go by the release that its generation runs.
    pub(super) fn resolve(&mut self, order: &mut SpawnOrder) {
        let releases = &mut self.releases;
        order.definition = releases.of(&order.app, order.generation, &order.definition);
    }

    /// What an app's workers, and commands beside them, may inherit: the master's own environment, or what a reload brought instead.
    pub(super) fn inherited(&self, app: &AppDefinition) -> Vec<(OsString, OsString)> {
        let brought = app.overlay.inherited.as_ref();
        brought.map_or_else(
            || self.environment.clone(),
            |variables| {
                let pairs = variables.iter();
                pairs
                    .map(|(name, value)| (name.into(), value.into()))
                    .collect()
            },
        )
    }

    fn begin(&self, order: &SpawnOrder) -> Result<Begun, String> {
        let app = &order.definition;
        let who = Identity {
            app: order.app.clone(),
            slot: order.slot,
            id: order.id,
            generation: order.generation,
        };
        let owner = app.process.user.as_ref().map(|user| user.uid);
        let path = self.home.notify_socket(&order.app, order.id);
        let notify = NotifySocket::bind(path, owner)
            .map_err(|error| format!("make its notify socket: {error}"))?;
        let (ours, theirs) =
            UnixStream::pair().map_err(|error| format!("make its bus socket: {}", Told(&error)))?;
        let cgroup = match &app.process.cgroup {
            Some(limits) => self.cgroups.make(&who, limits),
            None => Ok(None),
        }
        .map_err(|error| format!("make its control group: {}", Told(&error)))?;
        let sockets = self.sockets.of_worker(app, order.slot);
        let gifts = Gifts {
            sockets: &sockets,
            ports: &sockets,
            notify: Some(notify.path()),
            bus: Some(&self.home.bus_socket()),
            bus_fd: true,
            channels: true,
            passing: true,
            cgroup: cgroup.as_ref().map(WorkerGroup::dir),
        };
        let spec = process::spawn_spec(self.inherited(app), app, &who, gifts, self.open_files);
        let mut fds = self
            .sockets
            .descriptors(app, order.slot)
            .map_err(|error| format!("hand over its sockets: {}", Told(&error)))?;
        fds.push(OwnedFd::from(theirs));
        let channels = self
            .channels(order, &mut fds)
            .map_err(|error| format!("make a channel for connections: {}", Told(&error)))?;
        let (passing, end) = passing::pair()
            .map_err(|error| format!("make its channel for descriptors: {}", Told(&error)))?;
        fds.push(end);
        let mut stdin = None;
        if app.given.stdin == Some(Stdin::Lines) {
            let (lines, end) = StdinLines::new()
                .map_err(|error| format!("make its standard input: {}", Told(&error)))?;
            fds.push(end);
            stdin = Some(lines);
        }
        let spawned = Box::pin(self.spawner.begin(&spec, fds));
        let outlets = self
            .log_files
            .outlets(app, &who, &self.log, &self.all_lines);
        Ok(Begun {
            who,
            outlets,
            notify,
            bus: ours,
            cgroup,
            stdin,
            channels,
            passing,
            spawned,
        })
    }
}
