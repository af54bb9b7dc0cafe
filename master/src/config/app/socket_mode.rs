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
}

impl SocketMode {
    /// Whether workers may be handed connections.
    #[must_use]
    pub fn hands_over(self) -> bool {
        match self {
            Self::Auto | Self::Balanced { .. } => true,
            Self::Shared | Self::Slot | Self::Sticky => false,
        }
    }

    /// Whether each slot has a socket of its own at the one address: a group, as the kernel calls it.
    #[must_use]
    pub fn is_group(self) -> bool {
        match self {
            Self::Slot | Self::Sticky => true,
            Self::Auto | Self::Shared | Self::Balanced { .. } => false,
        }
    }
}
