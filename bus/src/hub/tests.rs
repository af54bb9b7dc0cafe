//! The hub as it runs: its thread, real sockets, peers that speak raw frames.

use std::{
    collections::VecDeque,
    io::{ErrorKind, Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{
    Admission, Hub, HubNotice, HubOptions, Notices, Principal, Rules, StatsPage,
    core::tests::support::{
        Got, Reader, client, control, emit, emit_with, hello, hello_instance, hello_with, options,
        subscribe, subscribe_with,
    },
};
use crate::{
    Limits,
    transport::Transport,
    wire::{
        control::{ClientOp, CloseKind, HubOp, OverflowPolicy, Resume, SubscribeOptions},
        data::Payload,
        flags,
        hello::Codec,
    },
};

mod doors;
mod network;
mod process;

/// No test waits longer than this for anything.
const PATIENCE: Duration = Duration::from_secs(20);

struct Peer {
    stream: UnixStream,
    reader: Reader,
    got: VecDeque<Got>,
}

impl Peer {
    fn new(stream: UnixStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self {
            stream,
            reader: Reader::default(),
            got: VecDeque::new(),
        }
    }

    fn join(hub: &Hub, principal: Principal) -> Self {
        let (ours, theirs) = UnixStream::pair().unwrap();
        hub.attach(theirs, principal).unwrap();
        let mut peer = Self::new(ours);
        peer.greet();
        peer
    }

    fn greet(&mut self) {
        self.send(&hello(Codec::Postcard));
        let got = self.next();
        assert!(matches!(got, Some(Got::Welcome(_))), "{got:?}");
    }

    fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// The next thing the hub says; `None` at the connection's end.
    fn next(&mut self) -> Option<Got> {
        let mut buffer = [0; 64 << 10];
        while self.got.is_empty() {
            match self.stream.read(&mut buffer) {
                Ok(0) => return None,
                Ok(n) => self.got.extend(self.reader.read(&buffer[..n])),
                Err(e) if e.kind() == ErrorKind::ConnectionReset => return None,
                Err(e) => panic!("the hub said nothing for {PATIENCE:?}: {e}"),
            }
        }
        self.got.pop_front()
    }

    fn until<T>(&mut self, mut want: impl FnMut(Got) -> Option<T>) -> T {
        loop {
            let got = self.next().expect("the connection lives");
            if let Some(wanted) = want(got) {
                return wanted;
            }
        }
    }

    fn ask(&mut self, op: ClientOp) {
        self.send(&control(Codec::Postcard, 5, op));
        self.until(|g| (g == Got::Control(5, HubOp::Done { count: 0 })).then_some(()));
    }

    fn event(&mut self) -> Vec<u8> {
        self.until(|g| match g {
            Got::Event(e) => Some(e.payload.to_vec()),
            _ => None,
        })
    }

    fn closing(&mut self) -> (CloseKind, String) {
        let closing = self.until(|g| match g {
            Got::Control(_, HubOp::Closing { kind, reason }) => Some((kind, reason)),
            _ => None,
        });
        assert_eq!(self.next(), None, "nothing follows");
        closing
    }
}

fn start() -> (Hub, Notices) {
    start_with(Limits::default())
}

fn start_with(limits: Limits) -> (Hub, Notices) {
    Hub::start(options(limits, Rules::allow_all())).unwrap()
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async { tokio::time::timeout(PATIENCE, future).await.unwrap() })
}

fn notice(notices: &mut Notices, mut want: impl FnMut(&HubNotice) -> bool) -> HubNotice {
    wait(async {
        loop {
            let notice = notices.recv().await.expect("the hub lives");
            if want(&notice) {
                return notice;
            }
        }
    })
}

#[test]
fn events_travel_between_sockets_and_comings_and_goings_are_noticed() {
    let (hub, mut notices) = start();
    let mut a = Peer::join(&hub, client("a"));
    let mut b = Peer::join(&hub, client("b"));
    b.ask(subscribe(1, "t"));
    a.send(&emit("t", b"hello"));
    assert_eq!(b.event(), b"hello");
    drop(a);
    let gone = notice(&mut notices, |n| {
        matches!(n, HubNotice::Disconnected { .. })
    });
    let HubNotice::Disconnected {
        principal, reason, ..
    } = gone
    else {
        unreachable!()
    };
    assert_eq!(principal, client("a"));
    assert_eq!(reason, "the peer closed the connection");
}

#[test]
fn peers_come_in_by_path() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bus");
    let (hub, _notices) = start();
    hub.listen(UnixListener::bind(&path).unwrap(), Admission::default())
        .unwrap();
    let mut a = Peer::new(UnixStream::connect(&path).unwrap());
    a.greet();
    a.ask(subscribe(1, "t"));
    a.send(&emit("t", b"x"));
    assert_eq!(a.event(), b"x");
}

