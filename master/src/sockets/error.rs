//! Why a socket can't be bound, and what to do about it.

use std::{fmt, io};

use super::{Holder, holder::holder_of};
use crate::{
    config::app::{AppName, SocketAddress},
    shortage,
};

/// A declared socket that could not be bound. Nothing was left behind.
#[derive(Debug)]
pub struct BindError {
    /// The socket's name.
    pub name: String,
    /// Where it should have listened.
    pub address: SocketAddress,
    /// What went wrong.
    pub problem: Problem,
}

/// What goes wrong when a socket is bound.
#[derive(Debug)]
pub enum Problem {
    /// Somebody listens there already; who, if it could be found out.
    InUse(Option<Holder>),
    /// The port is below the first that this user may bind.
    PrivilegedPort,
    /// This machine has no such address.
    NoSuchAddress,
    /// The path is longer than a socket's address can be (107 bytes), and so is its last part.
    PathTooLong(usize),
    /// There is something at the path that is no socket.
    NotASocket,
    /// The path's directory is not there.
    NoDirectory,
    /// The path may not be written to.
    Denied,
    /// This very master listens there: whose socket it is, and its name.
    Ours(AppName, String),
    /// This app has a socket of this name already, declared otherwise.
    Changed(AppName),
    /// The port of this slot would be beyond the last one.
    NoPortLeft,
    /// The master's own starter passed on no such socket, but these.
    NotPassed(Vec<String>),
    /// It passed on several of that name.
    Ambiguous(Vec<String>),
    /// What it passed on takes connections, and doesn't listen.
    NotListening,
    /// What it passed on takes no streams, and is to be balanced.
    NoStreams,
    /// What it passed on is one socket, and can't be one for each slot.
    StartersAlone,
    /// Another app's, or another name's, already.
    GivenAway(String),
    /// A worker has shut it down, and only the starter can open it again.
    StartersOwn,
    /// The worker that asks has it already.
    ItsOwn,
    /// The worker that asks has so many already.
    TooMany(usize),
    /// All workers together have as many as the master has room for.
    NoRoom,
    /// The system refused one of the options.
    Option(&'static str, io::Error),
    /// Anything else.
    Other(io::Error),
}

impl Problem {
    /// With whoever has the address, if somebody does.
    pub(super) fn with_holder(self, address: &SocketAddress) -> Self {
        match self {
            Self::InUse(None) => Self::InUse(holder_of(address)),
            other => other,
        }
    }

