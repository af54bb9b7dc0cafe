//! Version 1: a line of text.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
};

use super::{Header, Malformed, begins};

const SIGNATURE: &[u8] = b"PROXY ";

/// The longest line, its end included.
const LONGEST: usize = 107;

pub(super) fn parse(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
    if !begins(bytes, SIGNATURE) {
        return Err(Malformed::NoHeader);
    }
    let start = &bytes[..bytes.len().min(LONGEST)];
    let Some(end) = start.iter().position(|byte| matches!(byte, b'\r' | b'\n')) else {
        return match start.len() {
            LONGEST => Err(Malformed::BadEnd),
            _ => Ok(None),
        };
    };
    match start[end..] {
        [b'\r', b'\n', ..] => {}
        [b'\r'] if start.len() < LONGEST => return Ok(None),
        _ => return Err(Malformed::BadEnd),
    }
    let said = start.get(SIGNATURE.len()..end).ok_or(Malformed::NoHeader)?;
    let (source, destination) = addresses(said)?.unzip();
    Ok(Some(Header {
        length: end + 2,
        source,
        destination,
    }))
}

/// The client's and the proxy's, unless they are unknown.
fn addresses(said: &[u8]) -> Result<Option<(SocketAddr, SocketAddr)>, Malformed> {
    // Whatever is said of what is unknown is to be passed over.
    if said == b"UNKNOWN" || said.starts_with(b"UNKNOWN ") {
        return Ok(None);
    }
    let said = str::from_utf8(said).map_err(|_| Malformed::BadLine)?;
    let (family, rest) = said.split_once(' ').ok_or(Malformed::BadLine)?;
    let addresses = match family {
        "TCP4" => pair::<Ipv4Addr>(rest),
        "TCP6" => pair::<Ipv6Addr>(rest),
        _ => None,
    };
    addresses.map(Some).ok_or(Malformed::BadLine)
}

fn pair<A: FromStr + Into<IpAddr>>(fields: &str) -> Option<(SocketAddr, SocketAddr)> {
    let mut fields = fields.split(' ');
    let mut ip = || fields.next()?.parse::<A>().ok().map(Into::into);
    let (source, destination) = (ip()?, ip()?);
    let mut port = || fields.next().and_then(port);
    let (from, to) = (port()?, port()?);
    let end = fields.next().is_none();
    end.then(|| {
        (
            SocketAddr::new(source, from),
            SocketAddr::new(destination, to),
        )
    })
}

/// In digits, and without zeroes before them.
fn port(text: &str) -> Option<u16> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let zeroes = text.len() > 1 && text.starts_with('0');
    text.parse().ok().filter(|_| plain && !zeroes)
}
