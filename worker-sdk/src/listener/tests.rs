//! The worker's end of a channel, against a master that is this test.

mod arrived;
mod descriptors;

use std::{
    io::{IoSlice, Read, Write},
    mem::MaybeUninit,
    os::{fd::BorrowedFd, unix::net::UnixStream},
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    net::{
        RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
        recv, sendmsg, socketpair,
    },
};
use tokio::{io::AsyncWriteExt, task::JoinHandle, time::timeout};

use super::*;
use crate::handover::{Account, FromWorker, MasterWord, UNLIMITED, WINDOW, WorkerWord};

const PATIENCE: Duration = Duration::from_secs(20);

/// The master: its end of the channel, and a directory with the socket that all workers have.
struct Master {
    channel: OwnedFd,
    listener: StdUnixListener,
    path: std::path::PathBuf,
    _dir: tempfile::TempDir,
}

fn master() -> (Master, Listener) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let listener = StdUnixListener::bind(&path).unwrap();
    let flags = SocketFlags::CLOEXEC;
    let (channel, theirs) =
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
    let socket = listener.try_clone().unwrap().into();
    let worker = Listener::inherited("http", socket, Some(theirs)).unwrap();
    let master = Master {
        channel,
        listener,
        path,
        _dir: dir,
    };
    // That it listens: before it is ready, and whether it accepts soon or not.
    assert_eq!(master.said(), Some(WorkerWord::Take { limit: 0 }));
    (master, worker)
}

impl Master {
    /// Hands over so many connections in one packet; gives their other ends, and our copies.
    fn hand_over(&self, count: usize) -> Vec<(UnixStream, UnixStream)> {
        let pairs: Vec<_> = (0..count).map(|_| UnixStream::pair().unwrap()).collect();
        let fds: Vec<BorrowedFd<'_>> = pairs
            .iter()
            .map(|(_, accepted)| {
                accepted.set_nonblocking(true).unwrap();
                accepted.as_fd()
            })
            .collect();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(WINDOW))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        assert!(control.push(SendAncillaryMessage::ScmRights(&fds)));
        let word = MasterWord::Connections(count as u16).encode();
        let flags = SendFlags::NOSIGNAL;
        sendmsg(&self.channel, &[IoSlice::new(&word)], &mut control, flags).unwrap();
        pairs
    }

    /// Hands over one for which the worker has no descriptor left.
    fn hand_over_too_many(&self) {
        let word = MasterWord::Connections(1).encode();
        rustix::net::send(&self.channel, &word, SendFlags::NOSIGNAL).unwrap();
    }

    /// Says that no more comes, and cuts the channel.
    fn ends(&self) {
        let end = MasterWord::End.encode();
        rustix::net::send(&self.channel, &end, SendFlags::NOSIGNAL).unwrap();
        rustix::net::shutdown(&self.channel, rustix::net::Shutdown::Both).unwrap();
    }

    /// What the worker says next.
    async fn heard(&self) -> WorkerWord {
        let heard = async {
            loop {
                match self.said() {
                    Some(word) => return word,
                    None => tokio::task::yield_now().await,
                }
            }
        };
        timeout(PATIENCE, heard).await.expect("a word")
    }

    fn said(&self) -> Option<WorkerWord> {
        let mut bytes = FromWorker::default();
        match recv(&self.channel, &mut bytes, RecvFlags::DONTWAIT) {
            Ok((length, _)) if length > 0 => WorkerWord::decode(&bytes[..length]),
            Ok(_) | Err(Errno::WOULDBLOCK) => None,
            Err(error) => panic!("{error}"),
        }
    }
}

fn account(taken: u32, refused: u32, closed: u32) -> WorkerWord {
    WorkerWord::Account(Account {
        taken,
        refused,
        closed,
    })
}

const TAKES: WorkerWord = WorkerWord::Take { limit: UNLIMITED };

async fn accepted(worker: &mut Listener) -> Connection {
    let accepted = timeout(PATIENCE, worker.accept()).await;
    accepted.expect("in time").expect("a connection")
}

/// A worker that waits for one connection.
fn waits(mut worker: Listener) -> JoinHandle<(Listener, io::Result<Connection>)> {
    tokio::spawn(async move {
        let accepted = worker.accept().await;
        (worker, accepted)
    })
}

#[tokio::test]
async fn it_asks_when_the_app_first_waits_and_says_what_it_takes_before_it_gives_it() {
    let (master, mut worker) = master();
    let given = master.hand_over(2);
    tokio::task::yield_now().await;
    assert_eq!(master.said(), None, "nobody waits yet");
    let mut first = accepted(&mut worker).await;
    // Both words were there before `accept` came back.
    assert_eq!(master.said(), Some(TAKES));
    assert_eq!(master.said(), Some(account(1, 0, 0)));
    assert_eq!(master.said(), None, "the second is not its own yet");
    first.write_all(b"hello").await.unwrap();
    let mut bytes = [0; 5];
    (&given[0].0).read_exact(&mut bytes).unwrap();
    assert_eq!((&bytes, first.peer()), (b"hello", Peer::Unix));
    let _second = accepted(&mut worker).await;
    assert_eq!(master.said(), Some(account(1, 0, 0)));
    assert_eq!(worker.open_connections(), 2);
}

#[tokio::test]
async fn what_closed_is_told_once_for_all_and_with_what_is_taken_next() {
    let (master, mut worker) = master();
    master.hand_over(4);
    let mut open = Vec::new();
    for _ in 0..3 {
        open.push(accepted(&mut worker).await);
    }
    for word in [TAKES, account(1, 0, 0), account(1, 0, 0), account(1, 0, 0)] {
        assert_eq!(master.said(), Some(word));
    }
    open.truncate(1);
    assert_eq!(master.heard().await, account(0, 0, 2), "told by itself");
    open.clear();
    let _last = accepted(&mut worker).await;
    assert_eq!(master.said(), Some(account(1, 0, 1)), "told with the next");
    tokio::task::yield_now().await;
    tokio::task::yield_now().await;
    assert_eq!(master.said(), None);
}

