//! `ostler signal`: a signal to workers, to their children, or to all that descend from them.

use std::{collections::BTreeSet, time::Duration};

use ostler_bus::{
    WorkerId,
    vocab::{
        commands::{AppSignal, SignalAnswer, SignalScope},
        control::RefusalKind,
        worker::ExitStatus,
    },
};
use tokio::{sync::oneshot, time::Instant};

use super::{Shell, worker::Process};
use crate::{config::signal, fleet::SignalTarget, process::family, sys};

/// A worker that ends of a signal so long after it was sent one has had another.
const LATELY: Duration = Duration::from_secs(10);

/// Workers with their processes.
type Workers = Vec<(WorkerId, Process)>;

impl Shell {
    /// That a worker ended of a signal that a command has sent it, if it did.
    pub(super) fn sent_by_command(&mut self, id: WorkerId, status: &ExitStatus) -> Option<String> {
        let (number, at) = self.signalled.remove(&id)?;
        let name = sys::signal_name(number);
        let of_it = matches!(status, ExitStatus::Signal(signal) if *signal == name);
        (of_it && at.elapsed() < LATELY)
            .then(|| format!("`ostler signal` had sent it {name} just before"))
    }

    /// Sends it, and answers. Families are looked up on a thread of their own: that takes as long as there are processes.
    pub(super) fn signal_workers(
        &mut self,
        wanted: &AppSignal,
        answer: oneshot::Sender<SignalAnswer>,
    ) {
        let meant = self.meant(wanted);
        let (number, workers) = match meant {
            Ok(meant) => meant,
            Err((kind, reason)) => {
                // Whoever asked has gone.
                let _gone = answer.send(SignalAnswer::Refused { kind, reason });
                return;
            }
        };
        let scope = wanted.scope;
        if scope != SignalScope::Children {
            if number == libc::SIGKILL {
                self.killed.extend(workers.iter().map(|(id, _)| *id));
            }
            let now = Instant::now();
            let sent = workers.iter().map(|(id, _)| (*id, (number, now)));
            self.signalled.extend(sent);
        }
        let work = move || {
            let _gone = answer.send(send(number, scope, &workers));
        };
        match scope {
            SignalScope::Worker => work(),
            SignalScope::Children | SignalScope::Tree => drop(tokio::task::spawn_blocking(work)),
        }
    }

    /// The signal's number, and the processes of the workers that are meant.
    fn meant(&self, wanted: &AppSignal) -> Result<(i32, Workers), (RefusalKind, String)> {
        let by_number = wanted.signal.parse().ok().filter(|n| (1..=64).contains(n));
        let number = by_number.map_or_else(|| signal::number(&wanted.signal), Ok);
        let number = number.map_err(|wrong| {
            let reason = format!("{}; {}", wrong.problem, wrong.fix);
            (RefusalKind::Invalid, reason)
        })?;
        let ids: BTreeSet<WorkerId> = self.fleet.workers(Some(&wanted.app))?;
        let process = |id: WorkerId| Some((id, self.processes.get(&id)?.clone()));
        let workers: Vec<_> = ids.into_iter().filter_map(process).collect();
        match workers.is_empty() {
            false => Ok((number, workers)),
            true => Err((
                RefusalKind::WrongState,
                format!("no worker of {} is running", wanted.app),
            )),
        }
    }
}

fn send(number: i32, scope: SignalScope, workers: &[(WorkerId, Process)]) -> SignalAnswer {
    let (mut processes, mut failed) = (0, Vec::new());
    for (id, process) in workers {
        // From the leaves to the root: nobody's parent is gone before it was found.
        let family = match scope {
            SignalScope::Worker => Vec::new(),
            SignalScope::Children => family::children(process.pid()),
            SignalScope::Tree => family::descendants(process.pid()),
        };
        for member in family.iter().rev() {
            match member.signal(number) {
                Ok(true) => processes += 1,
                Ok(false) => {}
                Err(error) => {
                    failed.push(format!("process {} of worker {id}: {error}", member.pid));
                }
            }
        }
        if scope == SignalScope::Children {
            continue;
        }
        match process.signal(number, SignalTarget::Leader) {
            Ok(()) => processes += 1,
            // It has just ended.
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
            Err(error) => failed.push(format!("worker {id}: {error}")),
        }
    }
    match failed.is_empty() {
        true => SignalAnswer::Sent {
            processes,
            workers: u32::try_from(workers.len()).unwrap_or(u32::MAX),
        },
        false => SignalAnswer::Refused {
            kind: RefusalKind::WrongState,
            reason: format!("the signal could not be sent to all: {}", failed.join("; ")),
        },
    }
}
