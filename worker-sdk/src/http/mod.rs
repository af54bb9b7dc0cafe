//! HTTP/1.1 that drains as a lame duck.
//!
//! Closing kept-alive connections the moment a drain begins loses the requests that are just on their way. So a
//! draining worker stops accepting, but goes on answering what it has, each answer with `Connection: close`, which
//! moves its clients elsewhere:
//!
//! ```text
//!  drain ─┬─ a request is being answered ──► its answer says `close`, and the connection ends with it
//!         ├─ idle ──────────────────────────► closed after LAME_DUCK, if no request came
//!         └─ nothing was asked yet ─────────► waited for until FRESH after it was accepted
//! ```
//! An answer whose head was sent before the drain could not say `close`: its connection gets another [`LAME_DUCK`] when
//! it is complete. [`serve`] returns as soon as no connection is open, or when the time to drain is over.

mod body;
mod connection;

use std::{io, time::Duration};

use axum::Router;
use tokio::{sync::watch, task::JoinSet, time::Instant};

use crate::{DrainSignal, Listener, RequestCounter};

/// How long requests on connections that are already open are answered after a drain began. A client that uses its
/// connection at least once a second is told to close it and loses nothing.
pub const LAME_DUCK: Duration = Duration::from_secs(1);

/// How long a draining worker waits for the first request of a connection, from when it was accepted: clients connect
/// because they have something to ask, but some only probe or connect ahead.
pub const FRESH: Duration = Duration::from_secs(5);

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
    let (open, _) = watch::channel(0);
    serve_telling(listener, router, drain, counter, &open).await
}

/// The same; while it drains, `open` says how many connections there are.
pub(crate) async fn serve_telling(
    mut listener: Listener,
    router: Router,
    mut drain: DrainSignal,
    counter: RequestCounter,
    open: &watch::Sender<u64>,
) -> io::Result<()> {
    let mut connections = JoinSet::new();
    let signal = drain.clone();
    let serve = |taken| connection::serve(taken, router.clone(), signal.clone(), counter.clone());
    loop {
        tokio::select! {
            biased;
            _ = drain.begun() => break,
            accepted = listener.accept() => {
                connections.spawn(serve(accepted?))
            }
            // A handler that panicked has ended its own connection, and nothing else.
            Some(_) = connections.join_next() => continue,
        };
    }
    let until = Instant::now() + LAST;
    while let Some(last) = listener.last(until).await {
        connections.spawn(serve(last));
    }
    drop(listener);
    let tell = |connections: &JoinSet<()>| {
        open.send_replace(u64::try_from(connections.len()).unwrap_or(u64::MAX));
    };
    let all = async {
        tell(&connections);
        while connections.join_next().await.is_some() {
            tell(&connections);
        }
    };
    tokio::select! {
        () = all => return Ok(()),
        () = drain.over() => {}
    }
    tracing::warn!(
        "the time to drain is over: cutting {} open connections",
        connections.len()
    );
    Ok(())
}

#[cfg(test)]
mod tests;
