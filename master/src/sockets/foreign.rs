//! Descriptors on whose closing others decide, closed without waiting.
//!
//! Closing is not always done at once. The last `close` of a TCP connection with `SO_LINGER` waits until what was sent has
//! arrived, also if it is not blocking; that of a file asks its file system; that of a Unix socket closes whatever is on its way in
//! it. Workers and clients decide on all of that. So it is asked before, and what may last is left to threads that only close
//! ([`closing`](super::closing)). What a worker has set stays as it is, unless so many of them hang that a connection of TCP has waited for
//! a second to be closed: it loses its `SO_LINGER`, also for a worker that still has it.
//!
//! The answer is true for the moment. Who sets `SO_LINGER`, or sends a descriptor, between it and the `close` that follows, and has
//! let go of the connection by then so that this `close` is the last, makes us wait. Such a one must hit a microsecond of each
//! connection; not to ask at all, and have each closed elsewhere, would cost everybody more.

use std::{
    fs::File,
    io::Read,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    time::Duration,
};

use rustix::{
    io::ioctl_fionread,
    net::{AddressFamily, sockopt},
};

use super::closing::{End, close_elsewhere};

/// A descriptor that came from a worker or a client.
#[derive(Debug)]
pub struct Foreign {
    /// There until it is dropped.
    fd: Option<OwnedFd>,
    kind: Kind,
}

/// What it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A connection of TCP.
    Tcp,
    /// A Unix stream.
    Unix,
    /// Anything.
    Any,
}

impl Kind {
    /// What this listener's connections are.
    pub(super) fn of(listener: impl AsFd) -> Self {
        match is_ip(listener) {
            true => Self::Tcp,
            false => Self::Unix,
        }
    }

    /// What becomes of one whose closing nobody can wait for; `None` if it is closed at once, as things are.
    fn may_last(self, fd: &OwnedFd) -> Option<End> {
        match self {
            // Without a time it is reset.
            Self::Tcp => match sockopt::socket_linger(fd) {
                Ok(None | Some(Duration::ZERO)) => None,
                Ok(Some(_)) | Err(_) => Some(End::Relent),
            },
            // Descriptors come with bytes.
            Self::Unix => {
                let none = matches!(ioctl_fionread(fd), Ok(0)) || has_none_inside(fd);
                (!none).then_some(End::Keep)
            }
            // What a listener accepts inherits it; itself, it doesn't linger.
            Self::Any if is_ip(fd) => match sockopt::socket_acceptconn(fd) {
                Ok(true) => None,
                Ok(false) | Err(_) => Self::Tcp.may_last(fd),
            },
            Self::Any => Some(End::Keep),
        }
    }
}

fn is_ip(fd: impl AsFd) -> bool {
    let ip = [AddressFamily::INET, AddressFamily::INET6];
    sockopt::socket_domain(fd).is_ok_and(|domain| ip.contains(&domain))
}

/// Whether descriptors may be on their way in this connection.
pub(super) fn brings_any(connection: impl AsFd) -> bool {
    !is_ip(&connection) && !has_none_inside(connection)
}

/// Whether no descriptors are on their way in this Unix socket. To look by `recv` would wait for a worker that is just reading, as
/// long as that likes.
fn has_none_inside(fd: impl AsFd) -> bool {
    let mut text = [0; 512];
    let path = format!("/proc/self/fdinfo/{}", fd.as_fd().as_raw_fd());
    let read = File::open(path).and_then(|mut info| info.read(&mut text));
    let mut lines = text[..read.unwrap_or(0)].split(|byte| *byte == b'\n');
    lines.any(|line| {
        let count = line.strip_prefix(b"scm_fds:");
        count.is_some_and(|count| count.trim_ascii() == b"0")
    })
}

impl Foreign {
    /// The master's copy of a connection that it hands over: the worker may have closed its own before.
    pub(super) fn connection(fd: OwnedFd, kind: Kind) -> Self {
        let fd = Some(fd);
        Self { fd, kind }
    }
}

impl From<OwnedFd> for Foreign {
    fn from(fd: OwnedFd) -> Self {
        Self::connection(fd, Kind::Any)
    }
}

impl AsFd for Foreign {
    fn as_fd(&self) -> BorrowedFd<'_> {
        let fd = self.fd.as_ref();
        fd.expect("there until it is dropped").as_fd()
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        let Some(fd) = self.fd.take() else {
            return;
        };
        if let Some(end) = self.kind.may_last(&fd) {
            close_elsewhere(fd, end);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write,
        net::{TcpListener, UdpSocket},
        os::unix::net::UnixStream,
        time::Instant,
    };

    use rustix::net::SendFlags;

    use super::{
        super::closing::tests::{lingering, pair, send_with, with_one_inside},
        *,
    };

    fn closes_soon(fd: OwnedFd, kind: Kind) {
        let begun = Instant::now();
        drop(Foreign::connection(fd, kind));
        assert!(begun.elapsed() < Duration::from_secs(1));
    }

    #[test]
    fn nobody_waits_for_a_connection_that_lingers() {
        for kind in [Kind::Tcp, Kind::Any] {
            let (full, _other) = lingering();
            closes_soon(full.into(), kind);
        }
    }

    #[test]
    fn nor_for_one_that_is_on_its_way_in_a_unix_stream() {
        for kind in [Kind::Unix, Kind::Any] {
            let (ours, _theirs, _other) = with_one_inside();
            closes_soon(ours.into(), kind);
        }
    }

    #[test]
    fn what_was_set_stays() {
        let (connection, _client) = pair();
        for linger in [None, Some(Duration::ZERO), Some(Duration::from_secs(5))] {
            for kind in [Kind::Tcp, Kind::Any] {
                sockopt::set_socket_linger(&connection, linger).expect("set");
                let copy = connection.try_clone().expect("a copy");
                drop(Foreign::connection(copy.into(), kind));
                assert_eq!(sockopt::socket_linger(&connection), Ok(linger));
            }
        }
    }

    #[test]
    fn what_a_client_has_said_is_closed_at_once_and_what_it_has_passed_is_not() {
        let (ours, mut theirs) = UnixStream::pair().expect("a pair");
        let ours = OwnedFd::from(ours);
        assert_eq!(Kind::Unix.may_last(&ours), None);
        theirs.write_all(&[0; 1 << 16]).expect("sent");
        assert_eq!(Kind::Unix.may_last(&ours), None);
        let null = File::open("/dev/null").expect("/dev/null");
        send_with(&theirs, b"x", null.as_fd(), SendFlags::empty());
        assert_eq!(Kind::Unix.may_last(&ours), Some(End::Keep));
    }

    #[test]
    fn a_listener_does_not_linger() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        sockopt::set_socket_linger(&listener, Some(Duration::from_secs(5))).expect("set");
        assert_eq!(Kind::Any.may_last(&listener.into()), None);
        let datagrams = UdpSocket::bind("127.0.0.1:0").expect("bound");
        assert_eq!(Kind::Any.may_last(&datagrams.into()), None);
    }

    #[test]
    fn a_listener_tells_what_its_connections_are() {
        let tcp = TcpListener::bind("127.0.0.1:0").expect("bound");
        assert_eq!(Kind::of(&tcp), Kind::Tcp);
        let (unix, _) = UnixStream::pair().expect("a pair");
        assert_eq!(Kind::of(&unix), Kind::Unix);
    }
}
