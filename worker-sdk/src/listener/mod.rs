//! Listening sockets: the master's by name, or one's own outside Ostler.
//!
//! A worker takes connections in the same way whoever accepts them. Where the master does and hands them over, they come
//! by a channel ([`handed`]); where it doesn't, or is gone, this process accepts on the socket itself ([`direct`]).

mod connection;
mod direct;
mod handed;
mod proxied;
mod tally;

use std::{
    io,
    net::{SocketAddr, TcpListener as StdTcpListener, ToSocketAddrs},
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::{SocketAddr as UnixAddr, UnixListener as StdUnixListener},
    },
    sync::Arc,
};

use rustix::net::{AddressFamily, SocketType, sockopt};
use tokio::{
    net::{TcpListener, UnixListener},
    time::Instant,
};

pub use self::connection::{Connection, Peer};
use self::{
    direct::Direct,
    handed::{Handed, Next},
    proxied::{Awaited, Stripping},
    tally::{Open, Tally},
};
use crate::{StartError, accepted::AcceptCounter, passing::Hold};

/// A socket that takes connections: inherited from the master, or bound here. It is an [`axum::serve::Listener`] too.
#[derive(Debug)]
pub struct Listener {
    direct: Direct,
    /// Where the master hands connections over, while it does.
    handed: Option<Handed>,
    /// Where connections begin with a header that is not the app's affair.
    stripping: Option<Stripping>,
    tally: Arc<Tally>,
    local: Local,
    /// Given back after all else: the master may close the socket then.
    _hold: Option<Hold>,
}

/// Where it listens.
#[derive(Clone, Debug)]
enum Local {
    Tcp(SocketAddr),
    Unix(UnixAddr),
}

impl Listener {
    /// Takes over an inherited socket, and the channel by which connections to it may come. O_NONBLOCK is set: it
    /// belongs to the description all workers share, and every worker that uses an asynchronous runtime needs it.
    pub(crate) fn inherited(
        name: &str,
        socket: OwnedFd,
        channel: Option<OwnedFd>,
    ) -> Result<Self, StartError> {
        Self::over(socket, channel).map_err(|error| StartError::Socket {
            name: name.into(),
            error,
        })
    }

    /// Over a socket that was asked for.
    pub(crate) fn shared(
        socket: OwnedFd,
        channel: Option<OwnedFd>,
        hold: Option<Hold>,
    ) -> io::Result<Self> {
        let mut listener = Self::over(socket, channel)?;
        listener._hold = hold;
        Ok(listener)
    }

    /// Connections that are accepted here begin with a header of the PROXY protocol, which is taken off.
    pub(crate) fn stripping(mut self) -> Self {
        self.stripping = Some(Stripping::default());
        self
    }

    /// Has the master told what is accepted here.
    pub(crate) fn counted(mut self, counter: AcceptCounter) -> Self {
        self.direct.count_with(counter);
        self
    }

    /// Binds a socket of one's own.
    pub(crate) fn bind(name: &str, address: &str) -> Result<Self, StartError> {
        let bound = || -> io::Result<OwnedFd> {
            if let Some(path) = address.strip_prefix("unix:") {
                return Ok(StdUnixListener::bind(path)?.into());
            }
            let addresses: Vec<SocketAddr> = address.to_socket_addrs()?.collect();
            Ok(StdTcpListener::bind(&addresses[..])?.into())
        };
        bound()
            .and_then(|socket| Self::over(socket, None))
            .map_err(|error| StartError::Bind {
                name: name.into(),
                address: address.into(),
                error,
            })
    }

    fn over(socket: OwnedFd, channel: Option<OwnedFd>) -> io::Result<Self> {
        if sockopt::socket_type(&socket)? != SocketType::STREAM {
            return Err(io::Error::other(
                "it takes no streams: datagrams come by `Worker::udp`, or by the descriptor itself",
            ));
        }
        rustix::io::ioctl_fionbio(&socket, true)?;
        let is_unix = match sockopt::socket_domain(&socket)? {
            AddressFamily::INET | AddressFamily::INET6 => false,
            AddressFamily::UNIX => true,
            _ => return Err(io::Error::other("it is neither TCP nor a Unix socket")),
        };
        let named = socket.as_fd().try_clone_to_owned()?;
        let local = match is_unix {
            true => Local::Unix(StdUnixListener::from(named).local_addr()?),
            false => Local::Tcp(StdTcpListener::from(named).local_addr()?),
        };
        let tally = Arc::new(Tally::default());
        let handed = channel
            .map(|channel| Handed::new(channel, is_unix, Arc::clone(&tally)))
            .transpose()?;
        Ok(Self {
            direct: Direct::new(socket, is_unix),
            handed,
            stripping: None,
            tally,
            local,
            _hold: None,
        })
    }

