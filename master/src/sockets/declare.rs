//! What users write for a socket: `[NAME=]ADDR`.
//!
//! | `ADDR` | means |
//! |---|---|
//! | `8080`, `:8080`, `*:8080` | that port on every IPv4 address |
//! | `127.0.0.1:8080`, `[::1]:8080`, `localhost:8080` | that address (`localhost` is 127.0.0.1) |
//! | `[::]:8080` | every address, IPv6 and, unless the system is set otherwise, IPv4 |
//! | `unix:/run/app.sock`, `/run/app.sock` | a Unix stream socket |
//! | `tcp:…`, `tcp://…` | any of the above but Unix, said explicitly |
//!
//! Port 0 is any free port; the master says which. Sockets without a name are called `listen`, `listen1`, `listen2` …,
//! by their place in the list.

use std::{
    collections::HashSet,
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use crate::config::app::{SocketAddress, SocketDeclaration};

/// Connections that the kernel keeps waiting, unless declared otherwise; `net.core.somaxconn` limits it.
pub const BACKLOG: u32 = 1024;

/// A name longer than this is refused, as an app's is.
const NAME_BYTES: usize = 64;

/// What is wrong with a declaration, and how to write it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclarationError {
    /// What was written.
    pub text: String,
    /// What is wrong with it.
    pub problem: String,
}

/// Reads a list of declarations, in order.
///
/// # Errors
/// For the first that can't be read, and for a name or an address that comes twice.
pub fn parse_declarations<S: AsRef<str>>(
    texts: &[S],
) -> Result<Vec<SocketDeclaration>, DeclarationError> {
    let mut names = HashSet::new();
    let mut addresses = HashSet::new();
    let mut declarations = Vec::with_capacity(texts.len());
    for (place, text) in texts.iter().enumerate() {
        let text = text.as_ref();
        let declaration = parse_declaration(text, place)?;
        if !names.insert(declaration.name.clone()) {
            let problem = format!("the name {:?} is taken", declaration.name);
            return Err(refuse(text, problem));
        }
        if !any_port(&declaration.address) && !addresses.insert(declaration.address.clone()) {
            return Err(refuse(text, "the address is declared already".into()));
        }
        declarations.push(declaration);
    }
    Ok(declarations)
}

/// Reads the declaration at this place (from 0) of a list.
///
/// # Errors
/// If it can't be read.
pub fn parse_declaration(text: &str, place: usize) -> Result<SocketDeclaration, DeclarationError> {
    let (name, address) = match text.split_once('=') {
        // A path may contain the sign.
        Some((name, address)) if !name.contains(['/', ':']) => (name.to_owned(), address),
        Some(_) | None => (default_name(place), text),
    };
    let token = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if name.is_empty() || name.len() > NAME_BYTES || !name.bytes().all(token) {
        let problem = format!("{name:?} is no name: use 1 to 64 of A-Z a-z 0-9 _ -");
        return Err(refuse(text, problem));
    }
    let address = parse_address(address).map_err(|problem| refuse(text, problem))?;
    Ok(SocketDeclaration {
        name,
        address,
        backlog: BACKLOG,
        nonblocking: false,
    })
}

fn default_name(place: usize) -> String {
    match place {
        0 => "listen".into(),
        _ => format!("listen{place}"),
    }
}

fn parse_address(text: &str) -> Result<SocketAddress, String> {
    if let Some(path) = text.strip_prefix("unix:") {
        return parse_path(path.strip_prefix("//").unwrap_or(path));
    }
    if text.starts_with('/') {
        return parse_path(text);
    }
    let text = text.strip_prefix("tcp:").unwrap_or(text);
    let text = text.strip_prefix("//").unwrap_or(text);
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok(SocketAddress::Tcp(address));
    }
    let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
    let host = match host {
        "" | "*" => Ipv4Addr::UNSPECIFIED,
        "localhost" => Ipv4Addr::LOCALHOST,
        other if other.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv6()) || other.contains(':') => {
            return Err(format!(
                "an IPv6 address stands in brackets: [{other}]:{port}"
            ));
        }
        other if other.parse::<IpAddr>().is_ok() => return Err(bad_port(port)),
        other => {
            return Err(format!(
                "{other:?} is no address: give one in numbers, or localhost"
            ));
        }
    };
    let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    match port.parse::<u16>() {
        Ok(port) if digits => Ok(SocketAddress::Tcp((host, port).into())),
        Ok(_) | Err(_) => Err(bad_port(port)),
    }
}

