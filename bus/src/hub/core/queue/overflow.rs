//! What a subscription does that has no room, by its policy.

use std::time::{Duration, Instant};

use super::{
    Extra, Outbox,
    sub::{Bounds, Care, Pressure, SubQueue},
    told::Loss,
};
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

/// What a full queue asks of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::hub::core) enum Strain {
    /// Nothing.
    None,
    /// Publishers are to be held back, since then and for so long at most.
    Hold { since: Instant, most: Duration },
    /// Publishers are to be held back no longer: it didn't help.
    GiveUp,
    /// Whether it is still over its bounds should be looked at after a while.
    Watch,
    /// The connection is to be closed.
    CutOff,
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
        let list = match queue.is_windowed() {
            true => &mut self.parked,
            false => &mut self.data,
        };
        let is_gap = |item: &Item| matches!(item, Item::Gap);
        let mut tail = queue.tail.filter(|key| is_gap(&list.get(*key).item));
        if tail.is_none() {
            self.append_to(sub, Item::Gap, None);
            tail = self.subs.get(&sub).and_then(|q| q.tail);
        }
        if let Some(tail) = tail {
            let list = match self.is_parked(sub) {
                true => &mut self.parked,
                false => &mut self.data,
            };
            list.get_mut(tail).loss.add(loss);
        }
        events
    }

    fn is_parked(&self, sub: u32) -> bool {
        self.subs.get(&sub).is_some_and(SubQueue::is_windowed)
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
        let list = match queue.is_windowed() {
            true => &mut self.parked,
            false => &mut self.data,
        };
        list.get_mut(key).loss.add(carried.unwrap_or_default());
        self.trim(sub)
    }

    /// Takes out what a later event stands for. Losses that were to be told with it go to what follows it, or are
    /// returned.
    fn replace(&mut self, sub: u32, old: super::Key) -> Option<Loss> {
        let waiting = self.take_out(sub, old);
        let queue = self.subs.get_mut(&sub)?;
        queue.counts.conflated += waiting.item.events();
        let list = match queue.is_windowed() {
            true => &mut self.parked,
            false => &mut self.data,
        };
        match waiting.next_of_sub {
            Some(next) => {
                list.get_mut(next).loss.add(waiting.loss);
                None
            }
            None => Some(waiting.loss),
        }
    }

    /// Looks whether `sub` is in no need any more, after something of it was taken or lost.
    pub(in crate::hub::core) fn ease(&mut self, now: Instant, sub: u32) {
        if let Some(queue) = self.subs.get_mut(&sub)
            && queue.ease(now)
        {
            self.eased.push(sub);
        }
    }

    /// Subscriptions that publishers need not be held for any longer.
    pub(in crate::hub::core) fn take_eased(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.eased)
    }

    /// Whether [`take_eased`](Self::take_eased) has any.
    pub(in crate::hub::core) fn has_eased(&self) -> bool {
        !self.eased.is_empty()
    }

    /// Publishers were held for `sub` as long as they may be.
    pub(in crate::hub::core) fn give_up(&mut self, now: Instant, sub: u32) {
        if let Some(queue) = self.subs.get_mut(&sub)
            && let Some(care) = &mut queue.care
            && let Pressure::Holding { since } = care.pressure
        {
            queue.counts.hold(now.saturating_duration_since(since));
            care.pressure = Pressure::GivenUp;
        }
    }

    /// Since when `sub` is over its bounds, and what waits for it; if it isn't, nobody watches it any longer.
    pub(in crate::hub::core) fn over_since(&mut self, sub: u32) -> Option<(Instant, Bounds)> {
        let queue = self.subs.get_mut(&sub)?;
        let care = queue.care.as_mut()?;
        care.is_watched = care.over_since.is_some();
        let waiting = Bounds {
            messages: queue.messages,
            bytes: queue.bytes,
        };
        care.over_since.map(|since| (since, waiting))
    }

    /// What may wait for `sub`.
    pub(in crate::hub::core) fn bounds(&self, sub: u32) -> Option<Bounds> {
        self.subs.get(&sub).map(|q| q.bounds)
    }
}

impl SubQueue {
    /// What its being full asks of others, after `lost` events.
    fn strain(&mut self, now: Instant, lost: u64) -> Strain {
        let (is_over, is_over_twice) = (self.is_over(), self.is_over_twice());
        let is_over_half = self.is_over_half();
        let Some(care) = &mut self.care else {
            return Strain::None;
        };
        match care.policy {
            OverflowPolicy::DropOldest
            | OverflowPolicy::DropNewest
            | OverflowPolicy::KeepLatest => Strain::None,
            OverflowPolicy::Disconnect if is_over_twice => Strain::CutOff,
            OverflowPolicy::Disconnect if is_over => care.watch(now),
            OverflowPolicy::Disconnect => Strain::None,
            OverflowPolicy::Backpressure { max_wait_ms } => {
                let most = Duration::from_millis(u64::from(max_wait_ms));
                match care.pressure {
                    Pressure::Holding { since } if lost > 0 => {
                        self.counts.hold(now.saturating_duration_since(since));
                        care.pressure = Pressure::GivenUp;
                        Strain::GiveUp
                    }
                    Pressure::Holding { since } => Strain::Hold { since, most },
                    Pressure::Low if lost > 0 => {
                        care.pressure = Pressure::GivenUp;
                        Strain::None
                    }
                    Pressure::Low if is_over_half => {
                        care.pressure = Pressure::Holding { since: now };
                        Strain::Hold { since: now, most }
                    }
                    Pressure::Low | Pressure::GivenUp => Strain::None,
                }
            }
        }
    }

    /// Whether publishers were held for it and need not be any longer.
    fn ease(&mut self, now: Instant) -> bool {
        let (is_over, is_under_quarter) = (self.is_over(), self.is_under_quarter());
        let Some(care) = &mut self.care else {
            return false;
        };
        if !is_over {
            care.over_since = None;
        }
        if !is_under_quarter {
            return false;
        }
        match std::mem::replace(&mut care.pressure, Pressure::Low) {
            Pressure::Low | Pressure::GivenUp => false,
            Pressure::Holding { since } => {
                self.counts.hold(now.saturating_duration_since(since));
                true
            }
        }
    }
}

impl Care {
    fn watch(&mut self, now: Instant) -> Strain {
        self.over_since.get_or_insert(now);
        match std::mem::replace(&mut self.is_watched, true) {
            true => Strain::None,
            false => Strain::Watch,
        }
    }
}
