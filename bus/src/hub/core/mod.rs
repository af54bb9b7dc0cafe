//! The pure routing core: what the hub decides, without a socket, a clock or a thread.
//!
//! The shell tells it what happened: [`Core::connect`], [`Core::receive`] with whole frames, [`Core::disconnect`],
//! [`Core::expire`]; and asks what to do: [`Core::take_dirty`] names connections with something to write,
//! [`Core::take_output`] gives it, [`Core::is_closing`] says that a connection ends once that is written.
//!
//! Each connection has an [outbox](queue): bounded, and the only place where anything waits. [Routes](routes) are worked
//! out once per publisher, topic and type, and remembered until a subscription to the topic comes or goes.

mod absent;
mod alike;
mod conn;
mod control;
mod deadlines;
mod deliver;
mod edge;
mod emit;
mod expiry;
mod groups;
mod hello;
mod history;
mod holds;
mod item;
mod kept;
mod lag;
mod list;
mod mailbox;
mod memory;
mod output;
mod overflow;
mod owner;
mod parcel;
mod path;
mod plans;
mod queue;
mod receive;
mod reliable;
mod requests;
mod resume;
mod retained;
mod routes;
mod ruling;
mod session;
mod stats;
mod types;

#[cfg(test)]
pub(in crate::hub) mod tests;

use std::{
    collections::VecDeque,
    sync::{Arc, atomic::AtomicU64},
    time::{Duration, Instant},
};

use bytes::Bytes;

use self::{
    conn::{Conn, Phase},
    deadlines::{Deadline, Deadlines},
    groups::Left,
    history::History,
    holds::Holds,
    item::Whole,
    mailbox::Mailboxes,
    memory::Tally,
    requests::Requests,
    retained::Retained,
    routes::Routes,
    session::Sessions,
    stats::Ledger,
    types::Types,
};
use super::{
    handle::HubOptions, notice::HubNotice, numbered::NumberMap, principal::Role, rules::Rules,
};
use crate::{
    Limits,
    wire::{
        control::{CloseKind, HubOp, Refusal, RefusalKind},
        hello::Codec,
    },
};

pub(super) use self::{
    conn::{Claim as PeerClaim, Door, WorkerToken},
    output::Output,
    owner::Whose,
};

/// How often a subscription's losses are told to the hub's own process.
const LAG_NOTICE_EVERY: Duration = Duration::from_secs(10);

/// Refusals without a reference that one connection is told, each kind once per topic.
const UNASKED_REFUSALS: usize = 256;

/// The state of a hub.
#[derive(Debug)]
pub(super) struct Core {
    name: String,
    /// No other life of a hub has it.
    life: u128,
    limits: Limits,
    rules: Rules,
    /// They are not those under which everybody subscribed.
    rules_changed: bool,
    types: Types,
    /// Boxed, as a map has up to twice the room it needs.
    conns: NumberMap<Box<Conn>>,
    routes: Routes,
    retained: Retained,
    history: History,
    sessions: Sessions,
    mailboxes: Mailboxes,
    requests: Requests,
    /// Topics that publishers hold back.
    holds: Holds,
    /// What members of groups left behind, to be given to others.
    left: VecDeque<Left>,
    /// Events that no member of their group was left for.
    ungrouped: u64,
    /// Counts what groups were given, for their members to take turns.
    turn: u64,
    deadlines: Deadlines,
    tally: Tally,
    ledger: Ledger,
    /// The last sequence number of the data lane and of the control lane.
    seq: [u64; 2],
    /// Numbers the inputs, to tell read buffers apart.
    input: u64,
    /// Counts connections closed by the hub.
    closings: u64,
    /// When this life began.
    began: Instant,
    now: Instant,
    dirty: Vec<u64>,
    notices: Vec<HubNotice>,
    /// What peers have claimed since the shell last looked.
    claims: Vec<PeerClaim>,
    /// Grows when answers given before stand no longer.
    revision: Arc<AtomicU64>,
}

impl Core {
    /// `life`: random, another each time.
    pub(super) fn new(options: &HubOptions, life: u128, now: Instant) -> Self {
        let tally = Tally::default();
        Self {
            name: options.name.clone(),
            life,
            limits: options.limits.clone(),
            rules: options.rules.clone(),
            types: Types::new(&options.builtins, &options.limits, &tally),
            rules_changed: false,
            conns: NumberMap::default(),
            routes: Routes::default(),
            retained: Retained::default(),
            history: History::new(&options.history, options.limits.history_bytes),
            sessions: Sessions::default(),
            mailboxes: Mailboxes::default(),
            requests: Requests::default(),
            holds: Holds::new(&options.limits, &tally),
            left: VecDeque::new(),
            ungrouped: 0,
            turn: 0,
            deadlines: Deadlines::default(),
            tally,
            ledger: Ledger::new(now),
            seq: [0; 2],
            input: 0,
            closings: 0,
            began: now,
            now,
            dirty: Vec::new(),
            notices: Vec::new(),
            claims: Vec::new(),
            revision: Arc::default(),
        }
    }

    /// No answer stands longer than `revision` stays what it was when its question was put. The one thing that is known of
    /// the world without being told: to be told takes a while, and whoever asks next may come before.
    pub(super) fn follow(&mut self, revision: Arc<AtomicU64>) {
        self.revision = revision;
    }

