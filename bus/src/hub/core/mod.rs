//! The pure routing core: what the hub decides, without a socket, a clock or a thread.
//!
//! The shell tells it what happened: [`Core::connect`], [`Core::receive`] with whole frames, [`Core::disconnect`],
//! [`Core::expire`]; and asks what to do: [`Core::take_dirty`] names connections with something to write,
//! [`Core::take_output`] gives it, [`Core::is_closing`] says that a connection ends once that is written.
//!
//! Each connection has an [outbox](queue): bounded, and the only place where anything waits. Routes are worked out once
//! per publisher, topic and type, and remembered until a subscription comes or goes.

mod conn;
mod control;
mod deadlines;
mod deliver;
mod edge;
mod emit;
mod hello;
mod item;
mod list;
mod memory;
mod output;
mod parcel;
mod path;
mod queue;
mod receive;
mod requests;
mod retained;
mod routes;
mod stats;
mod types;

#[cfg(test)]
pub(in crate::hub) mod tests;

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use bytes::Bytes;

use self::{
    conn::{Conn, Phase},
    deadlines::{Deadline, Deadlines},
    item::Whole,
    memory::Tally,
    requests::Requests,
    retained::Retained,
    routes::Routes,
    stats::Ledger,
    types::Types,
};
use super::{handle::HubOptions, notice::HubNotice, principal::Role, rules::Rules};
use crate::{
    Limits,
    wire::{
        control::{CloseKind, HubOp, Refusal, RefusalKind},
        hello::Codec,
    },
};

pub(super) use self::{conn::Door, output::Output};

/// How often a subscription's losses are told to the hub's own process.
const LAG_NOTICE_EVERY: Duration = Duration::from_secs(10);

/// Refusals without a reference that one connection is told, each kind once per topic.
const UNASKED_REFUSALS: usize = 256;

/// The state of a hub.
#[derive(Debug)]
pub(super) struct Core {
    name: String,
    limits: Limits,
    rules: Rules,
    types: Types,
    conns: HashMap<u64, Conn>,
    routes: Routes,
    retained: Retained,
    requests: Requests,
    deadlines: Deadlines,
    tally: Tally,
    ledger: Ledger,
    /// The last sequence number of the data lane and of the control lane.
    seq: [u64; 2],
    /// Numbers the inputs, to tell read buffers apart.
    input: u64,
    /// Counts connections closed by the hub.
    closings: u64,
    now: Instant,
    dirty: Vec<u64>,
    notices: Vec<HubNotice>,
}

impl Core {
    pub(super) fn new(options: &HubOptions, now: Instant) -> Self {
        Self {
            name: options.name.clone(),
            limits: options.limits.clone(),
            rules: options.rules.clone(),
            types: Types::new(&options.builtins),
            conns: HashMap::new(),
            routes: Routes::default(),
            retained: Retained::default(),
            requests: Requests::default(),
            deadlines: Deadlines::default(),
            tally: Tally::default(),
            ledger: Ledger::new(now),
            seq: [0; 2],
            input: 0,
            closings: 0,
            now,
            dirty: Vec::new(),
            notices: Vec::new(),
        }
    }

    /// A peer has come in through `door`; `id` was never used before.
    pub(super) fn connect(&mut self, now: Instant, id: u64, door: Door) {
        self.now = now;
        let until = match door {
            Door::Known(_) => None,
            Door::Path(_) => Some(now + self.limits.hello_timeout),
        };
        let conn = Conn::new(id, door, until, now, &self.tally);
        self.conns.insert(id, conn);
        // Whoever is known comes in whatever strangers do: the fleet's workers and the master's own features.
        let Some(until) = until else { return };
        self.deadlines.set(until, Deadline::Hello(id));
        if self.conns.len() > self.limits.connections {
            let reason = format!(
                "{} connections are open, and no more may",
                self.limits.connections
            );
            self.close(id, CloseKind::Limit, reason);
        }
    }

    /// The connection is gone, or was closed and written out.
    pub(super) fn disconnect(&mut self, id: u64, reason: &str) {
        self.depart(id, reason);
        if let Some(mut conn) = self.conns.remove(&id) {
            conn.outbox.leave_all();
            self.ledger.bury(&conn.outbox);
        }
    }

