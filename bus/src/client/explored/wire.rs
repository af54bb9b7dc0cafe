//! A socket whose other end is a hub of a few lines: it notes what is written, may answer, and breaks off when told to.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::{
    client::outbox::Frames,
    wire::{
        FrameType, HEADER_BYTES, codec,
        control::{HubControl, HubOp},
        data, frame,
        hello::Codec,
    },
};

/// What the hub does with what it reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answers {
    /// Nothing.
    None,
    /// It acknowledges every event that asks for it.
    All,
}

/// The events that came to the hub, over all connections, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Written(Arc<Mutex<Vec<(String, u8)>>>);

impl Written {
    /// The numbers of the events on a topic.
    pub(super) fn events_on(&self, topic: &str) -> Vec<u8> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter()
            .filter_map(|(on, n)| (on == topic).then_some(*n))
            .collect()
    }

    fn count(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn note(&self, topic: &[u8], payload: &[u8]) {
        let topic = String::from_utf8(topic.to_vec()).expect("a topic");
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.push((topic, *payload.first().expect("a number")));
    }
}

/// This end of the socket.
pub(super) struct Wire {
    written: Written,
    /// What came and is no whole frame yet.
    partial: BytesMut,
    /// It breaks off after so many events in all, or so many bytes.
    events: usize,
    bytes: usize,
    answers: Answers,
    /// What the hub says, a piece at a time.
    says: BytesMut,
}

impl Wire {
    /// Breaks off once `events` have come to the hub, by any connection.
    pub(super) fn until(events: usize, written: &Written) -> Self {
        Self {
            written: written.clone(),
            partial: BytesMut::new(),
            events,
            bytes: usize::MAX,
            answers: Answers::None,
            says: BytesMut::new(),
        }
    }

    /// Breaks off after so many bytes at the latest.
    pub(super) fn after(self, bytes: usize) -> Self {
        Self { bytes, ..self }
    }

    pub(super) fn answering(self) -> Self {
        let answers = Answers::All;
        Self { answers, ..self }
    }

    /// Says this, one message at a time.
    pub(super) fn saying(mut self, ops: impl IntoIterator<Item = HubOp>) -> Self {
        for op in ops {
            self.say(0, op);
        }
        self
    }

    fn say(&mut self, r#ref: u64, op: HubOp) {
        let message = HubControl { r#ref, op };
        let body = codec::encode(Codec::Postcard, &message).expect("it can be written");
        frame::put(&mut self.says, FrameType::Control, 0, &body);
    }

    fn is_over(&self) -> bool {
        self.bytes == 0 || self.written.count() >= self.events
    }

    /// Takes whole frames of what came.
    fn take(&mut self) {
        let whole: usize = Frames(&self.partial).map(|(frame, _)| frame.len()).sum();
        let frames = self.partial.split_to(whole);
        for (frame, _) in Frames(&frames) {
            let (kind, flags, body) = (frame[4], frame[5], &frame[HEADER_BYTES..]);
            if FrameType::from_byte(kind) != Some(FrameType::Emit) {
                continue;
            }
            let head = data::emit(body, flags).expect("an event");
            self.written.note(head.topic, &body[head.payload_at..]);
            if let (Answers::All, Some(r#ref)) = (self.answers, head.ack) {
                self.say(r#ref, HubOp::Done { count: 1 });
            }
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let next = Frames(&self.says)
            .next()
            .map_or(0, |(frame, _)| frame.len());
        let piece = next.min(buffer.remaining());
        if piece > 0 {
            buffer.put_slice(&self.says[..piece]);
            self.says.advance(piece);
            return Poll::Ready(Ok(()));
        }
        // Whatever could change that is written by whoever reads.
        match self.is_over() {
            true => Poll::Ready(Ok(())),
            false => Poll::Pending,
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let taken = bytes.len().min(self.bytes);
        self.bytes -= taken;
        if taken == 0 {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        self.partial.extend_from_slice(&bytes[..taken]);
        self.take();
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
