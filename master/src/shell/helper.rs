//! Running a command beside a worker: as its user, with its environment and in its directory, but without its sockets, its
//! files and its bus.
//! It leads a group of its own, which is killed when its time is over, or when nobody wants it any more.

use std::{sync::Arc, time::Duration};

use ostler_bus::vocab::worker::ExitStatus;

use super::workshop::Workshop;
use crate::{
    config::{app::given::Given, shell_line, units},
    fleet::SpawnOrder,
    process::{self, Child, Gifts, Identity, Outlets, SpawnSpec, Spawner},
};

/// How long the pipes of an ended command are still read, if others hold them open.
const PIPE_GRACE: Duration = Duration::from_millis(100);

/// How long the end of a killed command is waited for.
const KILLED_WITHIN: Duration = Duration::from_secs(1);

/// A command that is ready to run.
#[derive(Debug)]
pub(super) struct Helper {
    name: String,
    who: Arc<Identity>,
    spec: SpawnSpec,
    spawner: Spawner,
    /// Where its lines go.
    outlets: Outlets,
}

impl Workshop {
    /// A command beside the worker of this order; `pid` is its process, if it has one yet.
    pub(super) fn helper(
        &self,
        command: &[String],
        order: &SpawnOrder,
        pid: Option<u32>,
    ) -> Helper {
        let who = Identity {
            app: order.app.clone(),
            slot: order.slot,
            id: order.id,
            generation: order.generation,
        };
        let mut beside = order.definition.as_ref().clone();
        beside.command = command.to_vec();
        beside.given = Given::default();
        beside.life.watchdog = None;
        let gifts = Gifts {
            ports: &self.sockets.of_worker(&order.definition, order.slot),
            ..Gifts::default()
        };
        let base = self.inherited(&beside);
        let mut spec = process::spawn_spec(base, &beside, &who, gifts, self.open_files);
        spec.env
            .extend(pid.map(|pid| ("OSTLER_PID".into(), pid.to_string().into())));
        Helper {
            name: shell_line::shown(command),
            who: Arc::new(who),
            spec,
            spawner: self.spawner.clone(),
            outlets: Outlets::default(),
        }
    }
}

impl Helper {
    /// Its lines go where its worker's do, with `label` before each.
    pub(super) fn in_the_log(
        self,
        workshop: &Workshop,
        order: &SpawnOrder,
        label: &'static str,
    ) -> Self {
        let files = &workshop.log_files;
        let (log, all) = (&workshop.log, &workshop.all_lines);
        let outlets = files.outlets(&order.definition, &self.who, log, all);
        Self {
            outlets: outlets.labelled(label),
            ..self
        }
    }

    /// It finds these variables as well.
    pub(super) fn with(mut self, variables: Vec<(&'static str, String)>) -> Self {
        let variables = variables.into_iter();
        let variables = variables.map(|(name, value)| (name.into(), value.into()));
        self.spec.env.extend(variables);
        self
    }

    /// Runs it to its end; good is an exit with 0 in time.
    pub(super) async fn run(self, time: Duration) -> Result<(), String> {
        self.run_until(time, std::future::pending()).await
    }

    /// The same, cut short as soon as `unwanted`.
    pub(super) async fn run_until(
        self,
        time: Duration,
        unwanted: impl Future<Output = ()>,
    ) -> Result<(), String> {
        let Self {
            name,
            who,
            spec,
            spawner,
            outlets,
        } = self;
        let mut unwanted = std::pin::pin!(unwanted);
        let cut_short = || Err(format!("`{name}` was cut short"));
        let spawned = tokio::select! {
            spawned = spawner.spawn(&spec, Vec::new()) => spawned,
            () = &mut unwanted => return cut_short(),
        };
        let spawned = spawned.map_err(|error| match error.hint() {
            Some(hint) => format!("`{name}`: {error} ({hint})"),
            None => format!("`{name}`: {error}"),
        })?;
        let child = spawned.child;
        let whose = (who, child.pid());
        let output = process::capture(spawned.stdout, spawned.stderr, whose, outlets);
        let ended = tokio::select! {
            ended = child.exited() => Ok(ended),
            () = tokio::time::sleep(time) => {
                Err(format!("`{name}` took longer than {}", units::exact(time)))
            }
            () = unwanted => cut_short().map(|()| ExitStatus::Unknown),
        };
        let ended = match ended {
            Ok(ended) => ended,
            Err(why) => {
                kill(child).await;
                return Err(why);
            }
        };
        child.cleared().await;
        let words = match output {
            Ok(output) => output.finish(PIPE_GRACE).await.stderr_tail.pop(),
            Err(_) => None,
        };
        match ended {
            ExitStatus::Code(0) => Ok(()),
            ExitStatus::Code(code) => Err(because(format!("`{name}` exited with {code}"), words)),
            ExitStatus::Signal(signal) => {
                Err(because(format!("`{name}` was ended by {signal}"), words))
            }
            ExitStatus::Unknown | ExitStatus::NotStarted(_) => {
                Err(format!("`{name}` is gone, how is not known"))
            }
        }
    }
}

/// Kills it with its group, and waits for its end: but not for long, as what hangs in the kernel may take its time.
async fn kill(child: Child) {
    child.note_leavers();
    // ESRCH: it has just ended.
    let _ = child.signal_group(libc::SIGKILL);
    let end = tokio::spawn(async move {
        child.exited().await;
        child.cleared().await;
    });
    let _in_time = tokio::time::timeout(KILLED_WITHIN, end).await;
}

/// With its last words, if it had any.
fn because(what: String, words: Option<String>) -> String {
    match words {
        Some(words) => format!("{what}: {words}"),
        None => what,
    }
}
