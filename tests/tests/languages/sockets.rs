//! Sockets of workers in Python: connections that the master hands over, sockets asked for at run time, and connections
//! passed to other workers, also to such of the Rust SDK.

use std::collections::BTreeSet;

use ostler_bus::{
    Slot,
    vocab::status::{BalanceStatus, SocketStatus, StatusReport},
};
use ostler_tests::{
    harness::{App, Fleet, Language, PATIENCE, deadline, eventually},
    load::{Load, Plan},
    ostler,
    words::{Do, Pass},
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream, UdpSocket},
};

/// An app of such workers, as `tests/interop/asker.py` describes them.
pub(super) fn askers(name: &str, instances: u32, first: &[&str]) -> App {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/interop/asker.py");
    let client = Language::Python.client().display().to_string();
    let command = [&[Language::Python.interpreter(), script, &client], first].concat();
    App::new(name, command)
        .instances(instances)
        .set("ready", "sdk")
        .unwatched()
}

async fn two() -> Fleet {
    Fleet::ready(ostler!().apps(&[askers("web", 2, &[])]), 2).await
}

async fn tell(fleet: &Fleet, app: &str, slot: u32, what: &str) -> String {
    let what = what.to_owned();
    let order = Do { what };
    let question = fleet.bus.question(&order).to_slot(app, Slot(slot));
    let done = question.timeout(PATIENCE).ask().await;
    done.expect("a worker that does as it is told").reply
}

/// Has the worker of a slot open something: its number, and where.
async fn opens(fleet: &Fleet, slot: u32, what: &str) -> (String, String) {
    let done = tell(fleet, "web", slot, what).await;
    let opened = done.split_once(' ').filter(|_| !done.starts_with("error"));
    let (number, address) = opened.unwrap_or_else(|| panic!("{what}: {done}"));
    (number.to_owned(), address.to_owned())
}

async fn id(fleet: &Fleet, app: &str) -> String {
    let worker = fleet.worker(app, 0).await;
    worker.id.expect("an id").to_string()
}

fn asked(status: &StatusReport) -> Vec<&SocketStatus> {
    let sockets = status.apps.iter().flat_map(|app| &app.sockets);
    sockets.filter(|socket| socket.asked_by.is_some()).collect()
}

fn balance(status: &StatusReport) -> Option<&BalanceStatus> {
    status.apps[0].sockets[0].balance.as_ref()
}

/// The other end of a connection.
struct Client(BufReader<TcpStream>);

impl Client {
    async fn to(address: &str) -> Self {
        let stream = deadline("a connection", PATIENCE, TcpStream::connect(address)).await;
        Self(BufReader::new(stream.expect("it listens")))
    }

    async fn of(listener: &TcpListener) -> Self {
        let stream = deadline("a connection", PATIENCE, listener.accept()).await;
        Self(BufReader::new(stream.expect("accepted").0))
    }

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

    async fn ends(mut self) {
        let mut rest = Vec::new();
        let end = deadline("the end", PATIENCE, self.0.read_to_end(&mut rest)).await;
        assert_eq!((end.expect("no reset"), rest), (0, Vec::new()));
    }
}

/// The asyncio example, four workers, in this mode.
async fn served(mode: &str) -> Fleet {
    let script = Language::Python.client().join("example_asyncio_worker.py");
    let script = script.display().to_string();
    let app = App::new("web", [Language::Python.interpreter(), &script])
        .instances(4)
        .set("ready", "sdk")
        .set("env", json!({"PYTHONDONTWRITEBYTECODE": "1"}))
        .set(
            "listen",
            json!({"http": {"address": "127.0.0.1:0", "mode": mode}}),
        )
        .unwatched();
    Fleet::ready(ostler!().apps(&[app]), 4).await
}

#[tokio::test]
async fn connections_that_the_master_hands_over_are_spread_evenly_and_none_is_lost() {
    let mut fleet = served("auto").await;
    let plan = Plan::to(fleet.address().await)
        .by_field("worker")
        .timeout(PATIENCE);
    let one = |requests| plan.clone().connections(1).requests(requests);
    fleet.load_with(one(100)).await.finish().await;
    let all = |status: &StatusReport| balance(status).is_some_and(|it| it.workers.len() == 4);
    fleet.until("all to take connections", all).await;
    let asked = 100 + one(800).spread_evenly(4, 1.05).await;
    // All have closed, and the master has been told.
    let told = |status: &StatusReport| {
        let balance = balance(status).expect("it accepts");
        let taken: u64 = balance.workers.iter().map(|worker| worker.taken).sum();
        let open = balance.workers.iter().any(|worker| worker.open > 0);
        !open && (taken, balance.accepted) == (asked, asked)
    };
    fleet.until("the accounts to be whole", told).await;
    updates_lose_nothing(&fleet, &plan, 2).await;
    assert_eq!(fleet.status().await.apps[0].sockets[0].mode, "balanced");
    // Without the master they accept for themselves.
    let workers = fleet.until_ready(4).await;
    fleet.end(Signal::KILL).await;
    let load = Load::start(plan.requests(200)).expect("a plan that can be run");
    let tally = load.finish().await;
    for worker in &workers {
        let pid = Pid::from_raw(worker.pid.expect("a worker").cast_signed()).expect("a pid");
        kill_process(pid, Signal::KILL).expect("it has outlived its master");
    }
    assert_eq!((tally.answered, tally.lost()), (200, 0), "{tally}");
}

