//! Where items wait: in the order in which the hub took them, each also chained to the next of its subscription, which may
//! lose its own oldest wherever they stand.

use super::{Key, List, Loss, Outbox, SubQueue, pins};
use crate::{
    Topic,
    hub::core::item::{ITEM_BYTES, Item, Run},
};

/// An item of the data queue.
#[derive(Debug)]
pub(super) struct Waiting {
    /// Whose it is; `None` is the connection's own: answers, marks.
    pub(super) sub: Option<u32>,
    /// Events of `sub` lost just before it.
    pub(super) loss: Loss,
    pub(super) item: Item,
    /// Grows along the queue.
    pub(super) order: u64,
    /// The next item of the same subscription.
    pub(super) next_of_sub: Option<Key>,
    /// The one before; means nothing at the head.
    pub(super) before_of_sub: Option<Key>,
    /// Beyond what a plain subscription needs.
    pub(super) extra: Option<Box<Extra>>,
}

/// What subscriptions with terms of their own must know of an item.
#[derive(Debug, Default)]
pub(super) struct Extra {
    /// Its topic, where of each topic only the last event waits.
    pub(super) topic: Option<Topic>,
    /// The event as it was published, where the item is another form of it and another reader may yet get it.
    pub(super) source: Option<Run>,
}

/// All that waits, the control lane aside.
#[derive(Debug, Default)]
pub(super) struct Lists {
    /// What is written as it stands.
    pub(super) data: List<Waiting>,
    /// What waits for subscriptions with a window: they alone may hold back what others behind them need not wait for.
    pub(super) parked: List<Waiting>,
}

impl Lists {
    /// The one in which the items of a subscription wait.
    pub(super) fn of(&self, queue: &SubQueue) -> &List<Waiting> {
        match queue.is_windowed() {
            true => &self.parked,
            false => &self.data,
        }
    }

    /// The same, to be changed.
    pub(super) fn of_mut(&mut self, queue: &SubQueue) -> &mut List<Waiting> {
        match queue.is_windowed() {
            true => &mut self.parked,
            false => &mut self.data,
        }
    }
}

impl Outbox {
    /// Queues an item for `sub`, and says whether that is now over its bounds.
    pub(super) fn append_to(&mut self, sub: u32, item: Item, extra: Option<Box<Extra>>) -> bool {
        let Some(queue) = self.subs.get_mut(&sub) else {
            return false;
        };
        self.charge.add(held_bytes(&item, extra.as_deref()));
        if let Item::Run(Run {
            pins: Some(input), ..
        }) = &item
        {
            self.pinning = (self.pinning.0 + 1, *input);
        }
        queue.messages += item.messages();
        queue.bytes += item.bytes();
        queue.counts.matched += item.events();
        let windowed = queue.is_windowed();
        let list = self.lists.of_mut(queue);
        self.order += 1;
        let before = queue.tail;
        let key = list.push_back(Waiting {
            sub: Some(sub),
            loss: Loss::default(),
            item,
            order: self.order,
            next_of_sub: None,
            before_of_sub: before,
            extra,
        });
        queue.tail = Some(key);
        match before {
            Some(before) => list.get_mut(before).next_of_sub = Some(key),
            None => queue.head = Some(key),
        }
        let over = queue.is_over();
        if windowed {
            self.make_ready(sub);
        }
        over
    }

    /// Takes out the first item of `sub`.
    pub(super) fn take_head(&mut self, sub: u32) -> Option<Waiting> {
        let key = self.subs.get(&sub)?.head?;
        Some(self.take_out(sub, key))
    }

    /// Takes an item of `sub` out of its queue.
    pub(super) fn take_out(&mut self, sub: u32, key: Key) -> Waiting {
        let Some(queue) = self.subs.get_mut(&sub) else {
            let waiting = self.lists.data.remove(key);
            self.release_waiting(&waiting);
            return waiting;
        };
        let windowed = queue.is_windowed();
        let list = self.lists.of_mut(queue);
        let waiting = list.remove(key);
        let before = waiting.before_of_sub.filter(|_| queue.head != Some(key));
        match before {
            Some(before) => list.get_mut(before).next_of_sub = waiting.next_of_sub,
            None => queue.head = waiting.next_of_sub,
        }
        match waiting.next_of_sub {
            Some(next) => list.get_mut(next).before_of_sub = before,
            None => queue.tail = before,
        }
        queue.messages -= waiting.item.messages();
        queue.bytes -= waiting.item.bytes();
        if let Some(topic) = waiting.extra.as_ref().and_then(|e| e.topic.as_ref()) {
            queue.forget_latest(topic, key);
        }
        self.release_waiting(&waiting);
        if windowed {
            self.make_ready(sub);
        }
        waiting
    }

    fn release_waiting(&mut self, waiting: &Waiting) {
        let held = held_bytes(&waiting.item, waiting.extra.as_deref());
        self.charge.sub(held);
        self.pinning.0 -= usize::from(pins(&waiting.item));
    }

    /// Queues an item of the connection's own.
    pub(super) fn append_unowned(&mut self, item: Item) {
        self.order += 1;
        self.lists.data.push_back(Waiting {
            sub: None,
            loss: Loss::default(),
            item,
            order: self.order,
            next_of_sub: None,
            before_of_sub: None,
            extra: None,
        });
    }
}

/// Memory that a waiting item takes.
fn held_bytes(item: &Item, extra: Option<&Extra>) -> usize {
    let source = extra.and_then(|e| e.source.as_ref());
    item.bytes() + ITEM_BYTES + source.map_or(0, |run| run.frames.len())
}
