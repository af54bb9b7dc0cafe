//! The naive hub: lists, gone through from the beginning each time.

use std::time::{Duration, Instant};

use super::{
    memory::{Mailbox, Memory},
    queue::{Event, Strain, Sub, Terms},
};
use crate::wire::control::OverflowPolicy;

/// A connection.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) id: u64,
    /// It was cut off, and hasn't read so yet.
    pub(super) closed: bool,
    pub(super) subs: Vec<Sub>,
    /// Topics it is to be told to hold back (true) or to let go.
    pub(super) holds: Vec<(String, bool)>,
    /// What is to be said to its acknowledged events.
    pub(super) answers: Vec<u64>,
    pub(super) mailbox: Option<Mailbox>,
}

/// A subscription: its connection and number.
pub(super) type SubId = (u64, u32);

#[derive(Debug)]
pub(super) struct Naive {
    pub(super) now: Instant,
    /// How long a queue may be over its bounds.
    pub(super) grace: Duration,
    pub(super) peers: Vec<Peer>,
    pub(super) memory: Memory,
    /// Who asked for which topics to be held, and who was told.
    pub(super) asked: Vec<(SubId, String)>,
    pub(super) told: Vec<(String, u64)>,
    /// What members of groups left behind: the group, and events.
    pub(super) left: Vec<(&'static str, Vec<Event>)>,
    pub(super) turn: u64,
    pub(super) seq: u64,
}

impl Naive {
    pub(super) fn peer(&mut self, id: u64) -> &mut Peer {
        let peer = self.peers.iter_mut().find(|peer| peer.id == id);
        peer.expect("it is there")
    }

    pub(super) fn sub(&mut self, (id, number): SubId) -> &mut Sub {
        let subs = &mut self.peer(id).subs;
        let sub = subs.iter_mut().find(|sub| sub.number == number);
        sub.expect("nothing comes for a subscription that is gone")
    }

    /// Subscriptions to a topic: exact ones first, then by connection and number.
    pub(super) fn subs_of(&self, topic: &str) -> Vec<(SubId, Terms)> {
        let open = self.peers.iter().filter(|peer| !peer.closed);
        let all = open.flat_map(|p| p.subs.iter().map(|s| ((p.id, s.number), s.terms.clone())));
        let mut found: Vec<_> = all
            .filter(|(_, terms)| terms.pattern.matches(topic))
            .collect();
        found.sort_by_key(|(id, terms)| (terms.pattern.exact().is_none(), *id));
        found
    }

    /// How many an acknowledged event is said to have matched: a group is one.
    pub(super) fn matches(&self, topic: &str) -> u64 {
        let found = self.subs_of(topic);
        let plain = found.iter().filter(|(_, terms)| terms.group.is_none());
        let mut groups: Vec<_> = found.iter().filter_map(|(_, terms)| terms.group).collect();
        groups.sort_unstable();
        groups.dedup();
        (plain.count() + groups.len()) as u64
    }

    /// Publishes events of one topic that came together.
    pub(super) fn publish(&mut self, events: &[Event]) {
        let topic = &events[0].topic;
        for (id, terms) in self.subs_of(topic) {
            // Cut off for what came before it.
            if terms.group.is_some() || self.peer(id.0).closed {
                continue;
            }
            // Of what comes together only the last one ever waits.
            let older = match terms.policy {
                OverflowPolicy::KeepLatest => events.len() - 1,
                _ => 0,
            };
            self.sub(id).replace_unseen(older as u64);
            self.push(id, &events[older..], Some(events[0].from));
        }
        for peer in self.peers.iter_mut().filter(|peer| !peer.closed) {
            if let Some(mailbox) = &mut peer.mailbox {
                mailbox.put(events, self.now);
            }
        }
        self.share(events);
    }

    /// Queues events of one topic for a subscription. `from`: who may be held for it.
    pub(super) fn push(&mut self, id: SubId, events: &[Event], from: Option<u64>) {
        if self.peer(id.0).closed {
            return;
        }
        let (now, topic) = (self.now, events[0].topic.clone());
        match self.sub(id).push(now, events) {
            Strain::None => {}
            Strain::Hold => {
                let publisher = from.filter(|from| self.is_open(*from));
                if let Some(publisher) = publisher {
                    self.hold(id, topic, publisher);
                }
            }
            Strain::GiveUp => self.release(id),
            Strain::CutOff => return self.cut_off(id.0),
        }
        self.ease(id);
    }

