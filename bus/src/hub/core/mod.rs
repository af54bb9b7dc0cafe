//! The pure routing core: what the hub decides, without a socket, a clock or a thread.
//!
//! The shell tells it what happened: [`Core::connect`], [`Core::receive`] with whole frames, [`Core::disconnect`],
//! [`Core::expire`]; and asks what to do: [`Core::take_dirty`] names connections with something to write,
//! [`Core::take_output`] gives it, [`Core::is_closing`] says that a connection ends once that is written.
//!
//! Each connection has an [outbox](queue): bounded, and the only place where anything waits. [Routes](routes) are worked
//! out once per publisher, topic and type, and remembered until a subscription to the topic comes or goes. How connections
//! come and go is in [`lifecycle`], what they are given to write in [`outgoing`].

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
mod later;
mod lifecycle;
mod list;
mod mailbox;
mod memory;
mod outgoing;
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
mod thrift;
mod types;

#[cfg(test)]
pub(in crate::hub) mod tests;

use std::{
    collections::VecDeque,
    sync::{Arc, atomic::AtomicU64},
    time::Instant,
};

use self::{
    conn::Conn,
    deadlines::{Deadline, Deadlines},
    groups::Left,
    history::History,
    holds::Holds,
    later::{Recent, Workshop},
    mailbox::Mailboxes,
    memory::Tally,
    requests::Requests,
    retained::Retained,
    routes::Routes,
    session::Sessions,
    stats::Ledger,
    thrift::Thrift,
    types::Types,
};
use super::{
    handle::HubOptions, notice::HubNotice, numbered::NumberMap, principal::Role, rules::Rules,
};
use crate::{
    Limits,
    wire::control::{CloseKind, RefusalKind},
};

pub(super) use self::{
    conn::{Claim as PeerClaim, Door, WorkerToken},
    output::Output,
    owner::Whose,
};

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
    /// Where events change their form when they are written.
    workshop: Workshop,
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
            workshop: Workshop {
                thrift: Thrift::new(now),
                recent: Recent::default(),
            },
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

    /// Bytes held for all connections together.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn held(&self) -> usize {
        self.tally.total()
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
                Deadline::Thrift => self.wake_waiting(),
            }
        }
        self.regroup();
    }

    fn conn(&self, id: u64) -> Option<&Conn> {
        self.conns.get(&id).map(|conn| &**conn)
    }

    fn is_master(&self, id: u64) -> bool {
        self.conn(id)
            .and_then(Conn::peer)
            .is_some_and(|p| p.principal.role() == Role::Master)
    }
}
