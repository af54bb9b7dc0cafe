//! The reading end of a subscription: runs become events here, one by one, as they are polled.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures::Stream;
use tokio::task::coop;

use super::{
    error::Disconnected,
    lease::Lease,
    payload::Encoded,
    publishers::PublishedType,
    queue::{Item, Queue, RunItem, Taken},
};
use crate::{
    Origin, Topic,
    wire::{self, HEADER_BYTES, data, flags},
};

/// An event, and what the hub knows of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received<T> {
    /// The event.
    pub event: T,
    /// Who sent it; stamped by the hub.
    pub origin: Arc<Origin>,
    /// Its topic.
    pub topic: Topic,
    /// Its number in the hub's order of its lane.
    pub seq: u64,
    /// True if it was published before this subscription, and retained.
    pub retained: bool,
    /// True if it was published before this subscription, and comes from its topic's history.
    pub history: bool,
}

/// What a subscription yields. Only the last kind is the last item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery<T> {
    /// An event.
    Event(Received<T>),
    /// This reader was too slow: so many events were dropped at this place, the oldest that waited.
    Lagged {
        /// How many.
        missed: u64,
    },
    /// Events at this place are of a type this reader doesn't read.
    Misfit {
        /// How many in a row.
        missed: u64,
        /// The topic.
        topic: String,
        /// Why, with both types spelled out, or the path of the first mismatch.
        reason: String,
    },
    /// The connection has ended. Nothing follows.
    Disconnected(Disconnected),
}

/// How a payload becomes an item.
pub(super) type Decode<T> = fn(&Encoded<'_>, &mut Fits) -> Result<T, String>;

/// The publisher's type that was last found to be the reader's: events in a row are of the same one.
#[derive(Debug, Default)]
pub(super) struct Fits(Option<Arc<PublishedType>>);

impl Fits {
    /// Whether `published` is the type found last.
    pub(super) fn last_was(&self, published: &Arc<PublishedType>) -> bool {
        self.0
            .as_ref()
            .is_some_and(|last| Arc::ptr_eq(last, published))
    }

    pub(super) fn found(&mut self, published: &Arc<PublishedType>) {
        self.0 = Some(Arc::clone(published));
    }
}

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
    lease: Lease,
}

/// A run that is being read.
#[derive(Debug)]
struct Cursor {
    run: RunItem,
    at: usize,
    read: u32,
}

impl<T> Subscription<T> {
    pub(super) fn new(lease: Lease, queue: Arc<Queue>, decode: Decode<T>) -> Self {
        Self {
            queue,
            batch: VecDeque::new(),
            run: None,
            decode,
            fits: Fits::default(),
            ended: false,
            topic: None,
            lease,
        }
    }

    /// The next event, for readers that can live with losses: lagging and misfits are logged (at level `warn`) and skipped.
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
        let delivery = ready!(self.poll_queued(cx));
        coop.made_progress();
        self.ended = matches!(delivery, Delivery::Disconnected(_));
        Poll::Ready(Some(delivery))
    }

    fn poll_queued(&mut self, cx: &Context<'_>) -> Poll<Delivery<T>> {
        loop {
            if let Some(cursor) = &mut self.run {
                if cursor.read < cursor.run.count {
                    return Poll::Ready(cursor.next(self.decode, &mut self.fits, &mut self.topic));
                }
                self.run = None;
            }
            match self.batch.pop_front() {
                Some(Item::Run(run)) => {
                    self.run = Some(Cursor {
                        run,
                        at: 0,
                        read: 0,
                    });
                }
                Some(Item::Lagged(missed)) => return Poll::Ready(Delivery::Lagged { missed }),
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
                None => match ready!(self.queue.poll_take(cx, &mut self.batch)) {
                    Taken::Items => {}
                    Taken::Missed(missed) => return Poll::Ready(Delivery::Lagged { missed }),
                    Taken::Ended(why) => return Poll::Ready(Delivery::Disconnected(why)),
                },
            }
        }
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
    }
}

impl Cursor {
    /// Reads the next event of the run; there must be one.
    fn next<T>(
        &mut self,
        decode: Decode<T>,
        fits: &mut Fits,
        last_topic: &mut Option<Topic>,
    ) -> Delivery<T> {
        let Some((frame_flags, from, to)) = self.frame() else {
            return self.broken("the run ends before its last event");
        };
        let body = &self.run.frames[from..to];
        let Ok(head) = data::emit(body, frame_flags) else {
            return self.broken("an event's header is malformed");
        };
        let (kind, payload_at) = (head.kind, from + head.payload_at);
        let encoded = Encoded {
            at: payload_at,
            end: to,
            ..Encoded::new(&self.run.publisher, kind, &self.run.frames)
        };
        let Some(topic) = topic(head.topic, encoded.published, last_topic) else {
            return self.broken("an event's topic is malformed, or was never announced");
        };
        let seq = self.run.first_seq.wrapping_add(u64::from(self.read));
        let decoded = decode(&encoded, fits);
        let origin = Arc::clone(&self.run.publisher.origin);
        (self.at, self.read) = (to, self.read + 1);
        match decoded {
            Ok(event) => Delivery::Event(Received {
                event,
                origin,
                topic,
                seq,
                retained: self.run.flags & flags::RETAINED != 0,
                history: self.run.flags & flags::HISTORY != 0,
            }),
            Err(reason) => Delivery::Misfit {
                missed: 1,
                topic: topic.as_str().into(),
                reason,
            },
        }
    }

    /// Flags, and where the body of the next frame begins and ends.
    fn frame(&self) -> Option<(u8, usize, usize)> {
        let rest = &self.run.frames[self.at..];
        let size = wire::frame::peek(rest, rest.len()).ok().flatten()?;
        let flags = *rest.get(..size)?.get(HEADER_BYTES - 1)?;
        Some((flags, self.at + HEADER_BYTES, self.at + size))
    }

    /// Gives the rest of the run up.
    fn broken<T>(&mut self, reason: &str) -> Delivery<T> {
        let missed = u64::from(self.run.count - self.read);
        self.read = self.run.count;
        Delivery::Misfit {
            missed,
            topic: String::new(),
            reason: format!("the hub sent what is no run: {reason}"),
        }
    }
}

/// The topic of an event: by name, or the one announced with its type.
fn topic(
    named: &[u8],
    published: Option<&Arc<PublishedType>>,
    last: &mut Option<Topic>,
) -> Option<Topic> {
    if named.is_empty() {
        return published?.topic.clone();
    }
    if let Some(last) = last
        && last.as_str().as_bytes() == named
    {
        return Some(last.clone());
    }
    let topic = Topic::new(std::str::from_utf8(named).ok()?).ok()?;
    *last = Some(topic.clone());
    Some(topic)
}
