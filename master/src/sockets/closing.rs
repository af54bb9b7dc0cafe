//! Threads that only close, for what may not be closed at once.
//!
//! How long a `close` lasts is for the peers to say, and some say for ever. So a thread that is in one is left to it, and others
//! go on, up to [`THREADS`]; when all but one are in one, the last keeps watch instead: what has waited for [`PATIENCE`] by then
//! loses its `SO_LINGER` if it is a connection of TCP, and is closed. Anything else has nothing that could be taken from it: it is
//! kept until a thread is free, which is told once. Nothing is ever left open for good, and there are never more than the master
//! may have open.

use std::{
    collections::VecDeque,
    mem,
    os::fd::OwnedFd,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use rustix::net::sockopt;

/// Threads at most; they do nothing but wait in the kernel.
const THREADS: usize = 8;

/// What waits for longer is closed without its `SO_LINGER`.
const PATIENCE: Duration = Duration::from_secs(1);

/// A thread that has had nothing to do for so long ends.
const IDLE: Duration = Duration::from_secs(10);

/// What is to be closed, and the threads that do it.
#[derive(Debug)]
pub(super) struct Closing {
    state: Mutex<State>,
    more: Condvar,
}

#[derive(Debug)]
struct State {
    /// The oldest first.
    waiting: VecDeque<Waiting>,
    /// What has waited for too long, and can't do without waiting.
    kept: Vec<OwnedFd>,
    threads: usize,
    /// Threads that are in a `close`.
    busy: usize,
    told: bool,
}

#[derive(Debug)]
struct Waiting {
    fd: OwnedFd,
    end: End,
    since: Instant,
}

/// What is done about one that nobody can wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It loses its `SO_LINGER`; what was sent goes on its way all the same.
    Relent,
    /// Nothing: it is kept.
    Keep,
}

/// The next thing for a thread to do.
enum Next {
    Close(OwnedFd),
    GiveWay(Waiting),
    Wait(Duration),
}

/// Those of this process.
static CLOSING: Closing = Closing::new();

/// Leaves it to a thread that only closes.
pub(super) fn close_elsewhere(fd: OwnedFd, end: End) {
    CLOSING.close(fd, end);
}

impl Closing {
    const fn new() -> Self {
        Self {
            state: Mutex::new(State {
                waiting: VecDeque::new(),
                kept: Vec::new(),
                threads: 0,
                busy: 0,
                told: false,
            }),
            more: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&'static self, fd: OwnedFd, end: End) {
        let since = Instant::now();
        let mut state = self.lock();
        state.waiting.push_back(Waiting { fd, end, since });
        let free = state.threads - state.busy;
        if state.waiting.len() <= free || state.threads >= THREADS {
            self.more.notify_one();
            return;
        }
        let thread = thread::Builder::new().name("close".into());
        match thread.spawn(|| self.run()) {
            Ok(_) => state.threads += 1,
            // The others do it, or the next one that is started.
            Err(error) => tracing::debug!("no thread to close descriptors: {error}"),
        }
    }

    /// One thread.
    fn run(&self) {
        let mut state = self.lock();
        loop {
            state = match state.next(Instant::now()) {
                Next::Close(fd) => {
                    state.busy += 1;
                    drop(state);
                    drop(fd);
                    let mut state = self.lock();
                    state.busy -= 1;
                    state
                }
                Next::GiveWay(waiting) => {
                    drop(state);
                    let kept = waiting.give_way();
                    let mut state = self.lock();
                    state.keep(kept);
                    state
                }
                Next::Wait(time) => {
                    let waited = self.more.wait_timeout(state, time);
                    let (mut state, waited) = waited.unwrap_or_else(PoisonError::into_inner);
                    if waited.timed_out() && state.waiting.is_empty() {
                        state.threads -= 1;
                        return;
                    }
                    state
                }
            };
        }
    }
}

impl State {
    fn next(&mut self, now: Instant) -> Next {
        let keeps_watch = self.busy + 1 >= THREADS;
        if !keeps_watch {
            let first = self.waiting.pop_front().map(|first| first.fd);
            return match first.or_else(|| self.kept.pop()) {
                Some(fd) => Next::Close(fd),
                None => Next::Wait(IDLE),
            };
        }
        let left = |first: &Waiting| (first.since + PATIENCE).saturating_duration_since(now);
        match self.waiting.front().map(left) {
            Some(Duration::ZERO) => match self.waiting.pop_front() {
                Some(first) => Next::GiveWay(first),
                None => Next::Wait(IDLE),
            },
            Some(left) => Next::Wait(left),
            None => Next::Wait(IDLE),
        }
    }

