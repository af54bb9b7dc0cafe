//! What waits to be written: one buffer of whole frames, bounded.
//!
//! Emitters append; the owning task swaps the whole of it for its own empty one and writes that in one call. Over the
//! bound there is no room, and senders wait. Control messages of a few bytes that must not wait (unsubscribing, declining, both in
//! `Drop`) go past the bound; there are at most as many as subscriptions and calls.

use bytes::{BufMut, BytesMut};

use crate::wire::{FrameType, frame};

/// A buffer larger than this is given back to the allocator when everything was written.
const KEPT_BYTES: usize = 256 << 10;

/// Whether the owning task must be woken for what was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writer {
    /// It writes, and will look again before it sleeps.
    Busy,
    /// It sleeps.
    Asleep,
}

/// The outgoing buffer.
#[derive(Debug)]
pub(super) struct Outbox {
    buffer: BytesMut,
    bound: usize,
    writer: Writer,
}

impl Outbox {
    pub(super) fn new(bound: usize) -> Self {
        Self {
            buffer: BytesMut::new(),
            bound,
            writer: Writer::Busy,
        }
    }

    /// Whether a frame may be appended; it may exceed the bound by itself.
    pub(super) fn has_room(&self) -> bool {
        self.buffer.len() < self.bound
    }

    /// Appends a frame: a header by `head`, then the payload.
    pub(super) fn frame(
        &mut self,
        kind: FrameType,
        flags: u8,
        head: impl FnOnce(&mut BytesMut),
        payload: &[u8],
    ) {
        let at = frame::begin(&mut self.buffer, kind, flags);
        head(&mut self.buffer);
        self.buffer.put_slice(payload);
        frame::end(&mut self.buffer, at);
    }

    /// Whether the task has to be woken now; asking is promising to.
    pub(super) fn must_wake(&mut self) -> bool {
        let wake = self.writer == Writer::Asleep && !self.buffer.is_empty();
        if wake {
            self.writer = Writer::Busy;
        }
        wake
    }

    /// Swaps what waits for `written`, which must have been written. If nothing waits the writer counts as asleep, and false is told.
    pub(super) fn take(&mut self, written: &mut BytesMut) -> bool {
        written.clear();
        if self.buffer.is_empty() {
            if written.capacity() > KEPT_BYTES {
                *written = BytesMut::new();
            }
            if self.buffer.capacity() > KEPT_BYTES {
                self.buffer = BytesMut::new();
            }
            self.writer = Writer::Asleep;
            return false;
        }
        self.writer = Writer::Busy;
        std::mem::swap(&mut self.buffer, written);
        true
    }
}
