//! Reading the process file again: to tell what that would change, or to take it up.
//!
//! The file is read on a thread of its own, since that may take its time: it asks who users are, which may be a service on
//! another machine. It is read for one asker after the other, in the order in which they came, and what it says is taken up
//! before it is read again. At most [`WAITING`] wait; **overflow policy: who comes then is refused.**

use std::{fmt, path::PathBuf, sync::Arc};

use ostler_bus::vocab::{
    control::{Answer, RefusalKind},
    plan::{AppPlan, Plan, PlanAnswer},
    update::WorkerRestartNeeded,
};
use tokio::sync::oneshot;

use super::{Message, Shell, Waiting, prepare::Unprepared};
use crate::{
    config::{
        app::{AppDefinition, AppName, overlay::Inherited},
        missing::{self, Missing},
    },
    fleet::{Change, Command, Input, Requester},
    sockets::Next,
};

/// So many may wait for the file to be read.
const WAITING: usize = 64;

/// Reads the process file, for an environment and for workers that inherit these variables.
pub type ReadFile = dyn Fn(Option<String>, &Inherited) -> Result<Said, String> + Send + Sync;

/// Reads the process file again.
pub struct Reread {
    /// The file, for people.
    pub file: PathBuf,
    /// The environment that it was last taken up for.
    pub environment: Option<String>,
    /// Reads and checks it for an environment; what is wrong with it, in words, if anything is.
    pub read: Arc<ReadFile>,
}

/// What the process file says now.
#[derive(Debug)]
pub struct Said {
    /// The apps.
    pub apps: Vec<AppDefinition>,
    /// What can't be taken up while the master runs, in words.
    pub held_back: Vec<String>,
    /// What the apps count on, and is not there.
    pub missing: Vec<Missing>,
}

/// Somebody for whom the file is to be read.
#[derive(Debug)]
pub(super) struct Reading {
    /// For this environment; `None` is the one that it was last taken up for.
    pub(super) environment: Option<String>,
    /// What for.
    pub(super) asked: Asked,
}

/// What the file is read for.
#[derive(Debug)]
pub(super) enum Asked {
    /// To tell what it would change.
    Plan(oneshot::Sender<PlanAnswer>),
    /// To do just that.
    TakeUp(oneshot::Sender<Answer>),
    /// SIGHUP: to take over what it says, and roll every app.
    Hangup,
}

/// Why something was refused.
type Refusal = (RefusalKind, String);

impl fmt::Debug for Reread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reread")
            .field("file", &self.file)
            .field("environment", &self.environment)
            .finish_non_exhaustive()
    }
}

impl Asked {
    fn refuse(self, (kind, reason): Refusal) {
        // Whoever asked has gone.
        match self {
            Self::Plan(answer) => {
                let _gone = answer.send(PlanAnswer::Refused { kind, reason });
            }
            Self::TakeUp(answer) => {
                tracing::error!("reload --config: nothing was changed: {reason}");
                let _gone = answer.send(Answer::Refused { kind, reason });
            }
            Self::Hangup => tracing::error!("SIGHUP: nothing was changed: {reason}"),
        }
    }
}

impl Shell {
    /// Has the file read, once it is this one's turn.
    pub(super) fn read_for(&mut self, reading: Reading) -> Vec<Input> {
        if self.reread.is_none() {
            return match reading.asked {
                Asked::Hangup => self.roll_all(),
                Asked::Plan(_) | Asked::TakeUp(_) => {
                    let why = "this master was started without a process file; there is nothing to read again";
                    reading.asked.refuse((RefusalKind::WrongState, why.into()));
                    vec![]
                }
            };
        }
        if self.readings.len() >= WAITING {
            let why = "many wait for the process file to be read already; try again";
            reading.asked.refuse((RefusalKind::Busy, why.into()));
            return vec![];
        }
        self.readings.push_back(reading);
        if self.readings.len() == 1 {
            self.begin_to_read();
        }
        vec![]
    }

    fn begin_to_read(&self) {
        let (Some(reread), Some(next)) = (&self.reread, self.readings.front()) else {
            return;
        };
        let environment = next.environment.clone();
        let environment = environment.or_else(|| reread.environment.clone());
        let (read, shell) = (Arc::clone(&reread.read), self.handle.clone());
        let inherited = self.fleet.inherited();
        tokio::spawn(async move {
            let said = tokio::task::spawn_blocking(move || read(environment, &inherited)).await;
            let said = said.unwrap_or_else(|fault| Err(format!("it could not be read: {fault}")));
            shell.send(Message::FileRead(said)).await;
        });
    }

