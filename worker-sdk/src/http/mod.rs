//! HTTP/1.1 and HTTP/2 that drain without losing a request.
//!
//! Closing kept-alive connections the moment a drain begins loses the requests that are just on their way. So a
//! draining worker stops accepting, but goes on answering what it has, each answer with `Connection: close`, which
//! moves its clients elsewhere:
//!
//! ```text
//!  drain ─┬─ a request is being answered ──► its answer says `close`, and the connection ends with it
//!         ├─ idle ──────────────────────────► closed after LAME_DUCK, if no request came
//!         ├─ nothing was asked yet ─────────► waited for until FRESH after it was accepted
//!         └─ HTTP/2 ────────────────────────► GOAWAY, twice; ends when all that was asked before is answered
//! ```
//! An answer whose head was sent before the drain could not say `close`: its connection gets another [`LAME_DUCK`] when
//! it is complete. HTTP/2 needs no such time: the first GOAWAY refuses nothing, and asks the client to go. The second, which names the last
//! request that is served, is sent when the client is known to have had the first. One that doesn't answer it may have vanished: when all was
//! answered, and it has neither sent nor taken anything for [`FRESH`], its connection is closed. An HTTP/2 connection on which nothing was
//! asked yet is waited for as any other. [`serve`] returns as soon as no connection is open, or when the time to drain is over.

mod body;
mod connection;
mod moves;
mod talk;
#[cfg(feature = "ws")]
pub mod ws;

use std::{
    convert::Infallible,
    future::{Ready, ready},
    io,
    sync::Arc,
    time::Duration,
};

use axum::Router;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::mpsc,
    task::JoinSet,
    time::Instant,
};

use self::connection::Host;
use crate::{Connection, DrainSignal, Listener, RequestCounter, holding::Held};

/// How long requests on connections that are already open are answered after a drain began. A client that uses its
/// connection at least once a second is told to close it and loses nothing.
pub const LAME_DUCK: Duration = Duration::from_secs(1);

/// How long a draining worker waits for the first request of a connection, from when it was accepted: clients connect
/// because they have something to ask, but some only probe or connect ahead. A client
/// of HTTP/2 that says nothing to the GOAWAY is waited for as long.
pub const FRESH: Duration = Duration::from_secs(5);

/// How long a client may take for a request's head, the pause before it included. A little more than reverse proxies keep
/// unused connections (60 s), so that they close first and never ask a connection that is being closed.
const HEAD: Duration = Duration::from_secs(75);

/// How long a draining worker takes what the master had handed over before. The master says when that was all, which is at
/// once unless this is the last worker that takes any; but it may not know of the drain, or have gone.
const LAST: Duration = Duration::from_millis(100);

/// Serves `router` on `listener` until `drain` begins and everything begun has been answered.
///
/// # Errors
/// If the listener itself fails; a failing connection ends by itself.
pub async fn serve(listener: Listener, router: Router, drain: DrainSignal) -> io::Result<()> {
    serve_counted(listener, router, drain, RequestCounter::default()).await
}

/// The same, and counts the requests: each from when its head was read until its answer was sent whole, or given up.
///
/// # Errors
/// As with [`serve`].
pub async fn serve_counted(
    listener: Listener,
    router: Router,
    drain: DrainSignal,
    counter: RequestCounter,
) -> io::Result<()> {
    let held = Held::default();
    serve_holding(listener, as_it_is, router, drain, counter, held).await?;
    Ok(())
}

/// The same as [`serve`], over what `accept` makes of each connection, as with TLS. Each is accepted beside all others;
/// one that fails is dropped, and one that takes as long as a client may take to ask something is given up.
///
/// # Errors
/// As with [`serve`].
pub async fn serve_with<S, F>(
    listener: Listener,
    accept: impl Fn(Connection) -> F,
    router: Router,
    drain: DrainSignal,
) -> io::Result<()>
where
    F: Future<Output = io::Result<S>> + Send + 'static,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (counter, held) = (RequestCounter::default(), Held::default());
    serve_holding(listener, accept, router, drain, counter, held).await?;
    Ok(())
}

/// How a drain ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Nothing was left.
    Done,
    /// The time was over.
    Cut,
}

/// A connection as the listener gives it.
pub(crate) fn as_it_is(connection: Connection) -> Ready<io::Result<Connection>> {
    ready(Ok(connection))
}

/// The same, and counts in `held` what is open.
pub(crate) async fn serve_holding<S, F>(
    mut listener: Listener,
    accept: impl Fn(Connection) -> F,
    router: Router,
    mut drain: DrainSignal,
    counter: RequestCounter,
    held: Held,
) -> io::Result<End>
where
    F: Future<Output = io::Result<S>> + Send + 'static,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut connections = JoinSet::new();
    // What is upgraded leaves its task; each connection has a sender until it is closed.
    let (open, mut all_closed) = mpsc::channel::<Infallible>(1);
    let host = Arc::new(Host {
        router,
        drain: drain.clone(),
        counter,
        held: held.clone(),
    });
    let serve = move |taken: Connection| {
        let taken = taken.held(host.held.connection(&open));
        connection::serve(accept(taken), Arc::clone(&host))
    };
    loop {
        tokio::select! {
            biased;
            _ = drain.begun() => break,
            accepted = listener.accept() => {
                connections.spawn(serve(accepted?));
                // Under a flood this comes next each time, and those that have ended would heap up.
                while connections.try_join_next().is_some() {}
                continue;
            }
            // A handler that panicked has ended its own connection, and nothing else.
            Some(_) = connections.join_next() => continue,
        }
    }
    let until = Instant::now() + LAST;
    while let Some(last) = listener.last(until).await {
        connections.spawn(serve(last));
    }
    let mut awaited = listener.close();
    loop {
        let last = tokio::select! {
            last = awaited.next() => last,
            () = drain.over() => None,
        };
        let Some(last) = last else { break };
        connections.spawn(serve(last));
    }
    drop((awaited, serve));
    tokio::select! {
        None = all_closed.recv() => return Ok(End::Done),
        () = drain.over() => {}
    }
    let held = held.now().held;
    tracing::warn!("the time to drain is over: cutting {held} open connections");
    Ok(End::Cut)
}

#[cfg(test)]
mod tests;
