//! A question that is encoded and not yet asked.

use std::{marker::PhantomData, sync::Arc, time::Duration};

use bytes::{BufMut, BytesMut};
use tokio::sync::oneshot;

use super::{Answer, Answers, DEFAULT_WAIT, HUB_GRACE, Waits, many::Gathering, unanswered};
use crate::{
    Request, Slot, WorkerId,
    client::{
        announce::{Scope, TypeRef},
        direct,
        emit::{Form, headers_flag, put_headers},
        error::{EmitError, RequestError},
        handle::Handle,
        ledger::{Answered, Pending},
        scratch::Scratch,
        state::{Purpose, State},
        trace,
    },
    wire::{FrameType, data, flags, headers::Headers},
};

/// Asks whoever serves the topic: one of them answers.
#[derive(Clone, Copy, Debug)]
pub struct One;

/// Asks everybody who serves the topic.
#[derive(Clone, Copy, Debug)]
pub struct Many {
    limit: u32,
}

/// A question that is encoded and not yet asked: for everything that is not said by one of [`Bus`](crate::Bus)'s shorthands.
///
/// ```no_run
/// # use ostler_bus::{Request, Schema, client::{Bus, RequestError}};
/// # use serde::{Deserialize, Serialize};
/// # use std::time::Duration;
/// #[derive(Request, Serialize, Deserialize)]
/// #[request(topic = "cache.size", reply = u64)]
/// struct CacheSize {}
///
/// # async fn example(bus: Bus) -> Result<(), RequestError> {
/// // All workers of app "web" answer once.
/// let mut sizes = bus.request_many(&CacheSize {}).to_app("web").timeout(Duration::from_secs(1)).ask().await?;
/// while let Some(size) = sizes.next().await {
///     let size = size?;
///     println!("{:?}: {}", size.origin, size.reply);
/// }
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[must_use = "nothing is asked before `ask`"]
pub struct Question<'a, R, To> {
    handle: &'a Arc<Handle>,
    topic: String,
    payload: Result<Scratch, String>,
    headers: Headers,
    bad: Option<String>,
    timeout: Duration,
    to: To,
    request: PhantomData<fn(R)>,
}

/// A question as it is sent.
pub(super) struct Asking<'a> {
    pub(super) form: Form<'a>,
    /// What the answer is read as.
    pub(super) reads: Option<TypeRef>,
    pub(super) timeout: Duration,
    pub(super) headers: &'a Headers,
    /// How many answers are enough, if everybody is asked.
    pub(super) limit: Option<u32>,
}

