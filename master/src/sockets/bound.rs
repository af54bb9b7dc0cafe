//! A socket that the master holds for workers.

use std::{
    io,
    net::SocketAddr,
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
};

use ostler_bus::{Slot, vocab::status::SocketStatus};

use super::{
    BindError, Problem, StarterSockets,
    bind::{Opened, Place, listen, open},
    ip,
    queue::{self, queue_of},
    slots::Spread,
    unix::OwnPath,
};
use crate::{
    config::app::{ProxyHeader, SocketAddress, SocketDeclaration, SocketMode, socket::SocketKind},
    sys::FdTable,
};

/// A socket that the master holds for workers. The descriptor itself is in the [`FdTable`]; a Unix socket's path is removed
/// when this is dropped, and nobody else has it by another name.
#[derive(Debug)]
pub struct BoundSocket {
    declaration: SocketDeclaration,
    slot: Option<Slot>,
    at: Place,
    fd_name: String,
    path: Option<Arc<OwnPath>>,
}

/// How a listener that a worker had shut down was mended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mended {
    /// The socket itself listens again: workers that still accept on it serve on.
    InPlace,
    /// A new socket has taken its place: workers that hold the old one must be replaced.
    Replaced,
}

/// Why workers accept for themselves although they could be handed connections.
pub const NOBODY_TAKES: &str = "no worker takes connections from the master";

/// Why `auto` leaves a socket to workers that could not be handed what it takes.
const NO_STREAMS: &str = "auto: it takes no streams that could be handed over";

/// Why `auto` leaves each worker its own port.
const OWN_PORT: &str = "auto: each worker has a port of its own";

impl BoundSocket {
    pub(super) fn new(
        declaration: SocketDeclaration,
        slot: Option<Slot>,
        at: Place,
        fd_name: String,
        path: Option<OwnPath>,
    ) -> Self {
        Self {
            declaration,
            slot,
            at,
            fd_name,
            path: path.map(Arc::new),
        }
    }

    /// The very same socket by another declaration, and by another descriptor in the [`FdTable`].
    pub(super) fn also_as(&self, declaration: SocketDeclaration, fd_name: String) -> Self {
        Self {
            declaration,
            slot: self.slot,
            at: self.at.clone(),
            fd_name,
            path: self.path.clone(),
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

    /// The slot whose workers alone have it; `None`: all have.
    #[must_use]
    pub fn slot(&self) -> Option<Slot> {
        self.slot
    }

    /// Where it is: for port 0 the port that was found, for one of the starter's the address that it was bound to.
    #[must_use]
    pub fn address(&self) -> &SocketAddress {
        match &self.at {
            Place::Ours(address) | Place::Starters { address, .. } => address,
        }
    }

    /// The number under which the master's own starter passed it on, if it did.
    #[must_use]
    pub fn passed_as(&self) -> Option<u32> {
        match &self.at {
            Place::Ours(_) => None,
            Place::Starters { number, .. } => Some(*number),
        }
    }

    /// Its port, if it is a TCP socket.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        match self.address() {
            SocketAddress::Tcp(address) => Some(address.port()),
            SocketAddress::Udp(_) | SocketAddress::Unix(_) | SocketAddress::Starter(_) => None,
        }
    }

    /// Its port, of TCP or UDP.
    #[must_use]
    pub fn any_port(&self) -> Option<u16> {
        match self.address() {
            SocketAddress::Tcp(address) | SocketAddress::Udp(address) => Some(address.port()),
            SocketAddress::Unix(_) | SocketAddress::Starter(_) => None,
        }
    }

    /// Its descriptor's name in the [`FdTable`].
    #[must_use]
    pub fn fd_name(&self) -> &str {
        &self.fd_name
    }

    /// Whether a worker's `shutdown` closes it for all, and can be told: so with all that take connections. One that takes
    /// datagrams can't be shut down.
    #[must_use]
    pub fn listens(&self) -> bool {
        match self.kind() {
            SocketKind::Stream | SocketKind::Seqpacket => true,
            SocketKind::Datagram => false,
        }
    }

    /// How connections are spread over the slots that have it each for itself, at one address.
    #[must_use]
    pub fn spread(&self) -> Option<Spread> {
        match self.declaration.options.mode {
            SocketMode::Slot => Some(match self.kind() {
                SocketKind::Stream | SocketKind::Seqpacket => Spread::Evenly,
                SocketKind::Datagram => Spread::ByFlow,
            }),
            SocketMode::Sticky => Some(Spread::ByAddress),
            SocketMode::Auto
            | SocketMode::Shared
            | SocketMode::Balanced { .. }
            | SocketMode::Proxied(_) => None,
        }
    }

    /// How many connections wait there; of UDP, how many bytes. 0 where none can.
    pub(super) fn waiting(&self, table: &FdTable) -> u32 {
        let queue = table
            .get(&self.fd_name)
            .and_then(|socket| queue_of(socket, self.address()));
        queue.map_or(0, |queue| queue.waiting)
    }

    /// How many connections or datagrams wait there and will be lost, as it is about to be closed. Datagrams are thrown away by being
    /// counted.
    pub(super) fn give_up(&self, table: &FdTable) -> u32 {
        match (self.kind(), table.get(&self.fd_name)) {
            (SocketKind::Datagram, Some(socket)) => queue::throw_away(socket),
            (SocketKind::Datagram, None) => 0,
            (SocketKind::Stream | SocketKind::Seqpacket, _) => self.waiting(table),
        }
    }

