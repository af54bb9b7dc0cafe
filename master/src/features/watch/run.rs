//! The watchers as clients of the bus.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    path::{Path, PathBuf},
    pin::pin,
    time::Duration,
};

use futures::future::{self, OptionFuture};
use ostler_bus::{
    client::{Bus, EmitError},
    vocab::update::{ConfigChanged, SystemRestartNeeded, WorkerRestartNeeded},
};

use tokio::{sync::watch, task::JoinSet};

use super::{AppWatch, poll::PollWatch};
use crate::config::{
    app::{AppDefinition, AppName},
    program,
    units::exact,
};

/// Watches the master's program, the process file if there is one, and these apps, as they are defined from time to time,
/// until the bus goes.
///
/// # Errors
/// None: what can't be watched is logged.
pub async fn all(
    bus: Bus,
    file: Option<PathBuf>,
    mut apps: watch::Receiver<Watched>,
    home: PathBuf,
) -> Result<(), Infallible> {
    let own: Vec<PathBuf> = file.clone().into_iter().chain([home]).collect();
    let file = OptionFuture::from(file.map(|file| process_file(bus.clone(), file)));
    let masters = future::join(own_program(bus.clone()), file);
    let apps = async {
        let mut watchers = Watchers::default();
        loop {
            let wanted = apps.borrow_and_update().now();
            watchers.follow(&wanted, |of| app(bus.clone(), of, own.clone()));
            if apps.changed().await.is_err() {
                return future::pending().await;
            }
        }
    };
    let watchers = future::join(masters, apps);
    future::select(pin!(watchers), pin!(bus.closed())).await;
    // Watchers that can't watch have ended before.
    bus.closed().await;
    Ok(())
}

/// The apps whose files are to be watched.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Watched {
    /// Those that want it, as they are defined now.
    pub apps: Vec<AppDefinition>,
    /// The apps that are to run: of others no change matters.
    pub running: BTreeSet<AppName>,
}

impl Watched {
    /// Those to be watched now.
    #[must_use]
    pub fn now(&self) -> Vec<AppDefinition> {
        let runs = |app: &&AppDefinition| self.running.contains(&app.name);
        self.apps.iter().filter(runs).cloned().collect()
    }
}

/// A watcher for each app that wants one. They end with this.
#[derive(Default)]
struct Watchers(BTreeMap<AppName, (AppDefinition, JoinSet<()>)>);

impl Watchers {
    /// Those of apps that are gone end, as do those of apps that are defined otherwise now, and these and the new ones
    /// begin.
    fn follow<F>(&mut self, apps: &[AppDefinition], begin: impl Fn(AppDefinition) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.0.retain(|name, (of, _)| {
            let stays = apps.contains(of);
            if !stays && apps.iter().all(|app| app.name != *name) {
                tracing::info!("{name}: its files are watched no longer");
            }
            stays
        });
        for app in apps {
            self.0.entry(app.name.clone()).or_insert_with(|| {
                let mut task = JoinSet::new();
                task.spawn(begin(app.clone()));
                (app.clone(), task)
            });
        }
    }
}

/// Publishes `workerRestartNeeded` whenever files of `app` have changed, those of the masters aside.
pub async fn app(bus: Bus, app: AppDefinition, own: Vec<PathBuf>) {
    if let Some(every) = app.auto_reload.as_ref().and_then(|watch| watch.poll) {
        return poll(bus, app, own, every).await;
    }
    let mut watch = match AppWatch::start(&app, program(&app).as_deref(), &own) {
        Ok(watch) => watch,
        Err(error) => {
            return tracing::error!(
                "{}: can't watch for changes: {}",
                app.name,
                super::told(&error)
            );
        }
    };
    tracing::info!(
        "{}: watching {} directories for changes",
        app.name,
        watch.directories()
    );
    loop {
        let path = watch.changed().await;
        if let Err(error) = tell(&bus, &app.name, &path).await {
            return tracing::warn!("{}: changes are no longer watched: {error}", app.name);
        }
    }
}

/// The same where files are looked at again and again.
async fn poll(bus: Bus, app: AppDefinition, own: Vec<PathBuf>, every: Duration) {
    let (name, program) = (app.name.clone(), program(&app));
    let Some(mut watch) = PollWatch::start(app, program, own, every).await else {
        return tracing::error!("{name}: can't look for changes");
    };
    tracing::info!(
        "{name}: looking at {} files each {} for changes",
        watch.files(),
        exact(every)
    );
    while let Some(path) = watch.changed().await {
        if let Err(error) = tell(&bus, &name, &path).await {
            return tracing::warn!("{name}: changes are no longer looked for: {error}");
        }
    }
    tracing::error!("{name}: changes are no longer looked for");
}

async fn tell(bus: &Bus, app: &AppName, path: &Path) -> Result<(), EmitError> {
    let reason = format!("file changed: {}", path.display());
    tracing::info!("{app}: {reason}");
    let wish = WorkerRestartNeeded {
        app: Some(app.to_string()),
        reason: Some(reason),
    };
    bus.emit(&wish).await
}

/// Publishes `config.changed` whenever the process file has changed.
pub async fn process_file(bus: Bus, file: PathBuf) {
    let Ok(mut watch) = AppWatch::files(vec![file]) else {
        return;
    };
    loop {
        let path = watch.changed().await.display().to_string();
        let hint = format!(
            "`ostler plan` shows what that would change, and `ostler reload --config` does it (kill -HUP {} rolls every app)",
            std::process::id()
        );
        tracing::info!("{path} has changed; nothing was done about it yet: {hint}");
        if bus.emit(&ConfigChanged { path, hint }).await.is_err() {
            return;
        }
    }
}

/// Publishes `systemRestartNeeded` when the master's own program has changed.
pub async fn own_program(bus: Bus) {
    let Ok(program) = std::env::current_exe() else {
        return;
    };
    let Ok(mut watch) = AppWatch::files(vec![program]) else {
        return;
    };
    loop {
        let path = watch.changed().await;
        let reason = Some(format!(
            "the master's program has changed: {}",
            path.display()
        ));
        if bus.emit(&SystemRestartNeeded { reason }).await.is_err() {
            return;
        }
    }
}

fn program(app: &AppDefinition) -> Option<PathBuf> {
    let cwd = app.cwd.clone().or_else(|| std::env::current_dir().ok())?;
    program::resolve(
        app.command.first()?,
        Path::new(&cwd),
        app.search_path().as_deref(),
    )
    .ok()
}
