//! Receiving connections that other workers send, with their messages.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use futures::{Stream, StreamExt};
use ostler_bus::{Origin, Request, client::Calls};
use tokio::sync::mpsc;

use super::{HEADER, client::Passing, words::WorkerWord};
use crate::{Connection, DirectCalls, DrainSignal};

/// Connections that were taken and that the app has not asked for yet; others wait at the bus, and their senders with them.
const AHEAD: usize = 1;

/// A connection that somebody sent.
#[derive(Debug)]
pub struct Received<R> {
    /// What was sent with it.
    pub message: R,
    /// The connection, this worker's own. What its sender has not read is still to be read.
    pub connection: Connection,
    /// Who sent it; stamped by the hub.
    pub origin: Origin,
}

/// Connections as they come: a [`Stream`] of [`Received`]. Dropping it ends the service: whoever sends another gets it back. From
/// the moment at which this worker is to drain none comes any more.
#[derive(Debug)]
pub struct ReceivedConnections<R> {
    received: mpsc::Receiver<Received<R>>,
}

impl<R> ReceivedConnections<R> {
    /// The next; `None` when there will be no more.
    pub async fn next(&mut self) -> Option<Received<R>> {
        self.received.recv().await
    }
}

impl<R> Stream for ReceivedConnections<R> {
    type Item = Received<R>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.received.poll_recv(cx)
    }
}

/// Begins to receive.
pub(crate) fn begin<R: Request<Reply = ()> + Clone>(
    passing: Option<Passing>,
    direct: DirectCalls<R>,
    any: Calls<R>,
    draining: DrainSignal,
) -> ReceivedConnections<R> {
    let (out, received) = mpsc::channel(AHEAD);
    tokio::spawn(receive(passing, direct, any, draining, out));
    ReceivedConnections { received }
}

/// A task of its own: a take that has begun is finished whatever the app's futures do.
async fn receive<R: Request<Reply = ()> + Clone>(
    passing: Option<Passing>,
    mut direct: DirectCalls<R>,
    mut any: Calls<R>,
    mut draining: DrainSignal,
    out: mpsc::Sender<Received<R>>,
) {
    loop {
        let next = async {
            // Nothing is taken that there is no place for.
            let permit = out.reserve().await.ok()?;
            let call = tokio::select! {
                Some(call) = direct.next() => call,
                Some(call) = any.next() => call,
                else => return None,
            };
            Some((permit, call))
        };
        let next = tokio::select! {
            biased;
            () = out.closed() => return,
            _ = draining.begun() => return,
            next = next => next,
        };
        let Some((permit, call)) = next else {
            return;
        };
        let token = call.headers().get(HEADER).map(str::to_owned);
        match take(passing.as_ref(), token).await {
            Ok(connection) => {
                permit.send(Received {
                    message: call.request().clone(),
                    connection,
                    origin: call.origin().clone(),
                });
                // Its sender asks the master in any case.
                let _gone = call.reply(&()).await;
            }
            Err(error) => call.decline(&format!("the connection was not taken: {error}")),
        }
    }
}

async fn take(passing: Option<&Passing>, token: Option<String>) -> io::Result<Connection> {
    let passing = passing.ok_or_else(super::give::unsupported)?;
    let token = token.ok_or_else(|| io::Error::other("the message came without one"))?;
    let id = passing.number();
    let answer = passing
        .ask(id, &WorkerWord::Take { id, token }, &[])
        .await?;
    let fd = answer.fds.into_iter().next();
    Connection::received(fd.ok_or_else(super::client::no_room)?)
}
