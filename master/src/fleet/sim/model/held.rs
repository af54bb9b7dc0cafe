//! What a worker still has to finish, by its own word or by the master's count.

use std::time::Duration;

use ostler_bus::vocab::worker::{ExitStatus, Holding};

use crate::fleet::Moment;

/// A count that is older says nothing of one that was killed.
const FRESH: Duration = Duration::from_secs(5);

/// All that was heard of it.
#[derive(Debug, Default)]
pub(in crate::fleet::sim) struct HeldModel {
    pub(in crate::fleet::sim) told: Option<Holding>,
    /// How the last count went.
    counted: Option<u64>,
    /// What the last count was that went well, and when.
    last: Option<(u64, Moment)>,
}

impl HeldModel {
    pub(in crate::fleet::sim) fn count(&mut self, connections: Option<u64>, now: Moment) {
        self.counted = connections;
        self.last = connections.map(|n| (n, now)).or(self.last);
    }

    /// What is to be shown, of connections and of requests: its own word goes before what is counted.
    pub(in crate::fleet::sim) fn shown(&self) -> (Option<u64>, Option<u64>) {
        match self.told {
            Some(told) => (Some(told.held), told.requests),
            None => (self.counted, None),
        }
    }

    /// What is to be told at its end: a count only of one that was killed, and only if it is fresh.
    pub(in crate::fleet::sim) fn left(
        &self,
        status: &ExitStatus,
        now: Moment,
    ) -> (Option<u64>, Option<u64>) {
        if self.told.is_some() {
            return self.shown();
        }
        let killed = matches!(status, ExitStatus::Signal(_));
        let last = self.last.filter(|(_, at)| killed && now - *at <= FRESH);
        (last.map(|(n, _)| n), None)
    }
}