    /// A peer has come in through `door`; `id` was never used before.
    pub(super) fn connect(&mut self, now: Instant, id: u64, door: Door) {
        self.now = now;
        let until = match door {
            Door::Known(_) | Door::Inherited(..) => None,
            Door::Path(_) | Door::Network => Some(now + self.limits.hello_timeout),
        };
        if let Door::Known(principal) | Door::Inherited(principal, _) = &door {
            self.open_mailbox(id, principal);
        }
        let conn = Conn::new(id, door, until, now, &self.tally);
        self.conns.insert(id, Box::new(conn));
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

    /// The connection is this one's: as the system says, or as a token shows.
    pub(super) fn vouch(&mut self, id: u64, whose: Whose) {
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.whose = Some(whose);
        }
    }

    /// The connection is gone, or was closed and written out.
    pub(super) fn disconnect(&mut self, now: Instant, id: u64, reason: &str) {
        self.now = now;
        self.leave_all_to_others(id);
        self.depart(id, reason);
        if let Some(mut conn) = self.conns.remove(&id) {
            conn.outbox.leave_all();
            self.ledger.bury(&conn.outbox);
        }
        self.regroup();
    }

    /// Ends a connection that may not stay: it is told why.
    pub(super) fn dismiss(&mut self, now: Instant, id: u64, kind: CloseKind, reason: String) {
        self.now = now;
        self.close(id, kind, reason);
        self.regroup();
    }

    /// Ends a connection: it is told why, and nothing more is taken from it. Whatever of the core's doors this happens
    /// behind sees to [`regroup`](Self::regroup) before it is left.
    fn close(&mut self, id: u64, kind: CloseKind, reason: String) {
        if self.is_closing(id) {
            return;
        }
        self.closings += 1;
        self.leave_all_to_others(id);
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

    /// Bytes held for all connections together.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn held(&self) -> usize {
        self.tally.total()
    }

    /// Whether the connection ends once its output is written.
    pub(super) fn is_closing(&self, id: u64) -> bool {
        self.conn(id)
            .is_none_or(|c| matches!(c.phase, Phase::Closing))
    }

    /// Moves what may be written now into `out`.
    pub(super) fn take_output(&mut self, now: Instant, id: u64, out: &mut Output) {
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.outbox.take(now, out);
            if conn.outbox.has_eased() {
                self.end_eased(id);
            }
        }
    }

    /// Whether [`take_dirty`](Self::take_dirty) names anybody.
    pub(super) fn is_dirty(&self) -> bool {
        !self.dirty.is_empty()
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
        let reserved = self.routes.take_reserved().into_iter();
        let listening = |(pattern, begun)| HubNotice::Listening { pattern, begun };
        self.notices.extend(reserved.map(listening));
        std::mem::take(&mut self.notices)
    }

    /// What peers claim. Each is to be answered by [`vouched`](Self::vouched).
    pub(super) fn take_claims(&mut self) -> Vec<PeerClaim> {
        std::mem::take(&mut self.claims)
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
                Deadline::Session(session) => self.session_due(session),
                Deadline::Mailbox(id) => self.close_mailbox(id),
                Deadline::Call(call) => {
                    self.fail_call(call, RefusalKind::TimedOut, |topic| {
                        format!("no answer to {topic:?} came in time")
                    });
                }
                Deadline::Held(id, sub) => self.held_too_long(id, sub),
                Deadline::Over(id, sub) => self.look_over(id, sub),
                Deadline::Notice(id, sub) => self.notice_lag(id, sub),
                Deadline::Gather(number) => self.finish_gather(number),
            }
        }
        self.regroup();
    }

    /// The frame for a peer that may not even say HELLO.
    pub(super) fn denial(kind: CloseKind, reason: String) -> Bytes {
        output::control_frame(Codec::Json, 0, HubOp::Closing { kind, reason })
    }

    fn conn(&self, id: u64) -> Option<&Conn> {
        self.conns.get(&id).map(|conn| &**conn)
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
        self.leave_session(id);
        self.close_mailbox(id);
        self.forget_answers(id);
        let Some(conn) = self.conns.get_mut(&id) else {
            return;
        };
        let phase = std::mem::replace(&mut conn.phase, Phase::Closing);
        let subs = std::mem::take(&mut conn.subs);
        let asks = std::mem::take(&mut conn.asks);
        let serves = std::mem::take(&mut conn.serves);
        conn.types.clear();
        conn.paths = path::PathCache::default();
        let peer = match &phase {
            Phase::Open(peer) => Some(peer),
            Phase::Greeting { .. } | Phase::Vouching { .. } | Phase::Closing => None,
        };
        for (sub, state) in subs {
            self.end_sub(id, sub, &state, peer);
        }
        self.holds.leave(id);
        for call in asks {
            self.end_call(call);
        }
        for call in serves {
            self.fail_call(call, RefusalKind::Declined, |topic| {
                format!("whoever was to answer {topic:?} has gone")
            });
        }
        match phase {
            Phase::Greeting { until: None, .. } | Phase::Vouching { until: None, .. } => {}
            Phase::Greeting {
                until: Some(until), ..
            }
            | Phase::Vouching {
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
