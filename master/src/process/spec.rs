//! What the master tells the shim, and what the shim answers. Both are the same program file, so the bytes between
//! them need no versions.

use std::{
    ffi::OsString,
    io::{self, Read},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
};

use rustix::net::SendFlags;
use serde::{Deserialize, Serialize};

use super::Attributes;
use crate::{config::app::given::FileMode, sys};

/// The first descriptor that a worker inherits, after standard input, output and error.
pub(super) const FIRST_FD: i32 = 3;

/// The shim is about to exec: an end of file from here on is a success.
pub(super) const ABOUT_TO_EXEC: u8 = 1;

/// The shim has failed: a [`Failure`] follows.
pub(super) const FAILED: u8 = 2;

/// Larger orders are refused before they are sent; the kernel would refuse such arguments and environment anyway.
pub(super) const ORDER_BYTES: usize = 8 << 20;

/// Orders with more descriptors don't go ahead: of those in flight a user without privileges may have as many as one process
/// may have open, often 1,024. 64 times these, the three of each request and the one of each answer are 768.
const DESCRIPTORS_AHEAD: usize = 8;

/// How a process is to be started. Descriptors travel beside it: the first becomes number 3, and so on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpawnSpec {
    /// The program, which is also its `argv[0]`. Without a slash it is looked up in the `PATH` of `env`.
    pub program: OsString,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Its whole environment: nothing else is inherited.
    pub env: Vec<(OsString, OsString)>,
    /// Add `LISTEN_PID`, which only the process itself can know. Default true if there are sockets.
    pub listen_pid: bool,
    /// The same for `WATCHDOG_PID`. Default true if there is a watchdog.
    pub watchdog_pid: bool,
    /// Its soft limit on open files; `None` is the master's.
    pub open_files: Option<u64>,
    /// How its process differs from the master's.
    pub attributes: Attributes,
    /// Files to be opened for it: they follow the descriptors that travel. Those that are read are opened before it takes on
    /// its user, those that are written after that.
    pub files: Vec<(OsString, FileMode)>,
    /// Where its standard input comes from.
    pub stdin: StdinFrom,
}

/// Where a worker's standard input comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StdinFrom {
    /// `/dev/null`.
    Null,
    /// It is this one of the descriptors that travel, from 0 on, which keeps its own number too.
    Shared(usize),
    /// The last of the descriptors that travel, which gets no other number.
    Last,
}

/// What the shim could not do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What it was doing: `exec "server"`, `change directory to "/srv"`.
    pub doing: String,
    /// The system's error number.
    pub errno: i32,
    /// What to do about it, where the shim can tell.
    pub hint: Option<String>,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let error = nix::errno::Errno::from_raw(self.errno);
        write!(f, "{}: {}", self.doing, error.desc())
    }
}

/// An order on its way: two little-endian `u32` (length, number of descriptors) and the specification, with whose first byte the
/// first batch of descriptors travels; then one byte for each further batch.
#[derive(Debug)]
pub(super) struct Order {
    bytes: Vec<u8>,
    fds: Vec<OwnedFd>,
    bytes_sent: usize,
    fds_sent: usize,
    ahead: bool,
}

impl Order {
    pub(super) fn new(spec: &SpawnSpec, fds: Vec<OwnedFd>) -> io::Result<Self> {
        let body = postcard::to_stdvec(spec).map_err(io::Error::other)?;
        let too_large = || io::Error::from(io::ErrorKind::ArgumentListTooLong);
        if body.len() > ORDER_BYTES {
            return Err(too_large());
        }
        let length = u32::try_from(body.len()).map_err(|_| too_large())?;
        let count = u32::try_from(fds.len()).map_err(|_| too_large())?;
        Ok(Self {
            bytes: [&length.to_le_bytes(), &count.to_le_bytes(), body.as_slice()].concat(),
            fds,
            bytes_sent: 0,
            fds_sent: 0,
            ahead: false,
        })
    }

    /// It may go before it is known who takes it.
    pub(super) fn ahead(self) -> Self {
        Self {
            ahead: true,
            ..self
        }
    }

    pub(super) fn may_go_ahead(&self) -> bool {
        self.ahead && self.fds.len() <= DESCRIPTORS_AHEAD
    }

