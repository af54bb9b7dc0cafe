//! A connection as a listener gives it.

use std::{
    fmt,
    io::{self, IoSlice},
    net::SocketAddr,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use rustix::net::{AddressFamily, SocketType, sockopt};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, UnixStream},
};

use super::tally::Open;
use crate::holding::HeldConnection;

/// A connection. The master counts it as open until this is dropped.
#[derive(Debug)]
pub struct Connection {
    stream: Stream,
    _open: Open,
    /// Its place in the accounts of the server that serves it.
    _held: Option<HeldConnection>,
}

/// Who is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Peer {
    /// An address of TCP.
    Tcp(SocketAddr),
    /// Somebody on this machine: clients of Unix sockets have no address.
    Unix,
    /// It has gone before it could be asked.
    Gone,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix => f.write_str("a Unix socket"),
            Self::Gone => f.write_str("somebody who has gone"),
        }
    }
}

#[derive(Debug)]
pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    /// Takes over an accepted connection that doesn't block.
    pub(super) fn new(connection: OwnedFd, is_unix: bool) -> io::Result<Self> {
        if is_unix {
            return UnixStream::from_std(connection.into()).map(Self::Unix);
        }
        let stream = TcpStream::from_std(connection.into())?;
        // Answers are written whole; waiting to fill a packet only delays them. One that is gone already fails when it is read.
        let _gone = stream.set_nodelay(true);
        Ok(Self::Tcp(stream))
    }
}

impl Connection {
    pub(super) fn new(stream: Stream, open: Open) -> Self {
        Self {
            stream,
            _open: open,
            _held: None,
        }
    }

    /// Counts it as a server's until it is dropped, wherever that is.
    pub(crate) fn held(self, held: HeldConnection) -> Self {
        Self {
            _held: Some(held),
            ..self
        }
    }

    pub(super) fn stream(&self) -> &Stream {
        &self.stream
    }

    /// Over a connection that was accepted elsewhere.
    pub(crate) fn received(connection: OwnedFd) -> io::Result<Self> {
        let no = |what| io::Error::other(format!("what came is no connection: {what}"));
        if sockopt::socket_type(&connection)? != SocketType::STREAM {
            return Err(no("it carries no stream"));
        }
        if sockopt::socket_acceptconn(&connection)? {
            return Err(no("it listens"));
        }
        rustix::io::ioctl_fionbio(&connection, true)?;
        match sockopt::socket_domain(&connection)? {
            AddressFamily::INET | AddressFamily::INET6 => {
                TcpStream::from_std(connection.into()).map(Self::from)
            }
            AddressFamily::UNIX => UnixStream::from_std(connection.into()).map(Self::from),
            _ => Err(no("it is neither TCP nor a Unix socket")),
        }
    }

    /// Who is at the other end.
    #[must_use]
    pub fn peer(&self) -> Peer {
        match &self.stream {
            Stream::Tcp(stream) => stream.peer_addr().map_or(Peer::Gone, Peer::Tcp),
            Stream::Unix(_) => Peer::Unix,
        }
    }

    /// The TCP stream, if it is one.
    #[must_use]
    pub fn tcp(&self) -> Option<&TcpStream> {
        match &self.stream {
            Stream::Tcp(stream) => Some(stream),
            Stream::Unix(_) => None,
        }
    }

    /// The Unix stream, if it is one.
    #[must_use]
    pub fn unix(&self) -> Option<&UnixStream> {
        match &self.stream {
            Stream::Tcp(_) => None,
            Stream::Unix(stream) => Some(stream),
        }
    }
}

impl From<TcpStream> for Connection {
    fn from(stream: TcpStream) -> Self {
        Self::new(Stream::Tcp(stream), Open::count(&Arc::default()))
    }
}

impl From<UnixStream> for Connection {
    fn from(stream: UnixStream) -> Self {
        Self::new(Stream::Unix(stream), Open::count(&Arc::default()))
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.stream {
            Stream::Tcp(stream) => stream.as_fd(),
            Stream::Unix(stream) => stream.as_fd(),
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Stream::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Stream::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Stream::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Unix(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
