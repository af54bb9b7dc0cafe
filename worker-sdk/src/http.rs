//! HTTP/1.1 that drains as a lame duck.
//!
//! Closing idle kept-alive connections the moment a drain begins loses the requests that are just on their way. So a
//! draining worker stops accepting, but goes on answering what it has for [`LAME_DUCK`], each answer with
//! `Connection: close`, which moves its clients elsewhere. After that idle connections are closed; one whose first
//! request is still to come is waited for; it ends as soon as no connection is open, or when the kill ladder's next
//! rung is due.

use std::{convert::Infallible, io, pin::pin, time::Duration};

use axum::{Router, body::Body, extract::Request};
use hyper::{
    header::{CONNECTION, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
    task::JoinSet,
};
use tower::ServiceExt;

use crate::{DrainSignal, Listener};

/// How long requests on connections that are already open are answered after a drain began. A client that uses its
/// connection at least once a second is told to close it and loses nothing.
pub const LAME_DUCK: Duration = Duration::from_secs(1);

/// A client has this long to send a request's head once it began; one that trickles can't hold a drain.
const HEAD: Duration = Duration::from_secs(30);

/// How long to wait when the process has no descriptor left for another connection.
const EXHAUSTED: Duration = Duration::from_millis(50);

/// Serves `router` on `listener` until `drain` begins and everything begun has been answered.
///
/// # Errors
/// If the listener itself fails; a failing connection ends by itself.
pub async fn serve(listener: Listener, router: Router, mut drain: DrainSignal) -> io::Result<()> {
    let mut connections = JoinSet::new();
    let signal = drain.clone();
    loop {
        tokio::select! {
            biased;
            _ = drain.begun() => break,
            accepted = accept(&listener) => match accepted {
                Ok(Stream::Tcp(stream)) => { connections.spawn(connection(stream, router.clone(), signal.clone())); }
                Ok(Stream::Unix(stream)) => { connections.spawn(connection(stream, router.clone(), signal.clone())); }
                Err(error) => wait_out(error).await?,
            },
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    tokio::select! {
        () = async { while connections.join_next().await.is_some() {} } => {}
        () = drain.cut() => tracing::warn!("{} connections were cut when the time to drain was over", connections.len()),
    }
    Ok(())
}

enum Stream {
    Tcp(tokio::net::TcpStream),
    Unix(tokio::net::UnixStream),
}

async fn accept(listener: &Listener) -> io::Result<Stream> {
    match listener {
        Listener::Tcp(listener) => {
            let (stream, _) = listener.accept().await?;
            // Answers are written whole; waiting to fill a packet only delays them.
            stream.set_nodelay(true)?;
            Ok(Stream::Tcp(stream))
        }
        Listener::Unix(listener) => Ok(Stream::Unix(listener.accept().await?.0)),
    }
}

/// Errors of one connection are passed over, errors of exhaustion are waited out, all others are the listener's.
async fn wait_out(error: io::Error) -> io::Result<()> {
    use rustix::io::Errno;
    match Errno::from_io_error(&error) {
        Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => {
            tracing::warn!("can't take a connection: {error}; trying again");
            tokio::time::sleep(EXHAUSTED).await;
            Ok(())
        }
        Some(Errno::BADF | Errno::NOTSOCK | Errno::INVAL | Errno::OPNOTSUPP) => Err(error),
        Some(_) | None => Ok(()),
    }
}

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: Router,
    mut drain: DrainSignal,
) {
    let (asked, mut first_request) = watch::channel(false);
    let signal = drain.clone();
    let service = service_fn(move |request: Request<hyper::body::Incoming>| {
        asked.send_replace(true);
        let (router, signal) = (router.clone(), signal.clone());
        async move {
            let mut response = router.oneshot(request.map(Body::new)).await?;
            if signal.has_begun() {
                response
                    .headers_mut()
                    .insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(response)
        }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD);
    let mut conversation = pin!(
        http.serve_connection(TokioIo::new(stream), service)
            .with_upgrades()
    );
    tokio::select! {
        // How a client ended its own connection is nothing the app can act on.
        _ = conversation.as_mut() => return,
        () = async {
            drain.begun().await;
            tokio::time::sleep(LAME_DUCK).await;
            let _gone = first_request.wait_for(|asked| *asked).await;
        } => conversation.as_mut().graceful_shutdown(),
    }
    let _ended = conversation.await;
}
