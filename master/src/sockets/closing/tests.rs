//! What hangs holds up nobody else, and no descriptor stays open for good.

use std::{
    io::{ErrorKind, IoSlice, Read, Write},
    mem::MaybeUninit,
    net::{TcpListener, TcpStream},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::UnixStream,
    },
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
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
    Box::leak(Box::new(Closing::new(start_thread)))
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

/// How often the system has no thread to give.
static REFUSALS: AtomicUsize = AtomicUsize::new(0);

fn start_seldom(closing: &'static Closing) -> io::Result<()> {
    let refuse = |left: usize| left.checked_sub(1);
    match REFUSALS.fetch_update(Relaxed, Relaxed, refuse) {
        Ok(_) => Err(ErrorKind::WouldBlock.into()),
        Err(_) => start_thread(closing),
    }
}

#[test]
fn where_no_further_thread_is_to_be_had_all_are_closed_all_the_same() {
    let closing: &Closing = Box::leak(Box::new(Closing::new(start_seldom)));
    closing.begin().expect("the first");
    let (full, other) = lingering();
    REFUSALS.store(usize::MAX, Relaxed);
    // One of TCP soon, as it can be had to.
    closing.close(full.into(), End::Relent);
    other.set_nonblocking(false).expect("set");
    is_closed_within(other, PATIENCE + Duration::from_secs(1));
    // Any other when there is a thread again, though nothing else is to be closed.
    let (ours, client) = UnixStream::pair().expect("a pair");
    closing.close(ours.into(), End::Keep);
    client
        .set_read_timeout(Some(PATIENCE + 3 * AGAIN))
        .expect("set");
    let early = (&client).read(&mut [0]).expect_err("nobody closes it");
    assert_eq!(early.kind(), ErrorKind::WouldBlock);
    REFUSALS.store(0, Relaxed);
    client.set_read_timeout(None).expect("set");
    is_closed_within(client, Duration::from_secs(5));
}

#[test]
fn at_rest_one_thread_is_left_that_nothing_wakes() {
    let (mut state, now) = (State::new(), Instant::now());
    state.threads = 3;
    for left in [2, 1] {
        assert!(matches!(state.next(now), Next::Wait(Some(IDLE))));
        assert!(state.has_one_too_many());
        state.threads = left;
    }
    assert!(matches!(state.next(now), Next::Wait(None)));
    // One that is in a close may not come back: another stays beside it.
    (state.threads, state.busy) = (2, 1);
    assert!(matches!(state.next(now), Next::Wait(None)));
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
