//! Binding a socket by oneself: outside Ostler, or because nobody else is to have it.

use std::{
    io,
    net::SocketAddr,
    os::{
        fd::OwnedFd,
        unix::{fs::FileTypeExt, net::UnixStream},
    },
    path::Path,
};

use rustix::{
    fs::Mode,
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with, sockopt},
};

use super::words::Listen;

/// Connections that may wait, where nothing else is said. The kernel cuts it to `net.core.somaxconn`.
const BACKLOG: u32 = 1024;

/// A listening TCP socket.
pub(super) fn tcp(address: SocketAddr, what: &Listen) -> io::Result<OwnedFd> {
    let socket = ip(address, SocketType::STREAM, what)?;
    listen(socket, what)
}

/// A UDP socket.
pub(super) fn udp(address: SocketAddr, what: &Listen) -> io::Result<OwnedFd> {
    ip(address, SocketType::DGRAM, what)
}

/// A listening Unix socket.
pub(super) fn unix(path: &Path, what: &Listen) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    if let Some(permissions) = what.permissions {
        // What the file is created with, less the umask.
        rustix::fs::fchmod(&socket, Mode::from_raw_mode(permissions))?;
    }
    remove_stale(path);
    rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
    if let Some(permissions) = what.permissions {
        rustix::fs::chmod(path, Mode::from_raw_mode(permissions))?;
    }
    listen(socket, what)
}

/// A socket's file outlives it; one that nobody has any more is in nobody's way.
fn remove_stale(path: &Path) {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|it| it.file_type().is_socket());
    let refused = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    if is_socket && UnixStream::connect(path).is_err_and(refused) {
        // If it stays, binding says so.
        let _stays = std::fs::remove_file(path);
    }
}

fn ip(address: SocketAddr, kind: SocketType, what: &Listen) -> io::Result<OwnedFd> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let socket = socket_with(family, kind, SocketFlags::CLOEXEC, None)?;
    if kind == SocketType::STREAM {
        // Or connections of the port's last user would be in the way.
        sockopt::set_socket_reuseaddr(&socket, true)?;
    }
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, what.v6_only)?;
    }
    rustix::net::bind(&socket, &address)?;
    Ok(socket)
}

fn listen(socket: OwnedFd, what: &Listen) -> io::Result<OwnedFd> {
    let backlog = what.backlog.unwrap_or(BACKLOG);
    rustix::net::listen(&socket, i32::try_from(backlog).unwrap_or(i32::MAX))?;
    Ok(socket)
}
