//! Counting what a draining worker still has open, for whoever waits for it. Workers that tell it themselves (`Holding`) are
//! believed; of all others the master counts the connections, from outside.

use std::{collections::HashMap, sync::Arc, time::Duration};

use ostler_bus::WorkerId;
use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, sleep},
};

use super::Shell;
use crate::{fleet::WorkerNews, sockets};

/// Not counted more often than this: it is for people to read. Nor sooner: who tells, or has little to finish, has done so.
const EVERY: Duration = Duration::from_secs(1);

/// One counts at a time, and then all rest for so many times as long as that took: together they take a twentieth of a core at
/// most.
const REST: u32 = 19;

/// Where it could not be counted that is tried again after this: what there is too much of may go.
const AGAIN: Duration = Duration::from_secs(10);

/// Who is being counted; it ends when its entry goes.
#[derive(Debug)]
pub(super) struct Counts {
    of: HashMap<WorkerId, JoinSet<()>>,
    turn: Arc<Semaphore>,
    /// Who has begun to drain in this step of the fleet.
    new: Vec<WorkerId>,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            of: HashMap::new(),
            turn: Arc::new(Semaphore::new(1)),
            new: Vec::new(),
        }
    }
}

impl Counts {
    /// Only noted: workers that drain at once must hear so at once, or what is meant for one that has gone waits and comes to the last.
    pub(super) fn begins_to_drain(&mut self, id: WorkerId) {
        self.new.push(id);
    }

    /// Counts a worker's connections no more: it has gone, or tells itself.
    pub(super) fn stop(&mut self, id: WorkerId) {
        self.of.remove(&id);
    }
}

impl Shell {
    /// Begins to count for those that have begun to drain.
    pub(super) fn count_for_drainers(&mut self) {
        for id in std::mem::take(&mut self.counts.new) {
            self.count_connections(id);
        }
    }

    /// Counts a draining worker's connections until it has gone, or tells itself.
    fn count_connections(&mut self, id: WorkerId) {
        let Some(process) = self.processes.get(&id) else {
            return;
        };
        let (order, pid) = (&process.order, process.pid());
        let doors = self
            .workshop
            .sockets
            .doors(&order.definition, order.slot, id);
        if doors.is_empty() {
            return;
        }
        let (doors, shell) = (Arc::new(doors), self.handle.clone());
        let turn = Arc::clone(&self.counts.turn);
        let mut counting = JoinSet::new();
        counting.spawn(async move {
            loop {
                sleep(EVERY).await;
                let Ok(turn) = turn.acquire().await else {
                    return;
                };
                let (began, doors) = (Instant::now(), Arc::clone(&doors));
                let count = move || sockets::open_connections(pid, &doors);
                let count = tokio::task::spawn_blocking(count).await.ok().flatten();
                // Also the same again: how old it is matters.
                shell.news(id, WorkerNews::Counted(count)).await;
                sleep(began.elapsed() * REST).await;
                drop(turn);
                if count.is_none() {
                    sleep(AGAIN).await;
                }
            }
        });
        self.counts.of.insert(id, counting);
    }
}
