//! Binding what was declared.

use std::{
    net::SocketAddr,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::{
    io::Errno,
    net::{AddressFamily, SocketFlags, SocketType, socket_with},
};

use super::{
    BindError, BoundSocket, Problem,
    holder::holder_of_tcp,
    unix::{OwnPath, bind_unix, look_at},
};
use crate::{
    config::app::{AppName, SocketAddress, SocketDeclaration},
    sys::FdTable,
};

/// Binds all of an app's sockets, or none.
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
    let fd_name = format!("listen.{app}.{}", declaration.name);
    let bound = open(declaration).and_then(|(fd, address, path)| {
        let taken = table.insert(&fd_name, fd);
        taken.map_err(|_taken| Problem::NameTaken)?;
        Ok((address, path))
    });
    match bound {
        Ok((address, path)) => Ok(BoundSocket::new(
            declaration.clone(),
            address,
            fd_name,
            path,
        )),
        Err(problem) => Err(BindError {
            name: declaration.name.clone(),
            address: declaration.address.clone(),
            problem,
        }),
    }
}

/// Whether a declared socket could be bound now, as far as that shows without doing it: nobody can connect meanwhile, and
/// nothing is left behind.
///
/// # Errors
/// As [`bind`].
pub fn trial(declaration: &SocketDeclaration) -> Result<(), BindError> {
    let tried = match &declaration.address {
        SocketAddress::Tcp(address) => bind_number(*address).map(drop),
        SocketAddress::Unix(path) => look_at(path),
    };
    tried.map_err(|problem| BindError {
        name: declaration.name.clone(),
        address: declaration.address.clone(),
        problem,
    })
}

/// A listening socket, the address it listens on, and the path it has created.
pub(super) type Opened = (OwnedFd, SocketAddress, Option<OwnPath>);

pub(super) fn open(declaration: &SocketDeclaration) -> Result<Opened, Problem> {
    let (fd, address, path) = match &declaration.address {
        SocketAddress::Tcp(address) => {
            let (fd, address) = bind_tcp(*address)?;
            (fd, SocketAddress::Tcp(address), None)
        }
        SocketAddress::Unix(path) => {
            let (fd, own) = bind_unix(path)?;
            (fd, SocketAddress::Unix(path.clone()), Some(own))
        }
    };
    if declaration.nonblocking {
        rustix::io::ioctl_fionbio(&fd, true).map_err(|error| Problem::Other(error.into()))?;
    }
    listen(fd.as_fd(), declaration.backlog, &address)?;
    Ok((fd, address, path))
}

/// Listens. That, not `bind`, is where two sockets on one port clash, since both allow reuse.
pub(super) fn listen(
    fd: BorrowedFd<'_>,
    backlog: u32,
    address: &SocketAddress,
) -> Result<(), Problem> {
    let backlog = i32::try_from(backlog).unwrap_or(i32::MAX);
    rustix::net::listen(fd, backlog).map_err(|error| match address {
        SocketAddress::Tcp(address) => tcp_problem(error, *address),
        SocketAddress::Unix(_) => Problem::Other(error.into()),
    })
}

/// Binds a TCP socket by its number even where any will do: the kernel lets go of a port that it chose itself as soon
/// as a worker shuts the listener down, and somebody else could take it before it listens again.
fn bind_tcp(address: SocketAddr) -> Result<(OwnedFd, SocketAddr), Problem> {
    let first = bind_number(address)?;
    let bound = local_address(first.as_fd(), address)?;
    if address.port() != 0 {
        return Ok((first, bound));
    }
    // The first socket keeps the port until the second has it too; neither listens yet, so both may.
    let second = bind_number(bound)?;
    Ok((second, bound))
}

fn bind_number(address: SocketAddr) -> Result<OwnedFd, Problem> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let bind = || {
        let fd = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        // Or a port could not be bound while connections of its last user are in TIME_WAIT.
        rustix::net::sockopt::set_socket_reuseaddr(&fd, true)?;
        rustix::net::bind(&fd, &address)?;
        Ok(fd)
    };
    bind().map_err(|error| tcp_problem(error, address))
}

fn local_address(fd: BorrowedFd<'_>, asked: SocketAddr) -> Result<SocketAddr, Problem> {
    let name = rustix::net::getsockname(fd).map_err(|error| tcp_problem(error, asked))?;
    SocketAddr::try_from(name).map_err(|error| Problem::Other(error.into()))
}

fn tcp_problem(error: Errno, address: SocketAddr) -> Problem {
    match error {
        Errno::ADDRINUSE => Problem::InUse(holder_of_tcp(address)),
        Errno::ACCESS => Problem::PrivilegedPort,
        Errno::ADDRNOTAVAIL | Errno::AFNOSUPPORT => Problem::NoSuchAddress,
        error => Problem::Other(error.into()),
    }
}
