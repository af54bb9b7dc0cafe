//! What waits to be written: one buffer of whole frames, bounded.
//!
//! Emitters append; the owning task swaps the whole of it for its own empty one and writes that in one call. Over the
//! bound there is no room, and senders wait. While there is no connection what was appended waits here for the next one. Control messages of a few bytes that must not wait (unsubscribing, declining, both in
//! `Drop`) go past the bound; there are at most as many as subscriptions and calls.

use bytes::{BufMut, Bytes, BytesMut};

use crate::wire::{FrameType, data, flags, frame};

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

    /// Appends a frame: a header by `head`, then the payload. Tells where it begins.
    pub(super) fn frame(
        &mut self,
        kind: FrameType,
        flags: u8,
        head: impl FnOnce(&mut BytesMut),
        payload: &[u8],
    ) -> usize {
        let at = frame::begin(&mut self.buffer, kind, flags);
        head(&mut self.buffer);
        self.buffer.put_slice(payload);
        frame::end(&mut self.buffer, at);
        at
    }

    /// A copy of the frame that begins at `at` and is the last.
    pub(super) fn copy_from(&self, at: usize) -> Bytes {
        Bytes::copy_from_slice(&self.buffer[at..])
    }

    /// Appends frames as they are.
    pub(super) fn whole(&mut self, frames: &[u8]) {
        self.buffer.put_slice(frames);
    }

    /// Puts back what was taken and not written: it goes before everything else. The writer counts as busy until there is
    /// one again.
    pub(super) fn put_back(&mut self, mut unwritten: BytesMut) {
        unwritten.extend_from_slice(&self.buffer);
        self.buffer = unwritten;
        self.writer = Writer::Busy;
    }

    /// Takes out everything.
    pub(super) fn clear(&mut self) -> BytesMut {
        std::mem::take(&mut self.buffer)
    }

    /// The frames that wait.
    pub(super) fn frames(&self) -> Frames<'_> {
        Frames(&self.buffer)
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

/// The frames of a buffer of whole ones, in order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frames<'a>(pub(super) &'a [u8]);

/// What a waiting frame means to a connection other than the one it was meant for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waiting {
    /// An event; with its reference, if it has one.
    Event(Option<u64>),
    /// An event that is kept until the hub has acknowledged it.
    Reliable(u64),
    /// A question.
    Request(u64),
    /// It belongs to its connection: an announcement, a subscription, the answer to a call.
    Bound,
}

impl<'a> Iterator for Frames<'a> {
    type Item = (&'a [u8], Waiting);

    fn next(&mut self) -> Option<Self::Item> {
        let size = frame::peek(self.0, usize::MAX).ok().flatten()?;
        let (whole, rest) = self.0.split_at_checked(size)?;
        self.0 = rest;
        Some((whole, waiting(whole)))
    }
}

fn waiting(whole: &[u8]) -> Waiting {
    let (kind, flags, body) = (whole[4], whole[5], &whole[6..]);
    match FrameType::from_byte(kind) {
        Some(FrameType::Emit) => match data::emit(body, flags).map(|head| head.ack) {
            Ok(Some(r#ref)) if flags & flags::RELIABLE != 0 => Waiting::Reliable(r#ref),
            Ok(ack) => Waiting::Event(ack),
            Err(_) => Waiting::Bound,
        },
        Some(FrameType::Request) => match data::request(body, flags) {
            Ok(head) => Waiting::Request(head.r#ref),
            Err(_) => Waiting::Bound,
        },
        Some(_) | None => Waiting::Bound,
    }
}

/// What is left of `buffer` when its first `written` bytes were taken: the frames that were not wholly, each from its beginning.
/// A frame of which a part was taken can't have been understood.
pub(super) fn unwritten(mut buffer: BytesMut, written: usize) -> BytesMut {
    let mut at = 0;
    for (whole, _) in Frames(&buffer) {
        if at + whole.len() > written {
            break;
        }
        at += whole.len();
    }
    buffer.split_off(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_in_part_is_unwritten() {
        let mut buffer = BytesMut::new();
        for body in [&b"one"[..], b"", b"three"] {
            frame::put(&mut buffer, FrameType::Control, 0, body);
        }
        let ends = [9, 15, 26];
        for written in 0..=buffer.len() {
            let kept = ends
                .iter()
                .rev()
                .find(|end| **end <= written)
                .copied()
                .unwrap_or(0);
            assert_eq!(
                unwritten(buffer.clone(), written),
                buffer[kept..],
                "{written}"
            );
        }
    }

    #[test]
    fn what_was_put_back_goes_first() {
        let mut outbox = Outbox::new(100);
        frame::put(&mut outbox.buffer, FrameType::Control, 0, b"later");
        let mut earlier = BytesMut::new();
        frame::put(&mut earlier, FrameType::Control, 0, b"earlier");
        outbox.put_back(earlier);
        let bodies: Vec<_> = outbox.frames().map(|(whole, _)| &whole[6..]).collect();
        assert_eq!(bodies, [&b"earlier"[..], b"later"]);
    }
}
