//! A Unix socket of a connection, watched for what comes, and for room only while there is none.
//!
//! A socket that is watched for room wakes the hub each time its peer has read something: once more for every event that
//! comes alone and every subscriber of it, for nothing. So the socket itself is watched for reading alone. Only when it takes no
//! more is a duplicate of it watched for room, until it has not been needed for a while.

use std::{
    cell::{Cell, RefCell},
    io::{self, IoSlice, Write},
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::net::{UnixListener as StdUnixListener, UnixStream as StdUnixStream},
    },
    rc::Rc,
    time::Duration,
};

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use rustix::{buffer::spare_capacity, io::Errno, net::SocketFlags};
use tokio::io::{Interest, unix::AsyncFd};

/// How long to wait for room where it can't be watched for.
const BREATH: Duration = Duration::from_millis(5);

/// A connected socket that doesn't block.
#[derive(Debug)]
pub(super) struct Socket {
    stream: AsyncFd<StdUnixStream>,
    /// Nothing was ever read: what the peer has said while it waited to be let in is there, before the system tells of it.
    fresh: Cell<bool>,
    /// The duplicate that is watched for room.
    room: RefCell<Option<Rc<AsyncFd<OwnedFd>>>>,
}

impl Socket {
    /// Watches a socket that doesn't block.
    ///
    /// # Errors
    /// If the system can't watch one more.
    pub(super) fn new(stream: StdUnixStream) -> io::Result<Self> {
        Ok(Self {
            stream: watch(stream, Interest::READABLE)?,
            fresh: Cell::new(true),
            room: RefCell::default(),
        })
    }

    /// Whose process is at the other end: uid, and process id, which is 0 where this process has no number for it.
    pub(super) fn peer(&self) -> io::Result<(u32, i32)> {
        let peer = getsockopt(self.stream.get_ref(), PeerCredentials)?;
        Ok((peer.uid(), peer.pid()))
    }

    /// Waits until there may be something to read.
    pub(super) async fn readable(&self) -> io::Result<()> {
        if self.fresh.get() {
            return Ok(());
        }
        self.stream.readable().await?.retain_ready();
        Ok(())
    }

    /// Reads what is there into the room that `buffer` has. A short reading has emptied the socket: then it counts as not
    /// readable until more comes, and nobody needs to ask the system to learn that.
    pub(super) fn try_read(&self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        let room = buffer.capacity() - buffer.len();
        if self.fresh.take() {
            // Whether it emptied the socket is found out by the next reading.
            return rustix::io::read(self.stream.get_ref(), spare_capacity(buffer))
                .map_err(io::Error::from);
        }
        let mut short = None;
        let read = self.stream.try_io(Interest::READABLE, |stream| {
            match rustix::io::read(stream, spare_capacity(buffer)) {
                Ok(read) if (1..room).contains(&read) => {
                    short = Some(read);
                    Err(io::ErrorKind::WouldBlock.into())
                }
                Ok(read) => Ok(read),
                Err(Errno::AGAIN) => Err(io::ErrorKind::WouldBlock.into()),
                Err(e) => Err(e.into()),
            }
        });
        short.map_or(read, Ok)
    }

    /// Writes what can be written without waiting.
    pub(super) fn try_write(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut stream = self.stream.get_ref();
        match parts.iter().filter(|part| !part.is_empty()).count() {
            1 => {
                let part = parts.iter().find(|part| !part.is_empty());
                stream.write(part.map_or(&[], |part| part))
            }
            _ => stream.write_vectored(parts),
        }
    }

    /// Waits until there may be room to write.
    pub(super) async fn writable(&self) -> io::Result<()> {
        let room = self.room.borrow().clone();
        let Ok(room) = room.map_or_else(|| self.watch_room(), Ok) else {
            // No descriptor is left: look again in a while.
            tokio::time::sleep(BREATH).await;
            return Ok(());
        };
        // Whoever waits tries again: room that comes after that attempt is told anew.
        room.writable().await?.clear_ready();
        Ok(())
    }

    fn watch_room(&self) -> io::Result<Rc<AsyncFd<OwnedFd>>> {
        let duplicate = self.stream.get_ref().as_fd().try_clone_to_owned()?;
        let room = Rc::new(watch(duplicate, Interest::WRITABLE)?);
        self.room.replace(Some(Rc::clone(&room)));
        Ok(room)
    }

