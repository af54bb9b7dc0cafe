//! Connections that workers pass on, with a message: once, whole, and back if nobody has them.

use ostler_bus::WorkerId;
use ostler_tests::harness::eventually;
use rustix::process::{Pid, kill_process};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader},
    net::{TcpListener, UnixListener},
};

use super::*;

trait Both: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Both for S {}

/// The other end of a connection that a worker has made.
struct Client(BufReader<Box<dyn Both>>);

impl Client {
    async fn line(&mut self) -> String {
        let mut line = String::new();
        let read = self.0.read_line(&mut line);
        deadline("a line", PATIENCE, read).await.expect("read");
        line.trim_end().to_owned()
    }

    async fn says(&mut self, line: &str) {
        let line = format!("{line}\n");
        let written = self.0.get_mut().write_all(line.as_bytes()).await;
        written.expect("an open connection");
    }
}

async fn tcp() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("an address").to_string();
    (listener, address)
}

async fn accepted(listener: &TcpListener) -> Client {
    let stream = deadline("a connection", PATIENCE, listener.accept()).await;
    Client(BufReader::new(Box::new(stream.expect("accepted").0)))
}

async fn id(fleet: &Fleet, slot: u32) -> String {
    fleet
        .worker("web", slot)
        .await
        .id
        .expect("an id")
        .to_string()
}

/// Gives the worker's id.
async fn signal(fleet: &Fleet, slot: u32, signal: rustix::process::Signal) -> Option<WorkerId> {
    let worker = fleet.worker("web", slot).await;
    let pid = Pid::from_raw(worker.pid.expect("a worker").cast_signed()).expect("a pid");
    kill_process(pid, signal).expect("a living worker");
    worker.id
}

#[tokio::test]
async fn a_connection_reaches_its_new_owner_with_its_message_however_it_is_addressed() {
    let fleet = askers(2).await;
    tell(&fleet, 1, "receive").await;
    let (listener, at) = tcp().await;
    let (from, to) = (id(&fleet, 0).await, id(&fleet, 1).await);
    let targets = [
        format!("worker:{to}"),
        "slot:1".into(),
        "app:web".into(),
        "any".into(),
    ];
    for (target, length) in targets.iter().zip(["0", "10", "1000", "1000000"]) {
        assert_eq!(
            tell(&fleet, 0, &format!("pass {at} {target} {length}")).await,
            "sent"
        );
        let mut client = accepted(&listener).await;
        assert_eq!(
            client.line().await,
            format!("{to} from {from}: {length} true")
        );
        client.says("hello").await;
        assert_eq!(client.line().await, format!("{to} heard hello"));
        // The giver has let go of it: when the new owner does, it is closed.
        tell(&fleet, 1, "deaf").await;
        tell(&fleet, 1, "receive").await;
    }
}

/// What Node's primary would do with a connection that a worker sends to it: deal it again.
#[tokio::test]
async fn given_to_an_app_a_connection_goes_to_the_worker_whose_turn_it_is() {
    let fleet = askers(3).await;
    for slot in [1, 2] {
        tell(&fleet, slot, "receive").await;
    }
    let (listener, at) = tcp().await;
    let mut clients = Vec::new();
    let mut pass = async |to: &[String]| {
        let mut turns = Vec::new();
        for _ in 0..6 {
            assert_eq!(
                tell(&fleet, 0, &format!("pass {at} app:web 10")).await,
                "sent"
            );
            let mut client = accepted(&listener).await;
            let hello = client.line().await;
            let its = to
                .iter()
                .position(|id| hello.starts_with(&format!("{id} from ")));
            turns.push(its.unwrap_or_else(|| panic!("{hello:?}: not one of {to:?}")));
            clients.push(client);
        }
        turns
    };
    let both = [id(&fleet, 1).await, id(&fleet, 2).await];
    let turns = pass(&both).await;
    assert!(turns.windows(2).all(|two| two[0] != two[1]), "{turns:?}");
    // One that doesn't receive any more has no turn.
    tell(&fleet, 1, "deaf").await;
    assert_eq!(pass(&both).await, [1; 6]);
}

