//! What waits in this process for one subscription's reader.
//!
//! Whole runs are queued as they came. The queue is bounded in messages and bytes; when its reader falls behind, what
//! was asked for at the hub happens here too: the *oldest* waiting events are dropped, or the newest, or all but the last of each
//! topic. What is dropped is counted, and told at the place where it would have been. The owning task never
//! waits here.
//!
//! Where nothing may be dropped (back pressure, queue groups) the hub sends only a window's worth beyond what the reader has taken,
//! so the queue bounds itself, and it is the hub's queue that fills. Two windows can wait here, after a connection was lost; only
//! a hub that doesn't keep to the window makes such a queue drop something.
//!
//! A small run is a slice of a large receive buffer and would keep it alive: if it must wait behind others it is copied,
//! so that what the bound counts is what is held, give or take one receive buffer.

mod item;
mod latest;
#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
    sync::{Arc, PoisonError},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use tokio::sync::mpsc;

pub(super) use item::{Item, RunItem};
use latest::Latest;

use super::{
    error::Disconnected,
    serve::Incoming,
    sync::{Mutex, MutexGuard},
};

/// Runs below this size are copied when they wait: an eighth of the receive buffer.
const COPIED_BYTES: usize = 8 << 10;

/// Items a reader takes at once.
const BATCH: usize = 32;

/// Where the owning task puts what arrives for a subscription.
#[derive(Clone, Debug)]
pub(super) enum Sink {
    /// Events.
    Events(Arc<Queue>),
    /// Requests to be answered.
    Calls(mpsc::Sender<Incoming>),
}

/// What a reader found.
#[derive(Debug)]
pub(super) enum Taken {
    /// Its batch has items.
    Items,
    /// So many events were dropped here.
    Missed(u64),
    /// The connection was lost and made again, at a place where events were dropped.
    Reconnected(Option<u64>),
    /// Nothing will come any more.
    Ended(Disconnected),
}

/// What happens here when the reader falls behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Losing {
    Oldest,
    Newest,
    /// All but the last of each topic; then the oldest.
    AllButLatest,
}

/// The queue between the owning task and one subscription's reader.
#[derive(Debug)]
pub(super) struct Queue {
    losing: Losing,
    max_messages: u64,
    max_bytes: usize,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    items: VecDeque<Item>,
    messages: u64,
    bytes: usize,
    missed: u64,
    /// A lost connection that was to be told among what was dropped.
    reconnected: Option<Option<u64>>,
    latest: Latest,
    end: Option<Disconnected>,
    reader: Option<Waker>,
}

