//! Sockets that the master's own starter has bound and passed on, as systemd does (socket activation): `LISTEN_FDS` of them,
//! from descriptor 3 on, named in `LISTEN_FDNAMES`, for the process `LISTEN_PID`.
//!
//! They stay the starter's: the master keeps them for its whole life, gives its apps duplicates, never shuts one down and
//! never removes a path. Workers see none of the variables, but those of their own sockets.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
};

use rustix::net::{AddressFamily, SocketAddrAny, SocketAddrUnix, SocketType, sockopt};

use super::Problem;
use crate::{
    config::app::{
        SocketAddress,
        socket::{SocketKind, StarterSocket},
    },
    sys,
};

/// The number of the first.
const FIRST: u32 = 3;

/// More are not believed.
const MOST: u32 = 1024;

/// All that the starter passed on.
#[derive(Debug, Default)]
pub struct StarterSockets {
    passed: Vec<Passed>,
    missing: Vec<String>,
}

#[derive(Debug)]
struct Passed {
    number: u32,
    name: String,
    socket: OwnedFd,
}

/// One of them, for an app.
#[derive(Debug)]
pub(super) struct Lent {
    pub(super) number: u32,
    pub(super) socket: OwnedFd,
    /// Where it is; `None` if that can't be written as an address.
    pub(super) address: Option<SocketAddress>,
    pub(super) kind: SocketKind,
}

impl StarterSockets {
    /// Those of this process. Call it before anything else is opened, and once.
    #[must_use]
    pub fn take() -> Self {
        let var = |name: &str| std::env::var_os(name).and_then(|value| value.into_string().ok());
        let (numbers, names) = told(var, std::process::id());
        let mut sockets = Self::default();
        for (number, name) in numbers.zip(names) {
            let taken = i32::try_from(number).map_err(io::Error::other);
            match taken.and_then(sys::take_passed_socket) {
                Ok(socket) => sockets.passed.push(Passed {
                    number,
                    name,
                    socket,
                }),
                Err(error) => sockets
                    .missing
                    .push(format!("descriptor {number} ({name:?}): {error}")),
            }
        }
        sockets
    }

    /// What was promised in `LISTEN_FDS` and isn't there, in words.
    #[must_use]
    pub fn missing(&self) -> &[String] {
        &self.missing
    }

    /// The numbers and names of all there are.
    pub fn all(&self) -> impl Iterator<Item = (u32, &str)> {
        self.passed
            .iter()
            .map(|passed| (passed.number, passed.name.as_str()))
    }

    /// A duplicate of one.
    pub(super) fn lend(&self, which: &StarterSocket) -> Result<Lent, Problem> {
        let mut fitting = self.passed.iter().filter(|passed| match which {
            StarterSocket::Named(name) => passed.name == *name,
            StarterSocket::Numbered(number) => passed.number == *number,
        });
        let told = || {
            self.all()
                .map(|(number, name)| format!("fd:{number} ({name})"))
        };
        let passed = fitting
            .next()
            .ok_or_else(|| Problem::NotPassed(told().collect()))?;
        if fitting.next().is_some() {
            return Err(Problem::Ambiguous(told().collect()));
        }
        let kind = kind_of(&passed.socket)?;
        let address = address_of(&passed.socket, kind)?;
        let socket = passed.socket.try_clone().map_err(Problem::Other)?;
        Ok(Lent {
            number: passed.number,
            socket,
            address,
            kind,
        })
    }
}

/// The numbers and names that the variables tell, if they are for this process.
fn told(
    var: impl Fn(&str) -> Option<String>,
    pid: u32,
) -> (std::ops::Range<u32>, impl Iterator<Item = String>) {
    let number = |name: &str| var(name).and_then(|value| value.parse::<u32>().ok());
    let count = match number("LISTEN_PID") == Some(pid) {
        true => number("LISTEN_FDS").unwrap_or(0).min(MOST),
        false => 0,
    };
    let names = var("LISTEN_FDNAMES").unwrap_or_default();
    let names: Vec<String> = names.split(':').map(str::to_owned).collect();
    // What systemd calls one without a name.
    let unknown = std::iter::repeat_with(|| "unknown".to_owned());
    let named = names.into_iter().map(|name| match name.is_empty() {
        true => "unknown".to_owned(),
        false => name,
    });
    (FIRST..FIRST + count, named.chain(unknown))
}

/// What a socket carries, which must listen if it is one that takes connections.
fn kind_of(socket: &OwnedFd) -> Result<SocketKind, Problem> {
    let other = |error: rustix::io::Errno| Problem::Other(error.into());
    let kind = match sockopt::socket_type(socket).map_err(other)? {
        SocketType::DGRAM => return Ok(SocketKind::Datagram),
        SocketType::SEQPACKET => SocketKind::Seqpacket,
        _ => SocketKind::Stream,
    };
    match sockopt::socket_acceptconn(socket).map_err(other)? {
        true => Ok(kind),
        false => Err(Problem::NotListening),
    }
}

fn address_of(socket: &OwnedFd, kind: SocketKind) -> Result<Option<SocketAddress>, Problem> {
    let other = |error: rustix::io::Errno| Problem::Other(error.into());
    let family = sockopt::socket_domain(socket).map_err(other)?;
    let name = rustix::net::getsockname(socket.as_fd()).map_err(other)?;
    Ok(match family {
        AddressFamily::INET | AddressFamily::INET6 => {
            let ip = ip_of(name)?;
            Some(match kind {
                SocketKind::Datagram => SocketAddress::Udp(ip),
                SocketKind::Stream | SocketKind::Seqpacket => SocketAddress::Tcp(ip),
            })
        }
        AddressFamily::UNIX => {
            let unix =
                SocketAddrUnix::try_from(name).map_err(|error| Problem::Other(error.into()))?;
            let path = unix
                .path()
                .and_then(|path| path.into_owned().into_string().ok());
            path.map(|path| SocketAddress::Unix(path.into()))
        }
        _ => None,
    })
}

fn ip_of(name: SocketAddrAny) -> Result<std::net::SocketAddr, Problem> {
    name.try_into()
        .map_err(|error: rustix::io::Errno| Problem::Other(error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(vars: &[(&str, &str)]) -> Vec<(u32, String)> {
        let var = |name: &str| {
            let found = vars.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let (numbers, names) = told(var, 42);
        numbers.zip(names).collect()
    }

    #[test]
    fn only_what_is_for_this_process_is_taken() {
        let ours = ("LISTEN_PID", "42");
        let names = ("LISTEN_FDNAMES", "web:");
        let three = ("LISTEN_FDS", "3");
        let named = |names: [&str; 3]| -> Vec<(u32, String)> {
            (3..).zip(names.map(str::to_owned)).collect()
        };
        assert_eq!(
            read(&[ours, three, names]),
            named(["web", "unknown", "unknown"])
        );
        assert_eq!(read(&[ours, three]), named(["unknown"; 3]));
        assert_eq!(read(&[("LISTEN_PID", "41"), three, names]), []);
        assert_eq!(read(&[three, names]), []);
        assert_eq!(read(&[ours, names]), []);
        assert_eq!(read(&[ours, ("LISTEN_FDS", "-1")]), []);
        assert_eq!(read(&[ours, ("LISTEN_FDS", "4294967295")]).len(), 1024);
    }
}
