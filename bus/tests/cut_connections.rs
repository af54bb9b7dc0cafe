//! The real client and the real hub over connections that are cut at any byte, again and again.

use std::{
    collections::HashMap,
    future::Future,
    io,
    os::unix::net::UnixListener,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures::{StreamExt, future::join_all};
use ostler_bus::{
    Bus, ConnectOptions, Delivery, Event,
    client::{ConnectionState, Disconnected, ReconnectPolicy, Subscription},
    hub::{Admission, Hub, HubOptions, Notices, Rules},
    transport::{ByteStream, Transport, UnixTransport},
};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, Event)]
#[event(topic = "tests.counted")]
struct Counted {
    by: u32,
    n: u32,
}

async fn within<F: Future>(what: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(60), what)
        .await
        .expect("this should have happened long ago")
}

/// Numbers that look random, and are the same for the same seed.
#[derive(Debug)]
struct Dice(AtomicU64);

impl Dice {
    fn up_to(&self, most: u64) -> u64 {
        let step = self.0.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed);
        let mixed = (step ^ (step >> 31)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        (mixed ^ (mixed >> 29)) % (most + 1)
    }
}

/// A way to a hub whose connections end after some bytes, either way, until it is mended.
#[derive(Clone)]
struct Cutting {
    way: UnixTransport,
    dice: Arc<Dice>,
    /// The most bytes of a connection; 0 once mended.
    most: Arc<AtomicU64>,
    connections: Arc<AtomicU64>,
}

struct Cut {
    stream: Box<dyn ByteStream>,
    left: u64,
}

impl Cutting {
    fn new(way: UnixTransport, seed: u64, most: u64) -> Self {
        Self {
            way,
            dice: Arc::new(Dice(AtomicU64::new(seed))),
            most: Arc::new(AtomicU64::new(most)),
            connections: Arc::default(),
        }
    }

    fn mend(&self) {
        self.most.store(0, Ordering::Relaxed);
    }

    fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }
}

#[async_trait::async_trait]
impl Transport for Cutting {
    async fn connect(&self) -> io::Result<Box<dyn ByteStream>> {
        let stream = self.way.connect().await?;
        let first = self.connections.fetch_add(1, Ordering::Relaxed) == 0;
        let left = match self.most.load(Ordering::Relaxed) {
            0 => u64::MAX,
            // The first must get as far as its WELCOME.
            most if first => most + 1000,
            most => self.dice.up_to(most),
        };
        Ok(Box::new(Cut { stream, left }))
    }

    fn target(&self) -> String {
        self.way.target()
    }
}

impl Cut {
    fn spend(&mut self, bytes: usize) {
        self.left -= bytes as u64;
    }

    fn room(&self) -> io::Result<usize> {
        match usize::try_from(self.left).unwrap_or(usize::MAX) {
            0 => Err(io::ErrorKind::ConnectionReset.into()),
            left => Ok(left),
        }
    }
}

impl AsyncRead for Cut {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut piece = vec![0; self.room()?.min(buf.remaining())];
        let mut piece = ReadBuf::new(&mut piece);
        let read = Pin::new(&mut self.stream).poll_read(cx, &mut piece);
        buf.put_slice(piece.filled());
        self.spend(piece.filled().len());
        read
    }
}

