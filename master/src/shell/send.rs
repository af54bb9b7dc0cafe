//! Lines from operators to workers' standard input.

use std::collections::{BTreeMap, BTreeSet};

use ostler_bus::{
    Slot, WorkerId,
    vocab::control::{AppSend, RefusalKind, SendAnswer},
};

use super::{Shell, worker::Process};
use crate::{
    config::app::AppName,
    process::{NotTaken, STDIN_LINE},
};

impl Shell {
    /// Puts a line into the standard input of each worker that is meant. Of a slot whose worker is on its
    /// way out, its successor gets it.
    pub(super) fn send_line(&self, wanted: &AppSend) -> SendAnswer {
        if wanted.line.len() > STDIN_LINE || wanted.line.contains('\n') {
            return refused(
                RefusalKind::Invalid,
                "a line has no line ending in it, and at most 64 KiB".into(),
            );
        }
        let selector = match wanted.slot {
            None => wanted.app.clone(),
            Some(slot) => format!("{}:{slot}", wanted.app),
        };
        let meant = match self.fleet.workers(Some(&selector)) {
            Ok(meant) => meant,
            Err((kind, reason)) => return refused(kind, reason),
        };
        let workers = self.newest(&meant);
        let mut all = workers.iter();
        if let Some(((app, slot), (id, _))) = all.find(|(_, (id, _))| !meant.contains(id)) {
            let reason = format!(
                "the worker that is meant has a successor, {id}: send to that, or to {app}:{slot}"
            );
            return refused(RefusalKind::Busy, reason);
        }
        if workers.is_empty() {
            let reason = format!("no worker of {selector} is running");
            return refused(RefusalKind::WrongState, reason);
        }
        let mut sent = 0;
        for ((app, slot), (id, process)) in workers {
            let Some(stdin) = &process.stdin else {
                let reason = format!(
                    "worker {id} takes no lines: set stdin = \"lines\" for {app} and reload it"
                );
                return refused(RefusalKind::WrongState, reason);
            };
            match stdin.send(&wanted.line) {
                Ok(()) => sent += 1,
                Err(NotTaken::Full) => {
                    let reason = format!("{app}.{slot} doesn't read: 64 lines wait already");
                    return refused(RefusalKind::Busy, reason);
                }
                Err(NotTaken::Closed) => {
                    let reason = format!("{app}.{slot} has closed its standard input");
                    return refused(RefusalKind::WrongState, reason);
                }
            }
        }
        SendAnswer::Sent { workers: sent }
    }

    /// The newest worker of each slot that one of these has.
    fn newest(
        &self,
        meant: &BTreeSet<WorkerId>,
    ) -> BTreeMap<(&AppName, Slot), (WorkerId, &Process)> {
        let processes = meant.iter().filter_map(|id| self.processes.get(id));
        let places: BTreeSet<_> = processes.map(place_of).collect();
        let mut newest = BTreeMap::new();
        for (id, process) in &self.processes {
            let place = place_of(process);
            let is_newer = |(known, _): &(WorkerId, &Process)| known < id;
            if places.contains(&place) && newest.get(&place).is_none_or(is_newer) {
                newest.insert(place, (*id, process));
            }
        }
        newest
    }
}

fn place_of(process: &Process) -> (&AppName, Slot) {
    (&process.order.app, process.order.slot)
}

fn refused(kind: RefusalKind, reason: String) -> SendAnswer {
    SendAnswer::Refused { kind, reason }
}
