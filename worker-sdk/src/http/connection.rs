//! One connection, from its first request to its end.

use std::{convert::Infallible, pin::pin, time::Duration};

use axum::{Router, body::Body, extract::Request, http::StatusCode, response::Response};
use hyper::{
    header::{CONNECTION, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
    time::Instant,
};
use tower::ServiceExt;

use super::{FRESH, LAME_DUCK, body::Watched};
use crate::{DrainSignal, RequestCounter};

/// How long a client may take for a request's head, the pause before it included. A little more than reverse proxies keep
/// unused connections (60 s), so that they close first and never ask a connection that is being closed.
const HEAD: Duration = Duration::from_secs(75);

/// Where the conversation stands.
#[derive(Clone, Copy, Debug)]
pub(super) enum Talk {
    /// Nothing was asked yet, since the connection was accepted.
    Fresh(Instant),
    /// A request is being read or answered.
    Answering,
    /// The last answer was complete.
    Idle(Instant),
}

/// Serves one connection to its end; while draining, as a lame duck.
pub(super) async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: Router,
    drain: DrainSignal,
    counter: RequestCounter,
) {
    let (talk, follow) = watch::channel(Talk::Fresh(Instant::now()));
    let signal = drain.clone();
    let service = service_fn(move |request: Request<hyper::body::Incoming>| {
        talk.send_replace(Talk::Answering);
        let under_way = counter.begin();
        let (router, signal, talk) = (router.clone(), signal.clone(), talk.clone());
        async move {
            let mut response = router.oneshot(request.map(Body::new)).await?;
            if signal.has_begun() {
                say_close(&mut response);
            }
            Ok::<_, Infallible>(response.map(|body| Watched::new(body, talk, under_way)))
        }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD);
    let conversation = http.serve_connection(TokioIo::new(stream), service);
    let mut conversation = pin!(conversation.with_upgrades());
    tokio::select! {
        // First: a request that came together with the end of its time is still answered.
        biased;
        // How a client ended its own connection is nothing the app can act on.
        _ = conversation.as_mut() => return,
        () = unused(drain, follow) => conversation.as_mut().graceful_shutdown(),
    }
    let _ended = conversation.await;
}

/// Waits until the worker drains and nothing more is expected from this connection.
async fn unused(mut drain: DrainSignal, mut talk: watch::Receiver<Talk>) {
    drain.begun().await;
    let began = Instant::now();
    loop {
        let until = match *talk.borrow_and_update() {
            Talk::Fresh(accepted) => Some((began + LAME_DUCK).max(accepted + FRESH)),
            // It ends by its answer's `close`; or is idle for a while, if the answer had begun before.
            Talk::Answering => None,
            Talk::Idle(since) => Some(began.max(since) + LAME_DUCK),
        };
        let changed = talk.changed();
        let changed = match until {
            Some(until) => tokio::time::timeout_at(until, changed).await,
            None => Ok(changed.await),
        };
        match changed {
            Ok(Ok(())) => {}
            // The conversation is over, and says so itself.
            Ok(Err(_)) => return std::future::pending().await,
            Err(_time_is_up) => return,
        }
    }
}

/// Moves the client elsewhere; but a switch to another protocol needs that header for itself.
fn say_close(response: &mut Response) {
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        response
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("close"));
    }
}
