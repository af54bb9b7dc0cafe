//! A server under test, and clients that look at every byte.

use std::{io, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    routing::get,
};
use futures::StreamExt;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, timeout},
};

use crate::{
    Connection, Draining, Listener, RequestCounter,
    drain::{self, DrainTrigger},
    holding::Held,
    http::{self, End},
};

/// Longer than anything here takes on a busy machine; reaching it is a failure.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// A server, and what its handlers wait for.
pub(super) struct Server {
    pub(super) address: std::net::SocketAddr,
    pub(super) trigger: DrainTrigger,
    /// Each `/slow` tells here that it was reached.
    pub(super) reached: mpsc::Receiver<()>,
    /// Each message lets one `/slow` answer, or `/stream` send its next part.
    pub(super) go_on: async_gate::Gate,
    /// What it has open.
    pub(super) held: Held,
    /// What it has taken.
    pub(super) counter: RequestCounter,
    running: JoinHandle<io::Result<End>>,
}

/// A gate that lets through as many as were told to pass.
pub(super) mod async_gate {
    use std::sync::Arc;

    use tokio::sync::Semaphore;

    #[derive(Clone)]
    pub(in super::super) struct Gate(Arc<Semaphore>);

    impl Gate {
        pub(in super::super) fn new() -> Self {
            Self(Arc::new(Semaphore::new(0)))
        }

        pub(in super::super) fn open_once(&self) {
            self.0.add_permits(1);
        }

        pub(in super::super) async fn pass(&self) {
            self.0.acquire().await.expect("never closed").forget();
        }
    }
}

impl Server {
    pub(super) async fn start() -> Self {
        Self::start_with(http::as_it_is).await
    }

    /// Over what `accept` makes of each connection.
    pub(super) async fn start_with<S, F>(accept: impl Fn(Connection) -> F + Send + 'static) -> Self
    where
        F: Future<Output = io::Result<S>> + Send + 'static,
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (tell, reached) = mpsc::channel(8);
        let go_on = async_gate::Gate::new();
        let (slow, stream) = (go_on.clone(), go_on.clone());
        let app = Router::new()
            .route("/", get(|| async { "hello" }))
            .route(
                "/slow",
                get(move || async move {
                    tell.send(()).await.unwrap();
                    slow.pass().await;
                    "slow"
                }),
            )
            .route(
                "/panic",
                get(|| async { panic!("a handler's own fault") as &str }),
            )
            .route(
                "/stream",
                get(move || async move {
                    let first = futures::stream::iter([Ok(Bytes::from("a"))]);
                    let last = futures::stream::once(async move {
                        stream.pass().await;
                        Ok::<_, io::Error>(Bytes::from("z"))
                    });
                    Body::from_stream(first.chain(last))
                }),
            );
        let server = Self::serve(app, accept).await;
        Self {
            reached,
            go_on,
            ..server
        }
    }

    /// Serves another app than the usual one.
    pub(super) async fn start_app(app: Router) -> Self {
        Self::serve(app, http::as_it_is).await
    }

    async fn serve<S, F>(app: Router, accept: impl Fn(Connection) -> F + Send + 'static) -> Self
    where
        F: Future<Output = io::Result<S>> + Send + 'static,
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let listener = Listener::try_from(listener).unwrap();
        let ((trigger, signal), held) = (drain::signal(), Held::default());
        let counter = RequestCounter::default();
        let running =
            http::serve_holding(listener, accept, app, signal, counter.clone(), held.clone());
        Self {
            address,
            trigger,
            reached: mpsc::channel(1).1,
            go_on: async_gate::Gate::new(),
            held,
            counter,
            running: tokio::spawn(running),
        }
    }

    pub(super) fn drain(&self, within: Duration) -> Instant {
        self.trigger.begin(Draining::within("test", within));
        Instant::now()
    }

    pub(super) async fn client(&self) -> Client {
        Client(TcpStream::connect(self.address).await.unwrap())
    }

    /// Waits until the server has ended by itself.
    pub(super) async fn ended(self) {
        timeout(PATIENCE, self.running)
            .await
            .expect("the server ends")
            .unwrap()
            .unwrap();
    }

    /// Waits until the server no longer accepts: the drain has begun there too.
    pub(super) async fn stops_accepting(&self) {
        let refused = async { while TcpStream::connect(self.address).await.is_ok() {} };
        timeout(PATIENCE, refused).await.expect("stops accepting");
    }
}

/// One connection.
pub(super) struct Client(pub(super) TcpStream);

/// An answer: its head in lower case, and its body.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) head: String,
    pub(super) body: String,
}

impl Answer {
    pub(super) fn says_close(&self) -> bool {
        self.head.contains("connection: close")
    }
}

impl Client {
    pub(super) async fn send(&mut self, path: &str) {
        let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n");
        self.0.write_all(request.as_bytes()).await.unwrap();
    }

    pub(super) async fn ask(&mut self, path: &str) -> Answer {
        self.send(path).await;
        self.answer().await
    }

    pub(super) async fn head(&mut self) -> String {
        let read = async {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(self.0.read_u8().await.expect("a whole head"));
            }
            String::from_utf8(head).unwrap().to_ascii_lowercase()
        };
        timeout(PATIENCE, read).await.expect("an answer")
    }

    /// An answer with a content length.
    pub(super) async fn answer(&mut self) -> Answer {
        let head = self.head().await;
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .map_or(0, |n| n.parse().unwrap());
        let mut body = vec![0; length];
        timeout(PATIENCE, self.0.read_exact(&mut body))
            .await
            .expect("a body")
            .unwrap();
        Answer {
            head,
            body: String::from_utf8(body).unwrap(),
        }
    }

    /// The rest until the server closes; empty if it closed without a word.
    pub(super) async fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        timeout(PATIENCE, self.0.read_to_end(&mut rest))
            .await
            .expect("the server closes")
            .unwrap();
        String::from_utf8(rest).unwrap()
    }
}
