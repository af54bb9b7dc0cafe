//! Lines from operators to workers' standard input.

use std::collections::BTreeMap;

use ostler_bus::{
    Slot, WorkerId,
    vocab::control::{AppSend, RefusalKind, SendAnswer},
};

use super::{Shell, worker::Process};
use crate::process::{NotTaken, STDIN_LINE};

impl Shell {
    /// Puts a line into the standard input of a slot's worker, or of each of the app's. Of a slot whose worker is on its
    /// way out, its successor gets it.
    pub(super) fn send_line(&self, wanted: &AppSend) -> SendAnswer {
        if wanted.line.len() > STDIN_LINE || wanted.line.contains('\n') {
            return refused(
                RefusalKind::Invalid,
                "a line has no line ending in it, and at most 64 KiB".into(),
            );
        }
        let apps = self.fleet.snapshot(self.now()).apps;
        if !apps.iter().any(|app| app.name == wanted.app) {
            let known: Vec<&str> = apps.iter().map(|app| app.name.as_str()).collect();
            let reason = format!(
                "there is no app {:?}, only {}",
                wanted.app,
                known.join(", ")
            );
            return refused(RefusalKind::UnknownName, reason);
        }
        let workers = self.newest(wanted);
        if workers.is_empty() {
            let reason = format!("no worker of {} is running there", wanted.app);
            return refused(RefusalKind::WrongState, reason);
        }
        let mut sent = 0;
        for (slot, (id, process)) in workers {
            let Some(stdin) = &process.stdin else {
                let reason = format!(
                    "worker {id} takes no lines: set stdin = \"lines\" for {} and reload it",
                    wanted.app
                );
                return refused(RefusalKind::WrongState, reason);
            };
            match stdin.send(&wanted.line) {
                Ok(()) => sent += 1,
                Err(NotTaken::Full) => {
                    let reason =
                        format!("{}.{slot} doesn't read: 64 lines wait already", wanted.app);
                    return refused(RefusalKind::Busy, reason);
                }
                Err(NotTaken::Closed) => {
                    let reason = format!("{}.{slot} has closed its standard input", wanted.app);
                    return refused(RefusalKind::WrongState, reason);
                }
            }
        }
        SendAnswer::Sent { workers: sent }
    }

    fn newest(&self, wanted: &AppSend) -> BTreeMap<Slot, (WorkerId, &Process)> {
        let mut newest = BTreeMap::new();
        for (id, process) in &self.processes {
            let is_meant = process.order.app.as_str() == wanted.app
                && wanted.slot.is_none_or(|slot| slot == process.order.slot.0);
            let is_newer = |(known, _): &(WorkerId, &Process)| known < id;
            if is_meant && newest.get(&process.order.slot).is_none_or(is_newer) {
                newest.insert(process.order.slot, (*id, process));
            }
        }
        newest
    }
}

fn refused(kind: RefusalKind, reason: String) -> SendAnswer {
    SendAnswer::Refused { kind, reason }
}