    /// The file was read for the first of those who wait.
    pub(super) fn file_read(&mut self, said: Result<Said, String>) -> Vec<Input> {
        let Some(Reading { environment, asked }) = self.readings.pop_front() else {
            return vec![];
        };
        let inputs = match (said, asked) {
            (Err(why), asked) => {
                asked.refuse((RefusalKind::BadConfig, why));
                vec![]
            }
            (Ok(said), Asked::Plan(answer)) => {
                match self.plan(said) {
                    Ok(plan) => {
                        let _gone = answer.send(PlanAnswer::Plan(plan));
                    }
                    Err(refusal) => Asked::Plan(answer).refuse(refusal),
                }
                vec![]
            }
            (Ok(said), Asked::TakeUp(answer)) => match self.prepare_all(said, environment) {
                Ok(apps) => {
                    let request = self.token(Waiting::Command(answer));
                    let command = Command::TakeUp(apps);
                    vec![Input::Command { request, command }]
                }
                Err(refusal) => {
                    Asked::TakeUp(answer).refuse(refusal);
                    vec![]
                }
            },
            (Ok(said), Asked::Hangup) => self.take_over(said),
        };
        self.begin_to_read();
        inputs
    }

    /// What the file would change now; refused where taking it up would be.
    fn plan(&self, said: Said) -> Result<Plan, Refusal> {
        self.can_start(&said)?;
        let gone = self.gone(&said.apps);
        let next = Next {
            apps: &said.apps,
            gone: &gone,
        };
        let possible = self.workshop.check(next);
        possible.map_err(|wrong| Unprepared::refusal(&wrong))?;
        let file = self.reread.as_ref().map(|reread| reread.file.display());
        Ok(Plan {
            file: file.map(|file| file.to_string()).unwrap_or_default(),
            apps: self.app_plans(next),
            held_back: said.held_back,
        })
    }

