//! The reading end of a subscription: runs become events here, one by one, as they are polled.

mod credit;
mod cursor;
mod received;

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures::Stream;
use tokio::task::coop;

pub(super) use credit::Credit;
use cursor::Cursor;
pub(super) use cursor::{Decode, Fits};
pub use received::{Delivery, Received};

use super::{
    lease::Lease,
    queue::{Item, Queue, Taken},
};
use crate::Topic;

/// Events as they arrive: a [`Stream`] of [`Delivery`]. Dropping it unsubscribes.
#[derive(Debug)]
pub struct Subscription<T> {
    queue: Arc<Queue>,
    batch: VecDeque<Item>,
    run: Option<Cursor>,
    decode: Decode<T>,
    fits: Fits,
    ended: bool,
    topic: Option<Topic>,
    /// Of a subscription with a window: what the hub is to be told.
    credit: Option<Credit>,
    lease: Lease,
}

impl<T> Subscription<T> {
    pub(super) fn new(
        lease: Lease,
        queue: Arc<Queue>,
        decode: Decode<T>,
        credit: Option<Credit>,
    ) -> Self {
        Self {
            queue,
            batch: VecDeque::new(),
            run: None,
            decode,
            fits: Fits::default(),
            ended: false,
            topic: None,
            credit,
            lease,
        }
    }

    /// The next event, for readers that can live with losses: lagging, misfits and lost connections are logged (at level `warn`) and skipped.
    /// `None` when the connection has ended; [`Bus::closed`](super::Bus::closed) says why.
    pub async fn next_event(&mut self) -> Option<Received<T>> {
        loop {
            match std::future::poll_fn(|cx| self.poll_delivery(cx)).await? {
                Delivery::Event(event) => return Some(event),
                Delivery::Lagged { missed } => {
                    tracing::warn!(
                        missed,
                        pattern = self.lease.pattern(),
                        "subscription lagged"
                    );
                }
                Delivery::Misfit {
                    missed,
                    topic,
                    reason,
                } => {
                    tracing::warn!(missed, topic, reason, "events of another type were skipped");
                }
                Delivery::Reconnected { missed } => match missed {
                    Some(0) => {}
                    missed => tracing::warn!(
                        missed,
                        pattern = self.lease.pattern(),
                        "the bus connection was lost for a while, and events with it"
                    ),
                },
                Delivery::Disconnected(_) => return None,
            }
        }
    }

    /// What was subscribed to.
    #[must_use]
    pub fn pattern(&self) -> &str {
        self.lease.pattern()
    }

    fn poll_delivery(&mut self, cx: &mut Context<'_>) -> Poll<Option<Delivery<T>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let coop = ready!(coop::poll_proceed(cx));
        if let Some(credit) = &mut self.credit {
            credit.asked_for_more(&self.lease);
        }
        let delivery = ready!(self.poll_queued(cx));
        coop.made_progress();
        self.ended = matches!(delivery, Delivery::Disconnected(_));
        Poll::Ready(Some(delivery))
    }

    fn poll_queued(&mut self, cx: &Context<'_>) -> Poll<Delivery<T>> {
        loop {
            if let Some(cursor) = &mut self.run {
                if !cursor.is_over() {
                    return Poll::Ready(self.read_on());
                }
                self.run = None;
            }
            match self.batch.pop_front() {
                Some(Item::Run(run)) => self.run = Some(Cursor::new(run)),
                Some(Item::Replaced) => {}
                Some(Item::Lagged(missed)) => return Poll::Ready(Delivery::Lagged { missed }),
                Some(Item::Reconnected(missed)) => {
                    return Poll::Ready(Delivery::Reconnected { missed });
                }
                Some(Item::Misfit {
                    missed,
                    topic,
                    reason,
                }) => {
                    return Poll::Ready(Delivery::Misfit {
                        missed,
                        topic,
                        reason,
                    });
                }
                None => match self.queue.poll_take(cx, &mut self.batch) {
                    Poll::Ready(Taken::Items) => {}
                    Poll::Ready(Taken::Missed(missed)) => {
                        return Poll::Ready(self.lagged(missed));
                    }
                    Poll::Ready(Taken::Reconnected(missed)) => {
                        return Poll::Ready(Delivery::Reconnected { missed });
                    }
                    Poll::Ready(Taken::Ended(why)) => {
                        return Poll::Ready(Delivery::Disconnected(why));
                    }
                    Poll::Pending => {
                        if let Some(credit) = &mut self.credit {
                            credit.tell(&self.lease);
                        }
                        return Poll::Pending;
                    }
                },
            }
        }
    }

    /// The next event of the run.
    fn read_on(&mut self) -> Delivery<T> {
        let cursor = self.run.as_mut().expect("there is a run, and more of it");
        let before = cursor.read();
        let delivery = cursor.next(self.decode, &mut self.fits, &mut self.topic);
        if let Some(credit) = &mut self.credit {
            credit.given(cursor.epoch(), cursor.read() - before);
        }
        delivery
    }

    /// The queue lost some: they take no room of the window any more.
    fn lagged(&mut self, missed: u64) -> Delivery<T> {
        if let Some(credit) = &mut self.credit {
            credit.lost(missed);
        }
        Delivery::Lagged { missed }
    }
}

impl<T> Stream for Subscription<T> {
    type Item = Delivery<T>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Delivery<T>>> {
        self.get_mut().poll_delivery(cx)
    }
}

impl<T> Drop for Subscription<T> {
    fn drop(&mut self) {
        self.queue.abandon();
        if let Some(credit) = &mut self.credit {
            credit.asked_for_more(&self.lease);
            credit.tell(&self.lease);
        }
    }
}
