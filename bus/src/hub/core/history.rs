//! The last events of topics that keep a history: a ring for each topic, bounded by its rule, and all together by the
//! hub's limit.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    rc::Rc,
    time::Instant,
};

use super::kept::Kept;
use crate::{Pattern, Topic, hub::HistoryRule};

/// An event of a ring.
#[derive(Debug)]
struct Entry {
    event: Rc<Kept>,
    /// When it is too old: its own time to live, or its rule's.
    until: Option<Instant>,
}

impl Entry {
    fn is_late(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

/// The last events of one topic, oldest first.
#[derive(Debug, Default)]
struct Ring {
    events: VecDeque<Entry>,
    /// Of their frames.
    bytes: usize,
}

/// All rings.
#[derive(Debug)]
pub(super) struct History {
    rules: Vec<HistoryRule>,
    /// Bytes of memory that all may take, and what they take.
    most: usize,
    held: usize,
    rings: HashMap<Topic, Ring>,
    /// The topic of each event, by its number: the oldest of all goes first.
    order: BTreeMap<u64, Topic>,
}

impl History {
    pub(super) fn new(rules: &[HistoryRule], most: usize) -> Self {
        Self {
            rules: rules.to_vec(),
            most,
            held: 0,
            rings: HashMap::new(),
            order: BTreeMap::new(),
        }
    }

    /// The rule for a topic, if it keeps a history.
    pub(super) fn rule(&self, topic: &Topic) -> Option<usize> {
        self.rules
            .iter()
            .position(|rule| rule.pattern.matches(topic.as_str()))
    }

    /// Keeps an event as its rule says.
    pub(super) fn keep(&mut self, rule: usize, event: Kept, now: Instant) {
        let Some(rule) = self.rules.get(rule) else {
            return;
        };
        let (messages, bytes) = (rule.messages, rule.bytes);
        if messages == 0 || event.frame.len() > bytes || event.held() > self.most {
            return;
        }
        let oldest = rule.max_age.map(|age| now + age);
        let until = [event.until, oldest].into_iter().flatten().min();
        let size = event.frame.len();
        let topic = event.topic.clone();
        while self.rings.get(&topic).is_some_and(|ring| {
            let is_late = ring.events.front().is_some_and(|first| first.is_late(now));
            is_late || ring.events.len() >= messages || ring.bytes + size > bytes
        }) {
            self.drop_first(&topic);
        }
        self.held += event.held();
        self.order.insert(event.seq, topic.clone());
        let ring = self.rings.entry(topic).or_default();
        ring.bytes += size;
        let event = Rc::new(event);
        ring.events.push_back(Entry { event, until });
        while self.held > self.most
            && let Some((_, oldest)) = self.order.first_key_value()
        {
            let oldest = oldest.clone();
            self.drop_first(&oldest);
        }
    }

    fn drop_first(&mut self, topic: &Topic) {
        let Some(ring) = self.rings.get_mut(topic) else {
            return;
        };
        if let Some(Entry { event: first, .. }) = ring.events.pop_front() {
            ring.bytes -= first.frame.len();
            self.held -= first.held();
            self.order.remove(&first.seq);
        }
        if ring.events.is_empty() {
            self.rings.remove(topic);
        }
    }

    /// The last `most` events of each topic that `pattern` matches, of those after `since` that somebody may still want.
    pub(super) fn matching(
        &self,
        pattern: &Pattern,
        since: u64,
        most: usize,
        now: Instant,
    ) -> Vec<Rc<Kept>> {
        let of_ring = |ring: &Ring| {
            let wanted = |e: &&Entry| e.event.seq > since && !e.is_late(now);
            let newest_first = ring.events.iter().rev().filter(wanted).take(most);
            let events = newest_first.map(|e| Rc::clone(&e.event));
            events.collect::<Vec<_>>()
        };
        match pattern.exact() {
            Some(topic) => Topic::new(topic)
                .ok()
                .and_then(|topic| self.rings.get(&topic))
                .map(of_ring)
                .unwrap_or_default(),
            None => self
                .rings
                .iter()
                .filter(|(topic, _)| pattern.matches(topic.as_str()))
                .flat_map(|(_, ring)| of_ring(ring))
                .collect(),
        }
    }
}