    /// What is missing for those who are to get other workers. Whoever stays as it is needs nothing new.
    fn missing<'s>(&self, said: &'s Said) -> impl Iterator<Item = &'s Missing> {
        let mut changes = self.fleet.plan(&said.apps);
        changes.retain(|(_, change)| !matches!(change, Change::Same));
        let missing = said.missing.iter();
        missing.filter(move |missing| changes.iter().any(|(app, _)| *app == missing.app))
    }

    fn can_start(&self, said: &Said) -> Result<(), Refusal> {
        match missing::lines(self.missing(said)) {
            lines if lines.is_empty() => Ok(()),
            lines => Err((RefusalKind::BadConfig, lines)),
        }
    }

    /// The apps that the file has no more.
    fn gone(&self, apps: &[AppDefinition]) -> Vec<AppName> {
        let changes = self.fleet.plan(apps).into_iter();
        let gone = changes.filter(|(_, change)| matches!(change, Change::Removed(_)));
        gone.map(|(name, _)| name).collect()
    }

    fn app_plans(&self, next: Next<'_>) -> Vec<AppPlan> {
        let apps = next.apps;
        let sockets = self.workshop.sockets.changes(next);
        let now = self.fleet.snapshot(self.now()).apps;
        let size = |name: &str| {
            let app = now.iter().find(|app| app.name == name);
            app.map_or(0, |app| app.instances)
        };
        let instances = |name: &str| {
            let app = apps.iter().find(|app| app.name.as_str() == name);
            app.map_or(0, |app| app.instances)
        };
        let plans = self.fleet.plan(apps).into_iter().map(|(name, change)| {
            let (app, from) = (name.to_string(), size(name.as_str()));
            let sockets = sockets.iter().filter(|(whose, _)| *whose == name);
            let sockets = sockets.map(|(_, what)| what.clone()).collect();
            let (action, to, keys) = match change {
                Change::Same => ("keep", from, vec![]),
                Change::Added(to) => ("start", to, vec![]),
                Change::Removed(_) => ("stop", 0, vec![]),
                Change::Resized { to, .. } => ("resize", to, vec!["instances"]),
                Change::Changed(keys) => {
                    let resized = keys.contains(&"instances");
                    let to = if resized { instances(&app) } else { from };
                    ("roll", to, keys)
                }
            };
            AppPlan {
                app,
                action: action.into(),
                from,
                to,
                keys: keys.into_iter().map(str::to_owned).collect(),
                sockets,
            }
        });
        plans.collect()
    }

    /// Makes everything ready for what the file says now, or nothing.
    fn prepare_all(
        &mut self,
        said: Said,
        environment: Option<String>,
    ) -> Result<Vec<AppDefinition>, Refusal> {
        self.can_start(&said)?;
        let gone = self.gone(&said.apps);
        let next = Next {
            apps: &said.apps,
            gone: &gone,
        };
        let changes = self.workshop.sockets.changes(next);
        let possible = self.workshop.try_prepare_all(next);
        possible.map_err(|wrong| Unprepared::refusal(&wrong))?;
        for app in &gone {
            self.workshop.sockets.leave_out_all(app);
        }
        for (app, what) in changes {
            tracing::info!("reload --config: {app}: {what}");
        }
        for app in &said.apps {
            self.workshop.equip(app, &self.handle);
            self.workshop.rights.take(app);
        }
        self.workshop.renew_doors();
        let watched = said.apps.iter();
        let watched = watched.map(|app| (app.name.clone(), Some(app.clone())));
        let by_command = self.by_command(&said.apps).into_iter();
        let watched = watched.chain(by_command.map(|name| (name, None)));
        self.workshop.watch_files(watched.collect(), &[]);
        for what in said.held_back {
            tracing::warn!("{what}");
        }
        if let Some(reread) = &mut self.reread {
            tracing::info!("reload --config: read {} again", reread.file.display());
            reread.environment = environment.or_else(|| reread.environment.take());
        }
        Ok(said.apps)
    }

    /// The apps that came by command and stay as they are, whatever the file says.
    fn by_command(&self, file: &[AppDefinition]) -> Vec<AppName> {
        let added = self.fleet.added();
        let others = added.filter(|name| file.iter().all(|app| app.name != **name));
        others.cloned().collect()
    }

    /// SIGHUP: each app there is takes up what the file says now, and is rolled, and so are those that came by command. One
    /// that is new starts with it anyway, one whose new definition can't be had, or needs what is missing, is left alone, as is
    /// one that would have given it an address, and one that is on its way out already goes on so.
    fn take_over(&mut self, said: Said) -> Vec<Input> {
        let file = self.reread.as_ref().map(|reread| reread.file.display());
        let file = file.map(|file| file.to_string()).unwrap_or_default();
        tracing::info!("SIGHUP: read {file} again");
        let missing: Vec<Missing> = self.missing(&said).cloned().collect();
        for what in said.held_back {
            tracing::warn!("{what}");
        }
        let by_command = self.by_command(&said.apps);
        let (mut rolled, mut gone_from_file) = (by_command.clone(), vec![]);
        for (name, change) in self.fleet.plan(&said.apps) {
            match change {
                Change::Added(_) => {}
                Change::Same | Change::Resized { .. } | Change::Changed(_) => rolled.push(name),
                Change::Removed(_) => {
                    tracing::warn!(
                        "{name} is not in {file} any more, and runs on as it was, its files unwatched; `ostler stop {name}` ends it"
                    );
                    gone_from_file.push(name.clone());
                    rolled.push(name);
                }
            }
        }
        let names: Vec<AppName> = said.apps.iter().map(|app| app.name.clone()).collect();
        let lacking = missing.iter().map(|missing| Unprepared {
            app: missing.app.clone(),
            why: missing.to_string(),
        });
        let defined = self
            .workshop
            .prepare(said.apps, lacking.collect(), &self.handle);
        let mut taken = vec![];
        for name in names {
            let new = defined.iter().find(|app| app.name == name);
            match new {
                Some(app) => self.workshop.rights.take(app),
                None => rolled.retain(|app| *app != name),
            }
            taken.push((name, new.cloned()));
        }
        taken.extend(by_command.into_iter().map(|name| (name, None)));
        self.workshop.watch_files(taken, &gone_from_file);
        self.workshop.renew_doors();
        let rolls = rolled.into_iter().map(|app| roll(app.to_string()));
        std::iter::once(Input::DefineAll(defined))
            .chain(rolls)
            .collect()
    }

    /// SIGHUP without a file.
    fn roll_all(&self) -> Vec<Input> {
        let apps = self.fleet.snapshot(self.now()).apps;
        apps.into_iter().map(|app| roll(app.name)).collect()
    }
}

fn roll(app: String) -> Input {
    Input::RestartNeeded {
        wish: WorkerRestartNeeded {
            app: Some(app),
            reason: None,
        },
        by: Requester::Signal("SIGHUP"),
    }
}
