//! Listening sockets: the master's by name, or one's own outside Ostler.

use std::{
    io,
    net::{SocketAddr, TcpListener as StdTcpListener, ToSocketAddrs},
    os::{fd::OwnedFd, unix::net::UnixListener as StdUnixListener},
};

use rustix::net::{AddressFamily, SocketType, sockopt};
use tokio::net::{TcpListener, UdpSocket, UnixListener};

use crate::StartError;

/// A socket that takes connections: inherited from the master, or bound here.
#[derive(Debug)]
pub enum Listener {
    /// TCP.
    Tcp(TcpListener),
    /// A Unix stream socket.
    Unix(UnixListener),
}

impl Listener {
    /// Takes over an inherited socket. O_NONBLOCK is set: it belongs to the description all workers share, and every
    /// worker that uses an asynchronous runtime needs it.
    pub(crate) fn inherited(name: &str, socket: OwnedFd) -> Result<Self, StartError> {
        let fault = |error: io::Error| StartError::Socket {
            name: name.into(),
            error,
        };
        if sockopt::socket_type(&socket).map_err(|e| fault(e.into()))? != SocketType::STREAM {
            return Err(fault(io::Error::other(
                "it takes no streams: datagrams come by `Worker::udp`, or by the descriptor itself",
            )));
        }
        rustix::io::ioctl_fionbio(&socket, true).map_err(|e| fault(e.into()))?;
        let family = sockopt::socket_domain(&socket).map_err(|e| fault(e.into()))?;
        match family {
            AddressFamily::INET | AddressFamily::INET6 => {
                TcpListener::from_std(StdTcpListener::from(socket))
                    .map(Self::Tcp)
                    .map_err(fault)
            }
            AddressFamily::UNIX => UnixListener::from_std(StdUnixListener::from(socket))
                .map(Self::Unix)
                .map_err(fault),
            _ => Err(fault(io::Error::other(
                "it is neither TCP nor a Unix socket",
            ))),
        }
    }

    /// Binds a socket of one's own.
    pub(crate) fn bind(name: &str, address: &str) -> Result<Self, StartError> {
        let fault = |error: io::Error| StartError::Bind {
            name: name.into(),
            address: address.into(),
            error,
        };
        if let Some(path) = address.strip_prefix("unix:") {
            return UnixListener::bind(path).map(Self::Unix).map_err(fault);
        }
        let addresses: Vec<SocketAddr> = address.to_socket_addrs().map_err(fault)?.collect();
        let listener = StdTcpListener::bind(&addresses[..]).map_err(fault)?;
        listener.set_nonblocking(true).map_err(fault)?;
        TcpListener::from_std(listener)
            .map(Self::Tcp)
            .map_err(fault)
    }

    /// The socket itself, no longer known to the runtime.
    pub(crate) fn into_socket(self) -> io::Result<OwnedFd> {
        match self {
            Self::Tcp(listener) => listener.into_std().map(OwnedFd::from),
            Self::Unix(listener) => listener.into_std().map(OwnedFd::from),
        }
    }

    /// Where it listens, for people: `127.0.0.1:8080` or `unix:/run/app.sock`.
    #[must_use]
    pub fn address(&self) -> String {
        match self {
            Self::Tcp(listener) => listener
                .local_addr()
                .map_or_else(|error| error.to_string(), |a| a.to_string()),
            Self::Unix(listener) => match listener.local_addr() {
                Ok(address) => format!(
                    "unix:{}",
                    address
                        .as_pathname()
                        .map_or_else(String::new, |path| path.display().to_string())
                ),
                Err(error) => error.to_string(),
            },
        }
    }

    /// Its TCP port, if it has one.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok().map(|a| a.port()),
            Self::Unix(_) => None,
        }
    }
}

/// Takes over an inherited UDP socket. O_NONBLOCK is set, for all who share it.
pub(crate) fn inherited_udp(name: &str, socket: OwnedFd) -> Result<UdpSocket, StartError> {
    let fault = |error: io::Error| StartError::Socket {
        name: name.into(),
        error,
    };
    let kind = sockopt::socket_type(&socket).map_err(|e| fault(e.into()))?;
    let family = sockopt::socket_domain(&socket).map_err(|e| fault(e.into()))?;
    if kind != SocketType::DGRAM || family == AddressFamily::UNIX {
        return Err(fault(io::Error::other("it is not UDP")));
    }
    rustix::io::ioctl_fionbio(&socket, true).map_err(|e| fault(e.into()))?;
    UdpSocket::from_std(socket.into()).map_err(fault)
}

/// Binds a UDP socket of one's own.
pub(crate) fn bind_udp(name: &str, address: &str) -> Result<UdpSocket, StartError> {
    let fault = |error: io::Error| StartError::Bind {
        name: name.into(),
        address: address.into(),
        error,
    };
    let socket = std::net::UdpSocket::bind(address).map_err(fault)?;
    socket.set_nonblocking(true).map_err(fault)?;
    UdpSocket::from_std(socket).map_err(fault)
}
