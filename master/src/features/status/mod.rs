//! The keeper of status: answers `masterStatus`, and broadcasts it when it is emitted.

mod machine;

use std::time::Duration;

use futures::StreamExt;
use ostler_bus::{
    Origin,
    client::{Bus, Delivery, SubscribeError},
    hub::Hub,
    vocab::{
        rules::may_answer_on,
        status::{MasterInfo, MasterStatus, StatusReport},
    },
};
use tokio::time::Instant;

use self::machine::Machine;
use super::{Settling, system_restart::RestartMark};
use crate::{escape, fleet::Snapshot, shell::ShellHandle};

/// While the fleet stays as it is, questions are answered from a report at most this old: ages, memory and load move on.
const FRESH: Duration = Duration::from_millis(250);

/// Broadcasts are at least this far apart: ten a second.
const BROADCAST_EVERY: Duration = Duration::from_millis(100);

/// Makes reports.
#[derive(Debug)]
pub struct Keeper {
    shell: ShellHandle,
    hub: Hub,
    mark: RestartMark,
    title: String,
    file: Option<String>,
    cores: u32,
    started: Instant,
    machine: Machine,
    hostname: String,
    os: String,
    last: Option<Made>,
}

/// A report, and when it was made.
#[derive(Debug)]
struct Made {
    at: Instant,
    changes: u64,
    report: StatusReport,
}

impl Keeper {
    /// The keeper for the master of these options, which may use so many cores.
    #[must_use]
    pub fn new(
        shell: ShellHandle,
        hub: Hub,
        mark: RestartMark,
        (title, file): (String, Option<String>),
        cores: u32,
    ) -> Self {
        let system = rustix::system::uname();
        Self {
            shell,
            hub,
            mark,
            title,
            file,
            cores,
            started: Instant::now(),
            machine: Machine::new(),
            hostname: system.nodename().to_string_lossy().into_owned(),
            os: format!(
                "{} {}",
                system.sysname().to_string_lossy(),
                system.release().to_string_lossy()
            ),
            last: None,
        }
    }

    /// Runs until the bus goes.
    ///
    /// # Errors
    /// If the hub refuses a subscription.
    pub async fn run(mut self, bus: Bus, settling: Option<Settling>) -> Result<(), SubscribeError> {
        let mut questions = bus.serve::<MasterStatus>().await?;
        let mut events = bus.subscribe::<MasterStatus>().await?;
        drop(settling);
        let mut wanted: Option<Instant> = None;
        let mut not_before = Instant::now();
        loop {
            let due = async {
                match wanted {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                call = questions.next() => match call {
                    Some(call) => match self.report().await {
                        Some((report, holds)) => { let _gone = call.reply_for(&report, holds).await; }
                        None => call.decline("the master is stopping"),
                    },
                    None => return Ok(()),
                },
                delivery = events.next() => match delivery {
                    Some(Delivery::Event(received)) => {
                        self.answer_on_topic(&bus, received.event.id.as_deref(), &received.origin).await;
                        wanted = wanted.or(Some(not_before));
                    }
                    Some(
                        Delivery::Lagged { .. }
                        | Delivery::Misfit { .. }
                        | Delivery::Reconnected { .. }
                        | Delivery::Disconnected(_),
                    ) => {}
                    None => return Ok(()),
                },
                () = due => {
                    wanted = None;
                    not_before = Instant::now() + BROADCAST_EVERY;
                    if let Some((report, _)) = self.report().await
                        && let Err(error) = bus.emit_retained(&report).await
                    {
                        tracing::debug!("status was not broadcast: {error}");
                    }
                }
            }
        }
    }

    /// OpenTMI's way of asking: the answer comes as an event of the name the asker chose. Never on a built-in topic, and
    /// only where the asker could publish itself.
    async fn answer_on_topic(&mut self, bus: &Bus, id: Option<&str>, asker: &Origin) {
        let Some(id) = id else { return };
        if let Err(reason) = may_answer_on(&self.hub.rules(), id, asker) {
            return tracing::warn!(
                "masterStatus was not answered on {:?}: {reason}",
                escape::line(id)
            );
        }
        if let Some((report, _)) = self.report().await
            && let Err(error) = bus.emit_to(id, &report).await
        {
            tracing::debug!("masterStatus was not answered on {id:?}: {error}");
        }
    }

    /// A report, and for how long it is fresh unless the fleet changes.
    async fn report(&mut self) -> Option<(StatusReport, Duration)> {
        // Looked at first: a change while the snapshot is under way makes it a snapshot of before.
        let changes = self.shell.changes();
        if let Some(made) = &self.last
            && made.changes == changes
            && let Some(fresh) = FRESH.checked_sub(made.at.elapsed())
        {
            return Some((made.report.clone(), fresh));
        }
        let snapshot = self.shell.snapshot().await?;
        let report = self.describe(snapshot);
        self.last = Some(Made {
            at: Instant::now(),
            changes,
            report: report.clone(),
        });
        Some((report, FRESH))
    }

    fn describe(&mut self, snapshot: Snapshot) -> StatusReport {
        let Snapshot { apps, mut workers } = snapshot;
        for worker in workers.iter_mut().filter(|worker| !worker.dead) {
            worker.memory = worker.pid.and_then(crate::process::resident_memory);
            worker.cpu_ms = worker.pid.and_then(crate::process::cpu_time);
        }
        let alive = workers
            .iter()
            .filter(|worker| worker.pid.is_some() && !worker.dead)
            .count();
        let mark = self.mark.borrow().clone();
        let pid = std::process::id();
        StatusReport {
            master: MasterInfo {
                title: self.title.clone(),
                version: env!("CARGO_PKG_VERSION").into(),
                file: self.file.clone(),
                pid,
                uptime: self.started.elapsed().as_secs(),
                memory: crate::process::resident_memory(pid).unwrap_or(0),
                restart_needed: mark.is_some(),
                restart_reason: mark.and_then(|mark| mark.reason),
                cores_used: format!("{} of {}", alive.min(self.cores as usize), self.cores),
            },
            hostname: self.hostname.clone(),
            os: self.os.clone(),
            machine: self.machine.look(),
            apps,
            workers,
        }
    }
}
