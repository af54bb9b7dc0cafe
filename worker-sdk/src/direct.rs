//! What is sent to this very worker, to whichever has its slot, or to all of its app: three topics, one stream.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures::{Stream, StreamExt, future::try_join_all, stream::SelectAll};
use ostler_bus::{
    Event, Request,
    client::{Bus, Call, Calls, Delivery, SubscribeError, Subscription, direct_topics},
};

use crate::Identity;

/// Events sent to this worker: a [`Stream`] of [`Delivery`]. Those sent by its id, by its slot and by its app are
/// subscriptions of their own: each keeps its order, and tells its own losses.
#[derive(Debug)]
pub struct DirectEvents<E> {
    ways: SelectAll<Subscription<E>>,
    /// How many of them have not ended.
    open: usize,
}

/// Requests sent to this worker: a [`Stream`] of [`Call`]s.
#[derive(Debug)]
pub struct DirectCalls<R> {
    ways: SelectAll<Calls<R>>,
}

impl<E: Event> DirectEvents<E> {
    pub(crate) async fn subscribe(bus: &Bus, identity: &Identity) -> Result<Self, SubscribeError> {
        let topics = topics(identity, E::TOPIC);
        let ways = topics.iter().map(|topic| bus.subscribe_to::<E>(topic));
        let ways: SelectAll<_> = try_join_all(ways).await?.into_iter().collect();
        let open = ways.len();
        Ok(Self { ways, open })
    }
}

impl<R: Request> DirectCalls<R> {
    pub(crate) async fn serve(bus: &Bus, identity: &Identity) -> Result<Self, SubscribeError> {
        let topics = topics(identity, R::TOPIC);
        let ways = topics.iter().map(|topic| bus.serve_to::<R>(topic));
        let ways = try_join_all(ways).await?.into_iter().collect();
        Ok(Self { ways })
    }
}

impl<E> Stream for DirectEvents<E> {
    type Item = Delivery<E>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            match ready!(self.ways.poll_next_unpin(cx)) {
                // Each of them tells of the end: the last one is passed on.
                Some(Delivery::Disconnected(_)) if self.open > 1 => self.open -= 1,
                delivery => return Poll::Ready(delivery),
            }
        }
    }
}

impl<R: Request> Stream for DirectCalls<R> {
    type Item = Call<R>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.ways.poll_next_unpin(cx)
    }
}

fn topics(identity: &Identity, topic: &str) -> [String; 3] {
    direct_topics(&identity.app, identity.slot, identity.id, topic)
}
