//! The hub's Unix doors: workers that come back, and how many may come how fast.

use std::{
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    time::{Duration, Instant},
};

use serde_json::json;

use super::{
    process::{self, Other},
    *,
};
use crate::{Generation, Origin, Slot, WorkerId, hub::passes::own_group};

fn worker(id: u64, pid: u32) -> Principal {
    Principal::Worker {
        app: "web".into(),
        id: WorkerId(id),
        slot: Slot(0),
        generation: Generation(1),
        pid,
    }
}

fn listening(hub: &Hub, dir: &tempfile::TempDir) -> std::path::PathBuf {
    let path = dir.path().join("bus");
    hub.listen(UnixListener::bind(&path).unwrap(), Admission::default())
        .unwrap();
    path
}

/// Says HELLO, as a worker with this token; what the hub says to it.
fn come_back(path: &Path, token: &str) -> (Peer, Got) {
    let mut peer = Peer::new(UnixStream::connect(path).unwrap());
    peer.send(&hello_with(&json!({
        "magic": "ostler", "proto": [1, 1], "codecs": ["postcard"], "kind": "worker", "token": token
    })));
    let got = peer.next().expect("an answer");
    (peer, got)
}

fn token_in(got: &Got) -> Option<String> {
    match got {
        Got::Welcome(welcome) => welcome.token.clone(),
        _ => None,
    }
}

fn closing(got: &Got) -> (CloseKind, &str) {
    match got {
        Got::Control(0, HubOp::Closing { kind, reason }) => (*kind, reason),
        got => panic!("{got:?}"),
    }
}

/// A worker on the socket it inherited, and its token.
fn inherited(hub: &Hub, who: Principal) -> (Peer, String) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    hub.attach(theirs, who).unwrap();
    let mut peer = Peer::new(ours);
    peer.send(&hello(Codec::Postcard));
    let welcome = peer.next().expect("a welcome");
    let token = token_in(&welcome).expect("a token");
    (peer, token)
}

#[test]
#[ignore = "run as a process of its own by the test below"]
fn a_worker_process() {
    let mut held = None;
    process::answer(|line| {
        let (path, token) = line.split_once(' ').unwrap();
        let (peer, got) = come_back(Path::new(path), token);
        held = Some(peer);
        match &got {
            Got::Welcome(welcome) => format!("welcome {:?}", welcome.token.as_deref()),
            other => format!("{other:?}"),
        }
    });
    drop(held);
}

#[test]
fn a_worker_comes_back_by_its_token_also_after_a_panic() {
    let (hub, mut notices) = start();
    let dir = tempfile::tempdir().unwrap();
    let path = listening(&hub, &dir);
    let mut process = Other::run("hub::tests::doors::a_worker_process");
    let who = worker(7, process.pid());
    let (mut old, token) = inherited(&hub, who.clone());
    let question = format!("{} {token}", path.display());
    let welcome = format!("welcome {:?}", Some(&token));
    // Its own process may; whoever else has read the token may not, and changes nothing.
    let (_, got) = come_back(&path, &token);
    let (kind, reason) = closing(&got);
    assert_eq!(kind, CloseKind::Denied);
    assert!(
        reason.contains("worker 7") && reason.contains("process group"),
        "{reason}"
    );
    assert_eq!(process.ask(&question), welcome);
    let (kind, reason) = old.closing();
    assert_eq!(kind, CloseKind::Replaced);
    assert!(reason.contains("worker 7 has connected again"), "{reason}");
    // The fleet hears of the end before it hears of the beginning.
    let gone = notice(&mut notices, |n| {
        matches!(n, HubNotice::Disconnected { .. })
    });
    assert!(matches!(gone, HubNotice::Disconnected { principal, .. } if principal == who));
    let back = notice(&mut notices, |n| matches!(n, HubNotice::Connected { .. }));
    assert!(matches!(back, HubNotice::Connected { principal, .. } if principal == who));
    // The connection is cut: the next one takes its place.
    assert_eq!(process.ask(&question), welcome);
    hub.panic();
    notice(&mut notices, |n| matches!(n, HubNotice::Restarted { .. }));
    assert_eq!(process.ask(&question), welcome);
    hub.revoke(WorkerId(7)).unwrap();
    assert!(
        process
            .ask(&question)
            .contains("no worker that lives has this token")
    );
}

#[test]
fn a_worker_that_has_come_back_is_stamped_as_itself() {
    let (hub, _notices) = start();
    let dir = tempfile::tempdir().unwrap();
    let path = listening(&hub, &dir);
    let (_old, token) = inherited(&hub, worker(3, own_group()));
    let mut reader = Peer::join(&hub, client("reader"));
    reader.ask(subscribe(1, "x"));
    let (mut back, got) = come_back(&path, &token);
    assert_eq!(
        token_in(&got).as_ref(),
        Some(&token),
        "it may come back again"
    );
    back.send(&emit("x", b"1"));
    let origin = reader.until(|g| match g {
        Got::Control(_, HubOp::OriginIs { origin, .. }) => Some(origin),
        _ => None,
    });
    assert!(
        matches!(
            origin,
            Origin::Worker {
                id: WorkerId(3),
                ..
            }
        ),
        "{origin:?}"
    );
    let (_, got) = come_back(&path, "00000000000000000000000000000000");
    assert_eq!(closing(&got).0, CloseKind::Denied);
}

