//! A connection while it is the master's.

use std::{
    net::IpAddr,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

/// A connection that no worker has taken yet.
#[derive(Debug)]
pub(super) struct Connection {
    fd: OwnedFd,
    /// Whose it is, where it matters and can be told.
    pub(super) client: Option<IpAddr>,
}

impl Connection {
    /// That of this client.
    pub(super) fn of(client: Option<IpAddr>, fd: OwnedFd) -> Self {
        Self { fd, client }
    }
}

impl From<OwnedFd> for Connection {
    fn from(fd: OwnedFd) -> Self {
        Self::of(None, fd)
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