    /// Ends a connection: it is told why, and nothing more is taken from it.
    pub(super) fn close(&mut self, id: u64, kind: CloseKind, reason: String) {
        if self.is_closing(id) {
            return;
        }
        self.closings += 1;
        self.depart(id, &reason);
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.outbox.clear();
            conn.outbox.push_own(0, HubOp::Closing { kind, reason });
        }
        self.mark(id);
    }

    /// Tells every connection that the hub stops, after what it already has to read.
    pub(super) fn stop(&mut self) {
        let mut ids: Vec<u64> = self.conns.keys().copied().collect();
        ids.sort_unstable();
        for id in ids {
            if self.is_closing(id) {
                continue;
            }
            self.depart(id, "the hub stops");
            if let Some(conn) = self.conns.get_mut(&id) {
                let closing = HubOp::Closing {
                    kind: CloseKind::Stopping,
                    reason: "the hub stops; connect again once it is back".into(),
                };
                let frame = output::control_frame(conn.codec, 0, closing);
                conn.outbox.push_unowned(Whole::plain(frame));
            }
            self.mark(id);
        }
    }

    /// Whether the connection ends once its output is written.
    pub(super) fn is_closing(&self, id: u64) -> bool {
        self.conn(id)
            .is_none_or(|c| matches!(c.phase, Phase::Closing))
    }

    /// Moves what may be written now into `out`.
    pub(super) fn take_output(&mut self, id: u64, out: &mut Output) {
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.outbox.take(out);
        }
    }

    /// Whether anything waits to be written.
    pub(super) fn has_output(&self, id: u64) -> bool {
        self.conn(id).is_some_and(|c| !c.outbox.is_empty())
    }

    /// The last frame a connection gets when the hub itself has failed.
    pub(super) fn fault_frame(&self, id: u64) -> Option<Bytes> {
        let closing = HubOp::Closing {
            kind: CloseKind::Fault,
            reason: "the hub failed and begins anew: connect again".into(),
        };
        self.conn(id)
            .map(|c| output::control_frame(c.codec, 0, closing))
    }

    /// Connections that have something new to write, or to end.
    pub(super) fn take_dirty(&mut self, into: &mut Vec<u64>) {
        into.clear();
        std::mem::swap(&mut self.dirty, into);
        for id in into {
            if let Some(conn) = self.conns.get_mut(id) {
                conn.dirty = false;
            }
        }
    }

    /// What the hub's own process should know.
    pub(super) fn take_notices(&mut self) -> Vec<HubNotice> {
        std::mem::take(&mut self.notices)
    }

    /// When [`expire`](Self::expire) has something to do.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.next()
    }

    /// Does what is due.
    pub(super) fn expire(&mut self, now: Instant) {
        self.now = now;
        while let Some(deadline) = self.deadlines.due(now) {
            match deadline {
                Deadline::Hello(id) => {
                    let reason = format!("no HELLO within {:?}", self.limits.hello_timeout);
                    self.close(id, CloseKind::Hello, reason);
                }
                Deadline::Call(call) => {
                    self.fail_call(call, RefusalKind::TimedOut, |topic| {
                        format!("no answer to {topic:?} came in time")
                    });
                }
            }
        }
    }

    /// The frame for a peer that may not even say HELLO.
    pub(super) fn denial(reason: String) -> Bytes {
        let kind = CloseKind::Denied;
        output::control_frame(Codec::Json, 0, HubOp::Closing { kind, reason })
    }

    fn conn(&self, id: u64) -> Option<&Conn> {
        self.conns.get(&id)
    }

    fn is_master(&self, id: u64) -> bool {
        self.conn(id)
            .and_then(Conn::peer)
            .is_some_and(|p| p.principal.role() == Role::Master)
    }

    fn mark(&mut self, id: u64) {
        if let Some(conn) = self.conns.get_mut(&id)
            && !conn.dirty
        {
            conn.dirty = true;
            self.dirty.push(id);
        }
    }

    /// Answers something that the connection asked.
    fn answer(&mut self, id: u64, r#ref: u64, op: HubOp) {
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
    fn refuse_unasked(&mut self, id: u64, topic: &str, kind: RefusalKind, reason: String) {
        self.ledger.refused += 1;
        let Some(conn) = self.conns.get_mut(&id) else {
            return;
        };
        if conn.told.len() < UNASKED_REFUSALS && conn.told.insert((topic.to_owned(), kind)) {
            self.answer(id, 0, HubOp::Refused(Refusal { kind, reason }));
        }
    }

    /// Takes a connection out of everything others see of it.
    fn depart(&mut self, id: u64, reason: &str) {
        let Some(conn) = self.conns.get_mut(&id) else {
            return;
        };
        let phase = std::mem::replace(&mut conn.phase, Phase::Closing);
        let subs = std::mem::take(&mut conn.subs);
        let asks = std::mem::take(&mut conn.asks);
        let serves = std::mem::take(&mut conn.serves);
        conn.types.clear();
        conn.paths = path::PathCache::default();
        for (sub, state) in subs {
            self.routes.remove(&state.pattern, id, sub);
        }
        for call in asks {
            self.end_call(call);
        }
        for call in serves {
            self.fail_call(call, RefusalKind::Declined, |topic| {
                format!("whoever was to answer {topic:?} has gone")
            });
        }
        match phase {
            Phase::Greeting { until: None, .. } => {}
            Phase::Greeting {
                until: Some(until), ..
            } => {
                self.deadlines.clear(until, Deadline::Hello(id));
                self.ledger.turned_away += 1;
                self.notices.push(HubNotice::TurnedAway {
                    reason: reason.to_owned(),
                });
            }
            Phase::Open(peer) => {
                peer.card.gone.set(true);
                for knower in peer.card.known_to.borrow().iter() {
                    if let Some(conn) = self.conns.get_mut(knower) {
                        conn.outbox.forget(id);
                        if !conn.dirty {
                            conn.dirty = true;
                            self.dirty.push(*knower);
                        }
                    }
                }
                self.notices.push(HubNotice::Disconnected {
                    conn: id,
                    principal: (*peer.principal).clone(),
                    reason: reason.to_owned(),
                });
            }
            Phase::Closing => {}
        }
    }
}
