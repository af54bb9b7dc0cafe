//! What the naive hub keeps: each topic's last value, the last events of some topics, and mail.

use std::time::{Duration, Instant};

use super::{
    naive::{Naive, SubId},
    queue::Event,
};
use crate::{Pattern, wire::flags};

/// A history's rule: of topics with this beginning, so many events, for so long.
#[derive(Clone, Copy, Debug)]
pub(super) struct HistoryOf {
    pub(super) pattern: &'static str,
    pub(super) messages: usize,
    pub(super) max_age: Option<Duration>,
}

#[derive(Debug, Default)]
pub(super) struct Memory {
    rules: Vec<HistoryOf>,
    /// Newest last; each with the time until which it is kept.
    past: Vec<(Event, Option<Instant>)>,
    retained: Vec<Event>,
}

impl Memory {
    pub(super) fn new(rules: Vec<HistoryOf>) -> Self {
        Self {
            rules,
            ..Self::default()
        }
    }

    /// Keeps an event as its topic's rule says.
    pub(super) fn keep(&mut self, event: &Event, now: Instant) {
        let matches = |rule: &&HistoryOf| Pattern::new(rule.pattern).unwrap().matches(&event.topic);
        let Some(rule) = self.rules.iter().find(matches).copied() else {
            return;
        };
        let oldest = rule.max_age.map(|age| now + age);
        let until = [event.until, oldest].into_iter().flatten().min();
        self.past.push((event.clone(), until));
        let is_same = |(e, _): &(Event, Option<Instant>)| e.topic == event.topic;
        if self.past.iter().filter(|kept| is_same(kept)).count() > rule.messages {
            let first = self.past.iter().position(is_same);
            self.past.remove(first.expect("there are several"));
        }
    }

    /// Keeps an event as its topic's value; one without a payload deletes it.
    pub(super) fn retain(&mut self, event: &Event, is_empty: bool) {
        self.retained.retain(|value| value.topic != event.topic);
        if !is_empty {
            self.retained.push(event.clone());
        }
    }

    /// Nothing is kept.
    pub(super) fn is_empty(&self) -> bool {
        self.past.is_empty() && self.retained.is_empty()
    }

    /// What a new subscription gets: the last `most` events of each topic, and values; what is both, once.
    fn past(&self, pattern: &Pattern, most: usize, now: Instant) -> Vec<Event> {
        let mut found: Vec<Event> = Vec::new();
        for (event, until) in self.past.iter().rev() {
            let of_topic = found.iter().filter(|e| e.topic == event.topic).count();
            let is_late = until.is_some_and(|until| until <= now);
            if pattern.matches(&event.topic) && !is_late && of_topic < most {
                found.push(Event {
                    flags: flags::HISTORY,
                    ..event.clone()
                });
            }
        }
        let wanted = |e: &&Event| pattern.matches(&e.topic) && !e.is_late(now);
        for value in self.retained.iter().filter(wanted) {
            match found.iter_mut().find(|e| e.seq == value.seq) {
                Some(both) => both.flags |= flags::RETAINED,
                None => found.push(Event {
                    flags: flags::RETAINED,
                    ..value.clone()
                }),
            }
        }
        found.sort_by_key(|event| event.seq);
        found
    }
}

/// What waits for a worker that has not subscribed yet.
#[derive(Debug)]
pub(super) struct Mailbox {
    pub(super) addresses: Vec<Pattern>,
    pub(super) until: Instant,
    pub(super) most: usize,
    covered: Vec<Pattern>,
    events: Vec<Event>,
    lost: Vec<String>,
}

impl Mailbox {
    pub(super) fn new(addresses: Vec<Pattern>, until: Instant, most: usize) -> Self {
        Self {
            addresses,
            until,
            most,
            covered: Vec::new(),
            events: Vec::new(),
            lost: Vec::new(),
        }
    }

    pub(super) fn put(&mut self, events: &[Event], now: Instant) {
        for event in events {
            let matches = |p: &Pattern| p.matches(&event.topic);
            if !self.addresses.iter().any(matches) || self.covered.iter().any(matches) {
                continue;
            }
            self.events.push(event.clone());
            if self.events.len() > self.most {
                let oldest = self.events.remove(0);
                if !oldest.is_late(now) {
                    self.lost.push(oldest.topic);
                }
            }
        }
    }

    /// Takes out what matches, and how much of that was lost.
    fn take(&mut self, pattern: &Pattern) -> (Vec<Event>, u64) {
        let mail = self.events.iter().filter(|e| pattern.matches(&e.topic));
        let mail: Vec<Event> = mail.cloned().collect();
        self.events.retain(|e| !pattern.matches(&e.topic));
        let lost = self.lost.iter().filter(|t| pattern.matches(t)).count();
        self.lost.retain(|t| !pattern.matches(t));
        self.covered.push(pattern.clone());
        (mail, lost as u64)
    }
}

impl Naive {
    /// A subscription has begun: it gets what was.
    pub(super) fn bring_past(&mut self, id: SubId, history: usize) {
        let (now, terms) = (self.now, self.sub(id).terms.clone());
        let (mut mail, lost) = match &mut self.peer(id.0).mailbox {
            Some(mailbox) => mailbox.take(&terms.pattern),
            None => (Vec::new(), 0),
        };
        mail.retain(|event| !event.is_late(now));
        let mut past = match terms.group {
            None => self.memory.past(&terms.pattern, history, now),
            Some(_) => Vec::new(),
        };
        // What is both came as mail.
        past.retain(|event| mail.iter().all(|m| m.seq != event.seq));
        past.append(&mut mail);
        past.sort_by_key(|event| event.seq);
        if lost > 0 && !self.peer(id.0).closed {
            self.sub(id).push_lost(lost);
        }
        for event in past {
            // Nobody is held for what was.
            let is_mail = event.flags & (flags::HISTORY | flags::RETAINED) == 0;
            let from = is_mail.then_some(event.from);
            self.push(id, &[event], from);
        }
        self.regroup();
    }
}