impl Queue {
    pub(super) fn new(losing: Losing, max_messages: usize, max_bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            losing,
            max_messages: max_messages.max(1) as u64,
            max_bytes: max_bytes.max(1),
            waiting: Mutex::default(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an item, at the cost of what is to be lost if need be. One item alone is kept, however many bytes it has.
    pub(super) fn push(&self, item: Item) {
        let mut waiting = self.lock();
        match (self.losing, item) {
            (Losing::Oldest, item) => self.push_all(&mut waiting, item),
            (Losing::Newest, Item::Run(run)) => self.push_fitting(&mut waiting, run),
            // Over the bound its number is all that is kept: it joins the loss before it.
            (Losing::Newest, Item::Misfit { missed, .. }) if self.is_full(&waiting) => {
                waiting.append(Item::Lagged(missed));
            }
            (Losing::Newest, item) => waiting.append(item),
            (Losing::AllButLatest, Item::Run(run)) => self.push_latest(&mut waiting, run),
            (Losing::AllButLatest, item) => self.push_all(&mut waiting, item),
        }
        wake(waiting);
    }

    fn is_full(&self, waiting: &Waiting) -> bool {
        waiting.messages >= self.max_messages || waiting.bytes >= self.max_bytes
    }

    fn push_all(&self, waiting: &mut Waiting, item: Item) {
        waiting.append(item);
        while waiting.messages > self.max_messages {
            let excess = waiting.messages - self.max_messages;
            waiting.lose(excess);
        }
        while waiting.bytes > self.max_bytes && waiting.items.len() > 1 {
            waiting.lose(u64::MAX);
        }
    }

    /// Adds as many events as fit; the others are told as lost behind them.
    fn push_fitting(&self, waiting: &mut Waiting, mut run: RunItem) {
        let all = run.count;
        let room = self.max_messages.saturating_sub(waiting.messages);
        let room = match waiting.bytes < self.max_bytes {
            true => u32::try_from(room).unwrap_or(u32::MAX),
            false => 0,
        };
        if room >= all {
            return waiting.append(Item::Run(run));
        }
        if room > 0 {
            run.keep(room);
            waiting.append(Item::Run(run));
        }
        waiting.append(Item::Lagged(u64::from(all - room)));
    }

    /// Adds each event in place of the one of its topic that waits.
    fn push_latest(&self, waiting: &mut Waiting, mut run: RunItem) {
        while run.count > 0 {
            let first = run.take_first();
            if let Some(topic) = first.topic()
                && let Some(replaced) = waiting.latest.add(topic, &mut waiting.items)
            {
                waiting.messages = waiting.messages.saturating_sub(replaced.messages());
                waiting.bytes -= replaced.bytes();
            }
            self.push_all(waiting, Item::Run(first));
            let Waiting { latest, items, .. } = waiting;
            latest.tidy(items);
        }
    }

    /// Nothing will come any more; what waits is still read.
    pub(super) fn end(&self, why: Disconnected) {
        let mut waiting = self.lock();
        waiting.end.get_or_insert(why);
        wake(waiting);
    }

    /// Nobody reads any more: frees what waits.
    pub(super) fn abandon(&self) {
        let waiting = std::mem::take(&mut *self.lock());
        drop(waiting);
    }

    /// Moves what waits into an empty `batch`, as much as is taken at once.
    pub(super) fn poll_take(&self, cx: &Context<'_>, batch: &mut VecDeque<Item>) -> Poll<Taken> {
        let mut waiting = self.lock();
        if waiting.missed > 0 {
            return Poll::Ready(Taken::Missed(std::mem::take(&mut waiting.missed)));
        }
        if let Some(missed) = waiting.reconnected.take() {
            return Poll::Ready(Taken::Reconnected(missed));
        }
        if waiting.items.is_empty() {
            if let Some(why) = &waiting.end {
                return Poll::Ready(Taken::Ended(why.clone()));
            }
            match &mut waiting.reader {
                Some(reader) => reader.clone_from(cx.waker()),
                none => *none = Some(cx.waker().clone()),
            }
            return Poll::Pending;
        }
        while batch.len() < BATCH
            && let Some(item) = waiting.pop()
        {
            batch.push_back(item);
        }
        Poll::Ready(Taken::Items)
    }
}

impl Waiting {
    /// Adds an item; a notice like the last one is added to that.
    fn append(&mut self, mut item: Item) {
        match (self.items.back_mut(), &item) {
            (Some(Item::Lagged(last)), Item::Lagged(missed)) => {
                *last = last.saturating_add(*missed);
                return;
            }
            (Some(Item::Reconnected(last)), Item::Reconnected(missed)) => {
                *last = both(Some(*last), *missed);
                return;
            }
            (Some(_) | None, _) => {}
        }
        if let Item::Run(run) = &mut item
            && !self.items.is_empty()
            && run.frames.len() < COPIED_BYTES
        {
            run.frames = Bytes::copy_from_slice(&run.frames);
        }
        self.messages = self.messages.saturating_add(item.messages());
        self.bytes += item.bytes();
        self.items.push_back(item);
    }

    /// Drops the oldest item; of a run no more than `excess` events.
    fn lose(&mut self, excess: u64) {
        let lost = match self.items.front_mut() {
            Some(Item::Run(run)) if u64::from(run.count) > excess => {
                let before = run.frames.len();
                run.shorten(u32::try_from(excess).unwrap_or(u32::MAX));
                self.bytes -= before - run.frames.len();
                self.messages -= excess;
                excess
            }
            Some(_) | None => self.pop().map_or(0, |item| {
                if let Item::Reconnected(missed) = &item {
                    self.reconnected = Some(both(self.reconnected, *missed));
                }
                item.events()
            }),
        };
        self.missed = self.missed.saturating_add(lost);
    }

    fn pop(&mut self) -> Option<Item> {
        let item = self.items.pop_front()?;
        self.latest.popped(&item);
        self.messages = self.messages.saturating_sub(item.messages());
        self.bytes -= item.bytes();
        Some(item)
    }
}

/// How many events two losses of the connection cost together, if that is known.
fn both(before: Option<Option<u64>>, missed: Option<u64>) -> Option<u64> {
    match before {
        None => missed,
        Some(before) => Some(before?.saturating_add(missed?)),
    }
}

fn wake(mut waiting: MutexGuard<'_, Waiting>) {
    let reader = waiting.reader.take();
    drop(waiting);
    if let Some(reader) = reader {
        reader.wake();
    }
}
