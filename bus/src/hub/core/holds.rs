//! Topics that publishers hold back because a subscriber asked for it.
//!
//! Each publisher is told once, when it emits on a topic into a queue that is more than half full; and told again when the
//! last subscription that asked for it has room. The hub goes on reading whoever doesn't listen: what then finds no room
//! is lost as ever.
//!
//! A publisher may emit on any number of topics, so what is remembered of them is bounded: for each publisher, and all
//! together. Beyond that a topic is not held, as if its publisher didn't listen.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Instant,
};

use super::memory::{Charge, Tally};
use crate::{Limits, Topic};

/// The part of the hub's memory that holds may take.
const SHARE: usize = 16;

/// What is needed to know that a topic is held by a publisher, or for a subscription, beside its text: two places in sets.
const PLACE_BYTES: usize = 192;

/// A subscription: its connection and number.
pub(super) type SubId = (u64, u32);

/// Who holds back what, and for whom.
///
/// Of each topic here somebody holds it back, and somebody asked for it.
#[derive(Debug)]
pub(super) struct Holds {
    topics: HashMap<Topic, Hold>,
    by: HashMap<SubId, Asked>,
    /// Which topics each publisher holds back.
    told: HashMap<u64, BTreeSet<Topic>>,
    charge: Charge,
    /// Topics that one publisher may be asked for.
    most_topics: usize,
    /// Bytes that all may take.
    most_bytes: usize,
}

#[derive(Debug, Default)]
struct Hold {
    by: BTreeSet<SubId>,
    told: BTreeSet<u64>,
}

#[derive(Debug)]
struct Asked {
    /// The longest that anybody holds back anything for it.
    until: Instant,
    topics: BTreeSet<Topic>,
}

/// What ends with a hold.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) until: Instant,
    /// Topics that nobody needs to hold back any longer, and who does.
    pub(super) released: BTreeMap<Topic, BTreeSet<u64>>,
}

impl Holds {
    pub(super) fn new(limits: &Limits, tally: &Tally) -> Self {
        Self {
            topics: HashMap::new(),
            by: HashMap::new(),
            told: HashMap::new(),
            charge: tally.charge(0),
            most_topics: limits.held_topics,
            most_bytes: limits.memory_bytes / SHARE,
        }
    }

    /// Publishers are to be held for `by`. Whether that is new.
    pub(super) fn begin(&mut self, by: SubId, until: Instant) -> bool {
        let is_new = !self.by.contains_key(&by);
        self.by.entry(by).or_insert_with(|| Asked {
            until,
            topics: BTreeSet::new(),
        });
        is_new
    }

    /// `publisher` is to hold back `topic` for `by`, if there is room to remember it. Whether it must be told.
    pub(super) fn add(&mut self, by: SubId, topic: &Topic, publisher: u64) -> bool {
        let Some(asked) = self.by.get_mut(&by) else {
            return false;
        };
        let hold = self.topics.get(topic);
        let is_asked = hold.is_some_and(|hold| hold.by.contains(&by));
        let is_told = hold.is_some_and(|hold| hold.told.contains(&publisher));
        let places = usize::from(!is_asked) + usize::from(!is_told);
        let bytes = places * place_bytes(topic);
        let has_room = self.charge.bytes() + bytes <= self.most_bytes;
        let told = self.told.get(&publisher).map_or(0, BTreeSet::len);
        if places == 0 || !has_room || (!is_told && told >= self.most_topics) {
            return false;
        }
        self.charge.add(bytes);
        asked.topics.insert(topic.clone());
        let hold = self.topics.entry(topic.clone()).or_default();
        hold.by.insert(by);
        if !is_told {
            hold.told.insert(publisher);
            let told = self.told.entry(publisher).or_default();
            told.insert(topic.clone());
        }
        !is_told
    }

    /// Nobody is to be held for `by` any longer.
    pub(super) fn end(&mut self, by: SubId) -> Option<Ended> {
        let asked = self.by.remove(&by)?;
        let mut released = BTreeMap::new();
        for topic in asked.topics {
            let Some(hold) = self.topics.get_mut(&topic) else {
                continue;
            };
            hold.by.remove(&by);
            self.charge.sub(place_bytes(&topic));
            if !hold.by.is_empty() {
                continue;
            }
            if let Some(hold) = self.topics.remove(&topic) {
                for publisher in &hold.told {
                    self.was_released(*publisher, &topic);
                }
                released.insert(topic, hold.told);
            }
        }
        Some(Ended {
            until: asked.until,
            released,
        })
    }

    fn was_released(&mut self, publisher: u64, topic: &Topic) {
        self.charge.sub(place_bytes(topic));
        if let Some(topics) = self.told.get_mut(&publisher) {
            topics.remove(topic);
            if topics.is_empty() {
                self.told.remove(&publisher);
            }
        }
    }

    /// A publisher has gone. Topics that nobody else holds back are forgotten.
    pub(super) fn leave(&mut self, publisher: u64) {
        for topic in self.told.remove(&publisher).into_iter().flatten() {
            self.charge.sub(place_bytes(&topic));
            let Some(hold) = self.topics.get_mut(&topic) else {
                continue;
            };
            hold.told.remove(&publisher);
            if !hold.told.is_empty() {
                continue;
            }
            for by in self
                .topics
                .remove(&topic)
                .into_iter()
                .flat_map(|hold| hold.by)
            {
                self.charge.sub(place_bytes(&topic));
                if let Some(asked) = self.by.get_mut(&by) {
                    asked.topics.remove(&topic);
                }
            }
        }
    }

    /// Bytes of memory they take.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.charge.bytes()
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.topics.is_empty() && self.by.is_empty() && self.told.is_empty()
    }
}

/// Memory for one place of a topic.
fn place_bytes(topic: &Topic) -> usize {
    PLACE_BYTES + topic.as_str().len()
}
