//! How workers share a socket.

/// How workers share a socket's connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SocketMode {
    /// `balanced` for workers that take connections by the SDK, `shared` for all others. The default.
    #[default]
    Auto,
    /// Every worker accepts on the one socket they inherit.
    Shared,
    /// The master accepts, and hands each connection to the ready worker with the fewest open ones.
    Balanced {
        /// How many connections a worker has open at most; `None`: any number.
        max_connections: Option<u32>,
    },
    /// Each slot has a socket at the one address, and the kernel spreads connections over them; of UDP, what comes from one
    /// client's address and port stays together.
    Slot,
    /// The same, and each client address keeps its slot.
    Sticky,
    /// The master accepts, and each client keeps its slot by the address that a proxy tells of it (`sticky` with `proxy_protocol`).
    Proxied(ProxyHeader),
}

/// What becomes of the header of the PROXY protocol once the master has read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyHeader {
    /// The worker reads it, too: it is where it was.
    Keep,
    /// The worker gets what follows it.
    Strip,
}

impl ProxyHeader {
    /// Every one, by its word in the process file.
    pub const WORDS: [(&str, Self); 2] = [("keep", Self::Keep), ("strip", Self::Strip)];
}

impl SocketMode {
    /// Whether workers may be handed connections.
    #[must_use]
    pub fn hands_over(self) -> bool {
        match self {
            Self::Auto | Self::Balanced { .. } | Self::Proxied(_) => true,
            Self::Shared | Self::Slot | Self::Sticky => false,
        }
    }

    /// Whether each slot has a socket of its own at the one address: a group, as the kernel calls it.
    #[must_use]
    pub fn is_group(self) -> bool {
        match self {
            Self::Slot | Self::Sticky => true,
            Self::Auto | Self::Shared | Self::Balanced { .. } | Self::Proxied(_) => false,
        }
    }

    /// What becomes of the header by which proxies tell whose a connection is, where clients are known by it.
    #[must_use]
    pub fn proxied(self) -> Option<ProxyHeader> {
        match self {
            Self::Proxied(header) => Some(header),
            Self::Auto | Self::Shared | Self::Balanced { .. } | Self::Slot | Self::Sticky => None,
        }
    }
}
