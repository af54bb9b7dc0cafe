//! Lines from operators to workers' standard input.

use std::collections::BTreeMap;

use ostler_bus::{
    Slot, WorkerId,
    vocab::control::{AppSend, RefusalKind, SendAnswer},
};

use super::{Shell, worker::Process};
use crate::{
    config::app::AppName,
    fleet::Portrait,
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
        let meant = match self.fleet.portraits(Some(&wanted.app)) {
            Ok(meant) => meant,
            Err((kind, reason)) => return refused(kind, reason),
        };
        let workers = self.newest(&meant);
        if workers.is_empty() {
            let reason = format!("no worker of {} is running", wanted.app);
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

    /// The newest worker of each slot that is meant.
    fn newest(&self, meant: &[Portrait]) -> BTreeMap<(&AppName, Slot), (WorkerId, &Process)> {
        let mut newest = BTreeMap::new();
        for (id, process) in &self.processes {
            let (app, slot) = (&process.order.app, process.order.slot);
            let is_meant = meant.iter().any(|of| of.means(app, slot));
            let is_newer = |(known, _): &(WorkerId, &Process)| known < id;
            if is_meant && newest.get(&(app, slot)).is_none_or(is_newer) {
                newest.insert((app, slot), (*id, process));
            }
        }
        newest
    }
}

fn refused(kind: RefusalKind, reason: String) -> SendAnswer {
    SendAnswer::Refused { kind, reason }
}
