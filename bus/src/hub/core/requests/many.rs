//! Requests to many: one CALL to each connection that serves the topic, and the answers as they come.
//!
//! ```text
//! asked ──ANSWER, ANSWER, …──▶ all have answered, declined or gone ┐
//!   │                          as many as wanted have answered     ├─▶ DONE, with the number of answers
//!   │                          time is up                          ┘
//!   └─ the asker doesn't read what it asked for ──▶ REFUSED (Limit)
//! ```
//!
//! What ends it is written behind the answers, never before them. Nothing else is told of those who gave none: whoever
//! wants to know asks for an answer that names its sender, as every ANSWER does.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    time::Instant,
};

use super::{Admitted, Ends, Forms, nobody, refusal};
use crate::{
    hub::core::{
        Core, deadlines::Deadline, edge::How, item::Whole, output::control_frame, path::Target,
    },
    wire::control::{HubOp, Refusal, RefusalKind},
};

/// A request to many that goes on.
#[derive(Debug)]
pub(super) struct Gather {
    asker: u64,
    r#ref: u64,
    until: Instant,
    /// Calls that wait for their reply.
    calls: HashSet<u64>,
    /// Answers sent.
    answers: u64,
    /// So many are enough.
    enough: u64,
}

impl Core {
    /// Calls everybody who serves the topic, each connection once.
    pub(super) fn ask_many(
        &mut self,
        asked: &Admitted<'_>,
        forms: &mut Forms,
        limit: u32,
    ) -> Result<(), Refusal> {
        if asked.path.urgent {
            let reason = format!(
                "{:?} is of the control plane, where one answers: ask without MANY",
                asked.path.topic.as_str()
            );
            return Err(refusal(RefusalKind::Denied, reason));
        }
        let targets = self.one_of_each(&asked.path.targets);
        if targets.is_empty() {
            return Err(nobody(&asked.path));
        }
        self.check_waiting(asked.asker, targets.len())?;
        let number = self.requests.last_gather + 1;
        let (mut calls, mut failed) = (HashSet::new(), None);
        for target in &targets {
            match self.call(asked, target, forms, Ends::With(number)) {
                Ok(call) => {
                    calls.insert(call);
                }
                Err(refusal) => failed = Some(refusal),
            }
        }
        if let (true, Some(refusal)) = (calls.is_empty(), failed) {
            return Err(refusal);
        }
        let gather = Gather {
            asker: asked.asker,
            r#ref: asked.r#ref,
            until: asked.until,
            calls,
            answers: 0,
            enough: match limit {
                0 => u64::MAX,
                limit => limit.into(),
            },
        };
        self.requests.last_gather = number;
        self.requests.gathers.insert(number, gather);
        self.deadlines.set(asked.until, Deadline::Gather(number));
        Ok(())
    }

    /// Of each connection's subscriptions that can read it, the least busy one.
    fn one_of_each(&self, targets: &[Target]) -> Vec<Target> {
        let mut chosen: HashMap<u64, &Target> = HashMap::new();
        let mut order = Vec::new();
        for target in targets {
            if matches!(target.how, How::Misfit(_)) {
                continue;
            }
            match chosen.entry(target.conn) {
                Entry::Vacant(place) => {
                    order.push(target.conn);
                    place.insert(target);
                }
                Entry::Occupied(mut place) => {
                    if self.load(target) < self.load(place.get()) {
                        place.insert(target);
                    }
                }
            }
        }
        order.iter().map(|conn| chosen[conn].clone()).collect()
    }

    /// A call has ended. If nobody hears of it any more, neither does the rest.
    pub(super) fn leave_gather(&mut self, number: u64, call: u64) {
        let Some(gather) = self.requests.gathers.get_mut(&number) else {
            return;
        };
        gather.calls.remove(&call);
        let is_orphan = gather.calls.is_empty()
            && (self.conns.get(&gather.asker)).is_none_or(|asker| asker.peer().is_none());
        if is_orphan {
            self.end_gather(number);
        }
    }

    /// An answer was sent.
    pub(super) fn answered(&mut self, number: u64) {
        if let Some(gather) = self.requests.gathers.get_mut(&number) {
            gather.answers += 1;
        }
        self.went_on(number);
    }

    /// One has answered or will not: that may have been the last.
    pub(super) fn went_on(&mut self, number: u64) {
        let over = |g: &Gather| g.calls.is_empty() || g.answers >= g.enough;
        if self.requests.gathers.get(&number).is_some_and(over) {
            self.finish_gather(number);
        }
    }

    /// Time is up, or enough have answered.
    pub(in crate::hub::core) fn finish_gather(&mut self, number: u64) {
        if let Some(gather) = self.end_gather(number) {
            let count = gather.answers;
            self.conclude(&gather, HubOp::Done { count });
        }
    }

    /// The answers can't be sent on.
    pub(super) fn refuse_gather(&mut self, number: u64, refusal: Refusal) {
        if let Some(gather) = self.end_gather(number) {
            self.conclude(&gather, HubOp::Refused(refusal));
        }
    }

    /// Takes it out of all tables, and whatever still waits with it.
    fn end_gather(&mut self, number: u64) -> Option<Gather> {
        let gather = self.requests.gathers.remove(&number)?;
        self.deadlines.clear(gather.until, Deadline::Gather(number));
        for call in &gather.calls {
            self.end_call(*call);
        }
        Some(gather)
    }

    /// Says how it ended, behind the answers.
    fn conclude(&mut self, gather: &Gather, op: HubOp) {
        let Some(conn) = self.conns.get_mut(&gather.asker) else {
            return;
        };
        if conn.peer().is_some() {
            let frame = control_frame(conn.codec, gather.r#ref, op);
            conn.outbox.push_unowned(Whole::plain(frame));
            self.mark(gather.asker);
        }
    }
}