#[test]
fn whoever_comes_back_by_path_goes_on_and_knows_another_life() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bus");
    let (hub, mut notices) = start();
    hub.listen(UnixListener::bind(&path).unwrap(), Admission::default())
        .unwrap();
    let mut publisher = Peer::join(&hub, client("p"));
    let come = || {
        let mut peer = Peer::new(UnixStream::connect(&path).unwrap());
        peer.send(&hello_instance(Codec::Postcard, 7));
        let life = peer.until(|g| match g {
            Got::Welcome(welcome) => Some(welcome.life),
            _ => None,
        });
        (peer, life)
    };
    let again = |peer: &mut Peer, since, taken| {
        let options = SubscribeOptions {
            resume: Some(Resume {
                sub: 1,
                since,
                taken,
            }),
            ..SubscribeOptions::default()
        };
        peer.ask(subscribe_with(1, "t", options));
        peer.until(|g| match g {
            Got::Control(0, HubOp::Resumed { missed, .. }) => Some(missed),
            _ => None,
        })
    };
    let (mut a, life) = come();
    assert_eq!(life.len(), 32);
    a.ask(subscribe(1, "t"));
    publisher.send(&emit("t", b"1"));
    assert_eq!(a.event(), b"1");
    drop(a);
    notice(&mut notices, |n| {
        matches!(n, HubNotice::Disconnected { .. })
    });
    let acked = |n: u64| emit_with(flags::ACK, Payload::Bytes, "t", Some(n), b"");
    publisher.send(&[acked(2), acked(3)].concat());
    publisher.until(|g| matches!(g, Got::Control(3, HubOp::Done { count: 0 })).then_some(()));
    let (mut a, same) = come();
    assert_eq!(same, life);
    assert_eq!(again(&mut a, 1, 1), Some(2));
    // The same client once more, while it is still here.
    let (mut b, _) = come();
    assert_eq!(a.closing().0, CloseKind::Replaced);
    assert_eq!(again(&mut b, 1, 3), Some(0));
    hub.panic();
    assert_eq!(b.closing().0, CloseKind::Fault);
    let (mut b, other) = come();
    assert_ne!(other, life);
    assert_eq!(again(&mut b, 0, 3), None);
}

#[test]
fn a_feature_of_the_same_process_goes_through_the_same_door() {
    let (hub, _notices) = start();
    let memory = hub.attach_memory(Principal::Master).unwrap();
    let mut peer = Peer::join(&hub, client("outside"));
    peer.ask(subscribe(1, "t"));
    wait(async {
        let mut stream = memory.connect().await.unwrap();
        let mut reader = Reader::default();
        let mut bytes = hello(Codec::Postcard);
        bytes.extend(control(Codec::Postcard, 1, subscribe(1, "big")));
        bytes.extend(emit("t", b"from within"));
        bytes.extend(emit("big", &vec![7; 300_000]));
        stream.write_all(&bytes).await.unwrap();
        let mut buffer = vec![0; 10_000];
        loop {
            let n = stream.read(&mut buffer).await.unwrap();
            let got = reader.read(&buffer[..n]);
            if got
                .iter()
                .any(|g| matches!(g, Got::Event(e) if e.payload.len() == 300_000))
            {
                break;
            }
        }
    });
    assert_eq!(peer.event(), b"from within");
}

