//! What can be said of a socket besides where it is.

use std::{fmt, net::SocketAddr, time::Duration};

use super::{SocketAddress, SocketDeclaration, SocketMode};

/// A socket that the master's own starter has bound and passed on, as systemd does.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum StarterSocket {
    /// By its name in `LISTEN_FDNAMES`.
    Named(String),
    /// By the number of its descriptor; the first is 3.
    Numbered(u32),
}

impl fmt::Display for StarterSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name) => write!(f, "fd:{name}"),
            Self::Numbered(number) => write!(f, "fd:{number}"),
        }
    }
}

/// What a socket carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SocketKind {
    /// Connections, each a stream of bytes.
    #[default]
    Stream,
    /// Datagrams, without connections.
    Datagram,
    /// Connections, each a sequence of messages.
    Seqpacket,
}

impl SocketKind {
    /// Every kind, by its word in the process file.
    pub const WORDS: [(&str, Self); 3] = [
        ("stream", Self::Stream),
        ("datagram", Self::Datagram),
        ("seqpacket", Self::Seqpacket),
    ];
}

impl SocketDeclaration {
    /// Whether it is bound as another one is: how workers share it may differ, but not from one socket to one for each slot, nor in
    /// what comes before the clients' own bytes; and how many may wait there, and how often its secrets rotate.
    #[must_use]
    pub fn is_bound_as(&self, other: &Self) -> bool {
        let mut same = other.clone();
        same.backlog = self.backlog;
        same.options.mode = self.options.mode;
        same.options.ticket_rotation = self.options.ticket_rotation;
        let kind = |it: &Self| (it.options.mode.is_group(), it.options.mode.proxied());
        *self == same && kind(self) == kind(other)
    }

    /// The same, but for its name.
    #[must_use]
    pub fn is_bound_like(&self, other: &Self) -> bool {
        let mut called_so = other.clone();
        called_so.name.clone_from(&self.name);
        self.is_bound_as(&called_so)
    }

    /// Whether it is bound once for each slot.
    #[must_use]
    pub fn is_each_slots_own(&self) -> bool {
        self.options.per_slot || self.options.mode.is_group()
    }

    /// Where the socket for a worker in this slot is, as declared; `None` if there is no such port.
    #[must_use]
    pub fn address_for(&self, slot: u32) -> Option<SocketAddress> {
        let count = |ip: &SocketAddr| {
            let mut ip = *ip;
            if ip.port() != 0 {
                let port = u32::from(ip.port()).checked_add(slot)?;
                ip.set_port(u16::try_from(port).ok()?);
            }
            Some(ip)
        };
        match &self.address {
            SocketAddress::Tcp(ip) if self.options.per_slot => count(ip).map(SocketAddress::Tcp),
            SocketAddress::Udp(ip) if self.options.per_slot => count(ip).map(SocketAddress::Udp),
            other => Some(other.clone()),
        }
    }
}

/// The options of a socket. By default nothing is said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SocketOptions {
    /// How workers share its connections. Default: handed over to those that take them.
    pub mode: SocketMode,
    /// What a Unix socket carries. Default: a stream.
    pub kind: SocketKind,
    /// One socket for each slot, at the declared port plus the slot's number. Default: one for all.
    pub per_slot: bool,
    /// Of an IPv6 socket on every address: whether IPv4 stays out. Default: it comes in.
    pub v6_only: bool,
    /// TCP: a worker sees a connection when its first bytes are there, or this is over; whole seconds.
    pub defer_accept: Option<Duration>,
    /// TCP: so many connections may bring their first bytes along before they are established (TCP Fast Open).
    pub fast_open: Option<u32>,
    /// Only what comes in on this network interface.
    pub interface: Option<String>,
    /// Packets for any address are taken, and addresses that the machine doesn't have can be bound (`IP_TRANSPARENT`).
    pub transparent: bool,
    /// Whose a Unix socket's file is.
    pub file: SocketFile,
    /// How often the secrets for its TLS session tickets rotate. Default: every 12 hours.
    pub ticket_rotation: Option<Duration>,
}

/// Whose a Unix socket's file is, and who may connect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SocketFile {
    /// Its permissions. Default: what the master's umask leaves.
    pub permissions: Option<u32>,
    /// Its user. Default: the master's.
    pub owner: Option<u32>,
    /// Its group. Default: the master's, or its directory's.
    pub group: Option<u32>,
}
