//! Events that are kept until the hub has acknowledged them, and sent again on the next connection if it hasn't.
//!
//! Their references ascend over all connections of a client, so the hub knows what it has taken already. The hub remembers as
//! many outcomes as may be under way here.

use std::collections::VecDeque;

use bytes::Bytes;

/// Events under way at once, by protocol. Further ones wait.
const UNACKED: usize = 1024;

/// What the hub hasn't acknowledged, oldest first.
#[derive(Debug, Default)]
pub(super) struct Reliable {
    frames: VecDeque<(u64, Bytes)>,
    bytes: usize,
}

impl Reliable {
    /// Whether a further one must wait; one alone may have any size.
    pub(super) fn is_full(&self, max_bytes: usize) -> bool {
        self.frames.len() >= UNACKED || self.bytes >= max_bytes
    }

    /// Keeps a frame; its reference is larger than all before.
    pub(super) fn keep(&mut self, r#ref: u64, frame: Bytes) {
        self.bytes += frame.len();
        self.frames.push_back((r#ref, frame));
    }

    /// The hub has answered.
    pub(super) fn settle(&mut self, r#ref: u64) {
        if let Ok(at) = self.frames.binary_search_by_key(&r#ref, |(kept, _)| *kept)
            && let Some((_, frame)) = self.frames.remove(at)
        {
            self.bytes -= frame.len();
        }
    }

    /// Those with references below `end`, in order.
    pub(super) fn before(&self, end: u64) -> impl Iterator<Item = &Bytes> {
        self.frames
            .iter()
            .take_while(move |(r#ref, _)| *r#ref < end)
            .map(|(_, frame)| frame)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_bounded_in_number_and_bytes_and_answers_come_in_any_order() {
        let mut reliable = Reliable::default();
        for r#ref in 0..UNACKED as u64 {
            assert!(!reliable.is_full(UNACKED * 2));
            reliable.keep(r#ref * 3, Bytes::from_static(b"x"));
        }
        assert!(reliable.is_full(UNACKED * 2) && reliable.is_full(UNACKED));
        reliable.settle(4);
        assert!(reliable.is_full(UNACKED * 2), "4 was never kept");
        reliable.settle(6);
        reliable.settle(0);
        assert!(!reliable.is_full(UNACKED * 2) && !reliable.is_full(UNACKED));
        assert_eq!(reliable.before(9).count(), 1);
        reliable.keep(u64::MAX, Bytes::from_static(&[0; 10_000]));
        assert!(reliable.is_full(UNACKED * 2), "by its bytes");
    }
}
