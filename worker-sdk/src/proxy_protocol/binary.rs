//! Version 2: sixteen bytes, and as many more as the last two of them say: addresses, then fields of any kind.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Header, LONGEST, Malformed, begins};

/// How it begins; no line of text does.
pub(super) const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// What says how long the rest is.
const FIRST: usize = 16;

/// What is said of the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Nothing,
    V4,
    V6,
    Unix,
}

impl Told {
    /// From the family's and the transport's numbers.
    fn from(family: u8, transport: u8) -> Option<Self> {
        match (family, transport) {
            (0..=3, 0) | (0, 1 | 2) => Some(Self::Nothing),
            (1, 1 | 2) => Some(Self::V4),
            (2, 1 | 2) => Some(Self::V6),
            (3, 1 | 2) => Some(Self::Unix),
            _ => None,
        }
    }

    /// The bytes of both addresses, and of both ports.
    fn length(self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::V4 => 2 * (4 + 2),
            Self::V6 => 2 * (16 + 2),
            Self::Unix => 2 * 108,
        }
    }

    fn addresses(self, bytes: &[u8]) -> Option<(SocketAddr, SocketAddr)> {
        match self {
            Self::Nothing | Self::Unix => None,
            Self::V4 => pair(bytes, |ip: [u8; 4]| Ipv4Addr::from(ip).into()),
            Self::V6 => pair(bytes, |ip: [u8; 16]| Ipv6Addr::from(ip).into()),
        }
    }
}

pub(super) fn parse(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
    if !begins(bytes, &SIGNATURE) {
        return Err(Malformed::NoHeader);
    }
    let told = match bytes.get(SIGNATURE.len()) {
        None => return Ok(None),
        // The proxy speaks for itself: what it says of addresses means nothing.
        Some(0x20) => Some(Told::Nothing),
        Some(0x21) => None,
        Some(_) => return Err(Malformed::BadKind),
    };
    let Some(family) = bytes.get(SIGNATURE.len() + 1) else {
        return Ok(None);
    };
    let told = told.or_else(|| Told::from(family >> 4, family & 0xf));
    let told = told.ok_or(Malformed::BadKind)?;
    let Some(rest) = bytes[SIGNATURE.len() + 2..].first_chunk::<2>() else {
        return Ok(None);
    };
    let rest = usize::from(u16::from_be_bytes(*rest));
    let length = FIRST + rest;
    if rest < told.length() {
        return Err(Malformed::TooShort);
    }
    if length > LONGEST {
        return Err(Malformed::TooLong);
    }
    let whole = bytes.get(FIRST..length);
    Ok(whole.map(|rest| {
        let (source, destination) = told.addresses(rest).unzip();
        Header {
            length,
            source,
            destination,
        }
    }))
}

/// Both addresses, then both ports.
fn pair<const N: usize>(
    bytes: &[u8],
    ip: impl Fn([u8; N]) -> IpAddr,
) -> Option<(SocketAddr, SocketAddr)> {
    let (source, rest) = bytes.split_first_chunk::<N>()?;
    let (destination, rest) = rest.split_first_chunk::<N>()?;
    let (from, rest) = rest.split_first_chunk::<2>()?;
    let to = rest.first_chunk::<2>()?;
    let at = |address: &[u8; N], port: &[u8; 2]| {
        SocketAddr::new(ip(*address), u16::from_be_bytes(*port))
    };
    Some((at(source, from), at(destination, to)))
}
