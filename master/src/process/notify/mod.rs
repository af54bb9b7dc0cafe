//! Where a worker says that it is ready: one datagram socket for each worker, so that the socket says who speaks,
//! whatever process of the worker's it is, and nobody can speak for another.

mod message;

use std::{
    fmt, io,
    os::unix::{ffi::OsStrExt, fs::PermissionsExt},
    path::{Path, PathBuf},
};

pub use message::{Notification, parse_notifications};
use rustix::net::RecvFlags;
use tokio::net::UnixDatagram;

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
            Ok(socket) => Ok(Self { socket, path }),
            Err(error) => Err(NotifyError::Bind(path, error)),
        }
    }

    /// Its path, for `NOTIFY_SOCKET`.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the next datagram says; empty if nothing in it is understood. Cancel-safe.
    ///
    /// A descriptor that came with it (`BARRIER=1`) is closed by the kernel, as nobody takes it. So its sender is
    /// released once all its earlier datagrams have been returned from here.
    ///
    /// # Errors
    /// If the runtime is going away.
    pub async fn recv(&self) -> io::Result<Vec<Notification>> {
        loop {
            self.socket.readable().await?;
            let mut buffer = [0; DATAGRAM_BYTES + 1];
            match self.socket.try_recv(&mut buffer) {
                Ok(length) if length > DATAGRAM_BYTES => return Ok(Vec::new()),
                Ok(length) => return Ok(parse_notifications(&buffer[..length])),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl NotifySocket {
    /// What the datagrams say that are there already, without waiting, and at most [`LAST_DATAGRAMS`] of them: for when
    /// the worker has ended, and others may still hold its path and send without end.
    #[must_use]
    pub fn last_words(&self) -> Vec<Notification> {
        let mut said = Vec::new();
        for _ in 0..LAST_DATAGRAMS {
            let mut buffer = [0; DATAGRAM_BYTES + 1];
            // Not the runtime's own way: that may not have heard yet that something is there.
            match rustix::net::recv(&self.socket, &mut buffer, RecvFlags::DONTWAIT) {
                Ok((_, length)) if length > DATAGRAM_BYTES => {}
                Ok((_, length)) => said.extend(parse_notifications(&buffer[..length])),
                Err(_) => break,
            }
        }
        said
    }
}

fn bind(path: &Path, owner: Option<u32>) -> io::Result<UnixDatagram> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let socket = UnixDatagram::bind(path)?;
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
            Self::Bind(path, error) => write!(f, "bind {}: {error}", path.display()),
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
        tokio::time::timeout(Duration::from_secs(5), socket.recv())
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
        assert_eq!(socket.last_words(), []);
        let worker = std::os::unix::net::UnixDatagram::unbound().expect("a socket");
        worker.send_to(&[b'x'; 5000], &path).expect("sent");
        worker.send_to(b"READY=1", &path).expect("sent");
        worker.send_to(b"STOPPING=1", &path).expect("sent");
        let both = [Notification::Ready, Notification::Stopping];
        assert_eq!(socket.last_words(), both);
        // Somebody who never stops is not heard for ever.
        let flood = std::thread::spawn(move || while worker.send_to(b"READY=1", &path).is_ok() {});
        assert!(socket.last_words().len() <= LAST_DATAGRAMS);
        drop(socket);
        flood.join().expect("ended with the socket");
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
