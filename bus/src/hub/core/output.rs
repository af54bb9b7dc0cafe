//! What a connection's writer gets: small frames copied together, a large part by itself, for one write.

use std::io::IoSlice;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::wire::{
    codec,
    control::{HubControl, HubOp},
    frame::{self, FrameType},
    hello::Codec,
};

/// Bytes gathered for one write.
pub(crate) const WRITE_BYTES: usize = 64 << 10;

/// From this size a part is written from where it lies: copying it would cost more than one more slice of a write.
const LARGE_BYTES: usize = 8 << 10;

/// Bytes ready to be written: `small`, then `large`.
#[derive(Debug, Default)]
pub(crate) struct Output {
    small: BytesMut,
    large: Bytes,
}

impl Output {
    pub(crate) fn is_empty(&self) -> bool {
        self.small.is_empty() && self.large.is_empty()
    }

    /// Whether it should be written before more is added.
    pub(super) fn is_full(&self) -> bool {
        !self.large.is_empty() || self.small.len() >= WRITE_BYTES
    }

    /// What to write, as the slices of one write.
    pub(crate) fn slices(&self) -> [IoSlice<'_>; 2] {
        [IoSlice::new(&self.small), IoSlice::new(&self.large)]
    }

    /// `written` bytes are out.
    pub(crate) fn advance(&mut self, written: usize) {
        let small = written.min(self.small.len());
        self.small.advance(small);
        self.large.advance(written - small);
        if self.large.is_empty() {
            self.large = Bytes::new();
        }
    }

    /// Takes out what is left of it, in memory of its own if it is small; this output can be used again.
    pub(crate) fn take_rest(&mut self) -> Self {
        let mut small = BytesMut::with_capacity(self.small.len());
        small.extend_from_slice(&self.small);
        self.small.clear();
        Self {
            small,
            large: std::mem::take(&mut self.large),
        }
    }

    /// Begins anew, keeping the memory.
    pub(crate) fn reset(&mut self) {
        self.small.clear();
        self.large = Bytes::new();
    }

    pub(super) fn put_bytes(&mut self, bytes: &[u8]) {
        self.small.put_slice(bytes);
    }

    /// Adds a frame's last part: copied, or as it lies if it is large.
    pub(super) fn put_tail(&mut self, bytes: Bytes) {
        if bytes.len() < LARGE_BYTES {
            self.small.put_slice(&bytes);
        } else {
            self.large = bytes;
        }
    }

    /// Begins a frame whose body is `length` bytes long.
    pub(super) fn put_head(&mut self, kind: FrameType, flags: u8, length: usize) {
        let length = u32::try_from(length + 2).expect("frames are far below 4 GiB by every limit");
        self.small.put_u32(length);
        self.small.put_u8(kind as u8);
        self.small.put_u8(flags);
    }

    /// The end that is still being filled.
    pub(super) fn end(&mut self) -> &mut BytesMut {
        &mut self.small
    }

    pub(super) fn put_control(&mut self, codec: Codec, op: HubOp) {
        let frame = control_frame(codec, 0, op);
        self.small.put_slice(&frame);
    }
}

/// A control message as a frame.
pub(super) fn control_frame(codec: Codec, r#ref: u64, op: HubOp) -> Bytes {
    let body = codec::encode(codec, &HubControl { r#ref, op })
        .expect("control messages have no parts that can't be encoded");
    let mut out = BytesMut::with_capacity(body.len() + frame::HEADER_BYTES);
    frame::put(&mut out, FrameType::Control, 0, &body);
    out.freeze()
}
