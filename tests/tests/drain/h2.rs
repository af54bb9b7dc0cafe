//! Clients of HTTP/2 that ask several things at once on each connection, and make another when a worker says GOAWAY.

use std::{
    error::Error,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use ::h2::Reason;
use http_body_util::{BodyExt, Empty};
use hyper::{
    Request,
    body::Bytes,
    client::conn::http2::{SendRequest, handshake},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use ostler_tests::harness::{PATIENCE, deadline, eventually};
use tokio::{sync::watch, task::JoinSet};

const CONNECTIONS: usize = 3;

/// What each connection asks for at once, again and again.
const PATHS: [&str; 4] = ["/", "/", "/slow/20", "/slow/300"];

pub(crate) type Asks = SendRequest<Empty<Bytes>>;

/// Clients that go on until they are told to stop.
pub(crate) struct Clients {
    running: JoinSet<()>,
    answered: Arc<AtomicU64>,
}

pub(crate) fn clients(address: SocketAddr, stopped: &watch::Receiver<bool>) -> Clients {
    let (mut running, answered) = (JoinSet::new(), Arc::<AtomicU64>::default());
    for _ in 0..CONNECTIONS {
        running.spawn(client(address, stopped.clone(), Arc::clone(&answered)));
    }
    Clients { running, answered }
}

/// Waits until they had some more answers.
pub(crate) async fn answers(clients: &Clients, more: u64) {
    let before = clients.answered.load(Relaxed);
    let enough = || (clients.answered.load(Relaxed) >= before + more).then_some(());
    eventually("answers over HTTP/2", PATIENCE, enough).await;
}

/// Ends them, once they were told to stop: none has lost a request.
pub(crate) async fn end(mut clients: Clients) {
    let all = async {
        while let Some(ended) = clients.running.join_next().await {
            ended.expect("a client that lost nothing");
        }
    };
    deadline("the clients to end", PATIENCE, all).await;
}

async fn client(address: SocketAddr, stopped: watch::Receiver<bool>, answered: Arc<AtomicU64>) {
    while !*stopped.borrow() {
        let asks = over(address).await;
        let mut streams = JoinSet::new();
        for path in PATHS {
            let (mut asks, stopped) = (asks.clone(), stopped.clone());
            let answered = Arc::clone(&answered);
            streams.spawn(async move {
                while !*stopped.borrow() && ask(&mut asks, path).await.is_some() {
                    answered.fetch_add(1, Relaxed);
                }
            });
        }
        while let Some(ended) = streams.join_next().await {
            ended.expect("a stream that lost nothing");
        }
    }
}

pub(crate) async fn over(address: SocketAddr) -> Asks {
    let io = TokioIo::new(super::connect(address).await);
    let (asks, connection) = handshake(TokioExecutor::new(), io).await.expect("HTTP/2");
    tokio::spawn(connection);
    asks
}

/// The answer's body; `None` if it has to be asked on another connection. Whatever else happens to it is a failure.
pub(crate) async fn ask(asks: &mut Asks, path: &str) -> Option<String> {
    asks.ready().await.ok()?;
    let request = Request::get(format!("http://chat{path}")).body(Empty::new());
    let sent = asks.try_send_request(request.expect("a request"));
    let answer = match deadline("an answer", PATIENCE, sent).await {
        Ok(answer) => answer,
        Err(mut error) => {
            let unsent = error.take_message().is_some();
            let error = error.into_error();
            assert!(unsent || unserved(&error), "it was lost: {error:?}");
            return None;
        }
    };
    assert_eq!(answer.status(), 200);
    let body = deadline("a body", PATIENCE, answer.into_body().collect()).await;
    let body = body.expect("a whole body").to_bytes();
    let body = String::from_utf8(body.into()).expect("text");
    assert!(body.starts_with("slot "), "{body:?}");
    Some(body)
}

/// Whether GOAWAY says that the worker did not serve it.
fn unserved(error: &hyper::Error) -> bool {
    let error = error
        .source()
        .and_then(|error| error.downcast_ref::<::h2::Error>());
    error.is_some_and(|error| {
        error.is_go_away() && error.is_remote() && error.reason() == Some(Reason::NO_ERROR)
    })
}