    /// Whether workers may be handed its connections: where they are streams, and not for one slot alone.
    #[must_use]
    pub fn hands_over(&self) -> bool {
        let could = self.takes_streams() && self.slot.is_none();
        could && self.declaration.options.mode.hands_over()
    }

    /// Whether its connections begin with a header that the app doesn't want to see.
    #[must_use]
    pub fn strips(&self) -> bool {
        match self.declaration.options.mode.proxied() {
            Some(ProxyHeader::Strip) => true,
            Some(ProxyHeader::Keep) | None => false,
        }
    }

    fn takes_streams(&self) -> bool {
        match self.kind() {
            SocketKind::Stream => true,
            SocketKind::Datagram | SocketKind::Seqpacket => false,
        }
    }

    /// Whether workers can share it this way.
    pub(super) fn can_be(&self, mode: SocketMode) -> bool {
        match mode {
            SocketMode::Auto | SocketMode::Shared | SocketMode::Slot | SocketMode::Sticky => true,
            SocketMode::Balanced { .. } | SocketMode::Proxied(_) => self.takes_streams(),
        }
    }

    /// Has workers that come from now on share it this way.
    pub(super) fn share(&mut self, mode: SocketMode) {
        self.declaration.options.mode = mode;
    }

    /// Lets so many wait there from now on. How many may at one of the starter's is for the starter to say.
    pub(super) fn let_wait(&mut self, backlog: u32, table: &FdTable) -> Result<(), Problem> {
        let before = std::mem::replace(&mut self.declaration.backlog, backlog);
        if before == backlog || !self.listens() || self.passed_as().is_some() {
            return Ok(());
        }
        let fd = self.duplicate(table).map_err(Problem::Other)?;
        listen(fd.as_fd(), backlog, self.address())
    }

    /// What it carries.
    pub(super) fn kind(&self) -> SocketKind {
        match &self.at {
            Place::Starters { kind, .. } => *kind,
            Place::Ours(SocketAddress::Udp(_)) => SocketKind::Datagram,
            Place::Ours(SocketAddress::Tcp(_)) => SocketKind::Stream,
            Place::Ours(SocketAddress::Unix(_) | SocketAddress::Starter(_)) => {
                self.declaration.options.kind
            }
        }
    }

    /// A duplicate of its descriptor, for a worker being spawned or for a [`super::ListenerWatch`].
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
        let mended = match (&self.at, self.address()) {
            (_, SocketAddress::Tcp(address)) => self.mend(*address, table),
            (Place::Ours(_), _) => self.replace(table),
            (Place::Starters { .. }, _) => Err(Problem::StartersOwn),
        };
        mended.map_err(|problem| BindError {
            name: self.declaration.name.clone(),
            address: self.address().clone(),
            problem: problem.with_holder(self.address()),
        })
    }

    fn mend(&self, address: SocketAddr, table: &FdTable) -> Result<Mended, Problem> {
        let fd = self.duplicate(table).map_err(Problem::Other)?;
        let listen = || listen(fd.as_fd(), self.declaration.backlog, self.address());
        listen()?;
        if ip::have_back(fd.as_fd(), address)? {
            listen()?;
        }
        Ok(Mended::InPlace)
    }

    fn replace(&mut self, table: &mut FdTable) -> Result<Mended, Problem> {
        // The path first: dropped later it would take the new socket's path for its own if the inode came again.
        self.path = None;
        let address = self.address().clone();
        let Opened { fd, path, .. } = open(
            &address,
            true,
            &self.declaration,
            &StarterSockets::default(),
        )?;
        table.replace(&self.fd_name, fd);
        self.path = path.map(Arc::new);
        Ok(Mended::Replaced)
    }

    /// As status shows it while no worker takes connections from the master.
    #[must_use]
    pub fn status(&self, table: &FdTable) -> SocketStatus {
        let queue = table.get(&self.fd_name);
        SocketStatus {
            name: self.name().into(),
            address: self.address().to_string(),
            mode: self.mode().into(),
            why: self.why_shared(),
            slot: self.slot,
            passed_as: self.passed_as(),
            queue: queue.and_then(|socket| queue_of(socket, self.address())),
            balance: None,
            asked_by: None,
            share: None,
            accepts: None,
        }
    }

    fn mode(&self) -> &'static str {
        match self.declaration.options.mode {
            SocketMode::Auto
            | SocketMode::Shared
            | SocketMode::Balanced { .. }
            | SocketMode::Proxied(_) => "shared",
            SocketMode::Slot => "slot",
            SocketMode::Sticky => "sticky",
        }
    }

    fn why_shared(&self) -> Option<String> {
        let meant = match self.declaration.options.mode {
            SocketMode::Auto if self.hands_over() => "auto:",
            SocketMode::Auto if self.slot.is_some() => return Some(OWN_PORT.into()),
            SocketMode::Auto => return Some(NO_STREAMS.into()),
            SocketMode::Balanced { .. } => "balanced, but",
            SocketMode::Proxied(_) => "sticky by the PROXY protocol, but",
            SocketMode::Shared | SocketMode::Slot | SocketMode::Sticky => {
                return None;
            }
        };
        Some(format!("{meant} {NOBODY_TAKES}"))
    }

    /// Closes the socket; the path that a Unix socket has created is removed.
    pub fn close(self, table: &mut FdTable) {
        table.take(&self.fd_name);
    }

    /// Closes it for this process alone: whoever has it goes on, and a Unix socket's file stays.
    pub fn leave(mut self, table: &mut FdTable) {
        if let Some(path) = self.path.take().and_then(Arc::into_inner) {
            path.stay();
        }
        self.close(table);
    }
}
