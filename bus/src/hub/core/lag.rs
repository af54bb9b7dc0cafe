//! Losses, as the hub's own process is told of them: each is counted, and notice of a subscription's is given at the first
//! and then at most every ten seconds, of all since the last together.

use std::time::Duration;

use super::{
    Core,
    conn::{Peer, Sub},
    deadlines::Deadline,
};
use crate::hub::HubNotice;

/// How often a subscription's losses are told to the hub's own process.
const NOTICE_EVERY: Duration = Duration::from_secs(10);

impl Core {
    /// Counts a loss, and gives notice of it now or later.
    pub(super) fn lagged(&mut self, id: u64, sub: u32, lost: u64) {
        let now = self.now;
        let Some(state) = self.conns.get_mut(&id).and_then(|c| c.subs.get_mut(&sub)) else {
            return;
        };
        state.unnoticed += lost;
        if state.quiet_until.is_none_or(|until| until <= now) {
            self.notice_lag(id, sub);
        }
    }

    /// Gives notice of what was lost since the last, and none for a while.
    pub(super) fn notice_lag(&mut self, id: u64, sub: u32) {
        let now = self.now;
        let Some(conn) = self.conns.get_mut(&id) else {
            return;
        };
        let principal = match conn.peer() {
            Some(peer) => (*peer.principal).clone(),
            None => return,
        };
        let Some(state) = conn.subs.get_mut(&sub) else {
            return;
        };
        // Set by an earlier subscription of the same number.
        if state.quiet_until.is_some_and(|until| until > now) {
            return;
        }
        if let Some(until) = state.quiet_until.take() {
            self.deadlines.clear(until, Deadline::Notice(id, sub));
        }
        let missed = std::mem::take(&mut state.unnoticed);
        if missed == 0 {
            return;
        }
        let (until, pattern) = (now + NOTICE_EVERY, state.pattern.clone());
        state.quiet_until = Some(until);
        self.deadlines.set(until, Deadline::Notice(id, sub));
        self.notices.push(HubNotice::Lagged {
            conn: id,
            principal,
            pattern,
            missed,
        });
    }

    /// Gives notice of the rest: the subscription has ended.
    pub(super) fn notice_rest(&mut self, id: u64, sub: u32, state: &Sub, peer: Option<&Peer>) {
        if let Some(until) = state.quiet_until {
            self.deadlines.clear(until, Deadline::Notice(id, sub));
        }
        if let Some(peer) = peer
            && state.unnoticed > 0
        {
            self.notices.push(HubNotice::Lagged {
                conn: id,
                principal: (*peer.principal).clone(),
                pattern: state.pattern.clone(),
                missed: state.unnoticed,
            });
        }
    }
}
