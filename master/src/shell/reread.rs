//! Reading the process file again: to tell what that would change, or to take it up.

use std::{fmt, path::PathBuf};

use ostler_bus::vocab::{
    control::{Answer, RefusalKind},
    plan::{AppPlan, Plan, PlanAnswer},
};
use tokio::sync::oneshot;

use super::{Shell, Waiting};
use crate::{
    config::app::AppDefinition,
    fleet::{Change, Command, Input},
};

/// Reads the process file again.
pub struct Reread {
    /// The file, for people.
    pub file: PathBuf,
    /// The environment that it was last taken up for.
    pub environment: Option<String>,
    /// Reads and checks it for an environment; what is wrong with it, in words, if anything is.
    pub read: Box<dyn FnMut(Option<String>) -> Result<Said, String> + Send>,
}

/// What the process file says now.
#[derive(Debug)]
pub struct Said {
    /// The apps.
    pub apps: Vec<AppDefinition>,
    /// What can't be taken up while the master runs, in words.
    pub held_back: Vec<String>,
}

impl fmt::Debug for Reread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reread")
            .field("file", &self.file)
            .field("environment", &self.environment)
            .finish_non_exhaustive()
    }
}

impl Reread {
    fn again(&mut self, environment: Option<String>) -> Result<Said, (RefusalKind, String)> {
        let environment = environment.or_else(|| self.environment.clone());
        (self.read)(environment).map_err(|why| (RefusalKind::BadConfig, why))
    }
}

/// A master of one command has nothing to read.
fn no_file() -> (RefusalKind, String) {
    let why = "this master was started without a process file; there is nothing to read again";
    (RefusalKind::WrongState, why.into())
}

impl Shell {
    /// What the file would change now.
    pub(super) fn plan(&mut self, environment: Option<String>) -> PlanAnswer {
        let said = match &mut self.reread {
            Some(reread) => reread
                .again(environment)
                .map(|said| (said, reread.file.clone())),
            None => Err(no_file()),
        };
        match said {
            Ok((said, file)) => PlanAnswer::Plan(Plan {
                file: file.display().to_string(),
                apps: self.app_plans(&said.apps),
                held_back: said.held_back,
            }),
            Err((kind, reason)) => PlanAnswer::Refused { kind, reason },
        }
    }

    fn app_plans(&self, apps: &[AppDefinition]) -> Vec<AppPlan> {
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
            }
        });
        plans.collect()
    }

    /// Takes up what the file says now, or nothing of it.
    pub(super) fn take_up(
        &mut self,
        environment: Option<String>,
        answer: oneshot::Sender<Answer>,
    ) -> Vec<Input> {
        match self.read_and_prepare(environment) {
            Ok(apps) => {
                let request = self.token(Waiting::Command(answer));
                let command = Command::TakeUp(apps);
                vec![Input::Command { request, command }]
            }
            Err((kind, reason)) => {
                tracing::error!("reload --config: nothing was changed: {reason}");
                // Whoever asked has gone.
                let _gone = answer.send(Answer::Refused { kind, reason });
                vec![]
            }
        }
    }

    fn read_and_prepare(
        &mut self,
        environment: Option<String>,
    ) -> Result<Vec<AppDefinition>, (RefusalKind, String)> {
        let reread = self.reread.as_mut().ok_or_else(no_file)?;
        let said = reread.again(environment.clone())?;
        let known = self.fleet.snapshot(self.now()).apps;
        let mut ready: Vec<AppDefinition> = Vec::new();
        for app in said.apps {
            match self.workshop.try_prepare(app, &self.handle) {
                Ok(app) => ready.push(app),
                Err(why) => {
                    // Sockets that only this file wanted.
                    let new =
                        |app: &&AppDefinition| known.iter().all(|k| k.name != app.name.as_str());
                    for app in ready.iter().filter(new) {
                        self.workshop.forget(&app.name);
                    }
                    return Err((RefusalKind::WrongState, why));
                }
            }
        }
        for app in &ready {
            self.workshop.rights.take(app);
        }
        self.workshop.renew_doors();
        let watched = ready
            .iter()
            .map(|app| (app.name.clone(), Some(app.clone())));
        self.workshop.watch_files(watched.collect());
        for what in said.held_back {
            tracing::warn!("{what}");
        }
        if let Some(reread) = &mut self.reread {
            tracing::info!("reload --config: read {} again", reread.file.display());
            reread.environment = environment.or_else(|| reread.environment.clone());
        }
        Ok(ready)
    }
}
