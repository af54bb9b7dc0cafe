//! Postcard's primitives: varints, zigzag, counted bytes. Reads exactly what `postcard` itself would accept.

/// What is wrong with bytes that should have held a primitive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    Ended,
    Varint,
    Bool,
    Option,
    Char,
    Utf8,
}

impl Flaw {
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::Ended => "the bytes end early",
            Self::Varint => "the number is too large for its type",
            Self::Bool => "a byte is neither 0 nor 1",
            Self::Option => "the byte that says some or none is neither 0 nor 1",
            Self::Char => "the bytes are not one character",
            Self::Utf8 => "the text is not UTF-8",
        }
    }
}

/// A cursor over postcard bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) const fn position(&self) -> usize {
        self.at
    }

    pub(super) const fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// What has not been read yet.
    pub(super) fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    pub(super) fn byte(&mut self) -> Result<u8, Flaw> {
        let byte = *self.bytes.get(self.at).ok_or(Flaw::Ended)?;
        self.at += 1;
        Ok(byte)
    }

    pub(super) fn take(&mut self, count: u64) -> Result<&'a [u8], Flaw> {
        let count = usize::try_from(count).map_err(|_| Flaw::Ended)?;
        if count > self.left() {
            return Err(Flaw::Ended);
        }
        let taken = &self.bytes[self.at..self.at + count];
        self.at += count;
        Ok(taken)
    }

    /// A varint of at most `bits` (16, 32 or 64) bits.
    pub(super) fn varint(&mut self, bits: u32) -> Result<u64, Flaw> {
        let mut value = 0_u64;
        let mut shift = 0;
        loop {
            let byte = self.byte()?;
            let part = u64::from(byte & 0x7f);
            // What this byte adds must still fit into the bits that are left.
            if bits - shift < 7 && part >> (bits - shift) != 0 {
                return Err(Flaw::Varint);
            }
            value |= part << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
            shift += 7;
            if shift >= bits {
                return Err(Flaw::Varint);
            }
        }
    }

    pub(super) fn varint128(&mut self) -> Result<u128, Flaw> {
        let mut value = 0_u128;
        for shift in (0..128).step_by(7) {
            let byte = self.byte()?;
            let part = u128::from(byte & 0x7f);
            if 128 - shift < 7 && part >> (128 - shift) != 0 {
                return Err(Flaw::Varint);
            }
            value |= part << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Flaw::Varint)
    }

    pub(super) fn zigzag(&mut self, bits: u32) -> Result<i64, Flaw> {
        let raw = self.varint(bits)?;
        Ok((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed())
    }

    pub(super) fn zigzag128(&mut self) -> Result<i128, Flaw> {
        let raw = self.varint128()?;
        Ok((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed())
    }

    pub(super) fn bool(&mut self) -> Result<bool, Flaw> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Flaw::Bool),
        }
    }

    /// Whether an option holds something.
    pub(super) fn some(&mut self) -> Result<bool, Flaw> {
        self.bool().map_err(|flaw| match flaw {
            Flaw::Bool => Flaw::Option,
            other => other,
        })
    }

    pub(super) fn f32(&mut self) -> Result<f32, Flaw> {
        let bytes = self.take(4)?.try_into().map_err(|_| Flaw::Ended)?;
        Ok(f32::from_le_bytes(bytes))
    }

    pub(super) fn f64(&mut self) -> Result<f64, Flaw> {
        let bytes = self.take(8)?.try_into().map_err(|_| Flaw::Ended)?;
        Ok(f64::from_le_bytes(bytes))
    }

    /// Bytes behind their count.
    pub(super) fn counted(&mut self) -> Result<&'a [u8], Flaw> {
        let count = self.varint(64)?;
        self.take(count)
    }

    pub(super) fn str(&mut self) -> Result<&'a str, Flaw> {
        std::str::from_utf8(self.counted()?).map_err(|_| Flaw::Utf8)
    }

    pub(super) fn char(&mut self) -> Result<char, Flaw> {
        let text = self.str().map_err(|flaw| match flaw {
            Flaw::Utf8 => Flaw::Char,
            other => other,
        })?;
        let mut chars = text.chars();
        match (chars.next(), chars.next()) {
            (Some(only), None) => Ok(only),
            _ => Err(Flaw::Char),
        }
    }
}

/// The bytes of a varint, on the stack.
#[derive(Clone, Copy, Debug)]
pub(super) struct Varint {
    bytes: [u8; 19],
    len: usize,
}

impl Varint {
    pub(super) fn new(mut value: u128) -> Self {
        let mut bytes = [0; 19];
        let mut len = 0;
        loop {
            let low = (value & 0x7f) as u8;
            value >>= 7;
            bytes[len] = if value == 0 { low } else { low | 0x80 };
            len += 1;
            if value == 0 {
                return Self { bytes, len };
            }
        }
    }

    pub(super) fn zigzag(value: i128) -> Self {
        Self::new(((value << 1) ^ (value >> 127)).cast_unsigned())
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}