    /// The system's number for it, where somebody wants one.
    #[must_use]
    pub fn errno(&self) -> i32 {
        match self {
            Self::InUse(_) | Self::Ours(..) | Self::NotASocket | Self::ItsOwn => libc::EADDRINUSE,
            Self::PrivilegedPort | Self::Denied => libc::EACCES,
            Self::NoSuchAddress => libc::EADDRNOTAVAIL,
            Self::PathTooLong(_) => libc::ENAMETOOLONG,
            Self::NoDirectory => libc::ENOENT,
            Self::TooMany(_) | Self::NoRoom => libc::EMFILE,
            Self::Option(_, error) | Self::Other(error) => {
                error.raw_os_error().unwrap_or(libc::EIO)
            }
            Self::Changed(_)
            | Self::NoPortLeft
            | Self::NotPassed(_)
            | Self::Ambiguous(_)
            | Self::NotListening
            | Self::NoStreams
            | Self::StartersAlone
            | Self::GivenAway(_)
            | Self::StartersOwn => libc::EINVAL,
        }
    }
}

impl BindError {
    /// What to do about it, where that can be told.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let port = match &self.address {
            SocketAddress::Tcp(address) | SocketAddress::Udp(address) => address.port(),
            SocketAddress::Unix(_) | SocketAddress::Starter(_) => 0,
        };
        match &self.problem {
            Problem::InUse(Some(holder)) if holder.pid == std::process::id() => Some(
                "this master listens there already: give each socket an address of its own".into(),
            ),
            Problem::Ours(app, _) => Some(format!(
                "choose another address; or, if {app} is to have it no more, `ostler delete {app}`, then `ostler reload --config`"
            )),
            Problem::InUse(Some(_)) => Some("stop that process, or choose another address".into()),
            Problem::InUse(None) => Some(format!(
                "find out who listens there with `sudo ss -lxtunp | grep {}`, or choose another address",
                self.short()
            )),
            Problem::PrivilegedPort => Some(format!(
                "use a port from 1024 on, allow it with `sudo setcap cap_net_bind_service=+ep $(command -v ostler)`, \
                 or have systemd open port {port} and hand it over (socket activation)"
            )),
            Problem::NoSuchAddress => {
                Some("`ip address` lists this machine's addresses; 0.0.0.0 is all of them".into())
            }
            Problem::PathTooLong(_) => Some(
                "choose a path of at most 107 bytes, or a file name of at most 82 in a deep directory".into(),
            ),
            Problem::NotASocket => {
                Some("remove it if it isn't needed, or choose another path".into())
            }
            Problem::NoDirectory => {
                Some("create the directory first, or choose another path".into())
            }
            Problem::Denied => Some("choose a directory that this user may write to".into()),
            Problem::Changed(app) => Some(format!(
                "it takes two steps, between which nobody listens: `ostler delete {app}`, then `ostler reload --config`"
            )),
            Problem::NoPortLeft => Some("choose a lower port, or run fewer workers".into()),
            Problem::NotPassed(_) => Some(
                "declare it where the master is started (systemd: a .socket unit with FileDescriptorName=), or give an address"
                    .into(),
            ),
            Problem::Ambiguous(_) => Some("say its number: \"fd:3\"".into()),
            Problem::NotListening => Some("pass on a listening socket (systemd: Accept=no)".into()),
            Problem::NoStreams | Problem::StartersAlone => Some("leave its mode out".into()),
            Problem::GivenAway(_) => Some("give each socket to one app, under one name".into()),
            Problem::StartersOwn => {
                Some("start the master again by its socket, such as `systemctl restart`".into())
            }
            Problem::Option("interface", error) if error.raw_os_error() == Some(libc::ENODEV) => {
                Some("`ip link` lists this machine's interfaces".into())
            }
            Problem::Option(_, error) if error.kind() == io::ErrorKind::PermissionDenied => {
                Some("only root, or a master with the rights to it, can do that".into())
            }
            Problem::ItsOwn => Some("one listener is enough: it may be shared within the worker".into()),
            Problem::Option(_, error) | Problem::Other(error) => shortage::hint(error),
            Problem::NoRoom => Some("raise the master's limit on open files (ulimit -n): an eighth of it may be sockets that workers ask for".into()),
            Problem::TooMany(_) => None,
        }
    }

    fn short(&self) -> String {
        match &self.address {
            SocketAddress::Tcp(address) | SocketAddress::Udp(address) => {
                format!(":{}", address.port())
            }
            SocketAddress::Unix(path) => path.display().to_string(),
            SocketAddress::Starter(socket) => socket.to_string(),
        }
    }
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "socket {:?}: can't listen on ", self.name)?;
        match &self.address {
            SocketAddress::Unix(path) => write!(f, "{}: ", path.display())?,
            address => write!(f, "{address}: ")?,
        }
        match &self.problem {
            Problem::InUse(None) => write!(f, "the address is in use"),
            Problem::InUse(Some(holder)) => write!(f, "the address is in use by {holder}"),
            Problem::PrivilegedPort => write!(f, "the port is reserved for root"),
            Problem::NoSuchAddress => write!(f, "this machine has no such address"),
            Problem::PathTooLong(length) => {
                write!(
                    f,
                    "the path is too long ({length} bytes, its file name more than 82)"
                )
            }
            Problem::NotASocket => write!(f, "something that is no socket is in the way"),
            Problem::NoDirectory => write!(f, "its directory is not there"),
            Problem::Denied => write!(f, "permission denied"),
            Problem::Ours(app, name) => {
                write!(f, "the address is in use by the socket {name:?} of {app}")
            }
            Problem::Changed(_) => {
                write!(f, "it is bound, and this can't be changed while it is")
            }
            Problem::NoPortLeft => write!(f, "65535 is the last port there is"),
            Problem::NotPassed(passed) if passed.is_empty() => {
                write!(f, "the master's starter has passed on no sockets")
            }
            Problem::NotPassed(passed) => {
                write!(
                    f,
                    "the master's starter has passed on only {}",
                    passed.join(", ")
                )
            }
            Problem::Ambiguous(passed) => write!(
                f,
                "the master's starter has passed on several of that name: {}",
                passed.join(", ")
            ),
            Problem::NotListening => write!(f, "it doesn't listen"),
            Problem::NoStreams => write!(
                f,
                "it can't be balanced, as it takes no streams that could be handed over"
            ),
            Problem::StartersAlone => write!(
                f,
                "it is the starter's, and can't be one socket for each slot"
            ),
            Problem::GivenAway(to) => write!(f, "it is the socket {to} already"),
            Problem::StartersOwn => {
                write!(
                    f,
                    "it is the starter's, and only the starter can open it again"
                )
            }
            Problem::ItsOwn => write!(f, "this very worker has the address already"),
            Problem::TooMany(most) => write!(f, "this worker has {most} sockets already"),
            Problem::NoRoom => f.write_str(
                "workers have asked for so many sockets that there is no room for another",
            ),
            Problem::Option(option, error) => write!(f, "{option}: {error}"),
            Problem::Other(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.problem {
            Problem::Other(error) | Problem::Option(_, error) => Some(error),
            Problem::InUse(_)
            | Problem::PrivilegedPort
            | Problem::NoSuchAddress
            | Problem::PathTooLong(_)
            | Problem::NotASocket
            | Problem::NoDirectory
            | Problem::Denied
            | Problem::Ours(..)
            | Problem::Changed(_)
            | Problem::NoPortLeft
            | Problem::NotPassed(_)
            | Problem::Ambiguous(_)
            | Problem::NotListening
            | Problem::NoStreams
            | Problem::StartersAlone
            | Problem::GivenAway(_)
            | Problem::StartersOwn
            | Problem::ItsOwn
            | Problem::TooMany(_)
            | Problem::NoRoom => None,
        }
    }
}