impl AsyncWrite for Cut {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let room = self.room()?.min(buf.len());
        let written = Pin::new(&mut self.stream).poll_write(cx, &buf[..room]);
        if let Poll::Ready(Ok(n)) = written {
            self.spend(n);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// A hub of one test.
struct Bench {
    /// Runs as long as this is held.
    _hub: Hub,
    home: tempfile::TempDir,
    _notices: Notices,
}

impl Bench {
    fn new() -> Self {
        let options = HubOptions {
            name: "bench".into(),
            limits: ostler_bus::Limits::default(),
            rules: Rules::allow_all(),
            history: Vec::new(),
            builtins: Vec::new(),
        };
        let (hub, notices) = Hub::start(options).expect("a thread");
        let home = tempfile::tempdir().expect("a directory");
        let listener = UnixListener::bind(home.path().join("bus")).expect("binds");
        hub.listen(listener, Admission::default()).expect("listens");
        Self {
            _hub: hub,
            home,
            _notices: notices,
        }
    }

    fn way(&self) -> UnixTransport {
        UnixTransport::new(self.home.path().join("bus"))
    }

    async fn client(&self) -> Bus {
        within(Bus::connect(self.way(), ConnectOptions::client("calm")))
            .await
            .expect("welcome")
    }
}

fn eager() -> ConnectOptions {
    let mut options = ConnectOptions::client("frail");
    options.reconnect = Some(ReconnectPolicy {
        first: Duration::from_millis(1),
        max: Duration::from_millis(5),
        give_up_after: None,
    });
    options
}

/// What a subscription was told, to its end.
#[derive(Default, Debug)]
struct Heard {
    events: Vec<Counted>,
    /// Events told as missed.
    missed: u64,
    /// How often the connection was made again.
    again: u64,
}

async fn hear(mut events: Subscription<Counted>) -> Heard {
    let mut heard = Heard::default();
    loop {
        match within(events.next()).await.expect("an end is told") {
            Delivery::Event(received) => heard.events.push(received.event),
            Delivery::Lagged { missed } => heard.missed += missed,
            Delivery::Misfit { reason, .. } => panic!("{reason}"),
            Delivery::Reconnected { missed } => {
                heard.again += 1;
                heard.missed += missed.expect("the hub knows this client");
            }
            Delivery::Disconnected(why) => {
                assert_eq!(why, Disconnected::Drained);
                return heard;
            }
        }
    }
}

/// Emitters over a cut connection: everything that was acknowledged is there, in its order; once, if the hub knew its client again.
async fn acknowledged(seed: u64) {
    const EMITTERS: u32 = 3;
    const EACH: u32 = 300;
    let bench = Bench::new();
    let calm = bench.client().await;
    let all = calm.subscribe::<Counted>().await.expect("subscribed");
    let way = Cutting::new(bench.way(), seed, 4000);
    let frail = within(Bus::connect(way.clone(), eager()))
        .await
        .expect("welcome");
    let own = within(frail.subscribe::<Counted>())
        .await
        .expect("subscribed");
    let (own, all) = (tokio::spawn(hear(own)), tokio::spawn(hear(all)));
    let emit = async |by: u32| {
        for n in 0..EACH {
            let taken = within(frail.emit_acked(&Counted { by, n })).await;
            taken.unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        }
    };
    join_all((0..EMITTERS).map(emit)).await;
    assert!(
        way.connections() > 5,
        "seed {seed}: {} connections",
        way.connections()
    );
    way.mend();
    settle(&frail).await;
    within(frail.drain(Duration::from_secs(20)))
        .await
        .expect("drained");
    within(calm.drain(Duration::from_secs(20)))
        .await
        .expect("drained");
    let own = within(own).await.expect("no panic");
    let all = within(all).await.expect("no panic");
    assert_eq!((all.missed, all.again), (0, 0));
    let mut next: HashMap<u32, u32> = HashMap::new();
    let mut twice = 0;
    for Counted { by, n } in &all.events {
        let next = next.entry(*by).or_default();
        assert!(n <= next, "seed {seed}: {n} of {by} came before {next}");
        if n < next {
            twice += 1;
        } else {
            *next += 1;
        }
    }
    assert!(
        (0..EMITTERS).all(|by| next[&by] == EACH),
        "seed {seed}: {next:?}"
    );
    assert!(own.again > 0, "seed {seed}");
    assert_eq!(twice, 0, "seed {seed}");
    let total = own.events.len() as u64 + own.missed;
    assert_eq!(total, u64::from(EMITTERS * EACH), "seed {seed}: {own:?}");
}

/// A connection that will hold.
async fn settle(bus: &Bus) {
    // What was cut on the way here may still be noticed: an answer shows that it has been.
    while within(bus.subscribe_raw("settle")).await.is_err() {}
    let mut state = bus.state();
    within(state.wait_for(|s| *s == ConnectionState::Connected))
        .await
        .expect("a state");
}

/// A reader over a cut connection: what it got and what it was told to have missed is what was published.
async fn read(seed: u64) {
    const EVENTS: u32 = 4000;
    let bench = Bench::new();
    let calm = bench.client().await;
    let way = Cutting::new(bench.way(), seed, 20_000);
    let frail = within(Bus::connect(way.clone(), eager()))
        .await
        .expect("welcome");
    let events = within(frail.subscribe::<Counted>())
        .await
        .expect("subscribed");
    let heard = tokio::spawn(hear(events));
    for n in 0..EVENTS {
        // One is waited for now and then, so that there are connections to be cut.
        let event = calm.event(&Counted { by: 0, n });
        match n % 50 {
            0 => within(event.acked()).await.map(drop),
            _ => within(event.send()).await,
        }
        .expect("emitted");
        if n % 50 == 0 {
            tokio::task::yield_now().await;
        }
    }
    way.mend();
    settle(&frail).await;
    // The last of a connection that was not mended may be cut still: then it is resumed once more.
    within(calm.emit_acked(&Counted { by: 0, n: EVENTS }))
        .await
        .expect("taken");
    while within(frail.drain(Duration::from_secs(20))).await.is_err() {}
    let heard = within(heard).await.expect("no panic");
    assert!(
        heard.events.is_sorted_by(|a, b| a.n < b.n),
        "seed {seed}: in order, nothing twice"
    );
    let total = heard.events.len() as u64 + heard.missed;
    assert_eq!(
        total,
        u64::from(EVENTS) + 1,
        "seed {seed}: {} times again",
        heard.again
    );
}

#[tokio::test]
async fn nothing_acknowledged_is_lost() {
    for seed in [3, 1_000_003, 0xC0FFEE] {
        acknowledged(seed).await;
    }
}

#[tokio::test]
async fn readers_know_what_they_missed() {
    for seed in [5, 1_000_033, 0xFACADE] {
        read(seed).await;
    }
}

#[tokio::test]
async fn a_hub_that_comes_back_finds_its_clients() {
    let home = tempfile::tempdir().expect("a directory");
    let path = home.path().join("bus");
    let start = || {
        let options = HubOptions {
            name: "bench".into(),
            limits: ostler_bus::Limits::default(),
            rules: Rules::allow_all(),
            history: Vec::new(),
            builtins: Vec::new(),
        };
        let (hub, notices) = Hub::start(options).expect("a thread");
        let listener = UnixListener::bind(&path).expect("binds");
        hub.listen(listener, Admission::default()).expect("listens");
        (hub, notices)
    };
    let (hub, _notices) = start();
    let connect = || async {
        within(Bus::connect(UnixTransport::new(&path), eager()))
            .await
            .expect("welcome")
    };
    let (shop, audit) = (connect().await, connect().await);
    let mut events = within(audit.subscribe::<Counted>())
        .await
        .expect("subscribed");
    shop.emit_acked(&Counted { by: 0, n: 0 })
        .await
        .expect("taken");
    within(hub.shutdown()).await;
    std::fs::remove_file(&path).expect("its socket");
    let mut state = audit.state();
    within(state.wait_for(|s| matches!(s, ConnectionState::Reconnecting { .. })))
        .await
        .expect("a state");
    let (_hub, _notices) = start();
    // The subscription is there again before anything newer of that client.
    within(audit.emit_acked(&Counted { by: 1, n: 1 }))
        .await
        .expect("taken");
    within(shop.emit_acked(&Counted { by: 0, n: 1 }))
        .await
        .expect("taken");
    let mut seen = Vec::new();
    while seen.len() < 4 {
        match within(events.next()).await {
            Some(Delivery::Event(received)) => seen.push((received.event.by, received.event.n)),
            // Another hub: it can't know.
            Some(Delivery::Reconnected { missed: None }) => seen.push((9, 9)),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(seen, [(0, 0), (9, 9), (1, 1), (0, 1)]);
}