#[test]
fn frames_may_come_in_any_pieces() {
    let (hub, _notices) = start();
    let mut a = Peer::join(&hub, client("a"));
    a.ask(subscribe(1, "t"));
    for byte in emit("t", b"bit by bit") {
        a.send(&[byte]);
    }
    assert_eq!(a.event(), b"bit by bit");
    let large: Vec<u8> = (0..1 << 20).map(|n| (n % 251) as u8).collect();
    let mut frames = emit("t", b"before");
    frames.extend(emit("t", &large));
    frames.extend(emit("t", b"behind"));
    let mut sender = a.stream.try_clone().unwrap();
    let sending = thread::spawn(move || {
        for piece in frames.chunks(70_001) {
            sender.write_all(piece).unwrap();
        }
    });
    assert_eq!(a.event(), b"before");
    assert!(a.event() == large);
    assert_eq!(a.event(), b"behind");
    sending.join().unwrap();
}

/// Publishes `count` events of a KiB, without waiting for anybody but the hub.
fn flood(peer: &mut Peer, count: u32) {
    let mut batch = Vec::new();
    for n in 0..count {
        let mut payload = vec![0; 1024];
        payload[..4].copy_from_slice(&n.to_be_bytes());
        batch.extend(emit("t", &payload));
        if batch.len() > 200_000 {
            peer.send(&batch);
            batch.clear();
        }
    }
    peer.send(&batch);
}

#[test]
fn a_stopped_reader_costs_the_others_nothing_and_learns_exactly_what_it_missed() {
    const EVENTS: u32 = 40_000;
    let (hub, _notices) = start();
    let mut publisher = Peer::join(&hub, client("publisher"));
    let mut stopped = Peer::join(&hub, client("stopped"));
    let mut reading = Peer::join(&hub, client("reading"));
    let options = SubscribeOptions {
        max_bytes: Some(1 << 20),
        ..SubscribeOptions::default()
    };
    stopped.ask(ClientOp::Subscribe {
        sub: 1,
        pattern: "t".into(),
        reader: None,
        options,
    });
    reading.ask(subscribe(1, "*"));
    let (done, finished) = mpsc::sync_channel(1);
    let reader = thread::spawn(move || {
        // Everything arrives: this one reads, whoever else doesn't.
        let (mut heard, mut missed) = (0, 0);
        while heard + missed < u64::from(EVENTS) {
            match reading.next().expect("the connection lives") {
                Got::Event(_) => heard += 1,
                Got::Control(_, HubOp::Lagged { missed: n, .. }) => missed += n,
                _ => {}
            }
        }
        done.send((heard, missed)).unwrap();
        reading
    });
    flood(&mut publisher, EVENTS);
    let (heard, missed) = finished.recv_timeout(PATIENCE).unwrap();
    assert!(heard > missed, "{heard} heard, {missed} missed");
    // All of it is with the hub by now, and most was dropped.
    let (mut got, mut lost, mut last) = (0, 0, 0);
    while got + lost < u64::from(EVENTS) {
        match stopped.next().expect("the connection lives") {
            Got::Event(e) => {
                got += 1;
                assert!(e.seq > last, "in order");
                last = e.seq;
                assert_eq!(e.seq, got + lost, "the loss is in its place");
            }
            Got::Control(_, HubOp::Lagged { missed, .. }) => lost += missed,
            _ => {}
        }
    }
    assert!(lost > u64::from(EVENTS) / 2, "{lost} lost");
    drop(reader.join().unwrap());
}

#[test]
fn broken_framing_ends_that_connection_alone_with_a_reason() {
    let (hub, mut notices) = start();
    let mut good = Peer::join(&hub, client("good"));
    good.ask(subscribe(1, "t"));
    let mut bad = Peer::join(&hub, client("bad"));
    bad.send(&emit("t", b"before"));
    bad.send(&[0xff; 6]);
    let (kind, reason) = bad.closing();
    assert_eq!(kind, CloseKind::Framing);
    assert!(reason.contains("4294967295"), "{reason}");
    assert_eq!(good.event(), b"before");
    good.send(&emit("t", b"after"));
    assert_eq!(good.event(), b"after");
    notice(
        &mut notices,
        |n| matches!(n, HubNotice::Disconnected { principal, reason, .. } if *principal == client("bad") && reason.contains("4294967295")),
    );
}

#[test]
fn a_silent_peer_is_sent_away() {
    let (hub, _notices) = start_with(Limits {
        hello_timeout: Duration::from_millis(50),
        ..Limits::default()
    });
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bus");
    hub.listen(UnixListener::bind(&path).unwrap(), Admission::default())
        .unwrap();
    let (kind, _) = Peer::new(UnixStream::connect(&path).unwrap()).closing();
    assert_eq!(kind, CloseKind::Hello);
}

