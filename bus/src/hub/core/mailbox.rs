//! Mail for those who are attached and have not subscribed yet: a worker's program may load for a minute before it looks at
//! the bus, and what was sent to it meanwhile must not be lost.
//!
//! Which addresses a principal has is data ([`Rules::mailboxes`](crate::hub::Rules)). Events on them wait from
//! [`connect`](Core::connect) until the first subscription that matches their topic, which gets them before anything newer.
//!
//! A mailbox is bounded in messages, and all together in bytes. Where there is no more room the largest loses its oldest,
//! whoever the new event is for: a box that holds less than an equal share never pays for another.

use std::{
    collections::{HashMap, VecDeque},
    time::Instant,
};

use super::{
    Core, conn::Conn, deadlines::Deadline, item::Run, kept::Kept, resume::Sent, routes::Route,
};
use crate::{Pattern, Topic, hub::Principal, wire::flags};

/// Routes to mailboxes have the connection's number with this bit, which no connection's number has.
const MAILBOX: u64 = 1 << 63;

/// Topics of one mailbox whose losses are counted each by itself; those of further ones are counted by address.
const LOST_TOPICS: usize = 256;

/// Where an event for somebody's mailbox goes; `None` if the route is no mailbox.
pub(super) fn owner(conn: u64) -> Option<u64> {
    (conn & MAILBOX != 0).then_some(conn & !MAILBOX)
}

/// What waits for one connection's subscriptions.
#[derive(Debug)]
pub(super) struct Mailbox {
    addresses: Vec<Pattern>,
    /// When it is closed.
    until: Instant,
    /// Topics of these are delivered.
    covered: Vec<Pattern>,
    /// Each with the flag of its lane.
    events: VecDeque<Sent>,
    /// Bytes of memory that they take.
    held: usize,
    lost: HashMap<Topic, u64>,
    /// Of each address: losses on topics that there was no room for in `lost`.
    lost_others: Vec<u64>,
}

impl Mailbox {
    /// Whether events on `topic` wait here.
    pub(super) fn wants(&self, topic: &Topic) -> bool {
        !self.covered.iter().any(|p| p.matches(topic.as_str()))
    }

    fn put(&mut self, event: Sent) {
        self.held += event.0.held();
        self.events.push_back(event);
    }

    /// Drops the oldest event, and counts it unless nobody wants it any more; how many bytes that frees.
    fn lose_oldest(&mut self, now: Instant) -> usize {
        let Some((event, _)) = self.events.pop_front() else {
            return 0;
        };
        self.held -= event.held();
        if !event.is_late(now) {
            self.lose(&event.topic);
        }
        event.held()
    }

    fn lose(&mut self, topic: &Topic) {
        if self.lost.contains_key(topic) || self.lost.len() < LOST_TOPICS {
            *self.lost.entry(topic.clone()).or_default() += 1;
            return;
        }
        let is_its = |address: &Pattern| address.matches(topic.as_str());
        if let Some(at) = self.addresses.iter().position(is_its) {
            self.lost_others[at] += 1;
        }
    }

    /// Takes out the events that `pattern` matches.
    fn take(&mut self, pattern: &Pattern) -> Vec<Sent> {
        let (wanted, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut self.events)
            .into_iter()
            .partition(|(event, _)| pattern.matches(event.topic.as_str()));
        self.events = rest.into();
        self.held -= wanted.iter().map(|(event, _)| event.held()).sum::<usize>();
        wanted
    }

    /// Takes out the losses on topics that `pattern` matches and `may_have` lets pass; where only the address is known,
    /// they are told to the first that may have been meant.
    fn take_lost(&mut self, pattern: &Pattern, may_have: impl Fn(&Topic) -> bool) -> u64 {
        let matching = self
            .lost
            .extract_if(|topic, _| pattern.matches(topic.as_str()));
        let by_topic = matching
            .filter(|(topic, _)| may_have(topic))
            .map(|(_, lost)| lost);
        let mut lost: u64 = by_topic.sum();
        for (address, others) in self.addresses.iter().zip(&mut self.lost_others) {
            if address.overlaps(pattern) {
                lost += std::mem::take(others);
            }
        }
        lost
    }
}

/// Mail for one subscription.
#[derive(Debug, Default)]
pub(super) struct Mail {
    /// In the order in which they came.
    pub(super) events: Vec<Sent>,
    pub(super) lost: u64,
}