#[tokio::test]
async fn the_same_program_accepts_for_itself_where_the_socket_is_shared() {
    let fleet = served("shared").await;
    let plan = Plan::to(fleet.address().await).timeout(PATIENCE);
    updates_lose_nothing(&fleet, &plan, 1).await;
}

async fn updates_lose_nothing(fleet: &Fleet, plan: &Plan, updates: u32) {
    let loads = [plan.clone(), plan.clone().keep_alive()].map(|plan| Load::start(plan).unwrap());
    for _ in 0..updates {
        for load in &loads {
            load.answers(50, PATIENCE).await.expect("answers");
        }
        let reload = fleet.ostler(["reload"]).within(3 * PATIENCE);
        reload.success().await;
    }
    for load in loads {
        load.answers(50, PATIENCE).await.expect("answers");
        let tally = load.stop().await;
        assert_eq!((tally.lost(), &tally.fault), (0, &None), "{tally}");
    }
    let status = fleet.status().await;
    let restarts: u64 = status.workers.iter().map(|it| u64::from(it.restarts)).sum();
    assert_eq!(restarts, 0, "each ended well: {status:#?}");
}

#[tokio::test]
async fn workers_that_ask_for_the_same_address_share_a_socket_until_the_last_has_closed_it() {
    let fleet = two().await;
    let (first, address) = opens(&fleet, 0, "listen 127.0.0.1:0").await;
    let refused = tell(&fleet, "web", 0, &format!("listen {address}")).await;
    assert!(refused.starts_with("error OSError"), "{refused}");
    assert!(refused.contains("in use"), "{refused}");
    let (second, same) = opens(&fleet, 1, "listen 127.0.0.1:0").await;
    assert_eq!(address, same);
    let mut who = BTreeSet::new();
    let all = async {
        while who.len() < 2 {
            who.insert(Client::to(&address).await.line().await);
        }
    };
    deadline("both to serve", PATIENCE, all).await;
    tell(&fleet, "web", 0, &format!("close {first}")).await;
    let id = fleet.worker("web", 1).await.id.expect("an id").to_string();
    for _ in 0..8 {
        assert_eq!(Client::to(&address).await.line().await, id);
    }
    tell(&fleet, "web", 1, &format!("close {second}")).await;
    let none = |status: &StatusReport| asked(status).is_empty();
    fleet.until("the socket to be closed", none).await;
    assert!(TcpStream::connect(&address).await.is_err(), "it is closed");
}

#[tokio::test]
async fn what_was_asked_for_before_ready_stays_over_an_update() {
    let app = askers("web", 2, &["listen 127.0.0.1:0"]);
    let fleet = Fleet::ready(ostler!().apps(&[app]), 2).await;
    let address = asked(&fleet.status().await)[0].address.clone();
    let reload = fleet.ostler(["reload"]).within(3 * PATIENCE);
    reload.success().await;
    let status = fleet.status().await;
    let [socket] = asked(&status)[..] else {
        panic!("{status:#?}")
    };
    assert_eq!(socket.address, address);
    Client::to(&address).await.line().await;
}

#[tokio::test]
async fn a_listener_with_a_limit_has_others_wait_until_one_is_closed() {
    let fleet = two().await;
    let (_, address) = opens(&fleet, 0, "listen 127.0.0.1:0 1").await;
    opens(&fleet, 1, "listen 127.0.0.1:0 1").await;
    let mut first = Client::to(&address).await;
    let mut second = Client::to(&address).await;
    let who = BTreeSet::from([first.line().await, second.line().await]);
    assert_eq!(who.len(), 2, "one each");
    let mut third = Client::to(&address).await;
    let moment = std::time::Duration::from_millis(200);
    let early = tokio::time::timeout(moment, third.0.read_u8()).await;
    assert!(early.is_err(), "both have as many as they may");
    drop(first);
    assert!(who.contains(&third.line().await));
}

/// Two connections end before either is counted, as when two threads close one each: what each tells the waiting thread.
const BELL: &str = r#"
import socket
import sys
sys.dont_write_bytecode = True
sys.path.insert(0, sys.argv[1])
from ostler_sockets import Listener
class Worker:
    def _when_draining(self, tell):
        pass
listener = Listener(Worker(), socket.create_server(("127.0.0.1", 0)))
for _ in range(2):
    listener._one_ended()
    print(listener._bell.recv(10))
"#;

#[tokio::test]
async fn each_connection_that_ends_wakes_whoever_waits() {
    let mut python = tokio::process::Command::new(Language::Python.interpreter());
    python.args(["-c", BELL]).arg(Language::Python.client());
    let told = python.kill_on_drop(true).output();
    let told = deadline("its end", PATIENCE, told).await.expect("Python");
    assert_eq!(
        String::from_utf8_lossy(&told.stdout),
        "b'!'\nb'!'\n",
        "{told:?}"
    );
}

