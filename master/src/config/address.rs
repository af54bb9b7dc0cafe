//! Where a socket listens, as people write it.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use super::{
    app::{
        SocketAddress, SocketDeclaration,
        socket::{SocketOptions, StarterSocket},
    },
    errors::Wrong,
};

/// Connections that the kernel keeps for a socket until a worker takes them, where nothing else is said.
pub const DEFAULT_BACKLOG: u32 = 1024;

/// The longest path of a Unix socket on Linux, in bytes: `sun_path` less its terminator.
pub const LONGEST_SOCKET_PATH: usize = 107;

/// The longest name of a socket's file, in bytes, whose directory is named by a descriptor because the whole path doesn't fit:
/// `/proc/self/fd/`, ten digits and a slash go before it.
pub const LONGEST_SOCKET_NAME: usize = LONGEST_SOCKET_PATH - 25;

/// Reads an address.
///
/// | written | means |
/// |---|---|
/// | `8080` | 127.0.0.1, port 8080 |
/// | `:8080` | every IPv4 address of the machine |
/// | `127.0.0.1:8080`, `[::1]:8080`, `localhost:8080` | that address |
/// | `127.0.0.1:0` | any free port |
/// | `unix:run/web.sock`, `/run/web.sock` | a Unix socket; a relative path is relative to `base` |
/// | `udp:127.0.0.1:53` | UDP, at any of the addresses and ports above |
/// | `fd:http`, `fd:3` | a socket that the master's own starter passed on, by name or number |
///
/// # Errors
/// If it is none of these. Other host names are refused: what they resolve to can change under a running master.
pub fn address(text: &str, base: &Path) -> Result<SocketAddress, Wrong> {
    let text = text.trim();
    if let Some(path) = text.strip_prefix("unix:") {
        return unix(path, base);
    }
    if let Some(which) = text.strip_prefix("fd:") {
        return starter(which);
    }
    if let Some(rest) = text.strip_prefix("udp:") {
        return udp(rest.trim());
    }
    if text.starts_with('/') || text.starts_with("./") {
        return unix(text, base);
    }
    ip(text).map(SocketAddress::Tcp)
}

fn udp(text: &str) -> Result<SocketAddress, Wrong> {
    let other = ["unix:", "fd:", "udp:", "/", "./"];
    if other.iter().any(|other| text.starts_with(other)) {
        return Err(Wrong::new(
            format!("{text:?} is not an address of UDP"),
            "use an IP address and port: \"udp:127.0.0.1:53\"",
        ));
    }
    ip(text).map(SocketAddress::Udp)
}

fn ip(text: &str) -> Result<SocketAddr, Wrong> {
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return port(text).map(|port| (Ipv4Addr::LOCALHOST, port).into());
    }
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok(address);
    }
    match text.rsplit_once(':') {
        Some(("", digits)) => port(digits).map(|port| (Ipv4Addr::UNSPECIFIED, port).into()),
        Some(("localhost", digits)) => port(digits).map(|port| (Ipv4Addr::LOCALHOST, port).into()),
        Some((host, digits)) => {
            let bare = host.trim_start_matches('[').trim_end_matches(']');
            if bare.parse::<IpAddr>().is_ok() && host == bare && host.contains(':') {
                return Err(Wrong::new(
                    format!("{text:?} is not an address"),
                    format!("put the IPv6 address in brackets: \"[{host}]:{digits}\""),
                ));
            }
            if bare.parse::<IpAddr>().is_ok() {
                port(digits)?;
            }
            Err(not_an_address(text))
        }
        None => Err(not_an_address(text)),
    }
}

fn not_an_address(text: &str) -> Wrong {
    Wrong::new(
        format!("{text:?} is not an address to listen on"),
        "use an IP address and port (\"127.0.0.1:8080\", \"[::1]:8080\"), \":8080\" for every address, \"unix:PATH\", or \"udp:\" before one of the first",
    )
}

fn port(digits: &str) -> Result<u16, Wrong> {
    digits.parse().map_err(|_| {
        Wrong::new(
            format!("{digits:?} is not a port"),
            "use a number from 0 (any free port) to 65535",
        )
    })
}

fn unix(path: &str, base: &Path) -> Result<SocketAddress, Wrong> {
    if path.is_empty() || path.contains('\0') {
        return Err(Wrong::new(
            "the path of the Unix socket is missing",
            "write \"unix:\" and a path, such as \"unix:run/web.sock\"",
        ));
    }
    let path: PathBuf = base.join(path);
    let name = path.file_name().map_or(0, std::ffi::OsStr::len);
    if path.as_os_str().len() > LONGEST_SOCKET_PATH && name > LONGEST_SOCKET_NAME {
        return Err(Wrong::new(
            format!("the socket's path {path:?} is too long: its last part has {name} bytes"),
            format!(
                "use a file name of at most {LONGEST_SOCKET_NAME} bytes, or a path of at most {LONGEST_SOCKET_PATH}"
            ),
        ));
    }
    Ok(SocketAddress::Unix(path))
}

