//! Every bound of the bus in one place, with where each number comes from.

use std::{fmt, time::Duration};

use crate::SchemaLimits;

/// What a hub allows. All of it is configurable; the defaults are for one machine's fleet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest frame before HELLO was accepted: a HELLO takes some 300 bytes. Default 4 KiB.
    pub hello_bytes: usize,
    /// Largest control frame. Default 64 KiB: a schema (16 KiB) as JSON numbers fits.
    pub control_bytes: usize,
    /// Largest payload of an event, request or reply. Default 1 MiB.
    pub payload_bytes: usize,
    /// How long a peer that came by path may take to say HELLO; inherited sockets have all the time they want. Default 10 s.
    pub hello_timeout: Duration,
    /// Connections at once, beyond which none by path is let in; those whose peer is known are. Default 20,000.
    pub connections: usize,
    /// Connections by path of one uid at once. Root's are counted apart from the hub's own uid's: so programs that have
    /// run wild can't keep root out. Default 16,384: four fifths of all.
    pub connections_per_uid: usize,
    /// Peers let in within a second, by each listening socket; those who come faster wait in the kernel's queue, unharmed.
    /// As many may come at once. Default 10,000: a fifth of what a core can accept, so that the rest of it serves those
    /// who are in.
    pub accepts_per_second: usize,
    /// TCP peers at once that have not shown a token yet: a stranger costs a descriptor and a TLS handshake. Default 256.
    pub greetings: usize,
    /// How long a TCP peer with a wrong token waits for its answer, and holds one of the `greetings`: so a guess costs time.
    /// Default 500 ms.
    pub denial_delay: Duration,
    /// Subscriptions of one connection. Default 1,024.
    pub subscriptions: usize,
    /// Types announced by one connection. Default 1,024.
    pub types: usize,
    /// Largest schema, in bytes of postcard. Default, and most, 16 KiB: clients take no more.
    pub schema_bytes: usize,
    /// Nodes of a schema. Default, and most, 1,024.
    pub schema_nodes: usize,
    /// Events waiting for one subscription. Default 65,536.
    pub queue_messages: usize,
    /// Bytes waiting for one subscription. Default 8 MiB.
    pub queue_bytes: usize,
    /// How long a subscription whose policy is to be disconnected may be over its bounds without a break; at twice its
    /// bounds it is at once. Default 2 s: a reader that pauses for a moment has not stopped.
    pub overflow_grace: Duration,
    /// The longest time for which publishers are held without a break for one subscription, whatever it asks for.
    /// Default 60 s.
    pub longest_hold: Duration,
    /// Topics that one publisher is asked to hold back at once; on others it goes on, and a queue that is full for it
    /// drops its oldest. All publishers' together take a sixteenth of `memory_bytes` at most. Default 4,096.
    pub held_topics: usize,
    /// Frames of the control lane waiting for one connection. Default 1,024.
    pub control_frames: usize,
    /// Requests of one connection that wait for an answer. Default 1,024.
    pub requests: usize,
    /// Retained values in all. Default 1,024.
    pub retained_topics: usize,
    /// Bytes of retained values in all. Default 16 MiB.
    pub retained_bytes: usize,
    /// Bytes of all histories together, what the hub needs to find them included; over it, the oldest event of all goes.
    /// Default 16 MiB.
    pub history_bytes: usize,
    /// How long a client that lost its connection may take to come back and go on where it was. Default 60 s.
    pub session_timeout: Duration,
    /// Clients without a connection that are waited for at once; beyond it, the one gone longest is forgotten. Default 4,096.
    pub sessions: usize,
    /// Events that wait for one worker before it subscribes; beyond it, the oldest is lost. Default 1,024.
    pub mailbox_messages: usize,
    /// Bytes of all such events together. Default 16 MiB.
    pub mailbox_bytes: usize,
    /// How long they wait: a program that loads for a minute misses nothing. Default 60 s.
    pub mailbox_timeout: Duration,
    /// Bytes of all queues, types and kept events together; over it, the connection that holds most loses its oldest. At
    /// least twice what kept events may take. Default 512 MiB.
    pub memory_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            hello_bytes: 4 << 10,
            control_bytes: 64 << 10,
            payload_bytes: 1 << 20,
            hello_timeout: Duration::from_secs(10),
            connections: 20_000,
            connections_per_uid: 16_384,
            accepts_per_second: 10_000,
            greetings: 256,
            denial_delay: Duration::from_millis(500),
            subscriptions: 1024,
            types: 1024,
            schema_bytes: SchemaLimits::DEFAULT.bytes,
            schema_nodes: SchemaLimits::DEFAULT.nodes,
            queue_messages: 64 << 10,
            queue_bytes: 8 << 20,
            overflow_grace: Duration::from_secs(2),
            longest_hold: Duration::from_secs(60),
            held_topics: 4096,
            control_frames: 1024,
            requests: 1024,
            retained_topics: 1024,
            retained_bytes: 16 << 20,
            history_bytes: 16 << 20,
            session_timeout: Duration::from_secs(60),
            sessions: 4096,
            mailbox_messages: 1024,
            mailbox_bytes: 16 << 20,
            mailbox_timeout: Duration::from_secs(60),
            memory_bytes: 512 << 20,
        }
    }
}

