//! Postcard bytes that are being written, up to a limit.

use std::ops::Range;

use super::bytes::Varint;
use super::walk::Full;

/// What was written so far, and room for putting it into another order.
#[derive(Debug)]
pub(super) struct Output {
    bytes: Vec<u8>,
    limit: usize,
    as_written: Vec<u8>,
}

impl Output {
    pub(super) const fn new(limit: usize) -> Self {
        Self {
            bytes: Vec::new(),
            limit,
            as_written: Vec::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    pub(super) fn put(&mut self, bytes: &[u8]) -> Result<(), Full> {
        if self.bytes.len() + bytes.len() > self.limit {
            return Err(Full);
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    pub(super) fn put_varint(&mut self, value: u128) -> Result<(), Full> {
        self.put(Varint::new(value).as_slice())
    }

    /// Puts how many elements there are in front of them, where one byte was left for it.
    pub(super) fn put_count(&mut self, at: usize, count: u64) -> Result<(), Full> {
        let count = Varint::new(count.into());
        if self.bytes.len() + count.as_slice().len() > self.limit + 1 {
            return Err(Full);
        }
        self.bytes.splice(at..=at, count.as_slice().iter().copied());
        Ok(())
    }

    /// Lays what was written since `start` anew: these pieces of it, in this order, each once at most.
    pub(super) fn arrange(&mut self, start: usize, pieces: impl Iterator<Item = Range<usize>>) {
        self.as_written.clear();
        self.as_written.extend_from_slice(&self.bytes[start..]);
        self.bytes.truncate(start);
        for piece in pieces {
            let piece = piece.start - start..piece.end - start;
            self.bytes.extend_from_slice(&self.as_written[piece]);
        }
    }
}