    fn is_open(&self, id: u64) -> bool {
        self.peers.iter().any(|peer| peer.id == id && !peer.closed)
    }

    pub(super) fn ease(&mut self, id: SubId) {
        if self.sub(id).ease() {
            self.release(id);
        }
    }

    fn hold(&mut self, by: SubId, topic: String, publisher: u64) {
        if !self.asked.contains(&(by, topic.clone())) {
            self.asked.push((by, topic.clone()));
        }
        if !self.told.contains(&(topic.clone(), publisher)) {
            self.told.push((topic.clone(), publisher));
            self.tell_hold(publisher, topic, true);
        }
    }

    /// Nobody is held for a subscription any longer.
    fn release(&mut self, by: SubId) {
        let mut topics: Vec<String> = Vec::new();
        self.asked.retain(|(id, topic)| {
            let is_its = *id == by;
            if is_its {
                topics.push(topic.clone());
            }
            !is_its
        });
        for topic in topics {
            if self.asked.iter().any(|(_, asked)| *asked == topic) {
                continue;
            }
            let told: Vec<u64> = self
                .told
                .iter()
                .filter(|t| t.0 == topic)
                .map(|t| t.1)
                .collect();
            self.told.retain(|t| t.0 != topic);
            for publisher in told {
                self.tell_hold(publisher, topic.clone(), false);
            }
        }
    }

    /// What was not read yet is taken back instead.
    fn tell_hold(&mut self, publisher: u64, topic: String, hold: bool) {
        let holds = &mut self.peer(publisher).holds;
        match holds.iter().position(|(untold, _)| *untold == topic) {
            Some(at) => drop(holds.remove(at)),
            None => holds.push((topic, hold)),
        }
    }

    /// A connection ends because one of its subscriptions asked for it.
    fn cut_off(&mut self, id: u64) {
        self.empty(id);
        let peer = self.peer(id);
        peer.closed = true;
        peer.holds.clear();
    }

    /// Takes a connection out of all that others see of it.
    fn empty(&mut self, id: u64) {
        let mut subs = std::mem::take(&mut self.peer(id).subs);
        subs.sort_by_key(|sub| sub.number);
        for sub in subs {
            self.release((id, sub.number));
            self.leave(&sub);
        }
        self.told.retain(|(_, publisher)| *publisher != id);
        self.peer(id).mailbox = None;
    }

    pub(super) fn unsubscribe(&mut self, id: SubId) {
        self.release(id);
        let subs = &mut self.peer(id.0).subs;
        let at = subs.iter().position(|sub| sub.number == id.1);
        let sub = subs.remove(at.expect("it is there"));
        self.leave(&sub);
        self.regroup();
    }

    pub(super) fn disconnect(&mut self, id: u64) {
        self.empty(id);
        self.peers.retain(|peer| peer.id != id);
        self.regroup();
    }

    /// Time has passed.
    pub(super) fn pass(&mut self, time: Duration) {
        self.now += time;
        let (now, grace) = (self.now, self.grace);
        let all: Vec<SubId> = self
            .peers
            .iter()
            .flat_map(|p| p.subs.iter().map(|s| (p.id, s.number)))
            .collect();
        for id in all {
            if self.peer(id.0).closed {
                continue;
            }
            if let Some((since, most)) = self.sub(id).held()
                && since + most <= now
            {
                self.sub(id).pressure = super::queue::Pressure::GivenUp;
                self.release(id);
            }
            let over = self.sub(id).over_since;
            if over.is_some_and(|since| since + grace <= now) {
                self.cut_off(id.0);
            }
        }
        for peer in &mut self.peers {
            if peer.mailbox.as_ref().is_some_and(|m| m.until <= now) {
                peer.mailbox = None;
            }
        }
        self.regroup();
    }
}