impl Limits {
    /// Bytes of memory that retained values, histories and mail may take: no reader's pace frees them.
    #[must_use]
    pub fn kept_bytes(&self) -> usize {
        let tables = self.retained_topics.saturating_mul(KEPT_BYTES);
        [self.history_bytes, self.mailbox_bytes, tables]
            .into_iter()
            .fold(self.retained_bytes, usize::saturating_add)
    }

    /// Whether these bounds can be kept together.
    ///
    /// # Errors
    /// If [`kept_bytes`](Self::kept_bytes) exceed half of `memory_bytes`. Types may take a quarter of that, and what is left
    /// is for queues: with less, every event would be lost to make room that can't be made.
    pub fn check(&self) -> Result<(), LimitsError> {
        let (memory_bytes, kept_bytes) = (self.memory_bytes, self.kept_bytes());
        match kept_bytes <= memory_bytes / 2 {
            true => Ok(()),
            false => Err(LimitsError {
                memory_bytes,
                kept_bytes,
            }),
        }
    }
}

/// Limits that can't be kept together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitsError {
    /// What there is in all.
    pub memory_bytes: usize,
    /// What retained values, histories and mail may take of it.
    pub kept_bytes: usize,
}

impl LimitsError {
    /// What to do about it.
    #[must_use]
    pub fn fix(&self) -> String {
        format!(
            "make memory_bytes {} at least, or retained_bytes, history_bytes and mailbox_bytes smaller",
            self.kept_bytes.saturating_mul(2)
        )
    }
}

impl fmt::Display for LimitsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "retained values, histories and mail may take {} bytes, which is more than half of memory_bytes, {}: queues and types need the other half",
            self.kept_bytes, self.memory_bytes
        )
    }
}

impl std::error::Error for LimitsError {}

/// What the hub needs for each event it keeps, beside its frame: places in tables, type, origin.
pub(crate) const KEPT_BYTES: usize = 256;

/// A topic's longest length, in bytes.
pub const TOPIC_BYTES: usize = 255;

/// What a data frame may need beside its payload: header, topic, type, ids; and headers.
pub const DATA_OVERHEAD: usize = 512 + crate::wire::headers::HEADERS_BYTES;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_must_hold_twice_what_is_kept() {
        assert_eq!(Limits::default().check(), Ok(()));
        let mut limits = Limits {
            retained_bytes: 1 << 20,
            retained_topics: 1024,
            history_bytes: 2 << 20,
            mailbox_bytes: 3 << 20,
            ..Limits::default()
        };
        let kept = (6 << 20) + 1024 * KEPT_BYTES;
        limits.memory_bytes = kept * 2;
        assert_eq!(limits.check(), Ok(()));
        limits.memory_bytes -= 1;
        let error = limits.check().unwrap_err();
        assert_eq!(error.kept_bytes, kept);
        assert!(error.fix().contains(&(kept * 2).to_string()));
        limits.history_bytes = usize::MAX;
        assert!(limits.check().is_err());
    }
}
