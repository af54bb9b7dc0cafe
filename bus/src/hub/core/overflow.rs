//! What a full queue asks of others: that publishers wait, or that its reader goes.

use std::time::Duration;

use super::{
    Core,
    deadlines::Deadline,
    holds::SubId,
    item::Item,
    parcel::Parcel,
    path::Target,
    queue::{Ask, Bounds, Strain},
};
use crate::{
    Topic,
    wire::{control::CloseKind, flags},
};

/// Runs that are not news: nobody is held back for them.
const NOT_LIVE: u8 = flags::RETAINED | flags::HISTORY;

impl Core {
    /// Queues items for a subscription with terms of its own.
    pub(super) fn offer(&mut self, from: u64, target: &Target, parcel: &Parcel, items: Vec<Item>) {
        let is_live = parcel.run.flags & NOT_LIVE == 0;
        for item in items {
            self.offer_one(is_live.then_some(from), target, &parcel.topic, item, None);
        }
    }

    /// Queues one item for a subscription with terms of its own. `from`: who may be held back for it. `source`: the event
    /// as it was published, where another may need it yet.
    pub(super) fn offer_one(
        &mut self,
        from: Option<u64>,
        target: &Target,
        topic: &Topic,
        item: Item,
        source: Option<super::item::Run>,
    ) {
        let (now, by) = (self.now, (target.conn, target.sub));
        let Some(conn) = self
            .conns
            .get_mut(&target.conn)
            .filter(|c| c.peer().is_some())
        else {
            // Cut off for what came before it.
            return self.sessions.count_item(by, &item, now);
        };
        let offered = conn.outbox.offer(now, target.sub, item, topic, source);
        if offered.lost > 0 {
            self.lagged(target.conn, target.sub, offered.lost);
        }
        match offered.strain {
            Strain::None => {}
            Strain::Hold { since, most } => {
                let until = since + most;
                if self.holds.begin(by, until) {
                    self.deadlines.set(until, Deadline::Held(by.0, by.1));
                }
                if let Some(from) = from {
                    self.hold(from, by, topic);
                }
            }
            Strain::GiveUp => self.end_hold(by),
            Strain::Watch => {
                let due = now + self.limits.overflow_grace;
                self.deadlines.set(due, Deadline::Over(by.0, by.1));
            }
            Strain::CutOff => return self.cut_off(by, None),
        }
        self.end_eased(target.conn);
        self.mark(target.conn);
    }

    /// Has `publisher` hold back `topic`. The master never waits for anybody.
    fn hold(&mut self, publisher: u64, by: SubId, topic: &Topic) {
        let is_open = self.conn(publisher).is_some_and(|c| c.peer().is_some());
        if is_open && !self.is_master(publisher) && self.holds.add(by, topic, publisher) {
            self.tell(publisher, topic, Ask::Hold);
        }
    }

    fn tell(&mut self, publisher: u64, topic: &Topic, ask: Ask) {
        if let Some(conn) = self
            .conns
            .get_mut(&publisher)
            .filter(|c| c.peer().is_some())
        {
            conn.outbox.ask(topic, ask);
            self.mark(publisher);
        }
    }

    /// Nobody is held any longer for a subscription.
    pub(super) fn end_hold(&mut self, by: SubId) {
        let Some(ended) = self.holds.end(by) else {
            return;
        };
        self.deadlines
            .clear(ended.until, Deadline::Held(by.0, by.1));
        for (topic, publishers) in ended.released {
            for publisher in publishers {
                self.tell(publisher, &topic, Ask::Release);
            }
        }
    }

    /// Something of a subscription was lost: perhaps it is in no need any more.
    pub(super) fn ease(&mut self, id: u64, sub: u32) {
        let now = self.now;
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.outbox.ease(now, sub);
            self.end_eased(id);
        }
    }

    /// Ends the holds of subscriptions that have room again.
    pub(super) fn end_eased(&mut self, id: u64) {
        let Some(conn) = self.conns.get_mut(&id).filter(|c| c.outbox.has_eased()) else {
            return;
        };
        for sub in conn.outbox.take_eased() {
            self.end_hold((id, sub));
        }
    }

    /// Publishers have waited for a subscription as long as they may.
    pub(super) fn held_too_long(&mut self, id: u64, sub: u32) {
        let now = self.now;
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.outbox.give_up(now, sub);
        }
        self.end_hold((id, sub));
    }

    /// A subscription was over its bounds a while ago: if it was ever since, it is cut off.
    pub(super) fn look_over(&mut self, id: u64, sub: u32) {
        let (now, grace) = (self.now, self.limits.overflow_grace);
        let Some(conn) = self.conns.get_mut(&id) else {
            return;
        };
        let Some((since, _)) = conn.outbox.over_since(sub) else {
            return;
        };
        match since + grace {
            due if due <= now => self.cut_off((id, sub), Some(grace)),
            due => self.deadlines.set(due, Deadline::Over(id, sub)),
        }
    }

    /// Closes a connection that asked for it rather than lose events.
    fn cut_off(&mut self, (id, sub): SubId, after: Option<Duration>) {
        let Some(conn) = self.conns.get_mut(&id) else {
            return;
        };
        let waiting = conn.outbox.over_since(sub).map(|(_, waiting)| waiting);
        let (Some(bounds), Some(state)) = (conn.outbox.bounds(sub), conn.subs.get(&sub)) else {
            return;
        };
        let waiting = waiting.unwrap_or(bounds);
        let said = |b: Bounds| format!("{} events of {} bytes", b.messages, b.bytes);
        let when = match after {
            Some(grace) => format!("for {grace:?} without a break"),
            None => "and that is twice as much".into(),
        };
        let reason = format!(
            "subscription {sub} to {:?} may have {} waiting, and has {}, {when}; its policy is to be disconnected then. Read faster, or subscribe with another policy",
            state.pattern.as_str(),
            said(bounds),
            said(waiting),
        );
        self.close(id, CloseKind::Limit, reason);
    }
}
