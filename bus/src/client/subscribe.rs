//! Asking the hub for events, or for requests to answer.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, oneshot};

use super::{
    error::SubscribeError,
    handle::{Bus, Handle},
    lease::Lease,
    ledger::Pending,
    payload::{Encoded, Payload},
    queue::{Losing, Queue, Sink},
    receive::subscribed::Subscribed,
    serve::{Calls, WAITING_CALLS},
    state::Purpose,
    subscription::{Credit, Decode, Fits, Subscription},
};
use crate::{
    Event, Pattern, Request, SchemaTrait, TypeSchema,
    wire::control::{OverflowPolicy, Refusal, SubscribeOptions},
};

/// Events that the hub sends ahead of a reader that must lose none. Some hundred microseconds of a busy bus, so the
/// way there and back is hidden; and what others must take over if the reader dies.
const DEFAULT_WINDOW: u32 = 1024;

/// A subscription with properties of its own. Made by [`Bus::subscription`].
///
/// ```no_run
/// # use ostler_bus::{client::{Bus, SubscribeError}, vocab::worker::WorkerExited};
/// # async fn example(bus: Bus) -> Result<(), SubscribeError> {
/// let exits = bus.subscription("worker.exited").max_messages(100).typed::<WorkerExited>().await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is subscribed before `typed` or `raw`"]
pub struct SubscribeBuilder<'a> {
    handle: &'a Arc<Handle>,
    pattern: &'a str,
    options: SubscribeOptions,
}

impl Bus {
    /// Subscribes to a type's topic. Returns when the hub has the subscription: events emitted afterwards, by anybody, arrive.
    ///
    /// # Errors
    /// If the hub refuses, doesn't answer, or is gone.
    pub async fn subscribe<E: Event>(&self) -> Result<Subscription<E>, SubscribeError> {
        self.subscription(E::TOPIC).typed().await
    }

    /// Subscribes to the topics that match a pattern, all read as one type.
    ///
    /// # Errors
    /// As [`Bus::subscribe`]; and if the pattern is none.
    pub async fn subscribe_to<E: Event>(
        &self,
        pattern: &str,
    ) -> Result<Subscription<E>, SubscribeError> {
        self.subscription(pattern).typed().await
    }

    /// Subscribes to the topics that match a pattern, whatever they carry.
    ///
    /// # Errors
    /// As [`Bus::subscribe_to`].
    pub async fn subscribe_raw(
        &self,
        pattern: &str,
    ) -> Result<Subscription<Payload>, SubscribeError> {
        self.subscription(pattern).raw().await
    }

    /// Prepares a subscription with properties of its own.
    pub fn subscription<'a>(&'a self, pattern: &'a str) -> SubscribeBuilder<'a> {
        SubscribeBuilder {
            handle: &self.handle,
            pattern,
            options: SubscribeOptions::default(),
        }
    }

    /// Answers a type's requests, from when the hub has it. At most 1,024 wait; over that they are declined.
    ///
    /// # Errors
    /// As [`Bus::subscribe`].
    pub async fn serve<R: Request>(&self) -> Result<Calls<R>, SubscribeError> {
        self.serve_to(R::TOPIC).await
    }

    /// Answers requests sent to topics that match a pattern, all read as one type.
    ///
    /// # Errors
    /// As [`Bus::subscribe_to`].
    pub async fn serve_to<R: Request>(&self, pattern: &str) -> Result<Calls<R>, SubscribeError> {
        let (sender, calls) = mpsc::channel(WAITING_CALLS);
        let mut builder = self.subscription(pattern);
        builder.options.serve = true;
        let reader = TypeSchema::of::<R>();
        let lease = builder.ask(&Sink::Calls(sender), Some(&reader)).await?;
        Ok(Calls::new(lease, calls))
    }
}

