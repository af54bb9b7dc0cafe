//! Calls that wait for their reply: entered into every table that knows of them, and taken out of all.

use std::{collections::HashMap, rc::Rc, time::Instant};

use super::{
    many::Gather,
    refusal,
    standing::{Put, Standing},
};
use crate::{
    hub::{
        core::{Core, deadlines::Deadline, types::SharedType},
        numbered::NumberMap,
    },
    wire::control::{HubOp, RefusalKind},
};

/// A call that waits for its reply.
#[derive(Debug)]
pub(in crate::hub::core) struct Pending {
    pub(super) asker: u64,
    pub(super) r#ref: u64,
    /// What the asker reads; `None`: anything.
    pub(super) reader: Option<Rc<SharedType>>,
    pub(super) responder: u64,
    pub(super) sub: u32,
    pub(super) ends: Ends,
    pub(super) urgent: bool,
    pub(super) topic: Rc<str>,
    /// What was asked, if its answer may stand.
    pub(super) put: Option<Put>,
}

/// What else ends a call than its reply.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ends {
    /// Its own time.
    At(Instant),
    /// The request to many that it is one of, by number.
    With(u64),
}

/// What is pending, by the hub's number for the call.
#[derive(Debug, Default)]
pub(in crate::hub::core) struct Requests {
    pub(super) last: u64,
    pub(super) pending: NumberMap<Pending>,
    pub(super) last_gather: u64,
    pub(super) gathers: HashMap<u64, Gather>,
    pub(super) standing: Standing,
}

impl Requests {
    /// How many wait for their answer.
    pub(in crate::hub::core) fn waiting(&self) -> usize {
        self.pending.len()
    }

    /// How many there ever were, those answered by what stands among them.
    pub(in crate::hub::core) fn begun(&self) -> u64 {
        self.last + self.standing.given
    }
}

impl Core {
    /// Enters a call into all tables.
    pub(super) fn begin_call(&mut self, call: u64, pending: Pending) {
        self.requests.last = call;
        if let Ends::At(until) = pending.ends {
            self.deadlines.set(until, Deadline::Call(call));
        }
        if let Some(conn) = self.conns.get_mut(&pending.asker) {
            conn.asks.insert(call);
        }
        if let Some(conn) = self.conns.get_mut(&pending.responder) {
            conn.serves.insert(call);
            if let Some(sub) = conn.subs.get_mut(&pending.sub) {
                sub.outstanding += 1;
                sub.last_call = call;
            }
        }
        self.requests.pending.insert(call, pending);
    }

    /// The responder will not answer.
    pub(in crate::hub::core) fn decline(&mut self, id: u64, call: u64, reason: &str) -> bool {
        let is_its = self
            .requests
            .pending
            .get(&call)
            .is_some_and(|p| p.responder == id);
        if is_its {
            self.fail_call(call, RefusalKind::Declined, |_| {
                format!("declined: {reason}")
            });
        }
        is_its
    }

    /// Ends a call without an answer, and tells the asker, if nobody else was asked.
    pub(in crate::hub::core) fn fail_call(
        &mut self,
        call: u64,
        kind: RefusalKind,
        reason: impl FnOnce(&str) -> String,
    ) {
        let Some(pending) = self.end_call(call) else {
            return;
        };
        match pending.ends {
            Ends::At(_) => {
                let refusal = refusal(kind, reason(&pending.topic));
                self.answer(pending.asker, pending.r#ref, HubOp::Refused(refusal));
            }
            Ends::With(gather) => self.went_on(gather),
        }
    }

    /// Takes a call out of all tables.
    pub(in crate::hub::core) fn end_call(&mut self, call: u64) -> Option<Pending> {
        let pending = self.requests.pending.remove(&call)?;
        match pending.ends {
            Ends::At(until) => self.deadlines.clear(until, Deadline::Call(call)),
            Ends::With(gather) => self.leave_gather(gather, call),
        }
        if let Some(conn) = self.conns.get_mut(&pending.asker) {
            conn.asks.remove(&call);
        }
        if let Some(conn) = self.conns.get_mut(&pending.responder) {
            conn.serves.remove(&call);
            if let Some(sub) = conn.subs.get_mut(&pending.sub) {
                sub.outstanding = sub.outstanding.saturating_sub(1);
            }
        }
        Some(pending)
    }
}
