//! Binding at addresses of IP: a port alone, or beside others.

use std::{
    io,
    net::SocketAddr,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::{
    io::Errno,
    net::{AddressFamily, Shutdown, SocketFlags, SocketType, socket_with},
};

use super::{Problem, options};
use crate::config::app::socket::SocketOptions;

/// A socket, and the address that it has been bound to.
type Bound = Result<(OwnedFd, SocketAddr), Problem>;

/// Binds a port that nobody else may have.
///
/// One of TCP by its number even where any will do: the kernel lets go of a port that it chose itself as soon as a worker shuts the
/// listener down, and somebody else could take it before it listens again.
pub(super) fn bind_one(address: SocketAddr, kind: SocketType, options: &SocketOptions) -> Bound {
    let (first, bound) = bind_alone(address, kind, options)?;
    if address.port() != 0 || kind != SocketType::STREAM {
        return Ok((first, bound));
    }
    // The first socket keeps the port until the second has it too; neither listens yet, so both may.
    bind_alone(bound, kind, options)
}

/// Binds the first of a group (`SO_REUSEPORT`). Other programs of this user could be in such a group already, and would then
/// share what comes: so the port must be one that can be bound by itself.
pub(super) fn bind_first(address: SocketAddr, kind: SocketType, options: &SocketOptions) -> Bound {
    let (alone, bound) = bind_alone(address, kind, options)?;
    // As above; but of UDP both may only if both allow it. The place in the group that it has by that becomes the other's.
    reuse(alone.as_fd()).map_err(Problem::Other)?;
    bind_next(bound, kind, options)
}

/// Binds another one of a group.
pub(super) fn bind_next(address: SocketAddr, kind: SocketType, options: &SocketOptions) -> Bound {
    let fd = bind_with(address, kind, options, reuse)?;
    Ok((fd, address))
}

fn reuse(fd: BorrowedFd<'_>) -> io::Result<()> {
    Ok(rustix::net::sockopt::set_socket_reuseport(fd, true)?)
}

fn bind_alone(address: SocketAddr, kind: SocketType, options: &SocketOptions) -> Bound {
    let fd = bind_with(address, kind, options, |_| Ok(()))?;
    let bound = local_address(fd.as_fd())?;
    Ok((fd, bound))
}

fn bind_with(
    address: SocketAddr,
    kind: SocketType,
    options: &SocketOptions,
    before: impl FnOnce(BorrowedFd<'_>) -> io::Result<()>,
) -> Result<OwnedFd, Problem> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };

    let fd = socket_with(family, kind, SocketFlags::CLOEXEC, None).map_err(problem)?;
    if kind == SocketType::STREAM {
        // Or a port could not be bound while connections of its last user are in TIME_WAIT. A UDP socket would share
        // its port with strangers.
        rustix::net::sockopt::set_socket_reuseaddr(&fd, true).map_err(problem)?;
    }
    options::before_bind(fd.as_fd(), address.is_ipv6(), options)?;
    before(fd.as_fd()).map_err(Problem::Other)?;
    rustix::net::bind(&fd, &address).map_err(problem)?;
    Ok(fd)
}

/// Gives a listener that listens again its own port back, where it has another one now; whether that was so, and it is to listen once more. The
/// kernel lets go of a port that it chose itself, as the starter may have had it do, when the listener is shut down, and then chooses anew.
pub(super) fn have_back(fd: BorrowedFd<'_>, address: SocketAddr) -> Result<bool, Problem> {
    if local_address(fd)?.port() == address.port() {
        return Ok(false);
    }
    rustix::net::shutdown(fd, Shutdown::Both).map_err(problem)?;
    rustix::net::bind(fd, &address).map_err(problem)?;
    Ok(true)
}

fn local_address(fd: BorrowedFd<'_>) -> Result<SocketAddr, Problem> {
    let other = |error: Errno| Problem::Other(error.into());
    let name = rustix::net::getsockname(fd).map_err(other)?;
    SocketAddr::try_from(name).map_err(other)
}

pub(super) fn problem(error: Errno) -> Problem {
    match error {
        Errno::ADDRINUSE => Problem::InUse(None),
        Errno::ACCESS => Problem::PrivilegedPort,
        Errno::ADDRNOTAVAIL | Errno::AFNOSUPPORT => Problem::NoSuchAddress,
        error => Problem::Other(error.into()),
    }
}