#[tokio::test]
async fn an_app_of_one_worker_is_where_all_connections_can_meet() {
    let hub = App::new("meet", [env!("CARGO_BIN_EXE_asker"), "receive"]).unwatched();
    let fleet = Fleet::ready(ostler!().apps(&[app(2, &[]), hub]), 3).await;
    let meet = fleet.worker("meet", 0).await.id.expect("an id");
    let (listener, at) = tcp().await;
    for slot in [0, 1] {
        let order = format!("pass {at} app:meet 10");
        assert_eq!(tell(&fleet, slot, &order).await, "sent");
        let from = id(&fleet, slot).await;
        let hello = accepted(&listener).await.line().await;
        assert_eq!(hello, format!("{meet} from {from}: 10 true"));
    }
}

#[tokio::test]
async fn a_unix_stream_is_passed_with_a_megabyte() {
    let fleet = askers(2).await;
    tell(&fleet, 1, "receive").await;
    let path = fleet.dir().at("c.sock");
    let listener = UnixListener::bind(&path).expect("bound");
    let order = format!("pass unix:{} slot:1 1000000", path.display());
    assert_eq!(tell(&fleet, 0, &order).await, "sent");
    let (stream, _) = listener.accept().await.expect("accepted");
    let mut client = Client(BufReader::new(Box::new(stream)));
    let (from, to) = (id(&fleet, 0).await, id(&fleet, 1).await);
    assert_eq!(
        client.line().await,
        format!("{to} from {from}: 1000000 true")
    );
    client.says("hello").await;
    assert_eq!(client.line().await, format!("{to} heard hello"));
}

#[tokio::test]
async fn what_nobody_takes_is_its_sender_s_again() {
    let fleet = askers(2).await;
    let (listener, at) = tcp().await;
    let to = id(&fleet, 1).await;
    let pass = format!("pass {at} worker:{to} 10");
    let kept = async |why: &str| {
        let error = tell(&fleet, 0, &pass).await;
        assert!(error.starts_with("error") && error.contains(why), "{error}");
        assert_eq!(accepted(&listener).await.line().await, "kept");
    };
    kept("nobody answers").await;
    tell(&fleet, 1, "receive").await;
    tell(&fleet, 1, "deaf").await;
    kept("nobody answers").await;
    tell(&fleet, 1, "plain").await;
    kept("doesn't take connections").await;
    signal(&fleet, 1, rustix::process::Signal::KILL).await;
    let gone = move |status: &StatusReport| {
        let mut ids = status.workers.iter().filter_map(|worker| worker.id);
        ids.all(|id| id.to_string() != to)
    };
    fleet.until("the worker to be gone", gone).await;
    kept("nobody answers").await;
}

#[tokio::test]
async fn a_message_without_a_connection_is_declined() {
    let fleet = askers(1).await;
    tell(&fleet, 0, "receive").await;
    let pass = ostler_tests::words::Pass { text: "x".into() };
    let asked = fleet
        .bus
        .question(&pass)
        .to_slot("web", Slot(0))
        .ask()
        .await;
    let error = asked.expect_err("nothing to take").to_string();
    assert!(error.contains("the message came without one"), "{error}");
}

/// It hears of the message when it is too late to take the connection.
#[tokio::test]
async fn one_that_stands_still_takes_nothing_later_that_is_its_sender_s_again() {
    let fleet = askers(2).await;
    tell(&fleet, 1, "receive").await;
    let (listener, at) = tcp().await;
    signal(&fleet, 1, rustix::process::Signal::STOP).await;
    let error = tell(&fleet, 0, &format!("pass {at} slot:1 10")).await;
    assert!(error.starts_with("error"), "{error}");
    let mut client = accepted(&listener).await;
    assert_eq!(client.line().await, "kept");
    signal(&fleet, 1, rustix::process::Signal::CONT).await;
    // What it does next comes after what it had to hear.
    assert_eq!(tell(&fleet, 1, "deaf").await, "deaf");
    assert_eq!(
        client.line().await,
        "",
        "closed by its sender, and nobody else said a word"
    );
}

