//! The master's copy of a connection that it hands over.
//!
//! The worker that has the connection decides how it closes, and may have closed it before: then it is the copy whose `close` ends
//! it. With a time in its `SO_LINGER` that waits until what was sent has arrived; and that of a Unix stream closes whatever its
//! client has put into it. Everybody's connections pass through one thread, so it asks before, and leaves such a one to the thread
//! that only closes. What the worker has set stays as it is.

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::Duration,
};

use rustix::{
    io::ioctl_fionread,
    net::{AddressFamily, sockopt},
};

use crate::sockets::foreign::close_elsewhere;

/// The copy; closed without waiting.
#[derive(Debug)]
pub(super) struct Copy {
    /// There until it is dropped.
    fd: Option<OwnedFd>,
    kind: Kind,
}

/// What connections of a listener are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Tcp,
    Unix,
}

impl Kind {
    /// What this listener's connections are.
    pub(super) fn of(listener: impl AsFd) -> Self {
        match sockopt::socket_domain(listener) {
            Ok(AddressFamily::INET | AddressFamily::INET6) => Self::Tcp,
            Ok(_) | Err(_) => Self::Unix,
        }
    }

    /// Whether closing this one is done at once, as things are.
    fn closes_at_once(self, fd: &OwnedFd) -> bool {
        match self {
            // Without a time it is reset.
            Self::Tcp => matches!(sockopt::socket_linger(fd), Ok(None | Some(Duration::ZERO))),
            // Descriptors come with bytes.
            Self::Unix => matches!(ioctl_fionread(fd), Ok(0)),
        }
    }
}

impl Copy {
    pub(super) fn new(fd: OwnedFd, kind: Kind) -> Self {
        let fd = Some(fd);
        Self { fd, kind }
    }
}

impl AsFd for Copy {
    fn as_fd(&self) -> BorrowedFd<'_> {
        let fd = self.fd.as_ref();
        fd.expect("there until it is dropped").as_fd()
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        if let Some(fd) = self.fd.take_if(|fd| !self.kind.closes_at_once(fd)) {
            close_elsewhere(fd);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{ErrorKind, Write},
        mem::MaybeUninit,
        net::{TcpListener, TcpStream},
        os::unix::net::UnixStream,
        time::Instant,
    };

    use super::*;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let address = listener.local_addr().expect("an address");
        let client = TcpStream::connect(address).expect("connected");
        (listener.accept().expect("accepted").0, client)
    }

    /// A connection whose last `close` waits for 5 seconds, and its other end.
    fn lingering() -> (TcpStream, TcpStream) {
        let (mut full, other) = pair();
        full.set_nonblocking(true).expect("set");
        let error = loop {
            if let Err(error) = full.write(&[0; 1 << 16]) {
                break error;
            }
        };
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        sockopt::set_socket_linger(&full, Some(Duration::from_secs(5))).expect("set");
        (full, other)
    }

    fn closes_soon(fd: OwnedFd, kind: Kind) {
        let begun = Instant::now();
        drop(Copy::new(fd, kind));
        assert!(begun.elapsed() < Duration::from_secs(1));
    }

    #[test]
    fn nobody_waits_for_a_connection_that_lingers() {
        let (full, _other) = lingering();
        closes_soon(full.into(), Kind::Tcp);
    }

    #[test]
    fn nor_for_one_that_its_client_has_put_into_a_unix_stream() {
        let (full, _other) = lingering();
        let (accepted, client) = UnixStream::pair().expect("a pair");
        let fds = [full.as_fd()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = rustix::net::SendAncillaryBuffer::new(&mut space);
        assert!(control.push(rustix::net::SendAncillaryMessage::ScmRights(&fds)));
        let byte = [std::io::IoSlice::new(b"x")];
        let flags = rustix::net::SendFlags::empty();
        rustix::net::sendmsg(&client, &byte, &mut control, flags).expect("sent");
        drop(full);
        closes_soon(accepted.into(), Kind::Unix);
    }

    #[test]
    fn what_a_worker_has_set_stays() {
        let (connection, _client) = pair();
        for linger in [None, Some(Duration::ZERO), Some(Duration::from_secs(5))] {
            sockopt::set_socket_linger(&connection, linger).expect("set");
            let copy = connection.try_clone().expect("a copy");
            drop(Copy::new(copy.into(), Kind::Tcp));
            assert_eq!(sockopt::socket_linger(&connection), Ok(linger));
        }
    }

    #[test]
    fn a_listener_tells_what_its_connections_are() {
        let tcp = TcpListener::bind("127.0.0.1:0").expect("bound");
        assert_eq!(Kind::of(&tcp), Kind::Tcp);
        let (unix, _) = UnixStream::pair().expect("a pair");
        assert_eq!(Kind::of(&unix), Kind::Unix);
    }
}
