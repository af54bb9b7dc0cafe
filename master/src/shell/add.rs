//! Apps that come by command: read, made ready, and handed to the fleet; or nothing of it. They are read on a thread of its
//! own, like the process file: whoever looks users up may have to wait.

use std::{os::unix::fs::MetadataExt as _, path::Path};

use ostler_bus::vocab::{
    commands::AppAdd,
    control::{Answer, RefusalKind},
};
use tokio::sync::oneshot;

use super::{Message, Shell, Waiting, prepare::Unprepared};
use crate::{
    config::{
        app::{AppDefinition, AppName, overlay::Inherited},
        bus_table::BusSettings,
        circumstances::Circumstances,
        file, missing,
    },
    fleet::{Command, Input},
    sockets::Next,
};

/// Which apps of a file are added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// All; those that are stopped are started.
    All,
    /// Those that there are none of; the others are left as they are.
    Missing,
}

/// Why nothing was added.
pub(super) type Refused = (RefusalKind, String);

impl Shell {
    /// Has read what a file, or a text, says.
    pub(super) fn read_to_add(
        &self,
        wanted: AppAdd,
        which: Which,
        answer: oneshot::Sender<Answer>,
    ) {
        let (networked, shell) = (self.workshop.tokens.is_some(), self.handle.clone());
        let inherited = self.fleet.inherited();
        tokio::spawn(async move {
            let read = move || trust(&wanted, networked).and_then(|()| read(&wanted, &inherited));
            let said = tokio::task::spawn_blocking(read).await;
            let said = said.unwrap_or_else(|fault| {
                let reason = format!("it could not be read: {fault}");
                Err((RefusalKind::BadConfig, reason))
            });
            let read = Message::ReadToAdd {
                said,
                which,
                answer,
            };
            shell.send(read).await;
        });
    }

    /// Adds what was read.
    pub(super) fn add(
        &mut self,
        said: Result<Vec<AppDefinition>, Refused>,
        which: Which,
        answer: oneshot::Sender<Answer>,
    ) -> Vec<Input> {
        let meant = |app: &AppDefinition| match which {
            Which::All => true,
            Which::Missing => !self.fleet.has(&app.name),
        };
        let said = said.map(|apps| apps.into_iter().filter(meant).collect());
        match said.and_then(|apps| self.make_ready(apps)) {
            Ok(apps) => {
                let request = self.token(Waiting::Command(answer));
                let command = Command::Add(apps);
                vec![Input::Command { request, command }]
            }
            Err((kind, reason)) => {
                // Whoever asked has gone.
                let _gone = answer.send(Answer::Refused { kind, reason });
                vec![]
            }
        }
    }

    fn make_ready(&mut self, apps: Vec<AppDefinition>) -> Result<Vec<AppDefinition>, Refused> {
        if let Some(clash) = self.fleet.clash(&apps) {
            return Err((RefusalKind::WrongState, clash));
        }
        let possible = self.workshop.try_prepare_all(Next::all(&apps));
        possible.map_err(|wrong| Unprepared::refusal(&wrong))?;
        for app in &apps {
            self.workshop.equip(app, &self.handle);
            self.workshop.rights.take(app);
        }
        self.workshop.renew_doors();
        self.workshop.watch_also(&apps);
        Ok(apps)
    }
}

/// Whoever may add an app may run any command as the master's user. On this machine operators are that user, or root; over
/// a network they are whoever has a token, and that shall not be enough: what is started then is in a file of that user's.
fn trust(wanted: &AppAdd, networked: bool) -> Result<(), Refused> {
    if !networked {
        return Ok(());
    }
    let refused = |reason: String| Err((RefusalKind::WrongState, reason));
    if wanted.text.is_some() {
        return refused(
            "this master is open to a network (bus.listen), where a token must not be enough to run any command; write the \
             app into a process file, and `ostler start FILE`"
                .to_owned(),
        );
    }
    let own = rustix::process::geteuid().as_raw();
    match std::fs::metadata(&wanted.file) {
        Ok(file) if ![0, own].contains(&file.uid()) => refused(format!(
            "{} is neither root's nor that of the master's user, and the master is open to a network (bus.listen)",
            wanted.file
        )),
        // What can't be read is told with its reason when it is.
        Ok(_) | Err(_) => Ok(()),
    }
}

/// The apps that the file or the text defines, none of which lacks anything.
fn read(wanted: &AppAdd, inherited: &Inherited) -> Result<Vec<AppDefinition>, Refused> {
    let path = Path::new(&wanted.file);
    if !path.is_absolute() {
        let reason = format!("{} is not an absolute path", path.display());
        return Err((RefusalKind::Invalid, reason));
    }
    let circumstances = Circumstances::here(wanted.environment.clone());
    let read = match &wanted.text {
        Some(text) => file::parse_in(path, text, &circumstances),
        None => file::read(path, &circumstances),
    };
    let bad = |reason: String| (RefusalKind::BadConfig, reason);
    let mut file = read.map_err(|errors| bad(errors.to_string()))?;
    if wanted.text.is_some() {
        // No file said it.
        for app in &mut file.apps {
            app.places = app.places.by_a_command();
        }
    }
    if let Some(only) = &wanted.only {
        let names = only.iter().map(|name| AppName::new(name.as_str()));
        let names: Vec<AppName> = names
            .collect::<Result<_, _>>()
            .map_err(|why| (RefusalKind::Invalid, why))?;
        let chosen = file.start_only(&names);
        chosen.map_err(|unknown| (RefusalKind::UnknownName, unknown))?;
        file.apps.retain(|app| names.contains(&app.name));
    }
    let missing = missing::of_inheriting(&file.apps, inherited);
    if !missing.is_empty() {
        return Err(bad(missing::lines(&missing)));
    }
    for warning in &file.warnings {
        tracing::warn!("{warning}");
    }
    if file.bus != BusSettings::default() {
        tracing::warn!(
            "{}: its [bus] is not taken up: the master has a bus already",
            path.display()
        );
    }
    Ok(file.apps)
}
