//! Sockets that are asked for at run time, by address.

use std::{
    future::{Future, IntoFuture},
    io,
    marker::PhantomData,
    net::SocketAddr,
    ops::Deref,
    os::fd::OwnedFd,
    path::PathBuf,
    pin::Pin,
};

use tokio::net::UdpSocket;

use super::{
    client::{Hold, Passing},
    own,
    words::Listen,
};
use crate::{Listener, udp};

/// A socket to be asked for: nothing is done before it is awaited, and nothing is kept if that is dropped before it is done.
///
/// Workers of one app that ask for the same address share one socket, bound by the master. The second question of one
/// worker for port 0 gets another port than its first, and shares that with the second of every other.
///
/// # Errors
/// What the system said, as [`io::ErrorKind`] and in words: `AddrInUse`, `PermissionDenied`, `AddrNotAvailable` … It is
/// tried anew whenever it is asked for again.
#[derive(Debug)]
#[must_use = "nothing is asked for until it is awaited"]
pub struct AskFor<'a, T> {
    passing: Way<'a>,
    address: String,
    exclusive: bool,
    what: Listen,
    kind: PhantomData<fn() -> T>,
}

/// Who binds it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way<'a> {
    /// The master.
    Master(&'a Passing),
    /// This process: nobody started it.
    Alone,
    /// Nobody: the master passes no descriptors.
    None,
}

/// A UDP socket that workers share: each datagram goes to one of them. It is given back when this is dropped.
#[derive(Debug)]
pub struct SharedUdp {
    socket: UdpSocket,
    _hold: Option<Hold>,
}

impl Deref for SharedUdp {
    type Target = UdpSocket;

    fn deref(&self) -> &UdpSocket {
        &self.socket
    }
}

/// What was got.
struct Got {
    socket: OwnedFd,
    channel: Option<OwnedFd>,
    hold: Option<Hold>,
}

/// Where.
enum Wanted {
    Unix(PathBuf),
    /// All that a name stands for: the first that can be had.
    Ip(Vec<SocketAddr>),
}

impl<'a, T> AskFor<'a, T> {
    pub(crate) fn new(passing: Way<'a>, address: String) -> Self {
        Self {
            passing,
            address,
            exclusive: false,
            what: Listen::default(),
            kind: PhantomData,
        }
    }

    /// For this worker alone: it binds the socket itself, the master isn't asked, and whoever else wants the address finds
    /// it in use. It doesn't outlive this worker.
    pub fn exclusive(mut self) -> Self {
        self.exclusive = true;
        self
    }

    /// IPv6 alone: IPv4 stays out. Default: it comes in. Who asks first decides, for all who share it.
    pub fn v6_only(mut self) -> Self {
        self.what.v6_only = true;
        self
    }

    async fn wanted(&self) -> io::Result<Wanted> {
        if let Some(path) = self.address.strip_prefix("unix:") {
            return Ok(Wanted::Unix(std::path::absolute(path)?));
        }
        let address = match self.address.as_bytes() {
            [b':', ..] => format!("0.0.0.0{}", self.address),
            digits if digits.iter().all(u8::is_ascii_digit) => {
                format!("127.0.0.1:{}", self.address)
            }
            _ => self.address.clone(),
        };
        let addresses: Vec<_> = tokio::net::lookup_host(address).await?.collect();
        Ok(Wanted::Ip(addresses))
    }

    /// Tries one address after the other.
    async fn first(
        &self,
        addresses: Vec<SocketAddr>,
        scheme: &str,
        bind: fn(SocketAddr, &Listen) -> io::Result<OwnedFd>,
    ) -> io::Result<Got> {
        let mut result = Err(io::Error::new(
            io::ErrorKind::AddrNotAvailable,
            format!("{:?} stands for no address", self.address),
        ));
        for address in addresses {
            let text = format!("{scheme}{address}");
            result = self.get(text, |what| bind(address, what)).await;
            if result.is_ok() {
                break;
            }
        }
        result
    }

    async fn get(
        &self,
        address: String,
        bind: impl FnOnce(&Listen) -> io::Result<OwnedFd>,
    ) -> io::Result<Got> {
        let passing = match (self.passing, self.exclusive) {
            (Way::Alone, _) | (_, true) => {
                return Ok(Got {
                    socket: bind(&self.what)?,
                    channel: None,
                    hold: None,
                });
            }
            (Way::Master(passing), false) => passing,
            (Way::None, false) => return Err(super::give::unsupported()),
        };
        let what = Listen {
            address,
            ..self.what.clone()
        };
        let (fds, hold) = passing.listen(what).await?;
        let mut fds = fds.into_iter();
        Ok(Got {
            socket: fds.next().ok_or_else(super::client::no_room)?,
            channel: fds.next(),
            hold: Some(hold),
        })
    }
}

impl AskFor<'_, Listener> {
    /// How many connections may wait. Default 1024. Who asks first decides, for all who share it.
    pub fn backlog(mut self, connections: u32) -> Self {
        self.what.backlog = Some(connections);
        self
    }

    /// The permissions of a Unix socket's file, such as 0o660. Default: what the umask leaves. Who asks first decides.
    pub fn permissions(mut self, mode: u32) -> Self {
        self.what.permissions = Some(mode);
        self
    }

    async fn run(self) -> io::Result<Listener> {
        let got = match self.wanted().await? {
            Wanted::Unix(path) => {
                let text = path.to_str().ok_or_else(|| {
                    io::Error::new(io::ErrorKind::InvalidInput, "the path is no text")
                })?;
                self.get(format!("unix:{text}"), |what| own::unix(&path, what))
                    .await?
            }
            Wanted::Ip(addresses) => self.first(addresses, "", own::tcp).await?,
        };
        Listener::shared(got.socket, got.channel, got.hold)
    }
}

impl AskFor<'_, SharedUdp> {
    async fn run(self) -> io::Result<SharedUdp> {
        let got = match self.wanted().await? {
            Wanted::Unix(_) => {
                let text = "a Unix socket is no UDP";
                return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
            }
            Wanted::Ip(addresses) => self.first(addresses, "udp:", own::udp).await?,
        };
        Ok(SharedUdp {
            socket: udp::over(got.socket)?,
            _hold: got.hold,
        })
    }
}

impl<'a> IntoFuture for AskFor<'a, Listener> {
    type Output = io::Result<Listener>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl<'a> IntoFuture for AskFor<'a, SharedUdp> {
    type Output = io::Result<SharedUdp>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}
