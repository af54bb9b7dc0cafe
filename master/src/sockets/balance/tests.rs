//! The thread and real channels, against workers that are this test.

use std::{
    io::IoSliceMut,
    mem::MaybeUninit,
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::OwnedFd,
    time::Duration,
};

use ostler_bus::{WorkerId, vocab::status::BalanceStatus};
use ostler_worker_sdk::handover::{Account, MasterWord, UNLIMITED, WINDOW, WorkerWord};
use rustix::{
    io::Errno,
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, recvmsg, send,
        sockopt::{self, Timeout},
    },
};

use super::*;
use crate::{config::app::AppName, sockets::SocketId};

pub(super) const PATIENCE: Duration = Duration::from_secs(20);

const A: WorkerId = WorkerId(1);
const B: WorkerId = WorkerId(2);

/// A socket that is handed over.
struct Stage {
    balancer: Balancer,
    listener: TcpListener,
    address: SocketAddr,
}

/// A worker's end of a channel.
pub(super) struct Worker(pub(super) OwnedFd);

impl Stage {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let address = listener.local_addr().expect("an address");
        Self {
            balancer: Balancer::default(),
            listener,
            address,
        }
    }

    fn app() -> AppName {
        AppName::new("web").expect("a name")
    }

    /// A worker joins by a new channel, and takes any number.
    fn join(&mut self, id: WorkerId) -> Worker {
        let (channel, theirs) = channel_pair().expect("a pair");
        sockopt::set_socket_timeout(&theirs, Timeout::Recv, Some(PATIENCE)).expect("set");
        let worker = Worker(theirs);
        worker.say(WorkerWord::Take { limit: UNLIMITED });
        self.join_by(id, channel);
        worker
    }

    fn join_by(&mut self, id: WorkerId, channel: Channel) {
        let socket = Served {
            id: SocketId::made_up(1),
            app: Self::app(),
            name: "http".into(),
        };
        let joins = Joins {
            id,
            socket,
            channel,
            begins: Begins::Now,
            listener: self.listener.try_clone().expect("a duplicate").into(),
            max_connections: None,
            sticks: None,
        };
        self.balancer.join(joins).expect("the thread runs");
    }

    fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).expect("connected")
    }

    /// How things stand after all that was commanded; `None` if nothing is known of the socket any more.
    fn status(&self) -> Option<BalanceStatus> {
        let report = self.balancer.report().expect("the thread runs");
        let mut all = report.blocking_recv().expect("an answer");
        all.pop().map(|(_, status)| status)
    }
}

impl Worker {
    pub(super) fn say(&self, word: WorkerWord) {
        send(&self.0, &word.encode(), SendFlags::NOSIGNAL).expect("said");
    }

    pub(super) fn takes(&self, taken: u32) {
        let account = Account {
            taken,
            ..Account::default()
        };
        self.say(WorkerWord::Account(account));
    }

    /// The next word and what came with it; `None` at the end of the channel.
    fn hears(&self, flags: RecvFlags) -> Result<Option<(MasterWord, Vec<OwnedFd>)>, Errno> {
        let mut bytes = [0; 8];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(WINDOW))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut into = [IoSliceMut::new(&mut bytes)];
        let length = recvmsg(&self.0, &mut into, &mut control, flags)?.bytes;
        let mut fds = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                fds.extend(rights);
            }
        }
        Ok((length > 0).then(|| (MasterWord::decode(&bytes).expect("a word"), fds)))
    }

    /// Waits until it has been handed so many connections.
    pub(super) fn is_handed(&self, count: usize) -> Vec<OwnedFd> {
        let mut all = Vec::new();
        while all.len() < count {
            let (word, fds) = self
                .hears(RecvFlags::empty())
                .expect("heard")
                .expect("a word");
            assert!(matches!(word, MasterWord::Connections(_)), "{word:?}");
            all.extend(fds);
        }
        assert_eq!(all.len(), count);
        all
    }

    fn hears_the_end(&self) {
        let heard = self.hears(RecvFlags::empty());
        assert!(matches!(heard, Ok(None)), "{heard:?}");
    }

    pub(super) fn hears_nothing(&self) {
        let heard = self.hears(RecvFlags::DONTWAIT);
        assert!(matches!(heard, Err(Errno::WOULDBLOCK)), "{heard:?}");
    }
}

#[test]
fn one_that_joins_again_is_one_worker_and_what_its_first_channel_left_comes_by_the_second() {
    let mut stage = Stage::new();
    let first = stage.join(A);
    let _clients = [stage.connect(), stage.connect(), stage.connect()];
    drop(first.is_handed(3));
    first.takes(1);
    let second = stage.join(A);
    first.hears_the_end();
    let handed = second.is_handed(2);
    let status = stage.status().expect("known");
    let there: Vec<_> = status.workers.iter().map(|w| (w.id, w.handed)).collect();
    assert_eq!(there, [(A, 2)]);
    assert_eq!(status.given_again, 2);
    second.takes(2);
    drop(handed);
    stage.balancer.gone(A);
    second.hears_the_end();
    assert_eq!(stage.status().expect("known").workers, []);
}

#[test]
fn one_whose_second_channel_cannot_be_watched_is_heard_by_its_first() {
    let mut stage = Stage::new();
    let worker = stage.join(A);
    // A file is always readable: it can't be watched.
    let file = std::fs::File::open("/proc/self/exe").expect("a file");
    stage.join_by(A, Channel::made_up(file.into()));
    let _client = stage.connect();
    drop(worker.is_handed(1));
    worker.takes(1);
    let workers = stage.status().expect("known").workers;
    let there: Vec<_> = workers.iter().map(|w| (w.id, w.open)).collect();
    assert_eq!(there, [(A, 1)]);
}

