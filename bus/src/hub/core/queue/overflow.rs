//! What a subscription does that has no room, by its policy.

use std::time::Instant;

use super::{Extra, Outbox, pressure::Strain, sub::Bounds, told::Loss};
use crate::{
    Topic,
    hub::core::item::{Item, Run},
    wire::control::OverflowPolicy,
};

/// What came of an item that was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::hub::core) struct Offered {
    /// Events lost to make room, or for want of it.
    pub(in crate::hub::core) lost: u64,
    /// What that asks of others.
    pub(in crate::hub::core) strain: Strain,
}

impl Outbox {
    /// Queues an item for a subscription with terms of its own. `source`: the event as it was published, where that may
    /// be needed again.
    pub(in crate::hub::core) fn offer(
        &mut self,
        now: Instant,
        sub: u32,
        item: Item,
        topic: &Topic,
        source: Option<Run>,
    ) -> Offered {
        let policy = self.subs.get(&sub).and_then(|q| q.care.as_ref());
        let policy = policy.map_or(OverflowPolicy::DropOldest, |care| care.policy);
        let extra = source.map(|source| {
            Box::new(Extra {
                source: Some(source),
                topic: None,
            })
        });
        if self.joins_last_misfit(sub, &item) {
            return Offered {
                lost: 0,
                strain: Strain::None,
            };
        }
        let lost = match policy {
            OverflowPolicy::DropOldest | OverflowPolicy::Backpressure { .. } => {
                match self.append_to(sub, item, extra) {
                    true => self.trim(sub),
                    false => 0,
                }
            }
            OverflowPolicy::DropNewest => self.append_what_fits(sub, item, extra),
            OverflowPolicy::KeepLatest => self.append_latest(sub, item, topic),
            OverflowPolicy::Disconnect => {
                self.append_to(sub, item, extra);
                0
            }
        };
        let strain = match self.subs.get_mut(&sub) {
            Some(queue) => queue.strain(now, lost),
            None => Strain::None,
        };
        self.ease(now, sub);
        Offered { lost, strain }
    }

    /// Whether of each topic no more than the latest event waits for `sub`.
    pub(in crate::hub::core) fn keeps_latest(&self, sub: u32) -> bool {
        let care = self.subs.get(&sub).and_then(|q| q.care.as_ref());
        care.is_some_and(|care| care.policy == OverflowPolicy::KeepLatest)
    }

    /// Appends what there is room for, and keeps the loss of the rest in its place.
    fn append_what_fits(&mut self, sub: u32, item: Item, extra: Option<Box<Extra>>) -> u64 {
        let mut run = match item {
            Item::Run(run) if extra.is_none() => run,
            whole if self.has_room(sub, whole.bytes()) => {
                self.append_to(sub, whole, extra);
                return 0;
            }
            whole => return self.refuse_all(sub, &whole),
        };
        let mut lost = 0;
        while run.count > 0 {
            let fitting = match self.room(sub) {
                Bounds { messages: 0, .. } => {
                    return lost + self.refuse_all(sub, &Item::Run(run));
                }
                Bounds { messages, bytes } => run.fitting(messages, bytes),
            };
            if fitting == run.count {
                self.append_to(sub, Item::Run(run), None);
                return lost;
            }
            if fitting > 0 {
                let front = run.split(fitting);
                self.append_to(sub, Item::Run(front), None);
            }
            // The next one is too large, but perhaps not the one after it.
            let loss = self.subs.get(&sub).map(|q| q.told.loss(1, run.first_seq));
            run.shorten(1);
            lost += self.refuse_newest(sub, loss.unwrap_or_default());
        }
        lost
    }

    fn room(&self, sub: u32) -> Bounds {
        match self.subs.get(&sub) {
            Some(q) => Bounds {
                messages: q.bounds.messages.saturating_sub(q.messages),
                bytes: q.bounds.bytes.saturating_sub(q.bytes),
            },
            None => Bounds {
                messages: 0,
                bytes: 0,
            },
        }
    }

    /// New events are lost, all of them.
    fn refuse_all(&mut self, sub: u32, item: &Item) -> u64 {
        let loss = self.subs.get(&sub).map(|q| q.loss_of(item));
        self.refuse_newest(sub, loss.unwrap_or_default())
    }

    /// New events are lost behind what waits.
    pub(super) fn refuse_newest(&mut self, sub: u32, loss: Loss) -> u64 {
        let Some(queue) = self.subs.get_mut(&sub) else {
            return 0;
        };
        let events = loss.events;
        queue.counts.matched += events;
        queue.counts.lagged += events;
        let last = queue.tail.map(|key| &self.lists.of(queue).get(key).item);
        if !matches!(last, Some(Item::Gap)) {
            self.append_to(sub, Item::Gap, None);
        }
        if let Some(queue) = self.subs.get(&sub)
            && let Some(gap) = queue.tail
        {
            self.lists.of_mut(queue).get_mut(gap).loss.add(loss);
        }
        events
    }

    /// Appends an event in place of the one of its topic that waits. A misfit takes nobody's place.
    fn append_latest(&mut self, sub: u32, item: Item, topic: &Topic) -> u64 {
        let item = match item {
            Item::Run(mut run) => {
                if run.count > 1 {
                    let older = run.split(run.count - 1).count;
                    if let Some(queue) = self.subs.get_mut(&sub) {
                        queue.counts.matched += u64::from(older);
                        queue.counts.conflated += u64::from(older);
                    }
                }
                Item::Run(run)
            }
            Item::Whole(whole) => Item::Whole(whole),
            misfit @ (Item::Misfit { .. } | Item::Gap) => {
                return match self.append_to(sub, misfit, None) {
                    true => self.trim(sub),
                    false => 0,
                };
            }
        };
        let care = self.subs.get(&sub).and_then(|q| q.care.as_ref());
        let old = care.and_then(|care| care.latest.get(topic).copied());
        let carried = old.and_then(|old| self.replace(sub, old));
        let extra = Extra {
            topic: Some(topic.clone()),
            source: None,
        };
        self.append_to(sub, item, Some(Box::new(extra)));
        let Some(queue) = self.subs.get_mut(&sub) else {
            return 0;
        };
        let Some(key) = queue.tail else { return 0 };
        if let Some(care) = &mut queue.care {
            care.latest.insert(topic.clone(), key);
        }
        let list = self.lists.of_mut(queue);
        list.get_mut(key).loss.add(carried.unwrap_or_default());
        self.trim(sub)
    }

    /// Takes out what a later event stands for. Losses that were to be told with it go to what follows it, or are
    /// returned.
    fn replace(&mut self, sub: u32, old: super::Key) -> Option<Loss> {
        let waiting = self.take_out(sub, old);
        let queue = self.subs.get_mut(&sub)?;
        queue.counts.conflated += waiting.item.events();
        let list = self.lists.of_mut(queue);
        match waiting.next_of_sub {
            Some(next) => {
                list.get_mut(next).loss.add(waiting.loss);
                None
            }
            None => Some(waiting.loss),
        }
    }
}
