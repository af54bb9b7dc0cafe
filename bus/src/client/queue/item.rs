//! What a queue holds.

use std::sync::Arc;

use bytes::{Buf, Bytes};

use crate::{
    Topic,
    client::publishers::Publisher,
    wire::{HEADER_BYTES, data, frame},
};

/// What a queued item costs beside its bytes.
const ITEM_BYTES: usize = 128;

/// Consecutive events of one publisher.
#[derive(Clone, Debug)]
pub(in crate::client) struct RunItem {
    pub(in crate::client) publisher: Arc<Publisher>,
    pub(in crate::client) first_seq: u64,
    pub(in crate::client) count: u32,
    pub(in crate::client) flags: u8,
    /// The number of the connection it came by.
    pub(in crate::client) epoch: u32,
    pub(in crate::client) frames: Bytes,
}

/// Something for a subscription's reader.
#[derive(Debug)]
pub(in crate::client) enum Item {
    Run(RunItem),
    Lagged(u64),
    Misfit {
        missed: u64,
        topic: String,
        reason: String,
    },
    /// The connection was lost and made again; so many events between are lost, if that is known.
    Reconnected(Option<u64>),
    /// Its place was taken by a later event of its topic.
    Replaced,
}

impl RunItem {
    /// The size of the frame at `at`; the rest, if it is none.
    fn size_at(&self, at: usize) -> usize {
        let rest = &self.frames[at..];
        let size = frame::peek(rest, rest.len()).ok().flatten();
        size.unwrap_or(rest.len()).min(rest.len())
    }

    /// Takes off the oldest `n` events; there must be more.
    pub(super) fn shorten(&mut self, n: u32) {
        for _ in 0..n {
            let size = self.size_at(0);
            self.frames.advance(size);
        }
        self.first_seq = self.first_seq.wrapping_add(n.into());
        self.count -= n;
    }

    /// Leaves only the oldest `n` events; there must be more.
    pub(super) fn keep(&mut self, n: u32) {
        let mut end = 0;
        for _ in 0..n {
            end += self.size_at(end);
        }
        self.frames.truncate(end);
        self.count = n;
    }

    /// Takes off the first event, as a run of its own; there must be one.
    pub(super) fn take_first(&mut self) -> Self {
        let size = self.size_at(0);
        let first = Self {
            count: 1,
            frames: self.frames.slice(..size),
            ..self.clone()
        };
        self.shorten(1);
        first
    }

    /// The topic of the first event.
    pub(super) fn topic(&self) -> Option<Topic> {
        let whole = self.frames.get(..self.size_at(0))?;
        let head = data::emit(whole.get(HEADER_BYTES..)?, *whole.get(HEADER_BYTES - 1)?).ok()?;
        if !head.topic.is_empty() {
            return Topic::new(std::str::from_utf8(head.topic).ok()?).ok();
        }
        match head.kind {
            data::Payload::Postcard(index) => self.publisher.published(index)?.topic.clone(),
            data::Payload::Json | data::Payload::Bytes => None,
        }
    }
}

impl Item {
    /// What it counts as toward the bound.
    pub(super) fn messages(&self) -> u64 {
        match self {
            Self::Run(run) => run.count.into(),
            Self::Lagged(_) | Self::Misfit { .. } | Self::Reconnected(_) => 1,
            Self::Replaced => 0,
        }
    }

    /// How many events are missed if it is dropped.
    pub(super) fn events(&self) -> u64 {
        match self {
            Self::Run(run) => run.count.into(),
            Self::Lagged(missed) | Self::Misfit { missed, .. } => *missed,
            Self::Reconnected(_) | Self::Replaced => 0,
        }
    }

    pub(super) fn bytes(&self) -> usize {
        let held = match self {
            Self::Run(run) => run.frames.len(),
            Self::Lagged(_) | Self::Reconnected(_) => 0,
            Self::Misfit { topic, reason, .. } => topic.len() + reason.len(),
            Self::Replaced => return 0,
        };
        ITEM_BYTES + held
    }
}
