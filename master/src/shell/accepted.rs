//! What workers accept themselves, where the master doesn't: as they tell it. It is for the status alone, and nothing is decided by it, so
//! the fleet hears nothing of it.

use std::collections::{BTreeMap, HashMap};

use ostler_bus::{
    WorkerId,
    vocab::{
        status::{AcceptStatus, AcceptingWorker},
        worker::Accepted,
    },
};

use super::Shell;
use crate::sockets::SocketId;

/// The counts of each socket, as long as it is bound.
#[derive(Debug, Default)]
pub struct Accepts(HashMap<SocketId, OfSocket>);

#[derive(Debug, Default)]
struct OfSocket {
    /// Of workers that have ended.
    before: u64,
    workers: BTreeMap<WorkerId, u64>,
}

impl Accepts {
    /// Numbers only grow: what is less was said before, and heard late.
    fn told(&mut self, socket: SocketId, worker: WorkerId, accepted: u64) {
        let of = self.0.entry(socket).or_default();
        let its = of.workers.entry(worker).or_default();
        *its = accepted.max(*its);
    }

    /// A worker has ended; what it has accepted is its sockets' still. `is_bound` says which are.
    fn ended(&mut self, worker: WorkerId, is_bound: impl Fn(SocketId) -> bool) {
        self.0.retain(|socket, _| is_bound(*socket));
        for of in self.0.values_mut() {
            let its = of.workers.remove(&worker).unwrap_or_default();
            of.before = of.before.saturating_add(its);
        }
    }

    /// What is told of a socket, if anything was.
    pub(super) fn status(&self, socket: SocketId) -> Option<AcceptStatus> {
        let of = self.0.get(&socket)?;
        let workers = of.workers.iter();
        let sum = |sum: u64, accepted: &u64| sum.saturating_add(*accepted);
        Some(AcceptStatus {
            accepted: of.workers.values().fold(of.before, sum),
            workers: workers
                .map(|(id, accepted)| AcceptingWorker {
                    id: *id,
                    accepted: *accepted,
                })
                .collect(),
        })
    }
}

impl Shell {
    /// A worker tells what it has accepted so far. What isn't its own is passed over.
    pub(super) fn accepted(&mut self, id: WorkerId, told: &Accepted) {
        let Some(process) = self.processes.get(&id) else {
            return;
        };
        let (app, slot) = (&process.order.definition, process.order.slot);
        let workshop = &mut self.workshop;
        for (socket, name) in workshop.sockets.names(app, slot) {
            if let Some(accepted) = told.sockets.get(name) {
                workshop.accepts.told(socket, id, *accepted);
            }
        }
    }

    /// A worker has ended.
    pub(super) fn accepts_no_more(&mut self, id: WorkerId) {
        let sockets = &self.workshop.sockets;
        let is_bound = |socket| sockets.get(socket).is_some();
        self.workshop.accepts.ended(id, is_bound);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(accepts: &Accepts, socket: SocketId) -> Option<(u64, Vec<(u64, u64)>)> {
        let status = accepts.status(socket)?;
        let workers = status.workers.iter();
        let workers = workers.map(|worker| (worker.id.0, worker.accepted));
        Some((status.accepted, workers.collect()))
    }

    #[test]
    fn counts_are_their_workers_and_what_these_accepted_is_the_sockets_when_they_have_gone() {
        let (http, own) = (SocketId::made_up(1), SocketId::made_up(2));
        let (old, new) = (WorkerId(3), WorkerId(4));
        let mut accepts = Accepts::default();
        assert_eq!(shown(&accepts, http), None);
        accepts.told(http, old, 0);
        assert_eq!(shown(&accepts, http), Some((0, vec![(3, 0)])));
        accepts.told(http, old, 7);
        accepts.told(http, old, 5);
        accepts.told(own, old, 1);
        accepts.told(http, new, 2);
        assert_eq!(shown(&accepts, http), Some((9, vec![(3, 7), (4, 2)])));
        accepts.ended(old, |socket| socket == http);
        assert_eq!(shown(&accepts, http), Some((9, vec![(4, 2)])));
        assert_eq!(shown(&accepts, own), None, "it was closed");
        accepts.told(http, new, u64::MAX);
        assert_eq!(shown(&accepts, http).map(|(all, _)| all), Some(u64::MAX));
    }
}
