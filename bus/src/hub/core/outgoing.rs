//! What connections are given to write: who has something new, and the answers to what was asked.

use std::time::Instant;

use super::{Core, conn::Phase, deadlines::Deadline, output::Output};
use crate::wire::control::{HubOp, Refusal, RefusalKind};

/// Refusals without a reference that one connection is told, each kind once per topic.
const UNASKED_REFUSALS: usize = 256;

impl Core {
    /// Connections that have something new to write, or to end.
    pub(in crate::hub) fn take_dirty(&mut self, into: &mut Vec<u64>) {
        into.clear();
        std::mem::swap(&mut self.dirty, into);
        for id in into {
            if let Some(conn) = self.conns.get_mut(id) {
                conn.dirty = false;
            }
        }
    }

    /// Moves what may be written now into `out`. If some of it changed its form only now, which the answer is, the core is
    /// to be told what that took: see [`spent`](Self::spent).
    pub(in crate::hub) fn take_output(&mut self, now: Instant, id: u64, out: &mut Output) -> bool {
        let Some(conn) = self.conns.get_mut(&id) else {
            return false;
        };
        let made = conn.outbox.take(now, &mut self.workshop, out);
        if conn.outbox.has_eased() {
            self.end_eased(id);
        }
        if let Some(due) = self.workshop.thrift.call(now) {
            self.deadlines.set(due, Deadline::Thrift);
        }
        made
    }

    /// Whether [`take_dirty`](Self::take_dirty) names anybody.
    pub(in crate::hub) fn is_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// Whether anything waits to be written.
    pub(in crate::hub) fn has_output(&self, id: u64) -> bool {
        self.conn(id).is_some_and(|c| !c.outbox.is_empty())
    }

    /// It has something new to write, or is to end.
    pub(super) fn mark(&mut self, id: u64) {
        if let Some(conn) = self.conns.get_mut(&id)
            && !conn.dirty
        {
            conn.dirty = true;
            self.dirty.push(id);
        }
    }

    /// Answers something that the connection asked.
    pub(super) fn answer(&mut self, id: u64, r#ref: u64, op: HubOp) {
        self.ledger.refused += u64::from(r#ref != 0 && matches!(op, HubOp::Refused(_)));
        if let Some(conn) = self.conns.get_mut(&id)
            && !matches!(conn.phase, Phase::Closing)
        {
            conn.outbox.push_own(r#ref, op);
            self.mark(id);
        }
    }

    /// Refuses something that has no reference: told once per topic and kind, or a mistake made in a loop would fill the
    /// connection with refusals.
    pub(super) fn refuse_unasked(
        &mut self,
        id: u64,
        topic: &str,
        kind: RefusalKind,
        reason: String,
    ) {
        self.ledger.refused += 1;
        let Some(conn) = self.conns.get_mut(&id) else {
            return;
        };
        if conn.told.len() < UNASKED_REFUSALS && conn.told.insert((topic.to_owned(), kind)) {
            self.answer(id, 0, HubOp::Refused(Refusal { kind, reason }));
        }
    }
}
