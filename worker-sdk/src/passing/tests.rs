//! The worker's end, against a master that is this test.

use std::{
    io::{self, Read},
    os::{fd::OwnedFd, unix::net::UnixStream},
    time::Duration,
};

use tokio::time::timeout;

use super::{
    at::Way,
    channel::{Channel, Packet, pair},
    client::Passing,
    *,
};
use crate::{Connection, Listener, drain};

const PATIENCE: Duration = Duration::from_secs(20);

struct Master(Channel);

impl Master {
    async fn heard(&self) -> (WorkerWord, Vec<OwnedFd>) {
        let packet = timeout(PATIENCE, self.0.receive()).await;
        let packet: Packet<WorkerWord> = packet.expect("in time").unwrap().expect("a word");
        (packet.word.expect("a word"), packet.fds)
    }

    async fn says(&self, word: MasterWord, with: Option<&OwnedFd>) {
        let with: Vec<_> = with.into_iter().map(std::os::fd::AsFd::as_fd).collect();
        self.0.say(&word, &with).await.unwrap();
    }
}

fn both() -> (Master, Passing, drain::DrainTrigger) {
    let (ours, theirs) = pair().unwrap();
    let (trigger, draining) = drain::signal();
    let passing = Passing::begin(theirs, draining).unwrap();
    (Master(Channel::new(ours).unwrap()), passing, trigger)
}

fn socket() -> OwnedFd {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().into()
}

fn ask(passing: &Passing) -> AskFor<'_, Listener> {
    AskFor::new(Way::Master(passing), "127.0.0.1:0".into())
}

fn listening(id: u64) -> MasterWord {
    let address = "127.0.0.1:1".into();
    MasterWord::Listening { id, address }
}

#[tokio::test]
async fn a_listener_that_is_dropped_is_given_back_but_not_by_one_that_drains() {
    let (master, passing, trigger) = both();
    let got = async |id| {
        let answers = async {
            let (word, _) = master.heard().await;
            assert!(matches!(word, WorkerWord::Listen(listen) if listen.id == id));
            master.says(listening(id), Some(&socket())).await;
        };
        tokio::join!(ask(&passing), answers).0.unwrap()
    };
    drop(got(1).await);
    assert_eq!(master.heard().await.0, WorkerWord::Close { id: 1 });
    let kept = got(2).await;
    trigger.begin(crate::Draining::within("update", PATIENCE));
    drop(kept);
    // The next word is another.
    passing.tell(WorkerWord::TakeBack { id: 9 });
    assert_eq!(master.heard().await.0, WorkerWord::TakeBack { id: 9 });
}

#[tokio::test]
async fn a_future_that_is_dropped_takes_its_question_back_and_what_comes_is_closed() {
    let (master, passing, _trigger) = both();
    {
        let mut asked = std::pin::pin!(ask(&passing).into_future());
        assert!(futures::poll!(asked.as_mut()).is_pending());
    }
    assert!(matches!(master.heard().await.0, WorkerWord::Listen(_)));
    assert_eq!(master.heard().await.0, WorkerWord::Close { id: 1 });
    let (ours, theirs) = UnixStream::pair().unwrap();
    master.says(listening(1), Some(&theirs.into())).await;
    // Its other end is closed: nobody has it.
    let read = tokio::task::spawn_blocking(move || (&ours).read(&mut [0]));
    assert_eq!(timeout(PATIENCE, read).await.unwrap().unwrap().unwrap(), 0);
}

#[tokio::test]
async fn an_error_keeps_its_kind_and_the_end_of_the_master_is_one() {
    let (master, passing, _trigger) = both();
    let answers = async {
        master.heard().await;
        let reason = "in use by another".into();
        let failed = MasterWord::Failed {
            id: 1,
            errno: 98,
            reason,
        };
        master.says(failed, None).await;
    };
    let (asked, ()) = tokio::join!(ask(&passing), answers);
    let error = asked.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    assert_eq!(error.to_string(), "in use by another");
    let goes = async {
        master.heard().await;
        // What it gave back for the refused question.
        master.heard().await;
        drop(master);
    };
    let (asked, ()) = tokio::join!(ask(&passing), goes);
    assert_eq!(asked.unwrap_err().kind(), io::ErrorKind::NotConnected);
    let late = ask(&passing).await;
    assert_eq!(late.unwrap_err().kind(), io::ErrorKind::NotConnected);
}