fn bad_port(port: &str) -> String {
    format!("{port:?} is no port: use 0 (any free one) to 65535")
}

fn parse_path(path: &str) -> Result<SocketAddress, String> {
    match path {
        "" => Err("the path is missing: unix:/run/app.sock".into()),
        path if path.starts_with('@') => {
            Err("abstract sockets are not offered: give a path".into())
        }
        path if path.contains('\0') => Err("a path has no NUL in it".into()),
        path => Ok(SocketAddress::Unix(path.into())),
    }
}

fn any_port(address: &SocketAddress) -> bool {
    match address {
        SocketAddress::Tcp(address) => address.port() == 0,
        SocketAddress::Unix(_) => false,
    }
}

fn refuse(text: &str, problem: String) -> DeclarationError {
    DeclarationError {
        text: text.to_owned(),
        problem,
    }
}

impl fmt::Display for DeclarationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "socket {:?}: {}", self.text, self.problem)
    }
}

impl std::error::Error for DeclarationError {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tcp(text: &str) -> SocketAddress {
        SocketAddress::Tcp(text.parse().expect("an address"))
    }

    #[test]
    fn addresses_as_people_write_them() {
        let cases = [
            ("8080", tcp("0.0.0.0:8080")),
            (":8080", tcp("0.0.0.0:8080")),
            ("*:8080", tcp("0.0.0.0:8080")),
            ("tcp::8080", tcp("0.0.0.0:8080")),
            ("tcp:8080", tcp("0.0.0.0:8080")),
            ("127.0.0.1:0", tcp("127.0.0.1:0")),
            ("localhost:80", tcp("127.0.0.1:80")),
            ("tcp://127.0.0.1:80", tcp("127.0.0.1:80")),
            ("[::1]:80", tcp("[::1]:80")),
            (
                "unix:/run/a.sock",
                SocketAddress::Unix("/run/a.sock".into()),
            ),
            (
                "unix:///run/a.sock",
                SocketAddress::Unix("/run/a.sock".into()),
            ),
            ("unix:rel.sock", SocketAddress::Unix("rel.sock".into())),
            ("/run/a=b.sock", SocketAddress::Unix("/run/a=b.sock".into())),
        ];
        for (text, address) in cases {
            let declaration = parse_declaration(text, 0).expect(text);
            assert_eq!(declaration.address, address, "{text}");
            assert_eq!(declaration.name, "listen");
        }
    }

    #[test]
    fn names_given_and_not() {
        let list = parse_declarations(&["8080", "admin=unix:/run/a.sock", "127.0.0.1:9"]);
        let names: Vec<_> = list.expect("fine").into_iter().map(|d| d.name).collect();
        assert_eq!(names, ["listen", "admin", "listen2"]);
    }

    #[test]
    fn mistakes_say_what_to_write() {
        let cases = [
            ("", "is no port"),
            ("http", "is no port"),
            ("65536", "is no port"),
            ("+80", "is no port"),
            ("127.0.0.1:x", "is no port"),
            ("::1:80", "in brackets"),
            ("example.org:80", "in numbers"),
            ("unix:", "the path is missing"),
            ("unix:@x", "abstract"),
            ("a b=80", "is no name"),
            ("=80", "is no name"),
        ];
        for (text, problem) in cases {
            let error = parse_declaration(text, 0).expect_err(text).to_string();
            assert!(error.contains(problem), "{text}: {error}");
        }
    }

    #[test]
    fn nothing_twice_but_any_free_port() {
        assert!(parse_declarations(&["a=80", "a=81"]).is_err());
        assert!(parse_declarations(&["a=80", "b=80"]).is_err());
        assert!(parse_declarations(&["a=0", "b=0"]).is_ok());
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,60}") {
            let _ = parse_declaration(&text, 3);
        }

        #[test]
        fn every_address_reads_as_it_is_printed(address in any::<SocketAddr>()) {
            let address = match address {
                SocketAddr::V6(v6) => (*v6.ip(), v6.port()).into(),
                SocketAddr::V4(_) => address,
            };
            let declaration = parse_declaration(&format!("x={address}"), 0).expect("an address");
            prop_assert_eq!(declaration.address, SocketAddress::Tcp(address));
        }
    }
}