impl SubscribeBuilder<'_> {
    /// Bounds the queue in messages, here and at the hub. Default: [`ConnectOptions`](super::ConnectOptions), 65,536.
    pub fn max_messages(mut self, max: u32) -> Self {
        self.options.max_messages = Some(max);
        self
    }

    /// Bounds the queue in bytes, here and at the hub. Default: [`ConnectOptions`](super::ConnectOptions), 8 MiB.
    pub fn max_bytes(mut self, max: u32) -> Self {
        self.options.max_bytes = Some(max);
        self
    }

    /// What happens when the reader falls behind and the queue is full. Default: [`OverflowPolicy::DropOldest`].
    pub fn policy(mut self, policy: OverflowPolicy) -> Self {
        self.options.policy = policy;
        self
    }

    /// Joins a queue group: of all members with that name that an event matches, one gets it, the least loaded. What a
    /// member was given and had not taken when it ended, another gets; it may then be handled twice.
    pub fn group(mut self, name: impl Into<String>) -> Self {
        self.options.group = Some(name.into());
        self
    }

    /// So many events the hub sends ahead of what the reader has taken; an event counts as taken when the reader asks for the
    /// next. Default: any number; but 1,024 in a group, with back pressure, and where a full queue disconnects, as
    /// otherwise this process would take everything at once.
    pub fn window(mut self, events: u32) -> Self {
        self.options.window = Some(events.max(1));
        self
    }

    /// So many of the last events of each topic that keeps a history come first.
    pub fn history(mut self, events: u32) -> Self {
        self.options.history = events;
        self
    }

    /// Subscribes, reading everything as one type. Events written as another are converted by the hub where
    /// that is possible, and otherwise told as misfits.
    ///
    /// # Errors
    /// As [`Bus::subscribe_to`].
    pub async fn typed<E: DeserializeOwned + SchemaTrait + 'static>(
        self,
    ) -> Result<Subscription<E>, SubscribeError> {
        let reader = TypeSchema::of::<E>();
        self.events(Some(&reader), read_typed::<E>).await
    }

    /// Subscribes, taking everything as it comes.
    ///
    /// # Errors
    /// As [`Bus::subscribe_to`].
    pub async fn raw(self) -> Result<Subscription<Payload>, SubscribeError> {
        self.events(None, |encoded, _| encoded.raw()).await
    }

    async fn events<T>(
        mut self,
        reader: Option<&TypeSchema>,
        decode: Decode<T>,
    ) -> Result<Subscription<T>, SubscribeError> {
        self.options.window = self.options.window.or_else(|| self.default_window());
        let queue = self.queue();
        let credit = self.options.window.map(Credit::new);
        let lease = self.ask(&Sink::Events(Arc::clone(&queue)), reader).await?;
        Ok(Subscription::new(lease, queue, decode, credit))
    }

    /// Where nothing may be lost here the hub must know what the reader has taken.
    fn default_window(&self) -> Option<u32> {
        let hub_decides = match self.options.policy {
            OverflowPolicy::Backpressure { .. } | OverflowPolicy::Disconnect => true,
            OverflowPolicy::DropOldest
            | OverflowPolicy::DropNewest
            | OverflowPolicy::KeepLatest => false,
        };
        (hub_decides || self.options.group.is_some()).then_some(DEFAULT_WINDOW)
    }

    fn queue(&self) -> Arc<Queue> {
        if let Some(window) = self.options.window {
            // What came by a lost connection, and what comes by the next.
            return Queue::new(Losing::Oldest, window as usize * 2, usize::MAX);
        }
        let own = &self.handle.link.options;
        let bound = |asked: Option<u32>, own: usize| asked.map_or(own, |n| n as usize);
        let losing = match self.options.policy {
            OverflowPolicy::DropNewest => Losing::Newest,
            OverflowPolicy::KeepLatest => Losing::AllButLatest,
            OverflowPolicy::DropOldest
            | OverflowPolicy::Backpressure { .. }
            | OverflowPolicy::Disconnect => Losing::Oldest,
        };
        Queue::new(
            losing,
            bound(self.options.max_messages, own.queue_messages),
            bound(self.options.max_bytes, own.queue_bytes),
        )
    }

    /// Asks the hub, and waits for its answer. Given up, it unsubscribes.
    async fn ask(self, sink: &Sink, reader: Option<&TypeSchema>) -> Result<Lease, SubscribeError> {
        let pattern = Pattern::new(self.pattern).map_err(SubscribeError::BadPattern)?;
        let link = &self.handle.link;
        let reader = reader.map(TypeSchema::encoded);
        let (sub, answer) = link
            .put(Purpose::Begin, pattern.as_str(), |state| {
                let sub = state.next_sub();
                let (answer, answered) = oneshot::channel();
                let options = self.options.clone();
                let subscribed = Subscribed::new(sink.clone(), pattern.as_str(), reader, options);
                let op = subscribed.ask(sub);
                state.subscribing.insert(sub, subscribed);
                state.control(op, Some(Pending::Subscribe { sub, answer }));
                Ok((sub, answered))
            })
            .await?;
        let lease = Lease::new(Arc::clone(self.handle), sub, pattern.as_str().into());
        let after = link.answer_timeout();
        let pattern = || pattern.as_str().to_owned();
        match tokio::time::timeout(after, answer).await {
            Ok(Ok(Ok(_))) => Ok(lease),
            Ok(Ok(Err(refusal))) => Err(self.refused(lease, pattern(), refusal)),
            Ok(Err(_)) => Err(SubscribeError::Disconnected(link.why_closed())),
            Err(_) => Err(SubscribeError::Unanswered {
                pattern: pattern(),
                after,
            }),
        }
    }

    /// There is nothing to unsubscribe from.
    fn refused(&self, lease: Lease, pattern: String, refusal: Refusal) -> SubscribeError {
        lease.void();
        SubscribeError::Refused { pattern, refusal }
    }
}

fn read_typed<T: DeserializeOwned + SchemaTrait + 'static>(
    encoded: &Encoded<'_>,
    fits: &mut Fits,
) -> Result<T, String> {
    if encoded
        .published
        .is_some_and(|published| fits.last_was(published))
    {
        return encoded.checked();
    }
    let value = encoded.typed()?;
    if let Some(published) = encoded.published {
        fits.found(published);
    }
    Ok(value)
}