    fn keep(&mut self, kept: Option<OwnedFd>) {
        let Some(kept) = kept else {
            return;
        };
        self.kept.push(kept);
        if !mem::replace(&mut self.told, true) {
            tracing::error!(
                "descriptors that workers or clients have sent stay open: closing them may take for ever, and {} others are being closed already; \
                 hint: look for connections with a long SO_LINGER that somebody passes on",
                self.busy
            );
        }
    }
}

impl Waiting {
    /// Closes it without waiting; given back if that can't be.
    fn give_way(self) -> Option<OwnedFd> {
        let fd = self.fd;
        match self.end {
            End::Relent if sockopt::set_socket_linger(&fd, None).is_ok() => None,
            End::Relent | End::Keep => Some(fd),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::{
        io::{ErrorKind, IoSlice, Read, Write},
        mem::MaybeUninit,
        net::{TcpListener, TcpStream},
        os::{
            fd::{AsFd, BorrowedFd},
            unix::net::UnixStream,
        },
    };

    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

    use super::*;

    pub(in crate::sockets) fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let address = listener.local_addr().expect("an address");
        let client = TcpStream::connect(address).expect("connected");
        (listener.accept().expect("accepted").0, client)
    }

    /// A connection whose last `close` waits for 5 seconds, and its other end.
    pub(in crate::sockets) fn lingering() -> (TcpStream, TcpStream) {
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

    /// Sends these bytes with this descriptor.
    pub(in crate::sockets) fn send_with(
        to: impl AsFd,
        bytes: &[u8],
        fd: BorrowedFd<'_>,
        flags: SendFlags,
    ) {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let fds = [fd];
        assert!(control.push(SendAncillaryMessage::ScmRights(&fds)));
        sendmsg(to, &[IoSlice::new(bytes)], &mut control, flags).expect("sent");
    }

    /// The end of a Unix stream with a lingering connection in it, its peer, and the connection's other end.
    pub(in crate::sockets) fn with_one_inside() -> (UnixStream, UnixStream, TcpStream) {
        let (full, other) = lingering();
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        send_with(&theirs, b"x", full.as_fd(), SendFlags::empty());
        (ours, theirs, other)
    }

    fn is_closed_within(mut client: impl Read, time: Duration) {
        let begun = Instant::now();
        let mut rest = Vec::new();
        match client.read_to_end(&mut rest) {
            Ok(_) => {}
            // What it had sent was not read.
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
        assert!(begun.elapsed() < time, "{:?}", begun.elapsed());
    }

    fn closing() -> &'static Closing {
        Box::leak(Box::new(Closing::new()))
    }

    #[test]
    fn whoever_hangs_the_others_are_closed_soon() {
        let closing = closing();
        let mut stuck = Vec::new();
        for _ in 0..THREADS + 2 {
            let (ours, theirs, other) = with_one_inside();
            closing.close(ours.into(), End::Keep);
            stuck.push((theirs, other));
        }
        let mut others = Vec::new();
        for _ in 0..300 {
            let (ours, client) = pair();
            closing.close(ours.into(), End::Relent);
            others.push(client);
        }
        let (full, other) = lingering();
        closing.close(full.into(), End::Relent);
        let long = PATIENCE + Duration::from_secs(1);
        let begun = Instant::now();
        for client in others {
            is_closed_within(client, long.saturating_sub(begun.elapsed()));
        }
        other.set_nonblocking(false).expect("set");
        is_closed_within(other, Duration::from_secs(2));
        assert!(closing.lock().threads <= THREADS);
        // Those that hang come to their end, and then so do those that were kept.
        let at_last = Duration::from_secs(30);
        for (theirs, _other) in &stuck {
            theirs.set_read_timeout(Some(at_last)).expect("set");
            is_closed_within(theirs, at_last);
        }
        let state = closing.lock();
        assert_eq!((state.waiting.len(), state.kept.len()), (0, 0));
    }

    #[test]
    fn few_threads_that_hang_delay_nobody() {
        let closing = closing();
        let mut stuck = Vec::new();
        for _ in 0..THREADS - 2 {
            let (ours, theirs, other) = with_one_inside();
            closing.close(ours.into(), End::Keep);
            stuck.push((theirs, other));
        }
        for _ in 0..300 {
            let (ours, client) = UnixStream::pair().expect("a pair");
            closing.close(ours.into(), End::Keep);
            is_closed_within(client, Duration::from_millis(900));
        }
    }
}
