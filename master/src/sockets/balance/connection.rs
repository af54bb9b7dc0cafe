//! A connection while it is the master's.

use std::{
    net::IpAddr,
    os::fd::{AsFd, BorrowedFd},
};

use super::copy::Copy;

/// A connection that no worker has taken yet.
#[derive(Debug)]
pub(super) struct Connection {
    copy: Copy,
    /// Whose it is, where it matters and can be told.
    pub(super) client: Option<IpAddr>,
}

impl Connection {
    /// That of this client.
    pub(super) fn of(client: Option<IpAddr>, copy: Copy) -> Self {
        Self { copy, client }
    }
}

impl From<Copy> for Connection {
    fn from(copy: Copy) -> Self {
        Self::of(None, copy)
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.copy.as_fd()
    }
}