    /// Sends what has not been sent yet, on a non-blocking socket. To be called again after `WouldBlock`.
    pub(super) fn send(&mut self, socket: BorrowedFd<'_>) -> io::Result<()> {
        while self.bytes_sent < self.bytes.len() {
            let rest = &self.bytes[self.bytes_sent..];
            if self.bytes_sent == 0 {
                let batch = self.next_batch();
                let (sent, count) = (sys::send_with_fds(socket, rest, &batch)?, batch.len());
                (self.bytes_sent, self.fds_sent) = (sent, count);
            } else {
                self.bytes_sent += rustix::net::send(socket, rest, SendFlags::NOSIGNAL)?;
            }
        }
        while self.fds_sent < self.fds.len() {
            let batch = self.next_batch();
            let count = batch.len();
            sys::send_fds(socket, &batch)?;
            self.fds_sent += count;
        }
        Ok(())
    }

    fn next_batch(&self) -> Vec<BorrowedFd<'_>> {
        let left = self.fds[self.fds_sent..].iter();
        left.take(sys::FDS_PER_MESSAGE).map(AsFd::as_fd).collect()
    }

    /// Nothing of it has been sent: it goes to somebody else than before.
    pub(super) fn begin_anew(&mut self) {
        self.bytes_sent = 0;
        self.fds_sent = 0;
    }
}

/// Receives an order, blocking.
pub(super) fn receive(channel: &UnixStream) -> io::Result<(SpawnSpec, Vec<OwnedFd>)> {
    let mut head = [0; 8];
    let (begun, mut fds) = loop {
        match sys::receive_with_fds(channel.as_fd(), &mut head) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            received => break received?,
        }
    };
    let mut reader = channel;
    reader.read_exact(&mut head[begun..])?;
    let [a, b, c, d, e, f, g, h] = head;
    let length = u32::from_le_bytes([a, b, c, d]) as usize;
    let count = u32::from_le_bytes([e, f, g, h]) as usize;
    if length > ORDER_BYTES {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let spec = postcard::from_bytes(&body)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    while fds.len() < count {
        fds.extend(sys::receive_fds(channel.as_fd())?);
    }
    Ok((spec, fds))
}

#[cfg(test)]
mod tests {
    use std::{io::Write, os::unix::ffi::OsStringExt};

    use super::*;

    fn spec() -> SpawnSpec {
        SpawnSpec {
            program: "server".into(),
            args: vec![OsString::from_vec(vec![0xff, b'x'])],
            env: vec![("A".into(), "1".into())],
            listen_pid: true,
            watchdog_pid: true,
            open_files: Some(1024),
            attributes: Attributes {
                umask: Some(0o27),
                cwd: Some("/srv".into()),
                ..Attributes::default()
            },
            files: vec![("f".into(), FileMode::Append)],
            stdin: StdinFrom::Shared(1),
        }
    }

    #[test]
    fn an_order_arrives_as_it_was_sent_with_more_than_fits_a_message_and_a_buffer() {
        let (ours, theirs) = UnixStream::pair().expect("a socketpair");
        ours.set_nonblocking(true).expect("set");
        let fds = (0..300).map(|_| std::fs::File::open("/dev/null").expect("/dev/null").into());
        let mut sent = spec();
        sent.args.push("x".repeat(1 << 20).into());
        let mut order = Order::new(&sent, fds.collect()).expect("small enough");
        let full = order.send(ours.as_fd()).expect_err("a full buffer");
        assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
        let receiver = std::thread::spawn(move || receive(&theirs).expect("received"));
        ours.set_nonblocking(false).expect("set");
        order.send(ours.as_fd()).expect("the rest");
        let (got, received) = receiver.join().expect("joined");
        assert_eq!(got, sent);
        assert_eq!(received.len(), 300);
    }

    #[test]
    fn an_order_too_large_is_refused_and_one_cut_short_is_an_error() {
        let mut large = spec();
        large.args.push("x".repeat(ORDER_BYTES).into());
        assert!(Order::new(&large, vec![]).is_err());
        let (mut ours, theirs) = UnixStream::pair().expect("a socketpair");
        let order = Order::new(&spec(), vec![]).expect("small enough");
        ours.write_all(&order.bytes[..order.bytes.len() - 1])
            .expect("sent");
        drop(ours);
        let error = receive(&theirs).expect_err("cut short");
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn failures_read_like_sentences() {
        let failure = Failure {
            doing: "exec \"server\"".into(),
            errno: libc::ENOENT,
            hint: None,
        };
        assert_eq!(
            failure.to_string(),
            "exec \"server\": No such file or directory"
        );
    }
}
