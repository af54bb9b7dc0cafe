//! A hub, and ways to it whose connections end after any number of bytes.

use std::{
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

use ostler_bus::{
    Bus, ConnectOptions,
    client::{ConnectionState, ReconnectPolicy},
    hub::{Admission, Hub, HubOptions, Notices, Rules},
    transport::{ByteStream, Transport, UnixTransport},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

pub(crate) async fn within<F: Future>(what: F) -> F::Output {
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
pub(crate) struct Cutting {
    way: UnixTransport,
    dice: Arc<Dice>,
    /// The most bytes of a connection; 0 once mended.
    most: Arc<AtomicU64>,
    connections: Arc<AtomicU64>,
}

struct Cut {
    stream: Box<dyn ByteStream>,
    left: u64,
    /// As its way's: once that is mended, a connection that could be cut still ends at once.
    most: Option<Arc<AtomicU64>>,
}

impl Cutting {
    pub(crate) fn new(way: UnixTransport, seed: u64, most: u64) -> Self {
        Self {
            way,
            dice: Arc::new(Dice(AtomicU64::new(seed))),
            most: Arc::new(AtomicU64::new(most)),
            connections: Arc::default(),
        }
    }

    /// From here on connections hold, and those there are end.
    pub(crate) fn mend(&self) {
        self.most.store(0, Ordering::Relaxed);
    }

    pub(crate) fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }
}

#[async_trait::async_trait]
impl Transport for Cutting {
    async fn connect(&self) -> io::Result<Box<dyn ByteStream>> {
        let stream = self.way.connect().await?;
        let first = self.connections.fetch_add(1, Ordering::Relaxed) == 0;
        let most = self.most.load(Ordering::Relaxed);
        let left = match most {
            0 => u64::MAX,
            // The first must get as far as its WELCOME.
            most if first => most + 1000,
            most => self.dice.up_to(most),
        };
        let most = (most > 0).then(|| Arc::clone(&self.most));
        Ok(Box::new(Cut { stream, left, most }))
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
        let is_outlived = |most: &Arc<AtomicU64>| most.load(Ordering::Relaxed) == 0;
        if self.most.as_ref().is_some_and(is_outlived) {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
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
pub(crate) struct Bench {
    /// Runs as long as this is held.
    _hub: Hub,
    home: tempfile::TempDir,
    _notices: Notices,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(HubOptions {
            name: "bench".into(),
            limits: ostler_bus::Limits::default(),
            rules: Rules::allow_all(),
            history: Vec::new(),
            builtins: Vec::new(),
        })
    }

    pub(crate) fn with(options: HubOptions) -> Self {
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

    pub(crate) fn way(&self) -> UnixTransport {
        UnixTransport::new(self.home.path().join("bus"))
    }

    pub(crate) async fn client(&self) -> Bus {
        within(Bus::connect(self.way(), ConnectOptions::client("calm")))
            .await
            .expect("welcome")
    }
}

pub(crate) fn eager() -> ConnectOptions {
    let mut options = ConnectOptions::client("frail");
    options.reconnect = Some(ReconnectPolicy {
        first: Duration::from_millis(1),
        max: Duration::from_millis(5),
        give_up_after: None,
    });
    options
}

/// A connection that will hold.
pub(crate) async fn settle(bus: &Bus) {
    // What was cut on the way here may still be noticed: an answer by a connection that holds shows that it has been.
    while within(bus.subscribe_raw("settle")).await.is_err() {}
    let mut state = bus.state();
    within(state.wait_for(|s| *s == ConnectionState::Connected))
        .await
        .expect("a state");
}
