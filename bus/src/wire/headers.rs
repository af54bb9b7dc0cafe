//! Headers: a few short texts by name beside a payload, such as `traceparent`. The hub passes them on and reads none.
//!
//! ```text
//! HEADERS  length u16 of all that follows | (name length u8 | name | value length u16 | value)*
//! ```

use std::fmt;

use bytes::{Buf, BufMut, BytesMut};

/// The most bytes of all headers of a frame together, lengths included.
pub const HEADERS_BYTES: usize = 4 << 10;

/// A name's longest length, in bytes.
pub const NAME_BYTES: usize = 64;

/// Headers, in the form in which they travel. Each name occurs once.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<u8>);

/// A header that can't be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadHeaders(String);

impl fmt::Display for BadHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadHeaders {}

impl Headers {
    /// None.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Reads a block as it travels, without its length.
    ///
    /// # Errors
    /// If it is cut short, too long, has a name that isn't one or occurs twice, or a value that isn't UTF-8.
    pub fn parse(block: &[u8]) -> Result<Self, BadHeaders> {
        check(block)?;
        Ok(Self(block.to_vec()))
    }

    /// Sets one; what it was before is replaced.
    ///
    /// # Errors
    /// If the name is not 1 to [`NAME_BYTES`] of `a`–`z`, `0`–`9`, `_`, `-`, or all together would be over [`HEADERS_BYTES`].
    pub fn insert(&mut self, name: &str, value: &str) -> Result<(), BadHeaders> {
        check_name(name.as_bytes())?;
        let mut block = Vec::with_capacity(self.0.len() + name.len() + value.len() + 3);
        for (other, kept) in self.iter().filter(|(other, _)| *other != name) {
            put(&mut block, other, kept);
        }
        if block.len() + name.len() + value.len() + 3 > HEADERS_BYTES {
            return Err(BadHeaders(format!(
                "with {name:?} the headers take more than {HEADERS_BYTES} bytes"
            )));
        }
        put(&mut block, name, value);
        self.0 = block;
        Ok(())
    }

    /// The value of one.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter()
            .find_map(|(other, value)| (other == name).then_some(value))
    }

    /// Names and values, in the order in which they were set.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut rest = self.0.as_slice();
        std::iter::from_fn(move || {
            let (name, value, after) = next(rest)?;
            rest = after;
            // Checked when they were set.
            Some((
                std::str::from_utf8(name).ok()?,
                std::str::from_utf8(value).ok()?,
            ))
        })
    }

    /// The block as it travels, without its length.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Writes them, behind their length.
    pub fn put(&self, out: &mut BytesMut) {
        put_block(out, &self.0);
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// Whether a block is as it should be. In one pass: it may come from anybody, and hold a thousand names.
///
/// # Errors
/// As [`Headers::parse`].
pub fn check(block: &[u8]) -> Result<(), BadHeaders> {
    if block.is_empty() {
        return Ok(());
    }
    if block.len() > HEADERS_BYTES {
        return Err(BadHeaders(format!(
            "the headers take more than {HEADERS_BYTES} bytes"
        )));
    }
    let mut names = Vec::new();
    let mut rest = block;
    while !rest.is_empty() {
        let (name, value, after) =
            next(rest).ok_or_else(|| BadHeaders("the headers are cut short".into()))?;
        check_name(name)?;
        if std::str::from_utf8(value).is_err() {
            return Err(BadHeaders("a header is not UTF-8".into()));
        }
        names.push(name);
        rest = after;
    }
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(BadHeaders(format!(
            "the header {:?} occurs twice",
            String::from_utf8_lossy(pair[0])
        ))),
        None => Ok(()),
    }
}

fn check_name(name: &[u8]) -> Result<(), BadHeaders> {
    let is_one = (1..=NAME_BYTES).contains(&name.len())
        && name
            .iter()
            .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'));
    if is_one {
        return Ok(());
    }
    Err(BadHeaders(format!(
        "{:?} is no header name: 1 to {NAME_BYTES} of a-z, 0-9, _ and -",
        String::from_utf8_lossy(name)
    )))
}

/// Writes headers that are a block already, behind their length.
pub fn put_block(out: &mut BytesMut, block: &[u8]) {
    let length = u16::try_from(block.len()).expect("headers take at most 4 KiB");
    out.put_u16(length);
    out.put_slice(block);
}

fn put(block: &mut Vec<u8>, name: &str, value: &str) {
    block.put_u8(u8::try_from(name.len()).expect("at most 64 bytes"));
    block.put_slice(name.as_bytes());
    block.put_u16(u16::try_from(value.len()).expect("at most 4 KiB"));
    block.put_slice(value.as_bytes());
}

/// The first name and value of a block, and the rest.
fn next(block: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (&length, rest) = block.split_first()?;
    let (name, mut rest) = rest.split_at_checked(usize::from(length))?;
    if rest.len() < 2 {
        return None;
    }
    let length = usize::from(rest.get_u16());
    let (value, rest) = rest.split_at_checked(length)?;
    Some((name, value, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_set_replaced_and_travel() {
        let mut headers = Headers::new();
        headers.insert("traceparent", "00-1-2-01").unwrap();
        headers.insert("a", "").unwrap();
        headers.insert("a", "ü").unwrap();
        let mut out = BytesMut::new();
        headers.put(&mut out);
        let length = usize::from(out.get_u16());
        assert_eq!(length, out.len());
        let read = Headers::parse(&out).unwrap();
        assert_eq!(read, headers);
        let all: Vec<_> = read.iter().collect();
        assert_eq!(all, [("traceparent", "00-1-2-01"), ("a", "ü")]);
        assert_eq!((read.get("a"), read.get("b")), (Some("ü"), None));
    }

    #[test]
    fn what_can_not_be_is_refused() {
        let mut headers = Headers::new();
        for name in ["", "A", "a b", "ü", &"x".repeat(65)] {
            assert!(headers.insert(name, "").is_err(), "{name}");
        }
        let value = "v".repeat(HEADERS_BYTES - 4);
        headers.insert("a", &value).unwrap();
        headers.insert("a", &value).unwrap();
        assert!(headers.insert("b", "").is_err());
        for block in [
            &b"\x01"[..],
            b"\x01a\x00",
            b"\x01a\x00\x02x",
            b"\x01a\x00\x01\xff",
            b"\x01a\x00\x00\x01a\x00\x00",
            b"\x00\x00\x00",
            &[b"\x01a\x10\x00".as_slice(), &[b'v'; 4096]].concat(),
        ] {
            assert!(Headers::parse(block).is_err(), "{block:?}");
        }
        assert_eq!(Headers::parse(b""), Ok(Headers::new()));
    }
}