#[test]
fn a_peer_that_reads_no_answers_stalls_itself_only_and_loses_none() {
    const ASKED: u64 = 200_000;
    let (hub, _notices) = start();
    let mut a = Peer::join(&hub, client("a"));
    let mut other = Peer::join(&hub, client("other"));
    other.ask(subscribe(1, "t"));
    let mut sender = a.stream.try_clone().unwrap();
    let sending = thread::spawn(move || {
        for n in 0..ASKED {
            let frame = emit_with(flags::ACK, Payload::Bytes, "u", Some(n), b"");
            sender.write_all(&frame).unwrap();
        }
    });
    other.send(&emit("t", b"x"));
    assert_eq!(other.event(), b"x");
    for n in 0..ASKED {
        let answer = a.next();
        assert_eq!(answer, Some(Got::Control(n, HubOp::Done { count: 0 })));
    }
    sending.join().unwrap();
}

#[test]
fn stopping_tells_everybody_after_what_they_have_to_read() {
    let (hub, mut notices) = start();
    let mut a = Peer::join(&hub, client("a"));
    a.ask(subscribe(1, "t"));
    a.send(&emit("t", b"last"));
    // It has been taken when this is answered.
    a.send(&control(Codec::Postcard, 9, ClientOp::Drain));
    a.until(|g| (g == Got::Control(9, HubOp::Done { count: 0 })).then_some(()));
    a.send(&emit("t", &[1; 100_000]));
    a.event();
    let began = Instant::now();
    let stopping = thread::spawn({
        let hub = hub.clone();
        move || wait(hub.shutdown())
    });
    let (kind, _) = a.closing();
    assert_eq!(kind, CloseKind::Stopping);
    stopping.join().unwrap();
    assert!(began.elapsed() < Duration::from_secs(2));
    wait(async { while notices.recv().await.is_some() {} });
    assert!(hub.attach_memory(Principal::Master).is_err());
}

#[test]
fn a_peer_that_never_reads_does_not_hold_up_stopping() {
    let (hub, _notices) = start();
    let mut a = Peer::join(&hub, client("a"));
    a.ask(subscribe(1, "t"));
    flood(&mut a, 5000);
    let began = Instant::now();
    wait(hub.shutdown());
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_panic_restarts_the_hub_and_listening_sockets_survive() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bus");
    let (hub, mut notices) = start();
    hub.listen(UnixListener::bind(&path).unwrap(), Admission::default())
        .unwrap();
    let mut before = Peer::join(&hub, client("before"));
    hub.panic();
    assert_eq!(before.closing().0, CloseKind::Fault);
    let restarted = notice(&mut notices, |n| matches!(n, HubNotice::Restarted { .. }));
    assert_eq!(
        restarted,
        HubNotice::Restarted {
            panic: "asked to".into()
        }
    );
    let mut after = Peer::new(UnixStream::connect(&path).unwrap());
    after.greet();
    after.ask(subscribe(1, "t"));
    after.send(&emit("t", b"anew"));
    assert_eq!(after.event(), b"anew");
}

#[test]
fn limits_that_can_not_be_kept_together_keep_the_hub_from_starting() {
    let error = Hub::start(HubOptions {
        name: "small".into(),
        limits: Limits {
            memory_bytes: 1 << 20,
            ..Limits::default()
        },
        rules: Rules::allow_all(),
        builtins: Vec::new(),
        history: Vec::new(),
    })
    .unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    let text = error.to_string();
    assert!(text.contains("memory_bytes, 1048576"), "{text}");
    assert!(text.contains("make memory_bytes"), "{text}");
}

#[test]
fn the_hub_ends_with_its_last_handle() {
    let (hub, mut notices) = Hub::start(HubOptions {
        name: "short".into(),
        limits: Limits::default(),
        rules: Rules::allow_all(),
        builtins: Vec::new(),
        history: Vec::new(),
    })
    .unwrap();
    let mut a = Peer::join(&hub, client("a"));
    drop(hub);
    assert_eq!(a.closing().0, CloseKind::Stopping);
    wait(async { while notices.recv().await.is_some() {} });
}

