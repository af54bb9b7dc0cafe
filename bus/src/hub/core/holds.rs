//! Topics that publishers hold back because a subscriber asked for it.
//!
//! Each publisher is told once, when it emits on a topic into a queue that is more than half full; and told again when the
//! last subscription that asked for it has room. The hub goes on reading whoever doesn't listen: what then finds no room
//! is lost as ever.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Instant,
};

use crate::Topic;

/// A subscription: its connection and number.
pub(super) type SubId = (u64, u32);

/// Who holds back what, and for whom.
#[derive(Debug, Default)]
pub(super) struct Holds {
    topics: HashMap<Topic, Hold>,
    by: HashMap<SubId, Asked>,
    /// Which topics each publisher holds back.
    told: HashMap<u64, BTreeSet<Topic>>,
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
    /// Publishers are to be held for `by`. Whether that is new.
    pub(super) fn begin(&mut self, by: SubId, until: Instant) -> bool {
        let is_new = !self.by.contains_key(&by);
        self.by.entry(by).or_insert_with(|| Asked {
            until,
            topics: BTreeSet::new(),
        });
        is_new
    }

    /// `publisher` is to hold back `topic` for `by`. Whether it must be told.
    pub(super) fn add(&mut self, by: SubId, topic: &Topic, publisher: u64) -> bool {
        if let Some(asked) = self.by.get_mut(&by)
            && !asked.topics.contains(topic)
        {
            asked.topics.insert(topic.clone());
        }
        let hold = self.topics.entry(topic.clone()).or_default();
        hold.by.insert(by);
        let is_new = hold.told.insert(publisher);
        if is_new {
            let told = self.told.entry(publisher).or_default();
            told.insert(topic.clone());
        }
        is_new
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
        if let Some(topics) = self.told.get_mut(&publisher) {
            topics.remove(topic);
            if topics.is_empty() {
                self.told.remove(&publisher);
            }
        }
    }

    /// A publisher has gone.
    pub(super) fn leave(&mut self, publisher: u64) {
        for topic in self.told.remove(&publisher).into_iter().flatten() {
            if let Some(hold) = self.topics.get_mut(&topic) {
                hold.told.remove(&publisher);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.topics.is_empty() && self.by.is_empty() && self.told.is_empty()
    }
}
