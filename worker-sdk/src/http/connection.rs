//! One connection, from its first request to its end.

use std::{convert::Infallible, io, pin::pin, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{StatusCode, Version},
    response::Response,
};
use futures::{future::select, poll};
#[cfg(feature = "ws")]
use hyper::upgrade::OnUpgrade;
use hyper::{
    body::Incoming,
    header::{CONNECTION, HeaderValue},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tower::ServiceExt;

#[cfg(feature = "ws")]
use super::ws::Farewell;
use super::{
    HEAD,
    body::Watched,
    moves::{Moved, Moving},
    talk::{self, Talk, UnderWay},
};
use crate::{DrainSignal, RequestCounter, holding::Held};

/// What every connection of a server is served with.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) router: Router,
    pub(super) drain: DrainSignal,
    pub(super) counter: RequestCounter,
    pub(super) held: Held,
}

/// Serves what `accept` gives to its end; while draining, as a lame duck.
pub(super) async fn serve<S>(accept: impl Future<Output = io::Result<S>>, host: Arc<Host>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (talk, moved) = (Talk::begin(), Moved::default());
    let stands = talk.subscribe();
    let mut ends = pin!(talk::ends(host.drain.clone(), talk.subscribe()));
    let stream = tokio::select! {
        biased;
        accepted = accept => accepted,
        () = &mut ends => return,
    };
    let stream = match stream {
        Ok(stream) => stream,
        Err(error) => return tracing::debug!("a connection was not accepted: {error}"),
    };
    let service = service_fn(move |request: Request<Incoming>| {
        // At once, though a task of its own answers it, with HTTP/2.
        let under_way = UnderWay::begin(&talk, request.version(), &host.counter, &host.held);
        answer(Arc::clone(&host), Arc::new(under_way), request)
    });
    let stream = TokioIo::new(Moving::new(stream, moved.clone()));
    let http = versions();
    let mut conversation = pin!(http.serve_connection_with_upgrades(stream, service));
    tokio::select! {
        // First: a request that came together with the end of its time is still answered.
        biased;
        // How a client ended its own connection is nothing the app can act on.
        _ = conversation.as_mut() => return,
        () = ends => conversation.as_mut().graceful_shutdown(),
    }
    // The GOAWAY itself is not what is waited for.
    if poll!(conversation.as_mut()).is_pending() {
        let _ended = select(conversation, pin!(talk::falls_silent(stands, moved))).await;
    }
}

/// HTTP/1.1; HTTP/2 for clients that begin with its preface, as those do that chose it by ALPN.
fn versions() -> Builder<TokioExecutor> {
    let mut http = Builder::new(TokioExecutor::new());
    http.http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD);
    http.http2().timer(TokioTimer::new());
    #[cfg(feature = "ws")]
    http.http2().enable_connect_protocol();
    http
}

async fn answer(
    host: Arc<Host>,
    under_way: Arc<UnderWay>,
    #[cfg_attr(not(feature = "ws"), expect(unused_mut, reason = "for WebSockets"))]
    mut request: Request<Incoming>,
) -> Result<Response<Watched>, Infallible> {
    let version = request.version();
    #[cfg(feature = "ws")]
    if request.extensions().get::<OnUpgrade>().is_some() {
        let farewell = Farewell::of(host.drain.clone(), Arc::clone(&under_way));
        request.extensions_mut().insert(farewell);
    }
    let mut response = host.router.clone().oneshot(request.map(Body::new)).await?;
    if host.drain.has_begun() && version < Version::HTTP_2 {
        say_close(&mut response);
    }
    Ok(response.map(|body| Watched::new(body, under_way)))
}

/// Moves the client elsewhere; but a switch to another protocol needs that header for itself.
fn say_close(response: &mut Response) {
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        response
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("close"));
    }
}
