//! Binding what was declared.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use ostler_bus::Slot;
use rustix::net::SocketType;

use super::{
    BindError, BoundSocket, Problem, StarterSockets, ip, options,
    starter::Lent,
    unix::{OwnPath, bind_unix, look_at},
};
use crate::{
    config::app::{
        AppName, SocketAddress, SocketDeclaration, SocketMode,
        socket::{SocketKind, SocketOptions, StarterSocket},
    },
    sys::FdTable,
};

/// Binds all of an app's sockets, or none; of those that each slot has for itself, those of slot 0.
///
/// # Errors
/// For the first that can't be bound; those before it are closed again.
pub fn bind_all(
    app: &AppName,
    declarations: &[SocketDeclaration],
    table: &mut FdTable,
) -> Result<Vec<BoundSocket>, BindError> {
    let mut sockets = Vec::with_capacity(declarations.len());
    for declaration in declarations {
        match bind(app, declaration, table) {
            Ok(socket) => sockets.push(socket),
            Err(error) => {
                for socket in sockets {
                    BoundSocket::close(socket, table);
                }
                return Err(error);
            }
        }
    }
    Ok(sockets)
}

/// Binds a declared socket, listens on it, and puts it into the table as `listen.<app>.<name>`.
///
/// # Errors
/// See [`Problem`].
pub fn bind(
    app: &AppName,
    declaration: &SocketDeclaration,
    table: &mut FdTable,
) -> Result<BoundSocket, BindError> {
    let slot = declaration.is_each_slots_own().then_some(Slot(0));
    let whose = Whose {
        slot,
        beside: None,
        asked: false,
    };
    bind_for(app, declaration, whose, &StarterSockets::default(), table)
}

/// Whose a socket is to be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Whose<'a> {
    /// The workers of this slot alone have it; `None`: all.
    pub(super) slot: Option<Slot>,
    /// Other slots have theirs at this same address already.
    pub(super) beside: Option<&'a SocketAddress>,
    /// A worker asks for it. As it may do so all the time, nobody looks for whoever has the address: that reads all of `/proc`.
    pub(super) asked: bool,
}

/// The same, for the workers of one slot alone, or all; and with what the starter passed on.
pub(super) fn bind_for(
    app: &AppName,
    declaration: &SocketDeclaration,
    whose: Whose<'_>,
    starter: &StarterSockets,
    table: &mut FdTable,
) -> Result<BoundSocket, BindError> {
    let slot = whose.slot;
    let wanted = match whose.beside {
        Some(address) => address.clone(),
        None => wanted(declaration, slot)?,
    };
    let alone = whose.beside.is_none();
    match open(&wanted, alone, declaration, starter) {
        Ok(Opened { fd, at, path }) => {
            let fd_name = free_name(app, declaration, slot, table);
            table.replace(&fd_name, fd);
            let declaration = declaration.clone();
            Ok(BoundSocket::new(declaration, slot, at, fd_name, path))
        }
        Err(problem) if whose.asked => Err(failed(declaration, wanted, problem)),
        Err(problem) => {
            let problem = problem.with_holder(&wanted);
            Err(failed(declaration, wanted, problem))
        }
    }
}

/// A free name for it in the table: one that is to go may have the first still.
pub(super) fn free_name(
    app: &AppName,
    declaration: &SocketDeclaration,
    slot: Option<Slot>,
    table: &FdTable,
) -> String {
    let mut name = format!("listen.{app}.{}", declaration.name);
    if let Some(slot) = slot {
        name = format!("{name}.{slot}");
    }
    while table.get(&name).is_some() {
        name.push('\'');
    }
    name
}

/// Whether a declared socket could be bound now, as far as that shows without doing it: nobody can connect meanwhile, and
/// nothing is left behind.
///
/// # Errors
/// As [`bind`].
pub(super) fn trial(
    declaration: &SocketDeclaration,
    slot: Option<Slot>,
    starter: &StarterSockets,
) -> Result<(), BindError> {
    let wanted = wanted(declaration, slot)?;
    let options = &declaration.options;
    let tried = match &wanted {
        SocketAddress::Tcp(address) => {
            ip::bind_one(*address, SocketType::STREAM, options).map(drop)
        }
        SocketAddress::Udp(address) => ip::bind_one(*address, SocketType::DGRAM, options).map(drop),
        SocketAddress::Unix(path) => look_at(path, options.kind),
        SocketAddress::Starter(which) => borrow(which, options, starter).map(drop),
    };
    tried.map_err(|problem| {
        let problem = problem.with_holder(&wanted);
        failed(declaration, wanted, problem)
    })
}

