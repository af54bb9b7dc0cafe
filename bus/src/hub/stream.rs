//! A connection's bytes: a Unix socket, which can be tried without waiting, or memory, which can't.

use std::{
    io::{self, IoSlice},
    pin::pin,
};

use bytes::BytesMut;
use tokio::{
    io::{AsyncReadExt, AsyncWrite, DuplexStream, ReadHalf, WriteHalf},
    net::UnixStream,
    sync::Mutex,
};

/// Both ways of one connection, for a reader and a writer on the same thread.
#[derive(Debug)]
pub(super) enum Stream {
    Unix(UnixStream),
    Memory {
        /// Only the connection's reader takes it.
        read: Mutex<ReadHalf<DuplexStream>>,
        /// Only the connection's writer takes it.
        write: Mutex<WriteHalf<DuplexStream>>,
    },
}

impl From<UnixStream> for Stream {
    fn from(stream: UnixStream) -> Self {
        Self::Unix(stream)
    }
}

impl From<DuplexStream> for Stream {
    fn from(stream: DuplexStream) -> Self {
        let (read, write) = tokio::io::split(stream);
        Self::Memory {
            read: Mutex::new(read),
            write: Mutex::new(write),
        }
    }
}

impl Stream {
    /// Waits until there may be something to read. Memory has nothing to wait for: its read waits.
    pub(super) async fn readable(&self) -> io::Result<()> {
        match self {
            Self::Unix(stream) => stream.readable().await,
            Self::Memory { .. } => Ok(()),
        }
    }

    /// Reads into `buffer` what is there; from memory, waits for it. `WouldBlock`: wait until it is readable again.
    pub(super) async fn read(&self, buffer: &mut BytesMut) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.try_read_buf(buffer),
            Self::Memory { read, .. } => read.lock().await.read_buf(buffer).await,
        }
    }

    /// Whether reading waits by itself, with the buffer in hand.
    pub(super) fn waits_with_buffer(&self) -> bool {
        match self {
            Self::Unix(_) => false,
            Self::Memory { .. } => true,
        }
    }

    /// Writes what can be written without waiting.
    pub(super) fn try_write(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.try_write_vectored(parts),
            Self::Memory { .. } => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// Writes some of it, when it can be written.
    pub(super) async fn write(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => loop {
                stream.writable().await?;
                match stream.try_write_vectored(parts) {
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                    done => return done,
                }
            },
            Self::Memory { write, .. } => {
                let mut write = write.lock().await;
                let part = parts.iter().find(|p| !p.is_empty());
                let part = part.map_or(&[][..], |p| p);
                std::future::poll_fn(|cx| pin!(&mut *write).poll_write(cx, part)).await
            }
        }
    }
}