fn starter(which: &str) -> Result<SocketAddress, Wrong> {
    let wrong = || {
        Wrong::new(
            format!("\"fd:{which}\" names no socket of the starter's"),
            "use its name in LISTEN_FDNAMES (\"fd:http\"), or its number, the first being 3 (\"fd:3\")",
        )
    };
    if which.is_empty() || which.contains([':', '\0']) {
        return Err(wrong());
    }
    let number = which.bytes().all(|b| b.is_ascii_digit());
    let socket = match (number, which.parse()) {
        (false, _) => StarterSocket::Named(which.to_owned()),
        (true, Ok(number @ 3..)) => StarterSocket::Numbered(number),
        (true, _) => return Err(wrong()),
    };
    Ok(SocketAddress::Starter(socket))
}

/// Checks the name of a socket: a token as it can stand in `LISTEN_FDNAMES` and in a topic.
///
/// # Errors
/// If it is not 1 to 64 of `A-Z a-z 0-9 _ -`.
pub fn socket_name(name: &str) -> Result<String, Wrong> {
    if !super::naming::is_token(name) {
        return Err(Wrong::new(
            format!("{name:?} is not a socket's name"),
            "use 1 to 64 of A-Z a-z 0-9 _ -",
        ));
    }
    Ok(name.to_owned())
}

/// The name of a socket that was given none: "http", then "http2", "http3" …
#[must_use]
pub fn default_name(index: usize) -> String {
    match index {
        0 => "http".into(),
        _ => format!("http{}", index + 1),
    }
}

/// A socket with the defaults for all that was not said.
#[must_use]
pub fn declaration(name: String, address: SocketAddress) -> SocketDeclaration {
    SocketDeclaration {
        name,
        address,
        backlog: DEFAULT_BACKLOG,
        nonblocking: false,
        options: SocketOptions::default(),
    }
}

impl fmt::Display for SocketAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Udp(address) => write!(f, "udp:{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Starter(socket) => socket.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Result<String, String> {
        address(text, Path::new("/srv/shop"))
            .map(|address| address.to_string())
            .map_err(|wrong| wrong.to_string())
    }

    #[test]
    fn addresses_as_people_write_them() {
        let cases = [
            ("8080", "127.0.0.1:8080"),
            (":8080", "0.0.0.0:8080"),
            ("127.0.0.1:0", "127.0.0.1:0"),
            ("localhost:80", "127.0.0.1:80"),
            ("[::1]:8080", "[::1]:8080"),
            ("unix:run/web.sock", "unix:/srv/shop/run/web.sock"),
            ("unix:/run/web.sock", "unix:/run/web.sock"),
            ("/run/web.sock", "unix:/run/web.sock"),
            ("udp:53", "udp:127.0.0.1:53"),
            ("udp:[::1]:53", "udp:[::1]:53"),
            ("fd:web.socket", "fd:web.socket"),
            ("fd:3", "fd:3"),
        ];
        for (text, address) in cases {
            assert_eq!(shown(text), Ok(address.into()), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_a_fix() {
        let cases = [
            (
                "::1:8080",
                "put the IPv6 address in brackets: \"[::1]:8080\"",
            ),
            (
                "127.0.0.1:65536",
                "\"65536\" is not a port; use a number from 0 (any free port) to 65535",
            ),
            ("99999", "\"99999\" is not a port"),
            (":http", "\"http\" is not a port"),
            (
                "example.org:80",
                "\"example.org:80\" is not an address to listen on; use an IP address and port",
            ),
            ("web", "\"web\" is not an address"),
            ("", "\"\" is not an address"),
            ("unix:", "the path of the Unix socket is missing"),
            (
                "udp:/run/web.sock",
                "\"/run/web.sock\" is not an address of UDP",
            ),
            ("udp:udp:53", "\"udp:53\" is not an address of UDP"),
            ("udp:fd:3", "\"fd:3\" is not an address of UDP"),
            ("fd:", "\"fd:\" names no socket of the starter's"),
            ("fd:2", "its number, the first being 3"),
            ("fd:99999999999", "names no socket"),
        ];
        for (text, error) in cases {
            let told = shown(text).unwrap_err();
            assert!(told.contains(error), "{text}: {told}");
        }
        let deep = shown(&"udp:".repeat(20_000));
        assert!(deep.is_err(), "however deep");
        let long = |name: usize| format!("unix:{}/{}", "d".repeat(100), "x".repeat(name));
        let told = shown(&long(83)).unwrap_err();
        assert!(told.contains("its last part has 83 bytes"), "{told}");
        assert!(shown(&long(82)).is_ok());
        let short = format!("unix:{}", "x".repeat(97));
        assert!(shown(&short).is_ok());
    }
}
