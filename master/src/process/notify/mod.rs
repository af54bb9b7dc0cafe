//! Where a worker says that it is ready: one datagram socket for each worker, so that the socket says who is spoken of,
//! whatever process of the worker's it is. Datagrams of other processes are passed over: nobody can speak for another.

mod message;
mod sender;

use std::{
    fmt, io,
    os::unix::{ffi::OsStrExt, fs::PermissionsExt},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

pub use message::{Notification, parse_notifications};
use tokio::{io::Interest, net::UnixDatagram};

use self::sender::Sender;
use crate::{escape, shortage::Told};

/// The longest path that fits a Unix socket's address, in bytes.
const PATH_BYTES: usize = 107;

/// A larger datagram is no notification (the protocol's own bound).
const DATAGRAM_BYTES: usize = 4096;

/// As many datagrams as such a socket holds on most systems (`net.unix.max_dgram_qlen`).
const LAST_DATAGRAMS: usize = 512;

/// A worker's notify socket. Its path is removed when it is dropped.
#[derive(Debug)]
pub struct NotifySocket {
    socket: UnixDatagram,
    path: PathBuf,
    /// A stranger was told of.
    told: AtomicBool,
}

/// Why there is no notify socket.
#[derive(Debug)]
pub enum NotifyError {
    /// The path is longer than a socket's address can be.
    PathTooLong(PathBuf),
    /// The system refuses.
    Bind(PathBuf, io::Error),
}

impl NotifySocket {
    /// Binds the socket, for its owner alone to write to: user `owner`, or the master's own. A worker's id is used once in a master's life, so whatever
    /// stands at the path was left behind by a dead master and is removed.
    ///
    /// # Errors
    /// If the path is longer than 107 bytes, or can't be bound.
    pub fn bind(path: PathBuf, owner: Option<u32>) -> Result<Self, NotifyError> {
        if path.as_os_str().as_bytes().len() > PATH_BYTES {
            return Err(NotifyError::PathTooLong(path));
        }
        match bind(&path, owner) {
            Ok(socket) => Ok(Self {
                socket,
                path,
                told: AtomicBool::new(false),
            }),
            Err(error) => Err(NotifyError::Bind(path, error)),
        }
    }

    /// Its path, for `NOTIFY_SOCKET`.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the next datagram of the worker says whose process group `leader` leads; empty if nothing in it is
    /// understood. Cancel-safe.
    ///
    /// A descriptor that came with it (`BARRIER=1`) is closed by the kernel, as nobody takes it. So its sender is
    /// released once all its earlier datagrams have been returned from here.
    ///
    /// # Errors
    /// If the runtime is going away.
    pub async fn recv(&self, leader: u32) -> io::Result<Vec<Notification>> {
        loop {
            self.socket.readable().await?;
            let next = || self.next(leader);
            match self.socket.try_io(Interest::READABLE, next) {
                Ok(Some(said)) => return Ok(said),
                Ok(None) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// What the datagrams say that are there already, without waiting, and at most [`LAST_DATAGRAMS`] of them: for when
    /// the worker has ended, and others may still hold its path and send without end.
    #[must_use]
    pub fn last_words(&self, leader: u32) -> Vec<Notification> {
        let mut said = Vec::new();
        for _ in 0..LAST_DATAGRAMS {
            // Not the runtime's own way: that may not have heard yet that something is there.
            match self.next(leader) {
                Ok(words) => said.extend(words.into_iter().flatten()),
                Err(_) => break,
            }
        }
        said
    }

    /// What the next datagram says, without waiting; `None` if it is a stranger's.
    fn next(&self, leader: u32) -> io::Result<Option<Vec<Notification>>> {
        let mut buffer = [0; DATAGRAM_BYTES + 1];
        let (length, pid) = sender::receive(&self.socket, &mut buffer)?;
        if let Sender::Stranger(pid) = Sender::of(pid, leader) {
            self.tell_stranger(pid, leader);
            return Ok(None);
        }
        Ok(Some(match length > DATAGRAM_BYTES {
            true => Vec::new(),
            false => parse_notifications(&buffer[..length]),
        }))
    }

    fn tell_stranger(&self, pid: u32, leader: u32) {
        if !self.told.swap(true, Ordering::Relaxed) {
            let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            tracing::warn!(
                "process {pid} ({}) wrote to {}, where only the worker with pid {leader} and what it has started may: \
                 ignored, as is all that others write there",
                escape::line(name.trim_end()),
                self.path.display()
            );
        }
    }
}

fn bind(path: &Path, owner: Option<u32>) -> io::Result<UnixDatagram> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let socket = UnixDatagram::bind(path)?;
    sender::ask_for_senders(&socket)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    // The directory is ours alone to write to, so the path is still this socket's.
    if let Some(owner) = owner {
        std::os::unix::fs::lchown(path, Some(owner), None)?;
    }
    Ok(socket)
}

impl Drop for NotifySocket {
    fn drop(&mut self) {
        // The directory may be gone already.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl fmt::Display for NotifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PathTooLong(path) => write!(
                f,
                "the notify socket's path {} is longer than {PATH_BYTES} bytes: choose a shorter home directory",
                path.display()
            ),
            Self::Bind(path, error) => {
                write!(f, "bind {}: {}", path.display(), Told(error))
            }
        }
    }
}

impl std::error::Error for NotifyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::PathTooLong(_) => None,
            Self::Bind(_, error) => Some(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{os::fd::AsFd, time::Duration};

    use super::*;

    async fn heard(socket: &NotifySocket) -> Vec<Notification> {
        tokio::time::timeout(Duration::from_secs(5), socket.recv(std::process::id()))
            .await
            .expect("within the deadline")
            .expect("received")
    }

    #[tokio::test]
    async fn datagrams_arrive_one_by_one_and_the_path_goes_with_the_socket() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("notify-1");
        std::fs::write(&path, "left behind").expect("written");
        let socket = NotifySocket::bind(path.clone(), None).expect("bound");
        let mode = std::fs::metadata(&path)
            .expect("there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        let worker = std::os::unix::net::UnixDatagram::unbound().expect("a socket");
        worker.send_to(b"READY=1\nSTATUS=up", &path).expect("sent");
        worker.send_to(&[b'x'; 5000], &path).expect("sent");
        worker.send_to(b"STOPPING=1", &path).expect("sent");
        assert_eq!(
            heard(&socket).await,
            [Notification::Ready, Notification::Status("up".into())]
        );
        assert_eq!(heard(&socket).await, []);
        assert_eq!(heard(&socket).await, [Notification::Stopping]);
        drop(socket);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn last_words_are_what_is_there_and_no_more_than_that() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("n");
        let socket = NotifySocket::bind(path.clone(), None).expect("bound");
        assert_eq!(socket.last_words(std::process::id()), []);
        let worker = std::os::unix::net::UnixDatagram::unbound().expect("a socket");
        worker.send_to(&[b'x'; 5000], &path).expect("sent");
        worker.send_to(b"READY=1", &path).expect("sent");
        worker.send_to(b"STOPPING=1", &path).expect("sent");
        let both = [Notification::Ready, Notification::Stopping];
        assert_eq!(socket.last_words(std::process::id()), both);
        // Somebody who never stops is not heard for ever.
        let flood = std::thread::spawn(move || while worker.send_to(b"READY=1", &path).is_ok() {});
        assert!(socket.last_words(std::process::id()).len() <= LAST_DATAGRAMS);
        drop(socket);
        flood.join().expect("ended with the socket");
    }

    #[tokio::test]
    async fn a_stranger_is_not_heard() {
        let dir = tempfile::tempdir().expect("a directory");
        let socket = NotifySocket::bind(dir.path().join("n"), None).expect("bound");
        let mut worker = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .expect("a worker");
        let us = std::os::unix::net::UnixDatagram::unbound().expect("a socket");
        us.send_to(b"READY=1", socket.path()).expect("sent");
        us.send_to(b"STOPPING=1", socket.path()).expect("sent");
        assert_eq!(socket.next(worker.id()).expect("there"), None);
        assert_eq!(socket.last_words(worker.id()), []);
        worker.kill().expect("killed");
        worker.wait().expect("reaped");
    }

    #[tokio::test]
    async fn a_barrier_is_released_when_it_is_received() {
        let dir = tempfile::tempdir().expect("a directory");
        let socket = NotifySocket::bind(dir.path().join("n"), None).expect("bound");
        let worker = std::os::unix::net::UnixDatagram::unbound().expect("a socket");
        worker.connect(socket.path()).expect("connected");
        let (mut wait, barrier) = io::pipe().expect("a pipe");
        send_barrier(&worker, barrier);
        assert_eq!(heard(&socket).await, [Notification::Barrier]);
        let end = tokio::task::spawn_blocking(move || io::Read::read(&mut wait, &mut [0]));
        let end = tokio::time::timeout(Duration::from_secs(5), end).await;
        assert_eq!(end.expect("released").expect("joined").expect("read"), 0);
    }

    fn send_barrier(worker: &std::os::unix::net::UnixDatagram, barrier: io::PipeWriter) {
        use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let fds = [barrier.as_fd()];
        assert!(control.push(SendAncillaryMessage::ScmRights(&fds)));
        let text = [io::IoSlice::new(b"BARRIER=1")];
        sendmsg(worker, &text, &mut control, SendFlags::NOSIGNAL).expect("sent");
    }

    #[test]
    fn a_path_that_fits_no_address_is_refused() {
        let path = PathBuf::from(format!("/{}", "x".repeat(107)));
        assert!(matches!(
            NotifySocket::bind(path, None),
            Err(NotifyError::PathTooLong(_))
        ));
    }
}