/// All mailboxes.
#[derive(Debug, Default)]
pub(super) struct Mailboxes {
    boxes: HashMap<u64, Mailbox>,
    /// Bytes of memory that all mail takes.
    held: usize,
}

impl Mailboxes {
    pub(super) fn get(&self, conn: u64) -> Option<&Mailbox> {
        self.boxes.get(&conn)
    }

    /// The largest.
    fn largest(&mut self) -> Option<&mut Mailbox> {
        let size = |(id, mailbox): &(&u64, &mut Mailbox)| (mailbox.held, **id);
        self.boxes
            .iter_mut()
            .max_by_key(size)
            .map(|(_, mailbox)| mailbox)
    }
}

impl Core {
    /// Opens a mailbox for a connection whose principal has addresses.
    pub(super) fn open_mailbox(&mut self, id: u64, principal: &Principal) {
        let addresses = self.rules.addresses(principal);
        if addresses.is_empty() {
            return;
        }
        for address in &addresses {
            self.routes.add(address, route(id));
        }
        let until = self.now + self.limits.mailbox_timeout;
        let mailbox = Mailbox {
            lost_others: vec![0; addresses.len()],
            addresses,
            until,
            covered: Vec::new(),
            events: VecDeque::new(),
            held: 0,
            lost: HashMap::new(),
        };
        self.mailboxes.boxes.insert(id, mailbox);
        self.deadlines.set(until, Deadline::Mailbox(id));
    }

    /// Closes a mailbox; what still waits is dropped.
    pub(super) fn close_mailbox(&mut self, id: u64) {
        let Some(mailbox) = self.mailboxes.boxes.remove(&id) else {
            return;
        };
        self.deadlines.clear(mailbox.until, Deadline::Mailbox(id));
        for address in &mailbox.addresses {
            let Route { conn, sub, .. } = route(id);
            self.routes.remove(address, conn, sub);
        }
        self.mailboxes.held -= mailbox.held;
    }

    /// Puts a run's events into a mailbox. Over its own bound its oldest are lost; over that of all, the largest's.
    pub(super) fn put_mail(&mut self, id: u64, run: &Run) {
        let (now, most) = (self.now, self.limits.mailbox_bytes);
        let mailboxes = &mut self.mailboxes;
        for event in Kept::each(run, &self.tally) {
            let Some(mailbox) = mailboxes.boxes.get_mut(&id) else {
                return;
            };
            mailboxes.held += event.held();
            mailbox.put((event, run.flags & flags::CONTROL_LANE));
            if mailbox.events.len() > self.limits.mailbox_messages {
                mailboxes.held -= mailbox.lose_oldest(now);
            }
            while mailboxes.held > most
                && let Some(largest) = mailboxes.largest()
            {
                let freed = largest.lose_oldest(now);
                mailboxes.held -= freed;
            }
        }
    }

    /// Takes out what waits for a new subscription, and for no other from now on.
    pub(super) fn take_mail(&mut self, id: u64, sub: u32) -> Mail {
        let mut mail = Mail::default();
        let pattern = match self.conn(id).and_then(|c| c.subs.get(&sub)) {
            Some(state) => state.pattern.clone(),
            None => return mail,
        };
        let now = self.now;
        let peer = self.conn(id).and_then(Conn::peer).cloned();
        let Some(mut mailbox) = self.mailboxes.boxes.remove(&id) else {
            return mail;
        };
        // A pattern may match more than its subscriber may have.
        let may_have = |topic: &Topic| {
            peer.as_ref()
                .is_some_and(|peer| self.may_have(peer, false, topic))
        };
        let before = mailbox.held;
        mail.events = mailbox.take(&pattern);
        mail.events
            .retain(|(event, _)| !event.is_late(now) && may_have(&event.topic));
        mail.lost = mailbox.take_lost(&pattern, may_have);
        self.mailboxes.held -= before - mailbox.held;
        mailbox.covered.push(pattern);
        let is_done = |address: &Pattern| mailbox.covered.iter().any(|p| p.covers(address));
        // Whoever subscribes to so much, and still not to its addresses, has had its chance.
        let is_over = mailbox.covered.len() >= self.limits.subscriptions
            || mailbox.addresses.iter().all(is_done);
        self.mailboxes.boxes.insert(id, mailbox);
        if is_over {
            self.close_mailbox(id);
        }
        mail
    }
}

fn route(id: u64) -> Route {
    Route {
        conn: id | MAILBOX,
        sub: 0,
        serve: false,
    }
}
