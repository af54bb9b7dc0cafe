//! A socket that the master listens on.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
};

use super::{
    BindError, Problem,
    bind::{listen, open},
    unix::OwnPath,
};
use crate::{
    config::app::{SocketAddress, SocketDeclaration},
    sys::FdTable,
};

/// A socket that the master listens on. The listener itself is in the [`FdTable`]; a Unix socket's path is removed when
/// this is dropped.
#[derive(Debug)]
pub struct BoundSocket {
    declaration: SocketDeclaration,
    address: SocketAddress,
    fd_name: String,
    path: Option<OwnPath>,
}

/// How a listener that a worker had shut down was mended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mended {
    /// The socket itself listens again: workers that still accept on it serve on.
    InPlace,
    /// A new socket has taken its place: workers that hold the old one must be replaced.
    Replaced,
}

impl BoundSocket {
    pub(super) fn new(
        declaration: SocketDeclaration,
        address: SocketAddress,
        fd_name: String,
        path: Option<OwnPath>,
    ) -> Self {
        Self {
            declaration,
            address,
            fd_name,
            path,
        }
    }

    /// Its name, for `LISTEN_FDNAMES`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.declaration.name
    }

    /// What was declared.
    #[must_use]
    pub fn declaration(&self) -> &SocketDeclaration {
        &self.declaration
    }

    /// Where it listens: for port 0 the port that was found.
    #[must_use]
    pub fn address(&self) -> &SocketAddress {
        &self.address
    }

    /// Its port, if it is a TCP socket.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        match &self.address {
            SocketAddress::Tcp(address) => Some(address.port()),
            SocketAddress::Unix(_) => None,
        }
    }

    /// Its listener's name in the [`FdTable`].
    #[must_use]
    pub fn fd_name(&self) -> &str {
        &self.fd_name
    }

    /// A duplicate of its listener, for a worker being spawned or for a [`super::ListenerWatch`].
    ///
    /// # Errors
    /// If no descriptor is left.
    pub fn duplicate(&self, table: &FdTable) -> io::Result<OwnedFd> {
        table.duplicate(&self.fd_name)
    }

    /// Listens again on the same address, after a worker has shut the listener down. A TCP socket is mended in place; of
    /// a Unix socket the kernel remembers the shutdown for ever, so it is replaced.
    ///
    /// # Errors
    /// If somebody else has taken the address meanwhile, or the listener is not in the table.
    pub fn listen_again(&mut self, table: &mut FdTable) -> Result<Mended, BindError> {
        let mended = match &self.address {
            SocketAddress::Tcp(_) => self.mend(table),
            SocketAddress::Unix(_) => self.replace(table),
        };
        mended.map_err(|problem| BindError {
            name: self.declaration.name.clone(),
            address: self.address.clone(),
            problem,
        })
    }

    fn mend(&self, table: &FdTable) -> Result<Mended, Problem> {
        let fd = self.duplicate(table).map_err(Problem::Other)?;
        listen(fd.as_fd(), self.declaration.backlog, &self.address)?;
        Ok(Mended::InPlace)
    }

    fn replace(&mut self, table: &mut FdTable) -> Result<Mended, Problem> {
        // The path first: dropped later it would take the new socket's path for its own if the inode came again.
        self.path = None;
        let (fd, _, path) = open(&self.declaration)?;
        table.replace(&self.fd_name, fd);
        self.path = path;
        Ok(Mended::Replaced)
    }

    /// Closes the listener; a Unix socket's path is removed.
    pub fn close(self, table: &mut FdTable) {
        table.take(&self.fd_name);
    }
}