    /// Whether it is watched for room.
    pub(super) fn watches_room(&self) -> bool {
        self.room.borrow().is_some()
    }

    /// Watches for room no longer.
    pub(super) fn forget_room(&self) {
        self.room.replace(None);
    }
}

/// A listening socket that doesn't block.
#[derive(Debug)]
pub(super) struct PathListener(AsyncFd<StdUnixListener>);

impl PathListener {
    /// Watches a listener.
    ///
    /// # Errors
    /// If the system can't watch one more.
    pub(super) fn new(listener: StdUnixListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self(watch(listener, Interest::READABLE)?))
    }

    /// Waits for a peer.
    pub(super) async fn accept(&self) -> io::Result<Socket> {
        loop {
            let mut ready = self.0.readable().await?;
            let accepted = ready.try_io(|listener| {
                let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
                Ok(rustix::net::accept_with(listener, flags)?)
            });
            // Somebody else, or nobody after all: wait on.
            if let Ok(accepted) = accepted {
                return Socket::new(StdUnixStream::from(accepted?));
            }
        }
    }
}

/// Has the runtime watch a descriptor whose owner keeps it open and gives it to nobody.
#[expect(
    deprecated,
    reason = "its successor is unsafe for owners that close or exchange their descriptor: neither of the two here does"
)]
fn watch<T: AsRawFd + Into<OwnedFd>>(owner: T, interest: Interest) -> io::Result<AsyncFd<T>> {
    AsyncFd::with_interest(owner, interest)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use futures::FutureExt;

    use super::*;

    fn pair() -> (Socket, StdUnixStream) {
        let (ours, theirs) = StdUnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        (Socket::new(ours).unwrap(), theirs)
    }

    #[tokio::test]
    async fn a_short_reading_empties_it_until_more_comes() {
        let (socket, mut peer) = pair();
        let mut buffer = Vec::with_capacity(8);
        socket.readable().await.unwrap();
        let nothing = socket.try_read(&mut buffer).map_err(|e| e.kind());
        assert_eq!(nothing, Err(io::ErrorKind::WouldBlock), "it was looked for");
        for sent in [b"one", b"two"] {
            assert!(socket.readable().now_or_never().is_none(), "nothing came");
            peer.write_all(sent).unwrap();
            socket.readable().await.unwrap();
            assert_eq!(socket.try_read(&mut buffer).unwrap(), 3);
            assert_eq!(buffer, sent);
            buffer.clear();
        }
        peer.write_all(b"more than eight").unwrap();
        for (size, sum) in [(8, 8), (7, 15)] {
            socket.readable().await.unwrap();
            assert_eq!(socket.try_read(&mut buffer).unwrap(), size);
            assert_eq!(buffer.len(), sum);
            buffer.reserve(8);
        }
        drop(peer);
        socket.readable().await.unwrap();
        assert_eq!(socket.try_read(&mut buffer).unwrap(), 0, "the end");
    }

    #[tokio::test]
    async fn it_is_watched_for_room_only_once_there_is_none() {
        let (socket, mut peer) = pair();
        let bytes = vec![b'x'; 64 << 10];
        let mut taken = 0;
        while let Ok(written) = socket.try_write(&[IoSlice::new(&bytes), IoSlice::new(b"y")]) {
            taken += written;
            assert!(!socket.watches_room());
        }
        assert!(socket.writable().now_or_never().is_none(), "it is full");
        assert!(socket.watches_room());
        let mut read = vec![0; taken];
        peer.read_exact(&mut read).unwrap();
        socket.writable().await.unwrap();
        assert_eq!(
            socket
                .try_write(&[IoSlice::new(b"z"), IoSlice::new(b"")])
                .unwrap(),
            1
        );
        socket.forget_room();
        assert!(!socket.watches_room());
    }

    #[tokio::test]
    async fn a_listener_gives_sockets_that_know_their_peers() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let listener = StdUnixListener::bind(&path).unwrap();
        let listener = PathListener::new(listener).unwrap();
        let peer = StdUnixStream::connect(&path).unwrap();
        let socket = listener.accept().await.unwrap();
        let uid = rustix::process::getuid().as_raw();
        assert_eq!(socket.peer().unwrap(), (uid, std::process::id() as i32));
        drop(peer);
    }
}
