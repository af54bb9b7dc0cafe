//! The PROXY protocol, by which proxies say whose connection they pass on: a header before all else, in text (version 1) or in
//! bytes (version 2), as <https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt> has it.
//!
//! Nothing here reads from anywhere: [`parse`] is given what has come so far, and can be given more as often as one likes. The master
//! parses by it what it only peeks at; a worker whose socket has `proxy_protocol = "keep"` calls
//! [`Connection::read_proxy_header`](crate::Connection::read_proxy_header).
//!
//! ```
//! use ostler_worker_sdk::proxy_protocol::parse;
//!
//! let came = b"PROXY TCP4 203.0.113.9 198.51.100.1 56324 443\r\nGET / HTTP/1.1\r\n";
//! let header = parse(came)?.expect("it is whole");
//! assert_eq!(header.source, Some("203.0.113.9:56324".parse()?));
//! assert!(came[header.length..].starts_with(b"GET"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod binary;
mod text;

use std::{fmt, net::SocketAddr, time::Duration};

/// The longest header that is read, in bytes. In text none is longer than 107; in bytes the protocol allows for 65,551, but has
/// them fit a packet, and nginx reads as many as these.
pub const LONGEST: usize = 4096;

/// How long a header may take to come. The protocol asks for a few seconds, and for three at least, in which a lost packet is sent
/// again; this is enough for a second one that is lost.
pub const IN_TIME: Duration = Duration::from_secs(5);

/// The variable that names the sockets whose connections begin with a header that the app doesn't want to see: `http:admin`. The master
/// takes it off, and whoever accepts for itself must do so, too.
pub const VARIABLE: &str = "OSTLER_PROXY_PROTOCOL";

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// How many bytes it takes: whatever follows is the client's.
    pub length: usize,
    /// The client. `None`: the proxy speaks for itself (`LOCAL`), or can't tell (`UNKNOWN`, `UNSPEC`), or a client of its has no such
    /// address (`UNIX`); the connection is then its own, as far as anybody knows.
    pub source: Option<SocketAddr>,
    /// Where the client connected to; there whenever the source is.
    pub destination: Option<SocketAddr>,
}

/// Why something is no header. The protocol has such connections closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// It doesn't begin as one.
    NoHeader,
    /// A line that is longer than any can be (107 bytes), or ends otherwise than by CR and LF.
    BadEnd,
    /// A line whose fields are not those of TCP over IPv4 or IPv6.
    BadLine,
    /// A version, command, family or transport that there isn't.
    BadKind,
    /// A header in bytes that is too short for the addresses it should have.
    TooShort,
    /// One that is longer than is read ([`LONGEST`]).
    TooLong,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoHeader => "it doesn't begin with a header of the PROXY protocol",
            Self::BadEnd => "the header's line doesn't end as it should, within 107 bytes",
            Self::BadLine => "the header's line doesn't have the fields that it should",
            Self::BadKind => {
                "the header is of a version, command, family or transport that there isn't"
            }
            Self::TooShort => "the header is too short for its addresses",
            Self::TooLong => "the header is longer than 4096 bytes",
        })
    }
}

impl std::error::Error for Malformed {}

/// What a header says, from the first bytes of a connection; `None` if more of them must come.
///
/// # Errors
/// As soon as it can't become a header any more.
pub fn parse(bytes: &[u8]) -> Result<Option<Header>, Malformed> {
    // The two begin otherwise.
    match bytes.first() {
        None => Ok(None),
        Some(first) if *first == binary::SIGNATURE[0] => binary::parse(bytes),
        Some(_) => text::parse(bytes),
    }
}

/// Whether this is how those begin, as far as it goes.
fn begins(bytes: &[u8], signature: &[u8]) -> bool {
    bytes.iter().zip(signature).all(|(a, b)| a == b)
}

#[cfg(test)]
mod tests;
