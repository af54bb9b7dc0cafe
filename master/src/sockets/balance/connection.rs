//! A connection while it is the master's.

use std::{
    net::IpAddr,
    os::fd::{AsFd, BorrowedFd},
};

use crate::sockets::Foreign;

/// A connection that no worker has taken yet.
#[derive(Debug)]
pub(super) struct Connection {
    copy: Foreign,
    /// Whose it is, where it matters and can be told.
    pub(super) client: Option<IpAddr>,
}

impl Connection {
    /// That of this client.
    pub(super) fn of(client: Option<IpAddr>, copy: Foreign) -> Self {
        Self { copy, client }
    }
}

impl From<Foreign> for Connection {
    fn from(copy: Foreign) -> Self {
        Self::of(None, copy)
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.copy.as_fd()
    }
}
