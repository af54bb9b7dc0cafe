//! One connection, driven by the owning task: it alone reads and writes the socket.
//!
//! ```text
//!   ┌─ write what waits (one call per buffer) ─┐
//!   │                                          │  until neither moves; then sleep until the socket can be read or
//!   └─ read what came, hand it on ◄────────────┘  written, a handle has appended, or the end is asked for
//! ```
//!
//! Writing never waits for reading nor the reverse: so a hub that stops reading until we read, and a reader that
//! emits for each event it gets, cannot lock each other up.

use std::{
    future::{Future, poll_fn},
    io,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWrite};

use super::{error::Disconnected, link::Link, outbox::unwritten, receive::Receiver};
use crate::{
    transport::ByteStream,
    wire::{frame, hello::WelcomeLimits},
};

/// Bytes read at once. As much as a Unix socket's writer can hand over in one go, about.
const READ_BYTES: usize = 64 << 10;

/// What a frame of a hub may have beyond one payload: a run's worth of smaller events.
const RUN_SLACK_BYTES: usize = 1 << 20;

/// How long a connection whose handles are gone may take to write what was emitted. A hub that takes nothing for so long is hung.
pub(super) const LINGER: Duration = Duration::from_secs(5);

/// A connection and its end of the socket.
pub(super) struct Connection<'a> {
    link: Arc<Link>,
    stream: Box<dyn ByteStream>,
    incoming: BytesMut,
    writing: BytesMut,
    written: usize,
    frame_limit: usize,
    receiver: &'a mut Receiver,
}

/// How a connection ended.
pub(super) struct Ended {
    pub(super) why: Disconnected,
    /// The frames that were to be written and were not, or not wholly.
    pub(super) unwritten: BytesMut,
}

/// Whether a direction moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moved {
    Yes,
    No,
}

impl<'a> Connection<'a> {
    pub(super) fn new(
        link: Arc<Link>,
        receiver: &'a mut Receiver,
        stream: Box<dyn ByteStream>,
        received: BytesMut,
    ) -> Self {
        Self {
            stream,
            incoming: received,
            writing: BytesMut::new(),
            written: 0,
            frame_limit: largest_frame(&link.welcome().limits),
            receiver,
            link,
        }
    }

    /// Runs until the connection ends.
    pub(super) async fn run(mut self) -> Ended {
        let link = Arc::clone(&self.link);
        let why = tokio::select! {
            biased;
            why = poll_fn(|cx| self.poll(cx)) => why,
            why = link.lingered(LINGER) => why,
        };
        Ended {
            why,
            unwritten: unwritten(self.writing, self.written),
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Disconnected> {
        // What came along with the WELCOME.
        if let Err(why) = self.hand_on() {
            return Poll::Ready(why);
        }
        loop {
            let moved = match (self.poll_write(cx), self.poll_read(cx)) {
                (_, Err(why)) => return Poll::Ready(why),
                (Err(why), Ok(Moved::No)) => return Poll::Ready(why),
                // A hub that closes may have said why: read that first.
                (Err(_), Ok(Moved::Yes)) => Moved::Yes,
                (Ok(Moved::No), Ok(Moved::No)) => Moved::No,
                (Ok(_), Ok(_)) => Moved::Yes,
            };
            if moved == Moved::No {
                return Poll::Pending;
            }
        }
    }

    /// Writes once, if there is something to write.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Result<Moved, Disconnected> {
        if self.written == self.writing.len() {
            self.written = 0;
            if !self.link.take_outgoing(&mut self.writing, cx)? {
                return match Pin::new(&mut self.stream).poll_flush(cx) {
                    Poll::Ready(Err(e)) => Err(self.lost(&e)),
                    Poll::Ready(Ok(())) | Poll::Pending => Ok(Moved::No),
                };
            }
        }
        let rest = &self.writing[self.written..];
        match Pin::new(&mut self.stream).poll_write(cx, rest) {
            Poll::Ready(Ok(0)) => Err(self.lost(&io::ErrorKind::WriteZero.into())),
            Poll::Ready(Ok(n)) => {
                self.written += n;
                Ok(Moved::Yes)
            }
            Poll::Ready(Err(e)) => Err(self.lost(&e)),
            Poll::Pending => {
                self.link.check_ending(cx)?;
                Ok(Moved::No)
            }
        }
    }

    /// Reads once, and hands on what is complete.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Result<Moved, Disconnected> {
        self.incoming.reserve(READ_BYTES);
        let read = pin!(self.stream.read_buf(&mut self.incoming)).poll(cx);
        match read {
            Poll::Ready(Ok(0)) => {
                let end = io::Error::new(io::ErrorKind::UnexpectedEof, "end of stream");
                Err(self.lost(&end))
            }
            Poll::Ready(Ok(_)) => {
                self.hand_on()?;
                Ok(Moved::Yes)
            }
            Poll::Ready(Err(e)) => Err(self.lost(&e)),
            Poll::Pending => Ok(Moved::No),
        }
    }

    fn hand_on(&mut self) -> Result<(), Disconnected> {
        loop {
            match frame::take(&mut self.incoming, self.frame_limit) {
                Ok(Some(whole)) => self.receiver.take(whole)?,
                Ok(None) => return Ok(()),
                Err(e) => return Err(self.receiver.broken(&e)),
            }
        }
    }

    fn lost(&self, error: &io::Error) -> Disconnected {
        Disconnected::Lost {
            target: self.link.target.clone(),
            error: error.to_string(),
        }
    }
}

/// The largest length field a hub may send.
fn largest_frame(limits: &WelcomeLimits) -> usize {
    limits
        .payload
        .max(limits.control)
        .saturating_add(RUN_SLACK_BYTES)
        .min(u32::MAX as usize)
}
