//! UDP sockets: the master's by name, or one's own outside Ostler.

use std::{io, os::fd::OwnedFd};

use rustix::net::{AddressFamily, SocketType, sockopt};
use tokio::net::UdpSocket;

use crate::StartError;

/// Takes over an inherited UDP socket. O_NONBLOCK is set, for all who share it.
pub(crate) fn inherited(name: &str, socket: OwnedFd) -> Result<UdpSocket, StartError> {
    let fault = |error: io::Error| StartError::Socket {
        name: name.into(),
        error,
    };
    let kind = sockopt::socket_type(&socket).map_err(|e| fault(e.into()))?;
    let family = sockopt::socket_domain(&socket).map_err(|e| fault(e.into()))?;
    if kind != SocketType::DGRAM || family == AddressFamily::UNIX {
        return Err(fault(io::Error::other("it is not UDP")));
    }
    over(socket).map_err(fault)
}

/// A socket as the runtime wants it.
pub(crate) fn over(socket: OwnedFd) -> io::Result<UdpSocket> {
    rustix::io::ioctl_fionbio(&socket, true)?;
    UdpSocket::from_std(socket.into())
}

/// Binds a UDP socket of one's own.
pub(crate) fn bind(name: &str, address: &str) -> Result<UdpSocket, StartError> {
    let fault = |error: io::Error| StartError::Bind {
        name: name.into(),
        address: address.into(),
        error,
    };
    let socket = std::net::UdpSocket::bind(address).map_err(fault)?;
    socket.set_nonblocking(true).map_err(fault)?;
    UdpSocket::from_std(socket).map_err(fault)
}
