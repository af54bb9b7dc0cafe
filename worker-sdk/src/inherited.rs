//! Taking over what the environment names: every descriptor at once, so that none reaches a helper this process starts.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    os::{
        fd::{BorrowedFd, OwnedFd, RawFd},
        unix::net::UnixStream,
    },
};

use ostler_bus::{
    client::{Bus, ConnectOptions},
    transport::InheritedTransport,
};
use rustix::net::{AddressFamily, SocketType, sockopt};

use crate::{
    StartError,
    identity::{FIRST_FD, Identity, Managed},
    sys,
};

/// The most bytes a connection's name may have.
const LONGEST_NAME: usize = 64;

/// Sockets by name; `None` where one was given away.
pub(crate) type Sockets = BTreeMap<String, Option<Inherited>>;

/// A socket of the master's.
#[derive(Debug)]
pub(crate) struct Inherited {
    pub(crate) socket: OwnedFd,
    /// By which the master may hand connections over.
    pub(crate) channel: Option<OwnedFd>,
    /// Its connections begin with a header that the app doesn't want to see.
    pub(crate) strips: bool,
}

/// The sockets, which begin at descriptor 3. Of two with one name the first counts.
pub(crate) fn sockets(
    names: Vec<String>,
    mut channels: BTreeMap<String, RawFd>,
    strips: &BTreeSet<String>,
) -> Result<Sockets, StartError> {
    let mut sockets = Sockets::new();
    for (fd, name) in (FIRST_FD..).zip(names) {
        let socket = sys::take_inherited(fd, is_socket).map_err(|error| StartError::Socket {
            name: name.clone(),
            error,
        })?;
        let channel = channels.remove(&name).and_then(channel);
        let strips = strips.contains(&name);
        sockets.entry(name).or_insert(Some(Inherited {
            socket,
            channel,
            strips,
        }));
    }
    Ok(sockets)
}

/// A channel of the master's. Without it connections are taken from the socket itself.
fn channel(fd: RawFd) -> Option<OwnedFd> {
    sys::take_inherited(fd, |fd| is_of(fd, SocketType::SEQPACKET))
        .inspect_err(|error| tracing::warn!("the master can't hand anything over: {error}"))
        .ok()
}

/// The channel by which descriptors travel. Without it the worker does without.
pub(crate) fn passing(managed: &Managed) -> Option<OwnedFd> {
    managed.passing_fd.and_then(channel)
}

/// Connects to the master's hub: by the inherited socket, and if that is lost by path, as the worker whose token the hub gave.
pub(crate) async fn bus(managed: &Managed) -> Result<Bus, StartError> {
    let inherited = InheritedTransport::new(bus_socket(managed.bus_fd)?);
    let transport = match &managed.bus_path {
        Some(path) => inherited.or_path(path),
        None => inherited,
    };
    Bus::connect(transport, options(&managed.identity))
        .await
        .map_err(StartError::Connect)
}

/// What a worker says of itself.
pub(crate) fn options(identity: &Identity) -> ConnectOptions {
    let mut name = identity.app.clone();
    name.truncate(name.floor_char_boundary(LONGEST_NAME));
    ConnectOptions::worker(name)
}

/// Whether a descriptor is a socket that the master may have bound: one that listens, or takes datagrams.
fn is_socket(fd: BorrowedFd<'_>) -> io::Result<()> {
    if sockopt::socket_acceptconn(fd)? || sockopt::socket_type(fd)? == SocketType::DGRAM {
        return Ok(());
    }
    Err(io::Error::other("it is not a listening socket"))
}

fn bus_socket(fd: RawFd) -> Result<UnixStream, StartError> {
    let socket = sys::take_inherited(fd, |fd| is_of(fd, SocketType::STREAM)).map_err(|error| {
        let name = "of the bus (OSTLER_BUS_FD)".into();
        StartError::Socket { name, error }
    })?;
    Ok(UnixStream::from(socket))
}

/// A helper of a worker inherits the variable but not the descriptor: it must not take another one for the bus, such as
/// a pair of sockets of its own runtime's.
fn is_of(fd: BorrowedFd<'_>, kind: SocketType) -> io::Result<()> {
    let is_it = sockopt::socket_domain(fd) == Ok(AddressFamily::UNIX)
        && sockopt::socket_type(fd) == Ok(kind);
    let made_here =
        sockopt::socket_peercred(fd).is_ok_and(|maker| maker.pid == rustix::process::getpid());
    match is_it && !made_here {
        true => Ok(()),
        false => Err(io::Error::other(
            "it is none: a process that a worker starts is no worker, and should be started without OSTLER_BUS_FD",
        )),
    }
}