    /// The next connection, whoever accepted it. May be dropped while it waits, and nothing is lost. From the moment at
    /// which the master has this worker drain, none comes any more.
    ///
    /// # Errors
    /// If the listener can't be used any more.
    pub async fn accept(&mut self) -> io::Result<Connection> {
        if let Some(handed) = &mut self.handed {
            match handed.next().await? {
                Next::Connection(connection) => return Ok(connection),
                Next::Drained => return std::future::pending().await,
                Next::Lost => {
                    // No louder: with the master the reader of this process's output has gone, and a line may be its end.
                    tracing::debug!(
                        "the master hands over no more connections: taking them from the socket itself"
                    );
                    self.handed = None;
                }
            }
        }
        self.tally.room().await;
        let stream = match &mut self.stripping {
            None => self.direct.next().await?,
            Some(stripping) => stripping.next(&mut self.direct).await?,
        };
        Ok(Connection::new(stream, Open::count(&self.tally)))
    }

    /// The next connection of those that the master handed over before this worker was to drain: nobody else may be there
    /// to take it. `None` when there are no more, or nothing came until then.
    pub(crate) async fn last(&mut self, until: Instant) -> Option<Connection> {
        let handed = self.handed.as_mut().filter(|handed| handed.has_asked())?;
        match tokio::time::timeout_at(until, handed.next()).await {
            Ok(Ok(Next::Connection(connection))) => Some(connection),
            Ok(Ok(Next::Drained | Next::Lost) | Err(_)) | Err(_) => None,
        }
    }

    /// Listens no more; but connections that it has accepted itself may still be about to come.
    pub(crate) fn close(self) -> Awaited {
        Awaited::new(self.stripping, self.tally)
    }

    /// Takes no further connection while so many are open; the others go to other workers, or wait. Default: any number.
    pub fn set_max_connections(&mut self, most: u32) {
        self.tally.limit(most);
        if let Some(handed) = &mut self.handed {
            handed.say_again();
        }
    }

    /// How many connections that it gave are open.
    #[must_use]
    pub fn open_connections(&self) -> u32 {
        self.tally.open()
    }

    /// Where it listens, for people: `127.0.0.1:8080` or `unix:/run/app.sock`.
    #[must_use]
    pub fn address(&self) -> String {
        match &self.local {
            Local::Tcp(address) => address.to_string(),
            Local::Unix(address) => {
                let path = address.as_pathname();
                let path = path.map_or_else(String::new, |path| path.display().to_string());
                format!("unix:{path}")
            }
        }
    }

    /// Its TCP port, if it has one.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        match &self.local {
            Local::Tcp(address) => Some(address.port()),
            Local::Unix(_) => None,
        }
    }
}

impl TryFrom<TcpListener> for Listener {
    type Error = io::Error;

    /// A socket of one's own.
    fn try_from(listener: TcpListener) -> io::Result<Self> {
        Self::over(listener.into_std()?.into(), None)
    }
}

impl TryFrom<UnixListener> for Listener {
    type Error = io::Error;

    /// A socket of one's own.
    fn try_from(listener: UnixListener) -> io::Result<Self> {
        Self::over(listener.into_std()?.into(), None)
    }
}

impl axum::serve::Listener for Listener {
    type Io = Connection;
    type Addr = Peer;

    /// A listener that can't be used any more gives nothing more: that it says, and waits.
    async fn accept(&mut self) -> (Connection, Peer) {
        match Self::accept(self).await {
            Ok(connection) => {
                let peer = connection.peer();
                (connection, peer)
            }
            Err(error) => {
                tracing::error!("{}: no more connections: {error}", self.address());
                std::future::pending().await
            }
        }
    }

    fn local_addr(&self) -> io::Result<Peer> {
        Ok(match &self.local {
            Local::Tcp(address) => Peer::Tcp(*address),
            Local::Unix(_) => Peer::Unix,
        })
    }
}

#[cfg(test)]
mod tests;