#[tokio::test]
async fn connections_go_back_and_forth_at_once_and_none_is_doubled_lost_or_leaked() {
    let fleet = askers(2).await;
    let (listener, at) = tcp().await;
    for slot in [0, 1] {
        tell(&fleet, slot, "receive").await;
        tell(&fleet, slot, &format!("pass {at} slot:{} 1", 1 - slot)).await;
        accepted(&listener).await.line().await;
    }
    let mut pids = vec![fleet.process.id()];
    for slot in [0, 1] {
        pids.push(fleet.worker("web", slot).await.pid.expect("a worker"));
    }
    let count = || -> Vec<usize> { pids.iter().map(|pid| descriptors(*pid)).collect() };
    let ids = [id(&fleet, 0).await, id(&fleet, 1).await];
    let quiet = settled(&count).await;
    let passes = (0..40_usize).map(|n| {
        let (slot, other) = (n % 2, 1 - n % 2);
        let (fleet, at) = (&fleet, &at);
        async move {
            let order = format!("pass {at} slot:{other} 100000");
            assert_eq!(tell(fleet, slot as u32, &order).await, "sent");
        }
    });
    let receives = async {
        let mut clients = Vec::new();
        for _ in 0..40 {
            clients.push(accepted(&listener).await);
        }
        let mut owners = [0, 0];
        for client in &mut clients {
            let hello = client.line().await;
            let owner = ids
                .iter()
                .position(|id| hello.starts_with(&format!("{id} from")));
            owners[owner.unwrap_or_else(|| panic!("{hello:?}"))] += 1;
            client.says("you").await;
            assert!(client.line().await.ends_with("heard you"));
        }
        owners
    };
    let (_, owners) = tokio::join!(futures::future::join_all(passes), receives);
    assert_eq!(owners, [20, 20]);
    let same = || {
        let now = count();
        now.iter()
            .zip(&quiet)
            .all(|(now, then)| now <= then)
            .then_some(())
    };
    eventually("all descriptors to be closed", PATIENCE, same).await;
}

/// Givers and takers are killed while connections are on their way.
#[tokio::test]
async fn whoever_dies_meanwhile_no_connection_is_at_two_places_and_the_master_keeps_none() {
    let app = app(3, &["receive"])
        .set(
            "backoff",
            serde_json::json!({"first": "10ms", "max": "10ms"}),
        )
        .set("max_restarts", 1000);
    let fleet = Fleet::ready(ostler!().apps(&[app]), 3).await;
    let (listener, at) = tcp().await;
    let master = fleet.process.id();
    let quiet = settled(&|| vec![descriptors(master)]).await;
    let clients = tokio::spawn(async move {
        let mut clients = Vec::new();
        // Until there are no more: the test ends it.
        while let Ok((stream, _)) = listener.accept().await {
            clients.push(tokio::spawn(whole(stream)));
            if clients.len() == 60 {
                break;
            }
        }
        clients
    });
    for round in 0..12_u32 {
        let (giver, taker) = (round % 3, (round + 1) % 3);
        fleet.until_ready(3).await;
        let passes = (0..5).map(|_| {
            let what = format!("pass {at} slot:{taker} 20000");
            let order = Do { what };
            let question = fleet.bus.question(&order).to_slot("web", Slot(giver));
            // The giver may be dead.
            async move { question.timeout(PATIENCE).ask().await.is_ok() }
        });
        let passes = futures::future::join_all(passes);
        let victim = if round % 2 == 0 { giver } else { taker };
        let kill = async {
            // At different moments.
            for _ in 0..round {
                fleet.status().await;
            }
            signal(&fleet, victim, rustix::process::Signal::KILL).await
        };
        let (_, dead) = tokio::join!(passes, kill);
        // Until it is noticed, the dead one is shown as ready.
        let gone = move |status: &StatusReport| status.workers.iter().all(|it| it.id != dead);
        fleet.until("the dead one to be gone", gone).await;
    }
    fleet.until_ready(3).await;
    let same = || (descriptors(master) <= quiet[0]).then_some(());
    eventually("the master to keep no connection", PATIENCE, same).await;
    fleet.ostler(["stop"]).success().await;
    // Those that were never made are made up for.
    while !clients.is_finished() {
        drop(tokio::net::TcpStream::connect(&at).await);
    }
    for client in clients.await.expect("clients") {
        let text = deadline("the end", PATIENCE, client).await.expect("read");
        let owners = text.matches(" from ").count() + text.matches("kept").count();
        assert!(owners <= 1, "{text:?}");
    }
}

/// All that comes until the end.
async fn whole(mut stream: tokio::net::TcpStream) -> String {
    let mut text = String::new();
    // Whoever had it was killed, perhaps.
    let _reset = stream.read_to_string(&mut text).await;
    text
}

/// The counts, once they are the same twice.
async fn settled(count: &impl Fn() -> Vec<usize>) -> Vec<usize> {
    let mut last = Vec::new();
    let same = || {
        let now = count();
        let before = std::mem::replace(&mut last, now.clone());
        (now == before).then_some(now)
    };
    eventually("descriptors to stay as they are", PATIENCE, same).await
}
