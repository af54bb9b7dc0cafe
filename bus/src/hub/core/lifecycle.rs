//! How connections come and go. Whoever goes, for whatever reason, is taken out of everything others see of it, once; what
//! it was given and did not take goes to others first.

use std::time::Instant;

use bytes::Bytes;

use super::{
    Core,
    conn::{Conn, Door, Peer, Phase},
    deadlines::Deadline,
    item::Whole,
    output::control_frame,
    owner::Whose,
    path::PathCache,
};
use crate::{
    hub::HubNotice,
    wire::{
        control::{CloseKind, HubOp, RefusalKind},
        hello::Codec,
    },
};

impl Core {
    /// A peer has come in through `door`; `id` was never used before.
    pub(in crate::hub) fn connect(&mut self, now: Instant, id: u64, door: Door) {
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
    pub(in crate::hub) fn vouch(&mut self, id: u64, whose: Whose) {
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.whose = Some(whose);
        }
    }

    /// The connection is gone, or was closed and written out.
    pub(in crate::hub) fn disconnect(&mut self, now: Instant, id: u64, reason: &str) {
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
    pub(in crate::hub) fn dismiss(
        &mut self,
        now: Instant,
        id: u64,
        kind: CloseKind,
        reason: String,
    ) {
        self.now = now;
        self.close(id, kind, reason);
        self.regroup();
    }

    /// Ends a connection: it is told why, and nothing more is taken from it. Whatever of the core's doors this happens
    /// behind sees to [`regroup`](Self::regroup) before it is left.
    pub(super) fn close(&mut self, id: u64, kind: CloseKind, reason: String) {
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
    pub(in crate::hub) fn stop(&mut self) {
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
                let frame = control_frame(conn.codec, 0, closing);
                conn.outbox.push_unowned(Whole::plain(frame));
                conn.outbox.hurry();
            }
            self.mark(id);
        }
    }

    /// Whether the connection ends once its output is written.
    pub(in crate::hub) fn is_closing(&self, id: u64) -> bool {
        self.conn(id)
            .is_none_or(|c| matches!(c.phase, Phase::Closing))
    }

    /// The last frame a connection gets when the hub itself has failed.
    pub(in crate::hub) fn fault_frame(&self, id: u64) -> Option<Bytes> {
        let closing = HubOp::Closing {
            kind: CloseKind::Fault,
            reason: "the hub failed and begins anew: connect again".into(),
        };
        self.conn(id).map(|c| control_frame(c.codec, 0, closing))
    }

    /// The frame for a peer that may not even say HELLO.
    pub(in crate::hub) fn denial(kind: CloseKind, reason: String) -> Bytes {
        control_frame(Codec::Json, 0, HubOp::Closing { kind, reason })
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
        conn.paths = PathCache::default();
        for (sub, state) in subs {
            self.end_sub(id, sub, &state, phase.peer());
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
            Phase::Greeting { until, .. } | Phase::Vouching { until, .. } => {
                if let Some(until) = until {
                    self.turned_away(id, until, reason);
                }
            }
            Phase::Open(peer) => self.parted(id, &peer, reason),
            Phase::Closing => {}
        }
    }

    /// It had until then to take part, and never did.
    fn turned_away(&mut self, id: u64, until: Instant, reason: &str) {
        self.deadlines.clear(until, Deadline::Hello(id));
        self.ledger.turned_away += 1;
        let reason = reason.to_owned();
        self.notices.push(HubNotice::TurnedAway { reason });
    }

    /// It took part: whoever knows its number forgets it.
    fn parted(&mut self, id: u64, peer: &Peer, reason: &str) {
        peer.card.gone.set(true);
        for knower in peer.card.known_to.borrow().iter() {
            if let Some(conn) = self.conns.get_mut(knower) {
                conn.outbox.forget(id);
                self.mark(*knower);
            }
        }
        self.notices.push(HubNotice::Disconnected {
            conn: id,
            principal: (*peer.principal).clone(),
            reason: reason.to_owned(),
        });
    }
}