#[tokio::test]
async fn one_that_has_as_many_as_it_may_refuses_and_asks_for_no_more() {
    let (master, mut worker) = master();
    worker.set_max_connections(1);
    master.hand_over(3);
    let first = accepted(&mut worker).await;
    assert_eq!(master.said(), Some(WorkerWord::Take { limit: 1 }));
    assert_eq!(master.said(), Some(account(1, 0, 0)));
    let waiting = waits(worker);
    assert_eq!(master.heard().await, account(0, 2, 0));
    drop(first);
    assert_eq!(master.heard().await, account(0, 0, 1));
    master.hand_over(1);
    let (mut worker, _second) = timeout(PATIENCE, waiting).await.unwrap().unwrap();
    assert_eq!(master.heard().await, account(1, 0, 0));
    worker.set_max_connections(5);
    let _waiting = waits(worker);
    assert_eq!(master.heard().await, WorkerWord::Take { limit: 5 });
}

#[tokio::test]
async fn while_the_master_does_not_hear_it_waits_and_tells_each_thing_once() {
    let (master, mut worker) = master();
    let mut taken = 0;
    loop {
        master.hand_over(1);
        match timeout(Duration::from_millis(300), worker.accept()).await {
            Ok(accepted) => drop(accepted.unwrap()),
            // The channel is full.
            Err(_) => break,
        }
        taken += 1;
        assert!(taken < 100_000);
    }
    let waiting = waits(worker);
    let mut told = Account::default();
    while (told.taken, told.closed) != (taken + 1, taken) {
        match master.heard().await {
            TAKES => {}
            WorkerWord::Account(account) => {
                told.taken += account.taken;
                told.closed += account.closed;
            }
            other => panic!("{other:?}"),
        }
    }
    let (_worker, last) = timeout(PATIENCE, waiting).await.unwrap().unwrap();
    let _open = last.unwrap();
    assert_eq!(master.said(), None);
}

#[tokio::test]
async fn after_the_end_nothing_more_comes_and_nothing_is_accepted_from_the_socket() {
    let (master, mut worker) = master();
    master.hand_over(2);
    let _first = accepted(&mut worker).await;
    master.ends();
    let mut client = UnixStream::connect(&master.path).unwrap();
    client.write_all(b"x").unwrap();
    // However often it is asked: a server that waits for other things besides drops what it waits with, and begins again.
    for _ in 0..3 {
        let more = timeout(Duration::from_millis(100), worker.accept()).await;
        assert!(more.is_err(), "{more:?}");
    }
    // It waits for others, who have the socket too.
    master.listener.set_nonblocking(true).unwrap();
    master.listener.accept().expect("still in the queue");
}

/// The master may let go of a channel before it has read all that was said there: what comes of that comes before its last word.
#[tokio::test]
async fn the_end_is_heard_though_the_master_has_not_read_everything() {
    let (master, worker) = master();
    let waiting = waits(worker);
    // Its first word is there, and stays there.
    let mut fds = [PollFd::new(&master.channel, PollFlags::IN)];
    while poll(&mut fds, Some(&Timespec::default())) == Ok(0) {
        tokio::task::yield_now().await;
    }
    master.ends();
    let Master {
        channel,
        path,
        listener,
        _dir,
    } = master;
    drop(channel);
    let _client = UnixStream::connect(&path).unwrap();
    let more = timeout(Duration::from_millis(300), waiting).await;
    assert!(more.is_err(), "{more:?}");
    listener.set_nonblocking(true).unwrap();
    listener.accept().expect("still in the queue");
}

#[tokio::test]
async fn one_whose_master_is_gone_accepts_for_itself() {
    let (master, mut worker) = master();
    let given = master.hand_over(1);
    let Master {
        channel,
        path,
        listener: _listener,
        _dir,
    } = master;
    drop(channel);
    drop(given);
    // It could not say that it takes the one that lies there: that is not its own.
    let client = UnixStream::connect(&path).unwrap();
    let mut own = accepted(&mut worker).await;
    own.write_all(b"mine").await.unwrap();
    let mut bytes = [0; 4];
    (&client).read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"mine");
    worker.set_max_connections(1);
    UnixStream::connect(&path).unwrap();
    let more = timeout(Duration::from_millis(100), worker.accept()).await;
    assert!(more.is_err(), "the limit holds here too");
    drop(own);
    accepted(&mut worker).await;
}

#[tokio::test]
async fn a_listener_that_is_dropped_hangs_up_at_once() {
    let (master, mut worker) = master();
    master.hand_over(2);
    let kept = accepted(&mut worker).await;
    drop(worker);
    let mut bytes = FromWorker::default();
    for length in [16, 16, 0] {
        let (_, got) = recv(&master.channel, &mut bytes, RecvFlags::empty()).unwrap();
        assert_eq!(got, length);
    }
    drop(kept);
}

#[tokio::test]
async fn axum_serves_it_as_it_is() {
    let (master, worker) = master();
    let routes = axum::Router::new().route("/", axum::routing::get(|| async { "hello" }));
    let server = tokio::spawn(axum::serve(worker, routes).into_future());
    let given = master.hand_over(1);
    let mut client = given[0].0.try_clone().unwrap();
    drop(given);
    let asked = tokio::task::spawn_blocking(move || {
        client
            .write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            .unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        answer
    });
    let answer = timeout(PATIENCE, asked).await.unwrap().unwrap();
    assert!(answer.ends_with("hello"), "{answer}");
    server.abort();
}
