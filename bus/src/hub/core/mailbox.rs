//! Mail for those who are attached and have not subscribed yet: a worker's program may load for a minute before it looks at
//! the bus, and what was sent to it meanwhile must not be lost.
//!
//! Which addresses a principal has is data ([`Rules::mailboxes`](crate::hub::Rules)). Events on them wait from
//! [`connect`](Core::connect) until the first subscription that matches their topic, which gets them before anything newer.

use std::{
    collections::{HashMap, VecDeque},
    rc::Rc,
    time::Instant,
};

use super::{Core, conn::Conn, deadlines::Deadline, item::Run, kept::Kept, routes::Route};
use crate::{Pattern, Topic, hub::Principal};

/// Routes to mailboxes have the connection's number with this bit, which no connection's number has.
const MAILBOX: u64 = 1 << 63;

/// Topics whose losses are counted each by itself.
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
    events: VecDeque<Rc<Kept>>,
    lost: HashMap<Topic, u64>,
}

impl Mailbox {
    /// Whether events on `topic` wait here.
    pub(super) fn wants(&self, topic: &Topic) -> bool {
        !self.covered.iter().any(|p| p.matches(topic.as_str()))
    }

    fn lose(&mut self, event: &Kept) {
        let topic = match self.lost.contains_key(&event.topic) || self.lost.len() < LOST_TOPICS {
            true => &event.topic,
            // Told with another topic's, then.
            false => match self.lost.keys().next() {
                Some(other) => &other.clone(),
                None => return,
            },
        };
        *self.lost.entry(topic.clone()).or_default() += 1;
    }
}

/// Mail for one subscription.
#[derive(Debug, Default)]
pub(super) struct Mail {
    pub(super) events: Vec<Rc<Kept>>,
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
            addresses,
            until,
            covered: Vec::new(),
            events: VecDeque::new(),
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
        for event in &mailbox.events {
            self.mailboxes.held -= event.held();
        }
    }

    /// Puts a run's events into a mailbox; over its bounds its oldest are lost.
    pub(super) fn put_mail(&mut self, id: u64, run: &Run) {
        let Some(mailbox) = self.mailboxes.boxes.get_mut(&id) else {
            return;
        };
        let held = &mut self.mailboxes.held;
        for event in Kept::each(run, &self.tally) {
            *held += event.held();
            mailbox.events.push_back(event);
            while (mailbox.events.len() > self.limits.mailbox_messages
                || *held > self.limits.mailbox_bytes)
                && let Some(oldest) = mailbox.events.pop_front()
            {
                *held -= oldest.held();
                mailbox.lose(&oldest);
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
        let Some(mailbox) = self.mailboxes.boxes.get_mut(&id) else {
            return mail;
        };
        let (wanted, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut mailbox.events)
            .into_iter()
            .partition(|event| pattern.matches(event.topic.as_str()));
        mail.events = wanted;
        mailbox.events = rest.into();
        let lost: Vec<(Topic, u64)> = mailbox
            .lost
            .extract_if(|topic, _| pattern.matches(topic.as_str()))
            .collect();
        for event in &mail.events {
            self.mailboxes.held -= event.held();
        }
        mailbox.covered.push(pattern);
        let is_done = |address: &Pattern| mailbox.covered.iter().any(|p| p.covers(address));
        // Whoever subscribes to so much, and still not to its addresses, has had its chance.
        if mailbox.covered.len() >= self.limits.subscriptions
            || mailbox.addresses.iter().all(is_done)
        {
            self.close_mailbox(id);
        }
        let now = self.now;
        let peer = self.conn(id).and_then(Conn::peer).cloned();
        // A pattern may match more than its subscriber may have.
        let may_have = |topic: &Topic| {
            peer.as_ref()
                .is_some_and(|peer| self.may_have(peer, false, topic))
        };
        mail.events
            .retain(|event| !event.is_late(now) && may_have(&event.topic));
        mail.lost = lost
            .iter()
            .filter(|(topic, _)| may_have(topic))
            .map(|(_, lost)| lost)
            .sum();
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
