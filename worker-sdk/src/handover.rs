//! The words between a master that accepts and a worker that takes: fixed layouts, little-endian, one packet each on a
//! `SOCK_SEQPACKET` pair of the worker's own. `docs/protocol.md` describes them for other languages.
//!
//! Connections are numbered by their order alone: the worker's accounts speak of the oldest that it was handed.

/// The version of these layouts; the first byte of every packet.
pub const VERSION: u8 = 1;

/// Connections in one packet at most, and on their way to one worker at most.
pub const WINDOW: usize = 4;

/// No limit on open connections.
pub const UNLIMITED: u32 = u32::MAX;

/// The variable that names the channels: `http=6:admin=7`, by socket, from the descriptor's number.
pub const VARIABLE: &str = "OSTLER_HANDOVER";

const CONNECTIONS: u8 = 1;
const END: u8 = 2;
const TAKE: u8 = 1;
const ACCOUNT: u8 = 2;

/// The bytes of a packet from the master; descriptors ride beside them.
pub type FromMaster = [u8; 8];

/// The bytes of a packet from a worker.
pub type FromWorker = [u8; 16];

/// What the master says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MasterWord {
    /// So many connections come with it.
    Connections(u16),
    /// No more will come: this worker drains. What it was handed and has not taken, others get.
    End,
}

/// What a worker says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkerWord {
    /// It takes connections, so many open at once at most ([`UNLIMITED`]: any number). Said first, and again to change
    /// that, or to be handed more after it refused. With 0 as soon as it listens: it takes none yet, but will.
    Take {
        /// The most that may be open.
        limit: u32,
    },
    /// What has become of connections that it was handed.
    Account(Account),
}

/// What has become of connections since the last account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// So many, the oldest, are its own from now on.
    pub taken: u32,
    /// So many after those it doesn't want: others get them.
    pub refused: u32,
    /// So many of its own have been closed.
    pub closed: u32,
}

impl MasterWord {
    /// As bytes.
    #[must_use]
    pub fn encode(self) -> FromMaster {
        let (kind, count) = match self {
            Self::Connections(count) => (CONNECTIONS, count),
            Self::End => (END, 0),
        };
        let [low, high] = count.to_le_bytes();
        [VERSION, kind, low, high, 0, 0, 0, 0]
    }

    /// From bytes; `None` if they are of another version, or nonsense.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let &[VERSION, kind, low, high, ..] = bytes else {
            return None;
        };
        match kind {
            CONNECTIONS => Some(Self::Connections(u16::from_le_bytes([low, high]))),
            END => Some(Self::End),
            _ => None,
        }
    }
}

impl WorkerWord {
    /// As bytes.
    #[must_use]
    pub fn encode(self) -> FromWorker {
        let (kind, numbers) = match self {
            Self::Take { limit } => (TAKE, [limit, 0, 0]),
            Self::Account(account) => (ACCOUNT, [account.taken, account.refused, account.closed]),
        };
        let mut bytes = [0; 16];
        bytes[..2].copy_from_slice(&[VERSION, kind]);
        for (place, number) in bytes[4..].chunks_exact_mut(4).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        bytes
    }

    /// From bytes; `None` if they are of another version, or nonsense.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &FromWorker = bytes.try_into().ok()?;
        let number = |at: usize| {
            let [a, b, c, d] = [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
            u32::from_le_bytes([a, b, c, d])
        };
        match bytes[..2] {
            [VERSION, TAKE] => Some(Self::Take { limit: number(4) }),
            [VERSION, ACCOUNT] => Some(Self::Account(Account {
                taken: number(4),
                refused: number(8),
                closed: number(12),
            })),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layouts_are_these() {
        let account = Account {
            taken: 1,
            refused: 0x0203,
            closed: 0x0405_0607,
        };
        let words = [
            (
                WorkerWord::Take { limit: 0x0102 },
                [1, 1, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            ),
            (
                WorkerWord::Account(account),
                [1, 2, 0, 0, 1, 0, 0, 0, 3, 2, 0, 0, 7, 6, 5, 4],
            ),
        ];
        for (word, bytes) in words {
            assert_eq!(word.encode(), bytes);
            assert_eq!(WorkerWord::decode(&bytes), Some(word));
        }
        let words = [
            (MasterWord::Connections(3), [1, 1, 3, 0, 0, 0, 0, 0]),
            (MasterWord::End, [1, 2, 0, 0, 0, 0, 0, 0]),
        ];
        for (word, bytes) in words {
            assert_eq!(word.encode(), bytes);
            assert_eq!(MasterWord::decode(&bytes), Some(word));
        }
    }

    #[test]
    fn other_versions_kinds_and_lengths_are_nonsense() {
        for bytes in [
            &[][..],
            &[1],
            &[2, 1, 1, 0, 0, 0, 0, 0],
            &[1, 9, 0, 0, 0, 0, 0, 0],
        ] {
            assert_eq!(MasterWord::decode(bytes), None, "{bytes:?}");
        }
        let mut take = WorkerWord::Take { limit: 1 }.encode();
        assert_eq!(WorkerWord::decode(&take[..15]), None);
        take[0] = 2;
        assert_eq!(WorkerWord::decode(&take), None);
    }
}
