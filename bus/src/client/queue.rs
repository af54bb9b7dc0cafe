//! What waits in this process for one subscription's reader.
//!
//! Whole runs are queued as they came. The queue is bounded in messages and bytes; when its reader falls behind, the
//! *oldest* waiting events are dropped, counted, and told as lagging at the place where they would have been. The owning task never
//! waits here. (The hub has a queue of its own per subscription, under the policy that was asked for; but it drops only
//! what this process doesn't take, and this process always takes.)
//!
//! A small run is a slice of a large receive buffer and would keep it alive: if it must wait behind others it is copied,
//! so that what the bound counts is what is held, give or take one receive buffer.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use bytes::{Buf, Bytes};
use tokio::sync::mpsc;

use super::{error::Disconnected, publishers::Publisher, serve::Incoming};
use crate::wire::frame;

/// Runs below this size are copied when they wait: an eighth of the receive buffer.
const COPIED_BYTES: usize = 8 << 10;

/// What a queued item costs beside its bytes.
const ITEM_BYTES: usize = 128;

/// Items a reader takes at once.
const BATCH: usize = 32;

/// Consecutive events of one publisher.
#[derive(Debug)]
pub(super) struct RunItem {
    pub(super) publisher: Arc<Publisher>,
    pub(super) first_seq: u64,
    pub(super) count: u32,
    pub(super) flags: u8,
    pub(super) frames: Bytes,
}

/// Something for a subscription's reader.
#[derive(Debug)]
pub(super) enum Item {
    Run(RunItem),
    Lagged(u64),
    Misfit {
        missed: u64,
        topic: String,
        reason: String,
    },
}

impl RunItem {
    /// Takes off the oldest `n` events; there must be more.
    fn shorten(&mut self, n: u32) {
        for _ in 0..n {
            let rest = self.frames.len();
            let size = frame::peek(&self.frames, rest).ok().flatten();
            self.frames.advance(size.unwrap_or(rest).min(rest));
        }
        self.first_seq = self.first_seq.wrapping_add(n.into());
        self.count -= n;
    }
}

impl Item {
    /// What it counts as toward the bound.
    fn messages(&self) -> u64 {
        match self {
            Self::Run(run) => run.count.into(),
            Self::Lagged(_) | Self::Misfit { .. } => 1,
        }
    }

    /// How many events are missed if it is dropped.
    fn events(&self) -> u64 {
        match self {
            Self::Run(run) => run.count.into(),
            Self::Lagged(missed) | Self::Misfit { missed, .. } => *missed,
        }
    }

    fn bytes(&self) -> usize {
        ITEM_BYTES
            + match self {
                Self::Run(run) => run.frames.len(),
                Self::Lagged(_) => 0,
                Self::Misfit { topic, reason, .. } => topic.len() + reason.len(),
            }
    }
}

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
    /// Nothing will come any more.
    Ended(Disconnected),
}

/// The queue between the owning task and one subscription's reader.
#[derive(Debug)]
pub(super) struct Queue {
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
    end: Option<Disconnected>,
    reader: Option<Waker>,
}

impl Queue {
    pub(super) fn new(max_messages: usize, max_bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            max_messages: max_messages.max(1) as u64,
            max_bytes: max_bytes.max(1),
            waiting: Mutex::default(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an item, at the cost of the oldest events if need be. One item alone is kept, however many bytes it has.
    pub(super) fn push(&self, mut item: Item) {
        let mut waiting = self.lock();
        if let Item::Run(run) = &mut item
            && !waiting.items.is_empty()
            && run.frames.len() < COPIED_BYTES
        {
            run.frames = Bytes::copy_from_slice(&run.frames);
        }
        waiting.messages = waiting.messages.saturating_add(item.messages());
        waiting.bytes += item.bytes();
        waiting.items.push_back(item);
        while waiting.messages > self.max_messages {
            let excess = waiting.messages - self.max_messages;
            waiting.lose(excess);
        }
        while waiting.bytes > self.max_bytes && waiting.items.len() > 1 {
            waiting.lose(u64::MAX);
        }
        wake(waiting);
    }

    /// Nothing will come any more; what waits is still read.
    pub(super) fn end(&self, why: Disconnected) {
        let mut waiting = self.lock();
        waiting.end.get_or_insert(why);
        wake(waiting);
    }

    /// Nobody reads any more: frees what waits.
    pub(super) fn abandon(&self) {
        let items = std::mem::take(&mut self.lock().items);
        drop(items);
    }

    /// Moves what waits into an empty `batch`, as much as is taken at once.
    pub(super) fn poll_take(&self, cx: &Context<'_>, batch: &mut VecDeque<Item>) -> Poll<Taken> {
        let mut waiting = self.lock();
        if waiting.missed > 0 {
            return Poll::Ready(Taken::Missed(std::mem::take(&mut waiting.missed)));
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
            Some(_) | None => self.pop().map_or(0, |item| item.events()),
        };
        self.missed = self.missed.saturating_add(lost);
    }

    fn pop(&mut self) -> Option<Item> {
        let item = self.items.pop_front()?;
        self.messages = self.messages.saturating_sub(item.messages());
        self.bytes -= item.bytes();
        Some(item)
    }
}

fn wake(mut waiting: MutexGuard<'_, Waiting>) {
    let reader = waiting.reader.take();
    drop(waiting);
    if let Some(reader) = reader {
        reader.wake();
    }
}
