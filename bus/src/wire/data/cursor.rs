//! Reading data headers, field by field.

use bytes::Buf;

use super::{BadHeader, Payload};
use crate::wire::{flags, headers::HEADERS_BYTES};

pub(super) struct Cursor<'a> {
    pub(super) body: &'a [u8],
    pub(super) at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn take(&mut self, n: usize) -> Result<&'a [u8], BadHeader> {
        let part = self
            .body
            .get(self.at..)
            .and_then(|rest| rest.get(..n))
            .ok_or(BadHeader)?;
        self.at += n;
        Ok(part)
    }

    pub(super) fn u16(&mut self) -> Result<u16, BadHeader> {
        self.take(2).map(|mut b| b.get_u16())
    }

    pub(super) fn u8(&mut self) -> Result<u8, BadHeader> {
        self.take(1).map(|b| b[0])
    }

    pub(super) fn u32(&mut self) -> Result<u32, BadHeader> {
        self.take(4).map(|mut b| b.get_u32())
    }

    pub(super) fn u64(&mut self) -> Result<u64, BadHeader> {
        self.take(8).map(|mut b| b.get_u64())
    }

    pub(super) fn topic(&mut self) -> Result<&'a [u8], BadHeader> {
        let length = self.u8()?;
        self.take(usize::from(length))
    }

    pub(super) fn payload(&mut self, kind: u8) -> Result<Payload, BadHeader> {
        match kind {
            0 => Ok(Payload::Postcard(self.u32()?)),
            1 => Ok(Payload::Json),
            2 => Ok(Payload::Bytes),
            _ => Err(BadHeader),
        }
    }

    /// A number that is there if `flag` is set.
    pub(super) fn u32_if(&mut self, flags: u8, flag: u8) -> Result<Option<u32>, BadHeader> {
        if flags & flag == 0 {
            return Ok(None);
        }
        self.u32().map(Some)
    }

    pub(super) fn headers(&mut self, flags: u8) -> Result<&'a [u8], BadHeader> {
        if flags & flags::HEADERS == 0 {
            return Ok(&[]);
        }
        let length = usize::from(self.u16()?);
        if length > HEADERS_BYTES {
            return Err(BadHeader);
        }
        self.take(length)
    }
}
