//! Running a command beside a worker: as its user, with its environment and in its directory, but without its sockets, its
//! files and its bus.
//! It leads a group of its own, which is killed when its time is over.

use std::{sync::Arc, time::Duration};

use ostler_bus::vocab::worker::ExitStatus;

use super::worker::Workshop;
use crate::{
    config::{app::given::Given, units},
    fleet::SpawnOrder,
    process::{self, Gifts, Identity, Outlets, SpawnSpec, Spawner},
};

/// How long the pipes of an ended command are still read, if others hold them open.
const PIPE_GRACE: Duration = Duration::from_millis(100);

/// A command that is ready to run.
#[derive(Debug)]
pub(super) struct Helper {
    name: String,
    who: Arc<Identity>,
    spec: SpawnSpec,
    spawner: Spawner,
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
        let base = self.environment.iter().cloned();
        let gifts = Gifts::default();
        let mut spec = process::spawn_spec(base, &beside, &who, gifts, self.open_files);
        spec.env
            .extend(pid.map(|pid| ("OSTLER_PID".into(), pid.to_string().into())));
        Helper {
            name: command.join(" "),
            who: Arc::new(who),
            spec,
            spawner: self.spawner.clone(),
        }
    }
}

impl Helper {
    /// Runs it to its end; good is an exit with 0 in time.
    pub(super) async fn run(self, time: Duration) -> Result<(), String> {
        let Self {
            name,
            who,
            spec,
            spawner,
        } = self;
        let spawned = spawner
            .spawn(spec, Vec::new())
            .await
            .map_err(|error| format!("`{name}`: {error}"))?;
        let child = spawned.child;
        let whose = (who, child.pid());
        let output = process::capture(spawned.stdout, spawned.stderr, whose, Outlets::default());
        let Ok(ended) = tokio::time::timeout(time, child.exited()).await else {
            // ESRCH: it has just ended.
            let _ = child.signal_group(libc::SIGKILL);
            // What hangs in the kernel may take its time to end.
            tokio::spawn(async move { child.exited().await });
            return Err(format!("`{name}` took longer than {}", units::exact(time)));
        };
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

/// With its last words, if it had any.
fn because(what: String, words: Option<String>) -> String {
    match words {
        Some(words) => format!("{what}: {words}"),
        None => what,
    }
}
