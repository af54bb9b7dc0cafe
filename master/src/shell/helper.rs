//! Running a command beside a worker: with its environment and in its directory, but without its sockets and its bus.
//! It leads a group of its own, which is killed when its time is over.

use std::{ffi::OsString, sync::Arc, time::Duration};

use ostler_bus::vocab::worker::ExitStatus;

use super::worker::Workshop;
use crate::{
    config::{app::probe::fill, units},
    fleet::SpawnOrder,
    process::{self, Gifts, Identity, SpawnSpec, Spawner},
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
        more: &[(&str, String)],
    ) -> Helper {
        let who = Identity {
            app: order.app.clone(),
            slot: order.slot,
            id: order.id,
            generation: order.generation,
        };
        let base = self.environment.iter().cloned();
        let mut env = process::environment(base, &order.definition, &who, Gifts::default());
        env.extend(pid.map(|pid| ("OSTLER_PID".into(), pid.to_string().into())));
        env.extend(
            more.iter()
                .map(|(name, value)| ((*name).into(), value.into())),
        );
        let mut words = command
            .iter()
            .map(|word| OsString::from(fill(word, order.slot.0, order.id.0)));
        let spec = SpawnSpec {
            program: words.next().unwrap_or_default(),
            args: words.collect(),
            env,
            cwd: order
                .definition
                .cwd
                .as_ref()
                .map(|cwd| cwd.clone().into_os_string()),
            umask: None,
            listen_pid: false,
            watchdog_pid: false,
            open_files: self.open_files,
        };
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
        let output = process::capture(spawned.stdout, spawned.stderr, who, Vec::new());
        let child = spawned.child;
        let Ok(ended) = tokio::time::timeout(time, child.exited()).await else {
            // ESRCH: it has just ended.
            let _ = child.signal_group(libc::SIGKILL);
            child.exited().await;
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