/// Whoever has a listener may set how it waits, for everybody.
#[test]
fn a_listener_that_a_worker_has_made_wait_holds_up_nobody() {
    let mut stage = Stage::new();
    let worker = stage.join(A);
    worker.say(WorkerWord::Take { limit: 1 });
    let first = stage.connect();
    drop(worker.is_handed(1));
    // Nobody has room for this one, and then a worker accepts it for itself.
    let second = stage.connect();
    assert_eq!(stage.status().expect("known").accepted, 1);
    stage.listener.set_nonblocking(false).expect("set");
    drop(stage.listener.accept().expect("accepted"));
    let closed = Account {
        taken: 1,
        closed: 1,
        ..Account::default()
    };
    worker.say(WorkerWord::Account(closed));
    // The first is told before the thread goes on, the second after that.
    for _ in 0..2 {
        let report = stage.balancer.report().expect("the thread runs");
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().build().expect("a runtime");
        let report = runtime.block_on(async { tokio::time::timeout(PATIENCE, report).await });
        assert!(report.is_ok(), "the thread waits in accept()");
    }
    let _third = stage.connect();
    drop(worker.is_handed(1));
    drop((first, second));
}

#[test]
fn one_that_has_given_a_socket_back_is_handed_nothing_more_although_it_does_not_hang_up() {
    let mut stage = Stage::new();
    let left = stage.join(A);
    let _clients = [stage.connect(), stage.connect()];
    drop(left.is_handed(2));
    let stays = stage.join(B);
    stage.balancer.leaves(A, SocketId::made_up(2));
    let there = stage.status().expect("known").workers;
    assert!(there.iter().any(|worker| worker.id == A), "another");
    stage.balancer.leaves(A, SocketId::made_up(1));
    left.hears_the_end();
    assert_eq!(stays.is_handed(2).len(), 2);
}

#[test]
fn one_that_is_let_go_of_takes_what_it_was_handed_although_its_app_is_forgotten() {
    let mut stage = Stage::new();
    let worker = stage.join(A);
    let _clients = [stage.connect(), stage.connect()];
    let handed = worker.is_handed(2);
    stage.balancer.released(A);
    stage.balancer.forget(&Stage::app(), Vec::new());
    let late = stage.connect();
    let there = stage.status().expect("its desk stays").workers;
    assert_eq!(there.iter().map(|w| w.handed).sum::<u32>(), 2);
    worker.hears_nothing();
    worker.takes(2);
    // Without a word that it drains: it accepts for itself.
    worker.hears_the_end();
    assert!(stage.status().is_none(), "forgotten at last");
    drop((handed, late));
}

#[test]
fn what_was_passed_on_stays_with_whose_it_is_when_the_app_goes_that_had_it() {
    let mut stage = Stage::new();
    let worker = stage.join(A);
    let _first = stage.connect();
    drop(worker.is_handed(1));
    let passed_on = Served {
        id: SocketId::made_up(1),
        app: AppName::new("api").expect("a name"),
        name: "front".into(),
    };
    stage.balancer.forget(&Stage::app(), vec![passed_on]);
    let _second = stage.connect();
    drop(worker.is_handed(1));
    assert!(stage.status().is_some());
    // As its own, it goes with that.
    let api = AppName::new("api").expect("a name");
    stage.balancer.forget(&api, Vec::new());
    assert!(stage.status().is_none());
    worker.hears_the_end();
}

#[test]
fn what_one_that_was_let_go_of_does_not_take_others_get() {
    let mut stage = Stage::new();
    let hangs = stage.join(A);
    let _clients = [stage.connect(), stage.connect()];
    drop(hangs.is_handed(2));
    stage.balancer.released(A);
    let other = stage.join(B);
    assert_eq!(other.is_handed(2).len(), 2);
    hangs.hears_the_end();
    let workers = stage.status().expect("known").workers;
    assert_eq!(workers.iter().map(|w| w.id).collect::<Vec<_>>(), [B]);
}

#[test]
fn a_forgotten_socket_waits_no_longer_than_that_for_one_that_hangs() {
    let mut stage = Stage::new();
    let hangs = stage.join(A);
    let client = stage.connect();
    drop(hangs.is_handed(1));
    stage.balancer.released(A);
    stage.balancer.forget(&Stage::app(), Vec::new());
    hangs.hears_the_end();
    assert!(stage.status().is_none());
    drop(client);
}

/// One that is asked at this very socket whether it is ready is ready when it asks for connections, and not when it listens.
#[test]
fn who_listens_is_told_of_from_when_it_is_ready() {
    let now = std::time::Instant::now();
    for (begins, ready) in [
        (Begins::Now, true),
        (Begins::Asked, false),
        (Begins::Later, false),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let socket = Served {
            id: SocketId::made_up(1),
            app: Stage::app(),
            name: "http".into(),
        };
        let mut desk = desk::Desk::new(socket, listener.into());
        let (channel, theirs) = channel_pair().expect("a pair");
        assert!(desk.join(A, begins, channel).is_none());
        let worker = Worker(theirs);
        worker.say(WorkerWord::Take { limit: 0 });
        assert!(desk.hear(A).is_none());
        assert_eq!(desk.serve(now).len(), 0);
        assert_eq!(desk.due(), ready.then_some(now + GRACE), "{begins:?}");
        worker.say(WorkerWord::Take { limit: 1 });
        assert!(desk.hear(A).is_none());
        assert_eq!(desk.serve(now).len(), 0);
        assert_eq!(desk.due(), None);
        desk.has_come();
        assert_eq!(desk.has_more(), begins != Begins::Later);
    }
}
