//! Clients that lost their connection and are waited for.
//!
//! A client is known across its connections by the `instance` of its HELLO, together with who it is: nobody takes over
//! another's. While it is away its subscriptions stay in the routes, but only count: whoever comes back learns exactly
//! how many events it missed.
//!
//! ```text
//!           HELLO              its connection ends           it is forgotten
//!  (none) ─────────▶ present ──────────────────────▶ away ───────────────────▶ (none)
//!                     ▲   ▲                           │
//!                     │   └───────────HELLO───────────┘
//!                     └── HELLO again: the connection before is closed
//! ```
//!
//! It is forgotten when it has been away for `session_timeout`, when others that went later are too many, or when memory is short; and at
//! once if it left nothing to come back to. A subscription that is not resumed within that time is forgotten also of a client that is back.

use std::{
    collections::{BTreeSet, HashMap},
    time::Instant,
};

use super::{
    Core,
    absent::Absent,
    conn::{Phase, Sub},
    deadlines::Deadline,
    item::{Item, Run},
    memory::Charge,
    owner::Owner,
    reliable::Reliable,
};
use crate::wire::control::CloseKind;

/// What the hub needs for a session, outcomes of reliable events aside: its places in tables, and who its client is.
const SESSION_BYTES: usize = 1024;

/// A client across its connections.
#[derive(Debug)]
pub(super) struct Session {
    key: (Owner, u128),
    /// Its connection, if it has one.
    conn: Option<u64>,
    /// When its absent subscriptions are forgotten; and all of it, if it is still away.
    until: Option<Instant>,
    /// Its subscriptions that wait to be resumed, with the connection they had.
    absent: HashMap<u32, u64>,
    pub(super) reliable: Reliable,
    charge: Charge,
}

impl Session {
    /// Counts the memory it takes anew.
    pub(super) fn recharge(&mut self) {
        self.charge.set(SESSION_BYTES + self.reliable.held());
    }
}

/// All sessions.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    last: u64,
    by_key: HashMap<(Owner, u128), u64>,
    sessions: HashMap<u64, Session>,
    /// Those that are away, first the one to be forgotten first.
    away: BTreeSet<(Instant, u64)>,
    /// By connection and number.
    absent: HashMap<(u64, u32), Absent>,
}

impl Sessions {
    pub(super) fn get_mut(&mut self, session: u64) -> Option<&mut Session> {
        self.sessions.get_mut(&session)
    }

    /// The absent subscription behind a route.
    pub(super) fn absent(&self, conn: u64, sub: u32) -> Option<&Absent> {
        self.absent.get(&(conn, sub))
    }

    /// Counts events for an absent subscription, if they would have counted.
    pub(super) fn count(&mut self, route: (u64, u32), run: &Run, now: Instant) {
        if let Some(absent) = self.absent.get_mut(&route)
            && absent.told.counts(run.flags)
        {
            absent.count(run.count.into(), run.until, now);
        }
    }

    /// Counts what was on its way to a subscription that has just become absent.
    pub(super) fn count_item(&mut self, route: (u64, u32), item: &Item, now: Instant) {
        if let Some(absent) = self.absent.get_mut(&route) {
            absent.count(absent.told.owes(item), item.until(), now);
        }
    }

    /// Takes an absent subscription out, if it is the same: with the connection and number it had.
    pub(super) fn take_absent(
        &mut self,
        session: u64,
        sub: u32,
        is_same: impl FnOnce(&Absent) -> bool,
    ) -> Option<((u64, u32), Absent)> {
        let session = self.sessions.get_mut(&session)?;
        let resumes = |route: &(u64, u32)| {
            let absent = self.absent.get(route);
            absent.is_some_and(|a| a.resumes == Some(sub))
        };
        let mut routes = session.absent.iter().map(|(sub, conn)| (*conn, *sub));
        let route = match session.absent.get(&sub) {
            Some(conn) => (*conn, sub),
            None => routes.find(resumes)?,
        };
        self.absent.get(&route).filter(|a| is_same(a))?;
        session.absent.remove(&route.1);
        Some((route, self.absent.remove(&route)?))
    }
}

