//! WebSockets that are told when their worker goes.
//!
//! A connection that has become a WebSocket answers no more requests, so none of what drains HTTP reaches it: it would stay until the
//! deadline cuts it, and its client would learn nothing. A [`Farewell`] tells the client by a Close frame with 1012, "service restart", upon
//! which it connects again, to another worker:
//!
//! ```no_run
//! use axum::{Router, extract::WebSocketUpgrade, response::Response, routing::any};
//! use ostler_worker_sdk::http::ws::{Farewell, Socket};
//!
//! async fn connect(upgrade: WebSocketUpgrade, farewell: Farewell) -> Response {
//!     upgrade.on_upgrade(|socket| farewell.serve(socket, echo))
//! }
//!
//! async fn echo(mut socket: Socket) {
//!     while let Some(Ok(message)) = socket.recv().await {
//!         if socket.send(message).await.is_err() {
//!             return;
//!         }
//!     }
//! }
//!
//! let routes: Router = Router::new().route("/echo", any(connect));
//! ```
//!
//! ```text
//!  drain ─┬─ the handler waits for a message ──► Close 1012 ──► messages until the client's Close ──► end
//!         └─ it answers one ──► it waits again, or ANSWER ──► ↑
//! ```
//! After the Close nothing can be sent; what the client had sent before its own Close is still received. The WebSocket counts as a
//! connection, and as a request under way, until it is closed, and the deadline cuts it as any other.

mod socket;

use std::{pin::pin, sync::Arc, time::Duration};

use axum::{
    extract::{FromRequestParts, ws::WebSocket},
    http::{StatusCode, request::Parts},
};
use tokio::time;

pub use self::socket::Socket;
use self::socket::{Cut, Dropped, Line};
use super::talk::UnderWay;
use crate::DrainSignal;

/// How long a handler that doesn't wait for a message may go on, after the drain began, before its client is told to go: so
/// every client is told within a second.
pub const ANSWER: Duration = Duration::from_millis(500);

/// How long a client's own Close is waited for when the handler has ended.
const LINGER: Duration = Duration::from_secs(1);

/// Tells a WebSocket's client when this worker drains. It is an extractor where [`serve`](super::serve) and its siblings serve; elsewhere, as with
/// `axum::serve`, it is made of [`Worker::draining`](crate::Worker::draining).
#[derive(Clone, Debug)]
pub struct Farewell {
    drain: DrainSignal,
    _under_way: Option<Arc<UnderWay>>,
}

impl Farewell {
    pub(super) fn of(drain: DrainSignal, under_way: Arc<UnderWay>) -> Self {
        Self {
            drain,
            _under_way: Some(under_way),
        }
    }

    /// Has `handler` serve an upgraded connection, until it has dropped the socket, or the time to drain is over. If this is dropped
    /// before, the WebSocket is cut, wherever the handler has put it: nobody would tell its client any more.
    pub async fn serve<F>(self, socket: WebSocket, handler: impl FnOnce(Socket) -> F)
    where
        F: Future<Output = ()>,
    {
        let (socket, line, dropped) = socket::share(socket);
        let _cut = Cut(Arc::clone(&line));
        let mut drain = self.drain.clone();
        let served = async { tokio::join!(handler(socket), say(&line, self.drain, dropped)) };
        tokio::select! {
            _ = served => {}
            // Whoever tells what is cut looks first.
            () = drain.over() => tokio::task::yield_now().await,
        }
    }
}

impl From<DrainSignal> for Farewell {
    fn from(drain: DrainSignal) -> Self {
        Self {
            drain,
            _under_way: None,
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Farewell {
    type Rejection = (StatusCode, &'static str);

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        parts.extensions.get().cloned().ok_or((
            StatusCode::INTERNAL_SERVER_ERROR,
            "this is no request to upgrade that `ostler_worker_sdk::http` serves: use `Farewell::from(worker.draining())`\n",
        ))
    }
}

/// Tells the client when the worker drains, and sees to it that it hears it.
async fn say(line: &Line, mut drain: DrainSignal, dropped: Dropped) {
    let mut dropped = pin!(dropped);
    tokio::select! {
        biased;
        _ = drain.begun() => {}
        _ = &mut dropped => return,
    }
    let has_dropped = tokio::select! {
        biased;
        _ = &mut dropped => true,
        () = line.waits() => false,
        () = time::sleep(ANSWER) => false,
    };
    if let Err(error) = line.close().await {
        tracing::debug!("a WebSocket has ended before its client was told to go: {error}");
    }
    if !has_dropped {
        let _gone = dropped.await;
    }
    // A connection that is closed with something unread is reset, and the client may miss what it was told.
    let _late = time::timeout(LINGER, line.read_out()).await;
}
