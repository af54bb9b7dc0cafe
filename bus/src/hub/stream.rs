//! A connection's bytes: a Unix or TCP socket, which can be tried without waiting; or memory or TLS, which can't.

use std::{
    io::{self, IoSlice},
    pin::pin,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, DuplexStream, ReadHalf, WriteHalf},
    net::TcpStream,
    sync::Mutex,
};

use super::socket::Socket;

#[cfg(feature = "tls")]
use tokio::io::AsyncWriteExt;

#[cfg(feature = "tls")]
type TlsStream = Box<tokio_rustls::server::TlsStream<TcpStream>>;

/// Both ways of one connection, for a reader and a writer on the same thread.
#[derive(Debug)]
pub(super) enum Stream {
    Unix(Socket),
    Tcp(TcpStream),
    #[cfg(feature = "tls")]
    Tls {
        /// Only the connection's reader takes it.
        read: Mutex<ReadHalf<TlsStream>>,
        /// Only the connection's writer takes it.
        write: Mutex<WriteHalf<TlsStream>>,
    },
    Memory {
        /// Only the connection's reader takes it.
        read: Mutex<ReadHalf<DuplexStream>>,
        /// Only the connection's writer takes it.
        write: Mutex<WriteHalf<DuplexStream>>,
    },
}

impl From<Socket> for Stream {
    fn from(socket: Socket) -> Self {
        Self::Unix(socket)
    }
}

impl From<TcpStream> for Stream {
    fn from(stream: TcpStream) -> Self {
        Self::Tcp(stream)
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
    #[cfg(feature = "tls")]
    pub(super) fn tls(stream: tokio_rustls::server::TlsStream<TcpStream>) -> Self {
        let (read, write) = tokio::io::split(Box::new(stream));
        Self::Tls {
            read: Mutex::new(read),
            write: Mutex::new(write),
        }
    }

    /// Waits until there may be something to read. Memory has nothing to wait for: its read waits.
    pub(super) async fn readable(&self) -> io::Result<()> {
        match self {
            Self::Unix(socket) => socket.readable().await,
            Self::Tcp(stream) => stream.readable().await,
            // What is there to read may have been decrypted already.
            #[cfg(feature = "tls")]
            Self::Tls { .. } => Ok(()),
            Self::Memory { .. } => Ok(()),
        }
    }

    /// Reads into `buffer` what is there; from memory, waits for it. `WouldBlock`: wait until it is readable again.
    pub(super) async fn read(&self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        match self {
            Self::Unix(socket) => socket.try_read(buffer),
            Self::Tcp(stream) => stream.try_read_buf(buffer),
            #[cfg(feature = "tls")]
            Self::Tls { read, .. } => Box::pin(locked_read(read, buffer)).await,
            // Boxed: the many others shouldn't have room for it.
            Self::Memory { read, .. } => Box::pin(locked_read(read, buffer)).await,
        }
    }

    /// Whether a reading of so many bytes, where there was room for `room`, took all that was there.
    pub(super) fn is_drained(&self, read: usize, room: usize) -> bool {
        match self {
            Self::Unix(_) => read < room,
            Self::Tcp(_) => false,
            #[cfg(feature = "tls")]
            Self::Tls { .. } => false,
            Self::Memory { .. } => false,
        }
    }

    /// Whether it keeps something at hand that only a slow peer needs.
    pub(super) fn is_watched_for_room(&self) -> bool {
        match self {
            Self::Unix(socket) => socket.watches_room(),
            Self::Tcp(_) => false,
            #[cfg(feature = "tls")]
            Self::Tls { .. } => false,
            Self::Memory { .. } => false,
        }
    }

    /// Gives that up.
    pub(super) fn forget_room(&self) {
        match self {
            Self::Unix(socket) => socket.forget_room(),
            Self::Tcp(_) => {}
            #[cfg(feature = "tls")]
            Self::Tls { .. } => {}
            Self::Memory { .. } => {}
        }
    }

    /// Whether reading waits by itself, with the buffer in hand.
    pub(super) fn waits_with_buffer(&self) -> bool {
        match self {
            Self::Unix(_) | Self::Tcp(_) => false,
            #[cfg(feature = "tls")]
            Self::Tls { .. } => true,
            Self::Memory { .. } => true,
        }
    }

    /// Writes what can be written without waiting.
    pub(super) fn try_write(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Unix(socket) => socket.try_write(parts),
            Self::Tcp(stream) => stream.try_write_vectored(parts),
            #[cfg(feature = "tls")]
            Self::Tls { .. } => Err(io::ErrorKind::WouldBlock.into()),
            Self::Memory { .. } => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// Writes some of it, when it can be written.
    pub(super) async fn write(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Unix(socket) => loop {
                match socket.try_write(parts) {
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => socket.writable().await?,
                    done => return done,
                }
            },
            Self::Tcp(stream) => loop {
                stream.writable().await?;
                match stream.try_write_vectored(parts) {
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                    done => return done,
                }
            },
            #[cfg(feature = "tls")]
            Self::Tls { write, .. } => {
                let mut write = write.lock().await;
                let written = write_first(&mut *write, parts).await?;
                // What was taken may still wait to be encrypted, and nobody else asks for it.
                write.flush().await?;
                Ok(written)
            }
            Self::Memory { write, .. } => write_first(&mut *write.lock().await, parts).await,
        }
    }
}

async fn locked_read(
    read: &Mutex<impl AsyncRead + Unpin>,
    buffer: &mut Vec<u8>,
) -> io::Result<usize> {
    read.lock().await.read_buf(buffer).await
}

/// Writes some of the first part that has something.
async fn write_first(
    write: &mut (impl AsyncWrite + Unpin),
    parts: &[IoSlice<'_>],
) -> io::Result<usize> {
    let part = parts.iter().find(|p| !p.is_empty());
    let part = part.map_or(&[][..], |p| p);
    std::future::poll_fn(|cx| pin!(&mut *write).poll_write(cx, part)).await
}