#[tokio::test]
async fn a_connection_that_nobody_waits_for_any_more_is_refused_and_one_that_is_taken_is_said_so_first()
 {
    let (master, passing, _trigger) = both();
    let (_ours, theirs) = UnixStream::pair().unwrap();
    let theirs = OwnedFd::from(theirs);
    master
        .says(MasterWord::Connection { id: 7 }, Some(&theirs))
        .await;
    assert_eq!(master.heard().await.0, WorkerWord::Refuse { id: 7 });
    let id = passing.number();
    let token = "t".to_owned();
    let take = WorkerWord::Take { id, token };
    let answers = async {
        assert!(matches!(master.heard().await.0, WorkerWord::Take { .. }));
        master
            .says(MasterWord::Connection { id }, Some(&theirs))
            .await;
    };
    let (answer, ()) = tokio::join!(passing.ask(id, &take, &[]), answers);
    assert_eq!(master.heard().await.0, WorkerWord::Took { id });
    let fd = answer.unwrap().fds.pop().unwrap();
    assert!(Connection::received(fd).unwrap().unix().is_some());
    // What listens, or is no socket, is no connection.
    assert!(Connection::received(socket()).is_err());
    let null = std::fs::File::open("/dev/null").unwrap();
    assert!(Connection::received(null.into()).is_err());
}

#[tokio::test]
async fn while_there_is_no_room_to_say_that_a_connection_was_taken_others_are_answered() {
    let (master, passing, _trigger) = both();
    let (first, second) = (passing.number(), passing.number());
    let take = |id| WorkerWord::Take {
        id,
        token: "t".into(),
    };
    let (words, nothing) = ([take(first), take(second)], &[][..]);
    let mut one = std::pin::pin!(passing.ask(first, &words[0], nothing));
    let mut other = std::pin::pin!(passing.ask(second, &words[1], nothing));
    assert!(futures::poll!(one.as_mut()).is_pending());
    assert!(futures::poll!(other.as_mut()).is_pending());
    // More than there is room for.
    const WORDS: u64 = 4_000;
    for id in 0..WORDS {
        passing.tell(WorkerWord::TakeBack { id });
    }
    let (_ours, theirs) = UnixStream::pair().unwrap();
    let connection = MasterWord::Connection { id: first };
    master.says(connection, Some(&theirs.into())).await;
    master.says(listening(second), Some(&socket())).await;
    let answer = timeout(PATIENCE, other).await.expect("answered").unwrap();
    assert_eq!(answer.word, listening(second));
    assert!(futures::poll!(one.as_mut()).is_pending(), "not said yet");
    let mut heard = 0;
    while master.heard().await.0 != (WorkerWord::Took { id: first }) {
        heard += 1;
    }
    assert!(heard <= WORDS + 2, "{heard}");
    let answer = timeout(PATIENCE, one).await.expect("taken").unwrap();
    assert_eq!(answer.fds.len(), 1);
}

#[tokio::test]
async fn outside_ostler_a_worker_binds_by_itself() {
    let alone = |address: &str| AskFor::<Listener>::new(Way::Alone, address.into());
    let first = alone("127.0.0.1:0").await.unwrap();
    let again = alone(&first.address()).await;
    assert_eq!(again.unwrap_err().kind(), io::ErrorKind::AddrInUse);
    let dir = tempfile::tempdir().unwrap();
    let path = format!("unix:{}/s", dir.path().display());
    drop(alone(&path).await.unwrap());
    // The file of the last one is in nobody's way.
    let second = alone(&path).permissions(0o600).await.unwrap();
    let again = alone(&path).await;
    assert_eq!(again.unwrap_err().kind(), io::ErrorKind::AddrInUse);
    drop(second);
    let nobody = AskFor::<Listener>::new(Way::None, "127.0.0.1:0".into()).await;
    assert_eq!(nobody.unwrap_err().kind(), io::ErrorKind::Unsupported);
}

#[tokio::test]
async fn secrets_that_the_master_told_are_kept_when_it_has_gone() {
    let (master, passing, _trigger) = both();
    let secrets = crate::tickets::SecretSet::random(PATIENCE).unwrap();
    let told = secrets.clone();
    let answers = async move {
        let (word, _) = master.heard().await;
        let WorkerWord::TicketSecrets { id, socket } = word else {
            panic!("{word:?}");
        };
        let word = MasterWord::TicketSecrets {
            id,
            socket,
            secrets: told,
        };
        master.says(word, None).await;
        drop(master);
    };
    let (first, ()) = tokio::join!(passing.ticket_secrets("https"), answers);
    assert_eq!(*first.unwrap().borrow(), secrets);
    // Once this is known, all is over.
    let other = passing.ticket_secrets("admin").await;
    assert_eq!(other.unwrap_err().kind(), io::ErrorKind::NotConnected);
    let again = passing.ticket_secrets("https").await.unwrap();
    assert_eq!(*again.borrow(), secrets);
}