fn served(policy: OverflowPolicy, messages: u32) -> ClientOp {
    let options = SubscribeOptions {
        policy,
        max_messages: Some(messages),
        ..SubscribeOptions::default()
    };
    subscribe_with(1, "t", options)
}

#[test]
fn a_publisher_that_heeds_holds_loses_nothing_to_a_reader_that_pauses() {
    let (hub, _notices) = start();
    let mut a = Peer::join(&hub, client("a"));
    let mut b = Peer::join(&hub, client("b"));
    let max_wait_ms = PATIENCE.as_millis() as u32;
    b.ask(served(OverflowPolicy::Backpressure { max_wait_ms }, 40));
    // Sockets take a good deal before a queue fills.
    let payload = vec![7; 10_000];
    let (mut sent, mut released) = (0_u32, false);
    let mut buffer = vec![0; 64 << 10];
    let (go, paused) = mpsc::sync_channel::<()>(1);
    let reader = thread::spawn(move || {
        paused.recv().unwrap();
        let mut got = 0;
        while got < 1_000 {
            match b.next().expect("the connection lives") {
                Got::Event(_) => got += 1,
                Got::Control(_, HubOp::Lagged { missed, .. }) => panic!("{missed} were lost"),
                _ => {}
            }
        }
    });
    let mut held = false;
    let until = Instant::now() + PATIENCE;
    a.stream
        .set_read_timeout(Some(Duration::from_millis(1)))
        .unwrap();
    while sent < 1_000 {
        assert!(Instant::now() < until, "{sent} sent, held: {held}");
        if !held {
            a.send(&emit("t", &payload));
            sent += 1;
        }
        match a.stream.read(&mut buffer) {
            Ok(n) => a.got.extend(a.reader.read(&buffer[..n])),
            Err(e) if e.kind() == ErrorKind::WouldBlock => {}
            Err(e) => panic!("{e}"),
        }
        for got in a.got.drain(..) {
            match got {
                Got::Control(_, HubOp::Hold { .. }) => {
                    held = true;
                    // It has paused long enough.
                    let _ = go.try_send(());
                }
                Got::Control(_, HubOp::Release { .. }) => (held, released) = (false, true),
                other => panic!("{other:?}"),
            }
        }
    }
    reader.join().unwrap();
    assert!(
        released,
        "it was held, and released by what the reader took"
    );
}

#[test]
fn a_reader_that_stops_is_cut_off_if_it_asked_for_that() {
    let limits = Limits {
        overflow_grace: Duration::from_millis(50),
        ..Limits::default()
    };
    let (hub, mut notices) = start_with(limits);
    let mut a = Peer::join(&hub, client("a"));
    let mut b = Peer::join(&hub, client("b"));
    b.ask(served(OverflowPolicy::Disconnect, 4));
    let payload = vec![7; 100_000];
    let mut gone = None;
    while gone.is_none() {
        a.send(&emit_with(
            flags::ACK,
            Payload::Bytes,
            "t",
            Some(9),
            &payload,
        ));
        let matched = a.until(|g| match g {
            Got::Control(9, HubOp::Done { count }) => Some(count),
            _ => None,
        });
        gone = (matched == 0).then_some(());
    }
    let told = notice(&mut notices, |n| {
        matches!(n, HubNotice::Disconnected { .. })
    });
    let HubNotice::Disconnected { reason, .. } = told else {
        unreachable!()
    };
    assert!(
        reason.contains("its policy is to be disconnected"),
        "{reason}"
    );
    let (kind, _) = b.closing();
    assert_eq!(kind, CloseKind::Limit);
}

#[test]
fn the_handle_gives_a_snapshot_as_long_as_the_hub_runs() {
    let (hub, _notices) = start();
    let mut a = Peer::join(&hub, client("a"));
    a.ask(subscribe(1, "t"));
    a.send(&emit("t", b"x"));
    assert_eq!(a.event(), b"x");
    let stats = wait(hub.stats(StatsPage::default())).unwrap();
    assert_eq!((stats.connections, stats.totals.events), (1, 1));
    assert_eq!(stats.totals.to_subscribers.delivered, 1);
    wait(hub.shutdown());
    assert_eq!(wait(hub.stats(StatsPage::default())), None);
}
