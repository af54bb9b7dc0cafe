//! Descriptors that came from workers, and are closed without waiting.
//!
//! Closing is not always done at once. The last `close` of a TCP connection with `SO_LINGER` waits until what was sent has
//! arrived, also if it is not blocking; that of a file asks its file system; that of a Unix socket closes what is on its way in
//! it. A worker decides on all of that, so the master's threads don't wait for it.

use std::{
    mem,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{
        OnceLock,
        mpsc::{SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::Duration,
};

use rustix::net::{AddressFamily, sockopt};

/// Descriptors that may wait to be closed. Only where a worker sees to it that closing hangs are there so many; more are
/// never closed.
const WAITING: usize = 256;

/// A descriptor that came from a worker.
#[derive(Debug)]
pub struct Foreign(Option<OwnedFd>);

impl From<OwnedFd> for Foreign {
    fn from(fd: OwnedFd) -> Self {
        Self(Some(fd))
    }
}

impl AsFd for Foreign {
    fn as_fd(&self) -> BorrowedFd<'_> {
        let fd = self.0.as_ref();
        fd.expect("there until it is dropped").as_fd()
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        let Some(fd) = self.0.take() else {
            return;
        };
        if !closes_at_once(&fd) {
            close_elsewhere(fd);
        }
    }
}

/// Whether it can be closed here; if only its `SO_LINGER` was in the way, it is taken away.
fn closes_at_once(fd: &OwnedFd) -> bool {
    let ip = [AddressFamily::INET, AddressFamily::INET6];
    if !sockopt::socket_domain(fd).is_ok_and(|domain| ip.contains(&domain)) {
        return false;
    }
    match sockopt::socket_linger(fd) {
        // Without a time it is reset, at once.
        Ok(None | Some(Duration::ZERO)) => true,
        // What it accepts inherits that.
        Ok(Some(_)) if sockopt::socket_acceptconn(fd).unwrap_or_default() => true,
        Ok(Some(_)) => sockopt::set_socket_linger(fd, None).is_ok(),
        Err(_) => false,
    }
}

/// Leaves it to a thread that only closes. While that has more than enough to do, a connection of TCP loses its `SO_LINGER`.
pub(super) fn close_elsewhere(fd: OwnedFd) {
    static CLOSER: OnceLock<Option<SyncSender<OwnedFd>>> = OnceLock::new();
    let unclosed = match CLOSER.get_or_init(closer) {
        Some(closer) => match closer.try_send(fd) {
            Ok(()) => return,
            Err(TrySendError::Full(fd) | TrySendError::Disconnected(fd)) => fd,
        },
        None => fd,
    };
    // What was sent goes on its way all the same.
    if closes_at_once(&unclosed) {
        return;
    }
    mem::forget(unclosed);
    tracing::error!("a descriptor of a worker's stays open: closing it could take for ever");
}

fn closer() -> Option<SyncSender<OwnedFd>> {
    let (sender, receiver) = sync_channel::<OwnedFd>(WAITING);
    let thread = thread::Builder::new().name("close".into());
    let started = thread.spawn(move || receiver.into_iter().for_each(drop));
    started.is_ok().then_some(sender)
}

#[cfg(test)]
mod tests {
    use std::{
        io::{ErrorKind, Write},
        net::{TcpListener, TcpStream},
        os::unix::net::UnixStream,
        time::Instant,
    };

    use super::*;

    /// A connection whose last `close` waits for 5 seconds, and its other end.
    fn lingering() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let address = listener.local_addr().expect("an address");
        let mut full = TcpStream::connect(address).expect("connected");
        let (other, _) = listener.accept().expect("accepted");
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

    fn closes_soon(fd: OwnedFd) {
        let begun = Instant::now();
        drop(Foreign::from(fd));
        assert!(begun.elapsed() < Duration::from_secs(1));
    }

    #[test]
    fn nobody_waits_for_a_connection_that_lingers() {
        let (full, _other) = lingering();
        closes_soon(full.into());
    }

    #[test]
    fn nor_for_one_that_is_on_its_way_in_a_unix_socket() {
        let (full, _other) = lingering();
        let (outer, peer) = UnixStream::pair().expect("a pair");
        let fds = [full.as_fd()];
        let mut space = [mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = rustix::net::SendAncillaryBuffer::new(&mut space);
        assert!(control.push(rustix::net::SendAncillaryMessage::ScmRights(&fds)));
        let byte = [std::io::IoSlice::new(b"x")];
        let flags = rustix::net::SendFlags::empty();
        rustix::net::sendmsg(&peer, &byte, &mut control, flags).expect("sent");
        drop(full);
        closes_soon(outer.into());
    }

    #[test]
    fn a_connection_that_is_reset_when_it_is_closed_stays_so() {
        let (full, _other) = lingering();
        sockopt::set_socket_linger(&full, Some(Duration::ZERO)).expect("set");
        let copy = full.try_clone().expect("a copy");
        drop(Foreign::from(OwnedFd::from(copy)));
        let linger = sockopt::socket_linger(&full).expect("read");
        assert_eq!(linger, Some(Duration::ZERO));
    }
}