impl Core {
    /// A connection belongs to the client `instance` of `owner` from here on. If the client has another, that one ends.
    pub(super) fn enter_session(&mut self, id: u64, owner: Owner, instance: u128) {
        let key = (owner, instance);
        let known = self.sessions.by_key.get(&key).copied();
        let session = known.unwrap_or(self.sessions.last + 1);
        let old = self.sessions.sessions.get(&session).and_then(|s| s.conn);
        if let Some(old) = old {
            let reason = "the same client has connected again";
            self.close(old, CloseKind::Replaced, reason.into());
        }
        // The other connection may have left nothing to come back to.
        if !self.sessions.sessions.contains_key(&session) {
            self.sessions.last = self.sessions.last.max(session);
            self.sessions.by_key.insert(key.clone(), session);
            let fresh = Session {
                key,
                conn: None,
                until: None,
                absent: HashMap::new(),
                reliable: Reliable::default(),
                charge: self.tally.charge(SESSION_BYTES),
            };
            self.sessions.sessions.insert(session, fresh);
        }
        if let Some(known) = self.sessions.sessions.get_mut(&session) {
            known.conn = Some(id);
            if let Some(until) = known.until {
                self.sessions.away.remove(&(until, session));
            }
        }
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.session = Some(session);
        }
    }

    /// A connection ends: what of it can be resumed waits for its client.
    pub(super) fn leave_session(&mut self, id: u64) {
        let Some(conn) = self.conns.get_mut(&id) else {
            return;
        };
        let (Some(session), Phase::Open(peer)) = (conn.session.take(), &conn.phase) else {
            return;
        };
        let (peer, now) = (peer.clone(), self.now);
        let (stay, others) = std::mem::take(&mut conn.subs)
            .into_iter()
            .partition(|(_, state)| state.resumable);
        conn.subs = others;
        let subs: HashMap<u32, Sub> = stay;
        for (sub, state) in &subs {
            self.end_hold((id, *sub));
            self.notice_rest(id, *sub, state, Some(&peer));
            // Remembered paths end at the connection.
            self.routes.outdate(&state.pattern);
        }
        let Some(conn) = self.conns.get(&id) else {
            return;
        };
        let absent: Vec<(u32, Absent)> = subs
            .into_iter()
            .map(|(sub, state)| {
                let told = conn.outbox.told(sub).cloned().unwrap_or_default();
                let mut absent = Absent {
                    owed: conn.outbox.untold(sub, now),
                    told,
                    resumes: state.resumes,
                    charge: self.tally.charge(0),
                    pattern: state.pattern,
                    reader: state.reader,
                    peer: peer.clone(),
                };
                absent.recharge();
                (sub, absent)
            })
            .collect();
        self.wait_for(session, id, absent);
    }

    fn wait_for(&mut self, session: u64, conn: u64, absent: Vec<(u32, Absent)>) {
        let until = self.now + self.limits.session_timeout;
        let Some(known) = self.sessions.sessions.get_mut(&session) else {
            return;
        };
        if known.absent.len() + absent.len() > self.limits.subscriptions {
            // Of a connection before, and not resumed on this one.
            self.forget_absent(session);
        }
        let Some(known) = self.sessions.sessions.get_mut(&session) else {
            return;
        };
        known.conn = None;
        if known.absent.is_empty() && absent.is_empty() && known.reliable.is_empty() {
            return self.end_session(session);
        }
        if let Some(before) = known.until.replace(until) {
            let deadline = Deadline::Session(session);
            self.deadlines.clear(before, deadline);
        }
        let mut replaced = Vec::new();
        for (sub, absent) in absent {
            if let Some(old) = known.absent.insert(sub, conn) {
                replaced.push((old, sub));
            }
            self.sessions.absent.insert((conn, sub), absent);
        }
        self.sessions.away.insert((until, session));
        self.deadlines.set(until, Deadline::Session(session));
        for (old, sub) in replaced {
            self.drop_absent(old, sub);
        }
        while self.sessions.away.len() > self.limits.sessions {
            self.end_oldest_session();
        }
    }

    /// Forgets the client that has been away longest; false if none is.
    pub(super) fn end_oldest_session(&mut self) -> bool {
        match self.sessions.away.first().copied() {
            Some((_, session)) => {
                self.end_session(session);
                true
            }
            None => false,
        }
    }

    /// A session's time is up: who is still away is forgotten, and so is what wasn't resumed.
    pub(super) fn session_due(&mut self, session: u64) {
        let Some(known) = self.sessions.sessions.get_mut(&session) else {
            return;
        };
        match known.conn {
            Some(_) => {
                known.until = None;
                self.forget_absent(session);
            }
            None => self.end_session(session),
        }
    }

    fn end_session(&mut self, session: u64) {
        self.forget_absent(session);
        let Some(known) = self.sessions.sessions.remove(&session) else {
            return;
        };
        self.sessions.by_key.remove(&known.key);
        if let Some(until) = known.until {
            self.sessions.away.remove(&(until, session));
            self.deadlines.clear(until, Deadline::Session(session));
        }
    }

    fn forget_absent(&mut self, session: u64) {
        let absent = match self.sessions.sessions.get_mut(&session) {
            Some(known) => std::mem::take(&mut known.absent),
            None => return,
        };
        for (sub, conn) in absent {
            self.drop_absent(conn, sub);
        }
    }

    fn drop_absent(&mut self, conn: u64, sub: u32) {
        if let Some(absent) = self.sessions.absent.remove(&(conn, sub)) {
            self.routes.remove(&absent.pattern, conn, sub);
        }
    }
}