impl Asking<'_> {
    /// Puts it into the outgoing buffer: its reference.
    pub(super) fn put(
        &self,
        state: &mut State,
        payload: &[u8],
        pending: Pending,
    ) -> Result<u64, EmitError> {
        let (kind, topic) = state.address_request(&self.form)?;
        let reply_type = match &self.reads {
            Some(reply) => state.announced(reply, Scope::Free, topic)?.0,
            None => data::READERS_TYPE,
        };
        let timeout_ms = u32::try_from(self.timeout.as_millis()).unwrap_or(u32::MAX);
        let r#ref = state.ledger.open(pending);
        let many = self.limit.map_or(0, |_| flags::MANY);
        let head = |out: &mut BytesMut| {
            data::put_request(out, kind, topic, r#ref, reply_type, timeout_ms);
            if let Some(limit) = self.limit {
                out.put_u32(limit);
            }
            put_headers(out, self.headers);
        };
        let flags = many | headers_flag(self.headers);
        state.outbox.frame(FrameType::Request, flags, head, payload);
        Ok(r#ref)
    }

    /// Asks, and waits for the one answer.
    pub(super) async fn one(
        &self,
        handle: &Arc<Handle>,
        payload: &Scratch,
    ) -> Result<Answered, RequestError> {
        let link = &handle.link;
        let topic = self.form.topic();
        let (r#ref, answer) = link
            .put(Purpose::Begin, topic, |state| {
                let (answer, answered) = oneshot::channel();
                let r#ref = self.put(state, payload, Pending::Request(answer))?;
                Ok((r#ref, answered))
            })
            .await?;
        let _waits = Waits::new(handle, r#ref);
        match tokio::time::timeout(self.timeout.saturating_add(HUB_GRACE), answer).await {
            Ok(Ok(Ok(answer))) => Ok(answer),
            Ok(Ok(Err(refusal))) => Err(unanswered(topic, refusal, self.timeout)),
            Ok(Err(_)) => Err(RequestError::Disconnected(link.why_closed())),
            Err(_) => Err(RequestError::TimedOut {
                topic: topic.into(),
                after: self.timeout,
            }),
        }
    }
}

impl<'a, R: Request, To> Question<'a, R, To> {
    pub(super) fn new(handle: &'a Arc<Handle>, request: &R, to: To) -> Self {
        Self {
            handle,
            topic: R::TOPIC.into(),
            payload: Scratch::postcard(request),
            headers: trace::outgoing(),
            bad: None,
            timeout: DEFAULT_WAIT,
            to,
            request: PhantomData,
        }
    }

    /// On a topic chosen at run time.
    pub fn on(mut self, topic: &str) -> Self {
        self.topic = topic.into();
        self
    }

    /// To one worker alone.
    pub fn to_worker(mut self, id: WorkerId) -> Self {
        self.topic = direct::to_worker(id, &self.topic);
        self
    }

    /// To whichever worker of an app has a slot.
    pub fn to_slot(mut self, app: &str, slot: Slot) -> Self {
        self.topic = direct::to_slot(app, slot, &self.topic);
        self
    }

    /// To the workers of one app.
    pub fn to_app(mut self, app: &str) -> Self {
        self.topic = direct::to_app(app, &self.topic);
        self
    }

    /// Puts a header beside it. See [`Emission::header`](super::super::Emission::header).
    pub fn header(mut self, name: &str, value: &str) -> Self {
        if let Err(bad) = self.headers.insert(name, value) {
            self.bad.get_or_insert_with(|| bad.to_string());
        }
        self
    }

    /// How long to wait. Default 5 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// What is to be sent, if it can be.
    fn prepare(&mut self) -> Result<Scratch, EmitError> {
        let topic = || self.topic.clone();
        if let Some(reason) = self.bad.take() {
            let topic = topic();
            return Err(EmitError::BadHeader { topic, reason });
        }
        let payload = std::mem::replace(&mut self.payload, Err(String::new()));
        let form = Form::Typed(TypeRef::request::<R>(), &self.topic);
        super::sendable(&self.handle.link, &form, payload)
    }

    fn asking(&self, limit: Option<u32>) -> Asking<'_> {
        Asking {
            form: Form::Typed(TypeRef::request::<R>(), &self.topic),
            reads: Some(TypeRef::reply::<R>()),
            timeout: self.timeout,
            headers: &self.headers,
            limit,
        }
    }
}

impl<R: Request> Question<'_, R, One> {
    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// Why there is none. A connection that is lost meanwhile is an error: the question may have been answered, and
    /// is not asked twice.
    pub async fn ask(mut self) -> Result<Answer<R::Reply>, RequestError> {
        let payload = self.prepare()?;
        let answered = self.asking(None).one(self.handle, &payload).await?;
        Answer::read(answered, &self.topic)
    }
}

impl<R: Request> Question<'_, R, Many> {
    /// So many answers are enough. Default 0: all that come.
    pub fn limit(mut self, limit: u32) -> Self {
        self.to.limit = limit;
        self
    }

    /// Asks. Each program that serves the topic answers once; one that declines, or ends, isn't waited for.
    ///
    /// # Errors
    /// Why it was not asked. Why there is no answer, such as that nobody serves the topic, is told by the stream.
    pub async fn ask(mut self) -> Result<Answers<R>, RequestError> {
        let payload = self.prepare()?;
        let limit = self.to.limit;
        let asking = self.asking(Some(limit));
        let put = |state: &mut State| {
            let (gathering, gathered) = Gathering::new(limit);
            let r#ref = asking.put(state, &payload, Pending::Many(gathering))?;
            Ok((r#ref, gathered))
        };
        let sent = self.handle.link.put(Purpose::Begin, &self.topic, put);
        let (r#ref, gathered) = sent.await?;
        let waits = Waits::new(self.handle, r#ref);
        Ok(Answers::new(gathered, waits, self.topic, self.timeout))
    }
}

impl Many {
    pub(super) fn all() -> Self {
        Self { limit: 0 }
    }
}