#[tokio::test]
async fn datagrams_go_to_whoever_has_asked_for_them() {
    let fleet = two().await;
    let (_, address) = opens(&fleet, 0, "udp 127.0.0.1:0").await;
    assert_eq!(opens(&fleet, 1, "udp udp:127.0.0.1:0").await.1, address);
    let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut answer = [0; 20];
    for _ in 0..10 {
        client.send_to(b"who", &address).await.unwrap();
        let came = deadline("an answer", PATIENCE, client.recv(&mut answer)).await;
        let id: u64 = std::str::from_utf8(&answer[..came.unwrap()])
            .unwrap()
            .parse()
            .unwrap();
        assert!(id > 0);
    }
    let status = fleet.status().await;
    assert_eq!(asked(&status)[0].address, format!("udp:{address}"));
}

/// An app in Python and one in Rust, one worker each, that receive connections; and where they come from.
async fn both() -> (Fleet, TcpListener, String) {
    let rust = App::new("rust", [env!("CARGO_BIN_EXE_asker"), "receive"]).unwatched();
    let apps = [askers("web", 1, &["receive"]), rust];
    let fleet = Fleet::ready(ostler!().apps(&apps), 2).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let at = listener.local_addr().expect("an address").to_string();
    (fleet, listener, at)
}

/// What a Python worker is told to pass a connection to any of an app's, with so long a text.
fn pass(at: &str, app: &str, length: usize) -> String {
    format!("pass {at} to.app.{app}.tests.pass {length}")
}

#[tokio::test]
async fn connections_are_passed_between_python_and_rust_with_their_messages() {
    let (fleet, listener, at) = both().await;
    let (python, rust) = (id(&fleet, "web").await, id(&fleet, "rust").await);
    let cases = [
        ("web", pass(&at, "rust", 100_000), 100_000, &python, &rust),
        ("rust", format!("pass {at} app:web 10"), 10, &rust, &python),
        ("web", pass(&at, "web", 1), 1, &python, &python),
    ];
    for (app, what, length, from, to) in cases {
        assert_eq!(tell(&fleet, app, 0, &what).await, "sent", "{what}");
        let mut client = Client::of(&listener).await;
        let told = client.line().await.to_lowercase();
        assert_eq!(told, format!("{to} from {from}: {length} true"));
        client.says("hello").await;
        assert_eq!(client.line().await, format!("{to} heard hello"));
    }
}

#[tokio::test]
async fn what_nobody_takes_is_its_sender_s_again() {
    let (fleet, listener, at) = both().await;
    let order = format!("pass {at} nobody.home 5");
    let told = tell(&fleet, "web", 0, &order).await;
    assert!(told.starts_with("error NotSent"), "{told}");
    assert!(told.contains("NoResponders"), "{told}");
    let mut client = Client::of(&listener).await;
    assert_eq!(client.line().await, "kept");
    client.ends().await;
    // Answered by somebody who takes no connections.
    for how in ["deaf", "plain"] {
        tell(&fleet, "rust", 0, how).await;
    }
    let told = tell(&fleet, "web", 0, &pass(&at, "rust", 5)).await;
    assert!(told.contains("doesn't take connections"), "{told}");
    assert_eq!(Client::of(&listener).await.line().await, "kept");
    let message = Pass { text: "x".into() };
    let asked = fleet.bus.question(&message).to_app("web").ask().await;
    let error = asked.expect_err("nothing to take").to_string();
    assert!(error.contains("no connection came with it"), "{error}");
}

#[tokio::test]
async fn many_are_passed_at_once_and_no_descriptor_is_left_behind() {
    let (fleet, listener, at) = both().await;
    let mut pids = vec![fleet.process.id()];
    pids.extend([fleet.worker("web", 0).await.pid.expect("a worker")]);
    let count = || -> Vec<usize> {
        let open = |pid| std::fs::read_dir(format!("/proc/{pid}/fd")).expect("a living process");
        pids.iter().map(|pid| open(*pid).count()).collect()
    };
    let quiet = count();
    let python_to_rust = pass(&at, "rust", 20_000);
    let rust_to_python = format!("pass {at} app:web 20000");
    let passes = (0..40).map(|number| {
        let (app, order) = match number % 2 {
            0 => ("web", &python_to_rust),
            _ => ("rust", &rust_to_python),
        };
        let fleet = &fleet;
        async move { assert_eq!(tell(fleet, app, 0, order).await, "sent") }
    });
    let receives = async {
        for _ in 0..40 {
            let mut client = Client::of(&listener).await;
            client.line().await;
            client.says("you").await;
            assert!(client.line().await.ends_with("heard you"));
        }
    };
    tokio::join!(futures::future::join_all(passes), receives);
    let same = || {
        let now = count();
        let all = now.iter().zip(&quiet).all(|(now, then)| now <= then);
        all.then_some(())
    };
    eventually("all descriptors to be closed", PATIENCE, same).await;
}