/// Where the socket of this slot is to be.
fn wanted(declaration: &SocketDeclaration, slot: Option<Slot>) -> Result<SocketAddress, BindError> {
    let wanted = declaration.address_for(slot.map_or(0, |slot| slot.0));
    wanted.ok_or_else(|| {
        failed(
            declaration,
            declaration.address.clone(),
            Problem::NoPortLeft,
        )
    })
}

fn failed(declaration: &SocketDeclaration, address: SocketAddress, problem: Problem) -> BindError {
    BindError {
        name: declaration.name.clone(),
        address,
        problem,
    }
}

/// A socket that is ready for workers.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) fd: OwnedFd,
    pub(super) at: Place,
    /// The path that it has created.
    pub(super) path: Option<OwnPath>,
}

/// Where a socket is, and whose it is.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// Bound here.
    Ours(SocketAddress),
    /// The starter's, of this number.
    Starters {
        address: SocketAddress,
        number: u32,
        kind: SocketKind,
    },
}

/// Opens the socket at this address, which is the declaration's but for the slot and the port that was found. Nobody may be
/// there, unless it is not to be alone.
pub(super) fn open(
    wanted: &SocketAddress,
    alone: bool,
    declaration: &SocketDeclaration,
    starter: &StarterSockets,
) -> Result<Opened, Problem> {
    let options = &declaration.options;
    let bind_ip = match (options.mode.is_group(), alone) {
        (false, _) => ip::bind_one,
        (true, true) => ip::bind_first,
        (true, false) => ip::bind_next,
    };
    let (fd, at, path) = match wanted {
        SocketAddress::Tcp(address) => {
            let (fd, address) = bind_ip(*address, SocketType::STREAM, options)?;
            (fd, Place::Ours(SocketAddress::Tcp(address)), None)
        }
        SocketAddress::Udp(address) => {
            let (fd, address) = bind_ip(*address, SocketType::DGRAM, options)?;
            (fd, Place::Ours(SocketAddress::Udp(address)), None)
        }
        SocketAddress::Unix(path) => {
            let (fd, own) = bind_unix(path, options.kind, options.file)?;
            (fd, Place::Ours(wanted.clone()), Some(own))
        }
        SocketAddress::Starter(which) => {
            let lent = borrow(which, options, starter)?;
            let address = lent.address.unwrap_or_else(|| wanted.clone());
            let place = Place::Starters {
                address,
                number: lent.number,
                kind: lent.kind,
            };
            (lent.socket, place, None)
        }
    };
    if declaration.nonblocking {
        rustix::io::ioctl_fionbio(&fd, true).map_err(|error| Problem::Other(error.into()))?;
    }
    if let Place::Ours(address) = &at
        && takes_connections(address, options)
    {
        options::before_listen(fd.as_fd(), options)?;
        listen(fd.as_fd(), declaration.backlog, address)?;
    }
    Ok(Opened { fd, at, path })
}

/// A socket of the starter's, if it is one that can be used as declared.
fn borrow(
    which: &StarterSocket,
    options: &SocketOptions,
    starter: &StarterSockets,
) -> Result<Lent, Problem> {
    let lent = starter.lend(which)?;
    match (options.mode, lent.kind) {
        (
            SocketMode::Balanced { .. } | SocketMode::Proxied(_),
            SocketKind::Datagram | SocketKind::Seqpacket,
        ) => Err(Problem::NoStreams),
        (SocketMode::Balanced { .. } | SocketMode::Proxied(_), SocketKind::Stream)
        | (SocketMode::Auto | SocketMode::Shared, _) => Ok(lent),
        (SocketMode::Slot | SocketMode::Sticky, _) => Err(Problem::StartersAlone),
    }
}

fn takes_connections(address: &SocketAddress, options: &SocketOptions) -> bool {
    match (address, options.kind) {
        (SocketAddress::Tcp(_), _) => true,
        (SocketAddress::Unix(_), SocketKind::Stream | SocketKind::Seqpacket) => true,
        (SocketAddress::Unix(_), SocketKind::Datagram) => false,
        (SocketAddress::Udp(_) | SocketAddress::Starter(_), _) => false,
    }
}

/// Listens. That, not `bind`, is where two sockets on one port clash, since both allow reuse.
pub(super) fn listen(
    fd: BorrowedFd<'_>,
    backlog: u32,
    address: &SocketAddress,
) -> Result<(), Problem> {
    let backlog = i32::try_from(backlog).unwrap_or(i32::MAX);
    rustix::net::listen(fd, backlog).map_err(|error| match address {
        SocketAddress::Tcp(_) => ip::problem(error),
        SocketAddress::Udp(_) | SocketAddress::Unix(_) | SocketAddress::Starter(_) => {
            Problem::Other(error.into())
        }
    })
}
