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
    queue::{Queue, Sink},
    serve::{Calls, WAITING_CALLS},
    state::Purpose,
    subscription::{Decode, Fits, Subscription},
};
use crate::{
    Event, Pattern, Request, SchemaTrait, TypeSchema,
    wire::control::{ClientOp, OverflowPolicy, Refusal, SubscribeOptions},
};

/// A subscription with bounds of its own. Made by [`Bus::subscription`].
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
    max_messages: Option<u32>,
    max_bytes: Option<u32>,
    history: u32,
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

    /// Prepares a subscription with bounds of its own.
    pub fn subscription<'a>(&'a self, pattern: &'a str) -> SubscribeBuilder<'a> {
        SubscribeBuilder {
            handle: &self.handle,
            pattern,
            max_messages: None,
            max_bytes: None,
            history: 0,
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
        let builder = self.subscription(pattern);
        let reader = TypeSchema::of::<R>();
        let options = SubscribeOptions {
            serve: true,
            ..builder.options()
        };
        let lease = builder
            .ask(&Sink::Calls(sender), Some(&reader), options)
            .await?;
        Ok(Calls::new(lease, calls))
    }
}

impl SubscribeBuilder<'_> {
    /// Bounds the queue in messages, here and at the hub. Default: [`ConnectOptions`](super::ConnectOptions), 65,536.
    pub fn max_messages(mut self, max: u32) -> Self {
        self.max_messages = Some(max);
        self
    }

    /// Bounds the queue in bytes, here and at the hub. Default: [`ConnectOptions`](super::ConnectOptions), 8 MiB.
    pub fn max_bytes(mut self, max: u32) -> Self {
        self.max_bytes = Some(max);
        self
    }

    /// Begins with the last `most` events of each topic that keeps a history, in their order. Default: none.
    pub fn history(mut self, most: u32) -> Self {
        self.history = most;
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
        self,
        reader: Option<&TypeSchema>,
        decode: Decode<T>,
    ) -> Result<Subscription<T>, SubscribeError> {
        let own = &self.handle.link.options;
        let bound = |asked: Option<u32>, own: usize| asked.map_or(own, |n| n as usize);
        let queue = Queue::new(
            bound(self.max_messages, own.queue_messages),
            bound(self.max_bytes, own.queue_bytes),
        );
        let options = self.options();
        let sink = Sink::Events(Arc::clone(&queue));
        let lease = self.ask(&sink, reader, options).await?;
        Ok(Subscription::new(lease, queue, decode))
    }

    fn options(&self) -> SubscribeOptions {
        SubscribeOptions {
            serve: false,
            max_messages: self.max_messages,
            max_bytes: self.max_bytes,
            policy: OverflowPolicy::DropOldest,
            history: self.history,
            ..SubscribeOptions::default()
        }
    }

    /// Asks the hub, and waits for its answer. Given up, it unsubscribes.
    async fn ask(
        self,
        sink: &Sink,
        reader: Option<&TypeSchema>,
        options: SubscribeOptions,
    ) -> Result<Lease, SubscribeError> {
        let pattern = Pattern::new(self.pattern).map_err(SubscribeError::BadPattern)?;
        let link = &self.handle.link;
        let (sub, answer) = link
            .put(Purpose::Begin, |state| {
                let sub = state.next_sub();
                let (answer, answered) = oneshot::channel();
                let op = ClientOp::Subscribe {
                    sub,
                    pattern: pattern.as_str().into(),
                    reader: reader.map(|r| r.encoded().to_vec()),
                    options: options.clone(),
                };
                state.subscribing.insert(sub, sink.clone());
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
