//! Which waiting event is the last of its topic.

use std::collections::{HashMap, VecDeque};

use super::item::Item;
use crate::Topic;

/// Topics and replaced places kept beyond what is needed, so that tidying up is rare.
const SLACK: usize = 64;

/// The places of a queue's events by topic. A place is counted from when the queue was made.
#[derive(Debug, Default)]
pub(super) struct Latest {
    places: HashMap<Topic, u64>,
    /// The place of the queue's first item.
    first: u64,
    replaced: usize,
}

impl Latest {
    /// Notes that `topic`'s last event is being added behind `items`. The one that waits, if one does, is given back, and
    /// its place is left empty.
    pub(super) fn add(&mut self, topic: Topic, items: &mut VecDeque<Item>) -> Option<Item> {
        let place = self.first + items.len() as u64;
        let before = self.places.insert(topic, place)?;
        let index = usize::try_from(before.checked_sub(self.first)?).ok()?;
        self.replaced += 1;
        Some(std::mem::replace(items.get_mut(index)?, Item::Replaced))
    }

    /// Notes that the first item was taken off.
    pub(super) fn popped(&mut self, item: &Item) {
        self.first += 1;
        if matches!(item, Item::Replaced) {
            self.replaced -= 1;
        }
    }

    /// Gives back the memory of empty places and of topics that no longer wait, once they are most of it.
    pub(super) fn tidy(&mut self, items: &mut VecDeque<Item>) {
        if self.replaced > items.len() / 2 + SLACK {
            let mut place = self.first;
            let mut moved = HashMap::new();
            for (index, item) in items.iter().enumerate() {
                moved.insert(self.first + index as u64, place);
                place += u64::from(!matches!(item, Item::Replaced));
            }
            items.retain(|item| !matches!(item, Item::Replaced));
            self.replaced = 0;
            self.places.retain(|_, place| match moved.get(place) {
                Some(to) => {
                    *place = *to;
                    true
                }
                None => false,
            });
        }
        if self.places.len() > items.len() * 2 + SLACK {
            let first = self.first;
            self.places.retain(|_, place| *place >= first);
        }
    }
}
