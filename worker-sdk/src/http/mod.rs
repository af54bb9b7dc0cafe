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
use tokio::task::JoinSet;

use crate::{DrainSignal, Listener};

/// How long requests on connections that are already open are answered after a drain began. A client that uses its
/// connection at least once a second is told to close it and loses nothing.
pub const LAME_DUCK: Duration = Duration::from_secs(1);

/// How long a draining worker waits for the first request of a connection, from when it was accepted: clients connect
/// because they have something to ask, but some only probe or connect ahead.
pub const FRESH: Duration = Duration::from_secs(5);

/// Serves `router` on `listener` until `drain` begins and everything begun has been answered.
///
/// # Errors
/// If the listener itself fails; a failing connection ends by itself.
pub async fn serve(
    mut listener: Listener,
    router: Router,
    mut drain: DrainSignal,
) -> io::Result<()> {
    let mut connections = JoinSet::new();
    let signal = drain.clone();
    loop {
        tokio::select! {
            biased;
            _ = drain.begun() => break,
            accepted = listener.accept() => {
                connections.spawn(connection::serve(accepted?, router.clone(), signal.clone()))
            }
            // A handler that panicked has ended its own connection, and nothing else.
            Some(_) = connections.join_next() => continue,
        };
    }
    drop(listener);
    let all = async { while connections.join_next().await.is_some() {} };
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