#[test]
fn nobody_is_a_worker_by_path_without_a_token() {
    let (hub, _notices) = start();
    let dir = tempfile::tempdir().unwrap();
    let path = listening(&hub, &dir);
    let mut peer = Peer::new(UnixStream::connect(path).unwrap());
    peer.send(&hello_with(&json!({
        "magic": "ostler", "proto": [1, 1], "codecs": ["postcard"], "kind": "worker"
    })));
    let (kind, reason) = peer.closing();
    assert_eq!(kind, CloseKind::Denied);
    assert!(reason.contains("OSTLER_BUS_FD"), "{reason}");
}

#[test]
fn a_uid_has_so_many_connections_and_no_more() {
    let (hub, _notices) = start_with(Limits {
        connections_per_uid: 2,
        ..Limits::default()
    });
    let dir = tempfile::tempdir().unwrap();
    let path = listening(&hub, &dir);
    let connect = || Peer::new(UnixStream::connect(&path).unwrap());
    let mut first = connect();
    first.greet();
    let mut second = connect();
    second.greet();
    let (kind, reason) = connect().closing();
    assert_eq!(kind, CloseKind::Limit);
    assert!(reason.contains("has 2 connections"), "{reason}");
    // Those the master has attached don't count.
    Peer::join(&hub, client("attached"));
    drop(second);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut again = connect();
        again.send(&hello(Codec::Postcard));
        if matches!(again.next(), Some(Got::Welcome(_))) {
            break;
        }
        assert!(Instant::now() < deadline, "the place was not given back");
    }
}

#[test]
fn a_storm_of_peers_is_let_in_at_its_pace_and_none_is_lost() {
    let (hub, _notices) = start_with(Limits {
        accepts_per_second: 4,
        ..Limits::default()
    });
    let dir = tempfile::tempdir().unwrap();
    let path = listening(&hub, &dir);
    let begun = Instant::now();
    let mut peers: Vec<Peer> = (0..6)
        .map(|_| Peer::new(UnixStream::connect(&path).unwrap()))
        .collect();
    for peer in &mut peers[..4] {
        peer.greet();
    }
    for peer in &mut peers[4..] {
        peer.greet();
    }
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(450), "{took:?}");
}

#[test]
#[ignore = "run as a process of its own by the test below"]
fn a_hub_with_few_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let (hub, _notices) = start();
    let dir = tempfile::tempdir().unwrap();
    let path = listening(&hub, &dir);
    // The hub has opened all it needs once somebody was let in.
    let mut peer = Peer::new(UnixStream::connect(&path).unwrap());
    peer.greet();
    drop(peer);
    let maximum = getrlimit(Resource::Nofile).maximum;
    let open = std::fs::read_dir("/proc/self/fd").unwrap().count() as u64;
    let current = Some(open + 4);
    setrlimit(Resource::Nofile, Rlimit { current, maximum }).unwrap();
    process::answer(|_| path.display().to_string());
    drop(hub);
}

#[test]
fn without_descriptors_the_hub_lives_says_so_and_recovers() {
    let mut process = Other::run("hub::tests::doors::a_hub_with_few_descriptors");
    let path = process.ask("where");
    let mut inside = Vec::new();
    let reason = loop {
        assert!(inside.len() < 64, "the descriptors never ran out");
        let mut peer = Peer::new(UnixStream::connect(&path).unwrap());
        // The hub may have told it already, and gone.
        let _ = peer.stream.write_all(&hello(Codec::Postcard));
        match peer.next() {
            Some(Got::Welcome(_)) => inside.push(peer),
            Some(got) => {
                let (kind, reason) = closing(&got);
                assert_eq!(kind, CloseKind::Limit);
                break reason.to_owned();
            }
            None => panic!("cut off without a word"),
        }
    };
    assert!(reason.contains("no descriptor left"), "{reason}");
    // Who is in goes on.
    let first = inside.first_mut().expect("some were let in");
    first.ask(subscribe(1, "x"));
    first.send(&emit("x", b"still"));
    assert_eq!(first.event(), b"still");
    inside.pop();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut peer = Peer::new(UnixStream::connect(&path).unwrap());
        let _ = peer.stream.write_all(&hello(Codec::Postcard));
        if matches!(peer.next(), Some(Got::Welcome(_))) {
            break;
        }
        assert!(Instant::now() < deadline, "it did not recover");
    }
}
