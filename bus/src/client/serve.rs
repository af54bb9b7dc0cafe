//! Answering requests.

use std::{
    marker::PhantomData,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use futures::Stream;
use tokio::{sync::mpsc, time::Instant};

use super::{
    announce::{Scope, TypeRef},
    emit::{headers_flag, put_headers},
    error::EmitError,
    handle::Handle,
    lease::Lease,
    link::Link,
    payload::Encoded,
    publishers::Publisher,
    receive,
    scratch::Scratch,
    state::{Purpose, PutError, State},
    trace::{self, TraceContext},
};
use crate::{
    Origin, Request, Topic,
    wire::{FrameType, data, flags, headers::Headers},
};

/// Requests that wait for one server; over it they are declined at once. As the hub's bound of requests per asker.
pub(super) const WAITING_CALLS: usize = 1024;

/// A request as it came. Declines if dropped.
#[derive(Debug)]
pub(super) struct Incoming {
    link: Arc<Link>,
    /// The number of the connection it came by: on another one nobody waits for its answer.
    epoch: u32,
    call: u64,
    /// True once it was answered or declined.
    settled: bool,
    topic: Topic,
    publisher: Arc<Publisher>,
    until: Instant,
    kind: data::Payload,
    headers: Bytes,
    payload: Bytes,
}

impl Incoming {
    pub(super) fn new(
        link: Arc<Link>,
        epoch: u32,
        head: &data::Call<'_>,
        topic: Topic,
        publisher: Arc<Publisher>,
        body: &Bytes,
    ) -> Self {
        Self {
            link,
            epoch,
            call: head.call,
            settled: false,
            topic,
            publisher,
            until: Instant::now() + Duration::from_millis(head.timeout_ms.into()),
            kind: head.kind,
            headers: body.slice_ref(head.headers),
            payload: body.slice(head.payload_at..),
        }
    }

    /// Whether its asker can't be answered any more.
    fn is_void(&self) -> bool {
        self.link.epoch() != self.epoch
    }

    pub(super) fn decline(mut self, reason: &str) {
        self.settled = true;
        receive::decline(&self.link, self.epoch, self.call, reason);
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if !self.settled {
            receive::decline(
                &self.link,
                self.epoch,
                self.call,
                "it was dropped without an answer",
            );
        }
    }
}

/// Requests as they arrive: a [`Stream`] of [`Call`]s. It goes on when the connection was lost and made again, without those that came
/// by the lost one, and ends when the connection has. Dropping it ends the service.
#[derive(Debug)]
pub struct Calls<R> {
    calls: mpsc::Receiver<Incoming>,
    lease: Lease,
    request: PhantomData<fn() -> R>,
}

/// One request, to be answered or declined. Dropping it declines it.
#[derive(Debug)]
pub struct Call<R> {
    request: R,
    incoming: Incoming,
    /// Keeps the connection open until the answer is written.
    _handle: Arc<Handle>,
}

impl<R: Request> Calls<R> {
    pub(super) fn new(lease: Lease, calls: mpsc::Receiver<Incoming>) -> Self {
        Self {
            calls,
            lease,
            request: PhantomData,
        }
    }

    /// The next request; `None` when the connection has ended. A request that isn't of the type is declined here, and said why.
    pub async fn next(&mut self) -> Option<Call<R>> {
        std::future::poll_fn(|cx| self.poll_call(cx)).await
    }

    fn poll_call(&mut self, cx: &mut Context<'_>) -> Poll<Option<Call<R>>> {
        loop {
            let Some(incoming) = ready!(self.calls.poll_recv(cx)) else {
                return Poll::Ready(None);
            };
            if incoming.is_void() {
                continue;
            }
            match Encoded::new(&incoming.publisher, incoming.kind, &incoming.payload).typed::<R>() {
                Ok(request) => {
                    return Poll::Ready(Some(Call {
                        request,
                        incoming,
                        _handle: Arc::clone(self.lease.handle()),
                    }));
                }
                Err(why) => incoming.decline(&format!(
                    "the request is not of the type it is read as: {why}"
                )),
            }
        }
    }
}

impl<R: Request> Stream for Calls<R> {
    type Item = Call<R>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Call<R>>> {
        self.get_mut().poll_call(cx)
    }
}

impl<R: Request> Call<R> {
    /// What is asked.
    pub fn request(&self) -> &R {
        &self.request
    }

    /// Who asks; stamped by the hub.
    pub fn origin(&self) -> &Origin {
        &self.incoming.publisher.origin
    }

    /// Where it was sent to.
    pub fn topic(&self) -> &Topic {
        &self.incoming.topic
    }

    /// Its headers.
    pub fn headers(&self) -> Headers {
        // The hub has checked them.
        Headers::parse(&self.incoming.headers).unwrap_or_default()
    }

    /// The trace it is part of, as a step of its own: what is emitted, asked and answered within its
    /// [`scope`](TraceContext::scope) goes on from here. `None` if its asker was part of none.
    pub fn trace(&self) -> Option<TraceContext> {
        TraceContext::continued(&self.incoming.headers)
    }

    /// A span for what is done to answer it, which goes on with the trace it is part of.
    pub fn span(&self) -> tracing::Span {
        TraceContext::span(&self.incoming.headers, "call", self.topic().as_str())
    }

    /// When the asker gives up.
    pub fn deadline(&self) -> std::time::Instant {
        self.incoming.until.into_std()
    }

    /// Answers. Returns when the outgoing buffer took the answer.
    ///
    /// # Errors
    /// If the connection it came by was lost, the answer is too large, or there was no room; the asker is then told that it
    /// was declined.
    pub async fn reply(self, reply: &R::Reply) -> Result<(), EmitError> {
        self.answer(reply, Headers::new(), None).await
    }

    /// Answers, and lets the answer stand: for so long, to the millisecond, the hub gives it to whoever asks the same, as long as
    /// this connection answers there. The longest is 49 days.
    ///
    /// # Errors
    /// As [`Call::reply`].
    pub async fn reply_for(self, reply: &R::Reply, holds: Duration) -> Result<(), EmitError> {
        self.answer(reply, Headers::new(), Some(holds)).await
    }

    /// Answers, with headers beside the answer.
    ///
    /// # Errors
    /// As [`Call::reply`].
    pub async fn reply_with(self, reply: &R::Reply, headers: Headers) -> Result<(), EmitError> {
        self.answer(reply, headers, None).await
    }

    async fn answer(
        mut self,
        reply: &R::Reply,
        mut headers: Headers,
        holds: Option<Duration>,
    ) -> Result<(), EmitError> {
        let link = Arc::clone(&self.incoming.link);
        let topic = self.incoming.topic.as_str();
        let payload = Scratch::postcard(reply).map_err(|reason| EmitError::Encoding {
            topic: topic.into(),
            reason,
        })?;
        let limit = link.payload_limit();
        if payload.len() > limit {
            return Err(EmitError::too_large(topic, payload.len(), limit));
        }
        trace::add(&mut headers).map_err(|bad| EmitError::BadHeader {
            topic: topic.into(),
            reason: bad.to_string(),
        })?;
        let (epoch, call, ty) = (
            self.incoming.epoch,
            self.incoming.call,
            TypeRef::reply::<R>(),
        );
        let ttl_ms = holds.map(|holds| u32::try_from(holds.as_millis()).unwrap_or(u32::MAX));
        let put = |state: &mut State| {
            if state.epoch != epoch {
                return Err(PutError::Never(EmitError::Disconnected(state.why_lost())));
            }
            let (index, _) = state.announced(&ty, Scope::Free, topic)?;
            let head = |out: &mut BytesMut| {
                data::put_reply(out, call, data::Payload::Postcard(index), ttl_ms);
                put_headers(out, &headers);
            };
            let flags = headers_flag(&headers) | ttl_ms.map_or(0, |_| flags::EXPIRES);
            state.outbox.frame(FrameType::Reply, flags, head, &payload);
            Ok(())
        };
        link.put(Purpose::Finish, topic, put).await?;
        self.incoming.settled = true;
        Ok(())
    }

    /// Declines, with a reason for the asker.
    pub fn decline(self, reason: &str) {
        self.incoming.decline(reason);
    }
}
