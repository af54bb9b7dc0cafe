//! Whether bytes move on a connection: what the app has answered may still lie in this process, waiting for a client that takes it slowly.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

const READ: u8 = 1;
const WRITTEN: u8 = 2;

/// Which have moved since this was last asked.
#[derive(Clone, Debug, Default)]
pub(super) struct Moved(Arc<AtomicU8>);

/// What has moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moves {
    Nothing,
    /// The other end takes some of what waits for it.
    Written,
    /// The other end has said something.
    Heard,
}

impl Moved {
    pub(super) fn take(&self) -> Moves {
        match self.0.swap(0, Relaxed) {
            0 => Moves::Nothing,
            WRITTEN => Moves::Written,
            _ => Moves::Heard,
        }
    }

    fn note(&self, which: u8, bytes: usize) {
        if bytes > 0 {
            self.0.fetch_or(which, Relaxed);
        }
    }
}

/// A stream that notes it.
#[derive(Debug)]
pub(super) struct Moving<S> {
    stream: S,
    moved: Moved,
}

impl<S> Moving<S> {
    pub(super) fn new(stream: S, moved: Moved) -> Self {
        Self { stream, moved }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Moving<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        self.moved.note(READ, buf.filled().len() - before);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Moving<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, buf))?;
        self.moved.note(WRITTEN, written);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, bufs))?;
        self.moved.note(WRITTEN, written);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
