//! Emitting: an event is encoded, then copied into the outgoing buffer.

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::oneshot;

use super::{
    announce::{Announcement, Scope, TypeRef},
    error::EmitError,
    handle::Bus,
    ledger::{Addressee, Pending},
    link::Link,
    scratch::Scratch,
    state::{Purpose, PutError, State},
};
use crate::{
    Event, topic,
    wire::{FrameType, control::Refusal, data, flags},
};

/// What is sent, and where to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Form<'a> {
    /// A typed value, to the topic its type declares.
    Own(TypeRef),
    /// A typed value, to another topic.
    Typed(TypeRef, &'a str),
    /// JSON.
    Json(&'a str),
    /// Bytes.
    Bytes(&'a str),
}

impl<'a> Form<'a> {
    pub(super) fn topic(&self) -> &'a str {
        match *self {
            Self::Own(ty) => ty.topic,
            Self::Typed(_, topic) | Self::Json(topic) | Self::Bytes(topic) => topic,
        }
    }
}

/// An event that is encoded and not yet emitted: for everything that is not said by one of [`Bus`]'s shorthands.
///
/// ```no_run
/// # use ostler_bus::client::{Bus, EmitError};
/// # async fn example(bus: Bus) -> Result<(), EmitError> {
/// let matched = bus.json("orders.hint", &[1, 2, 3]).retained().acked().await?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[must_use = "nothing is emitted before `send`, `try_send` or `acked`"]
pub struct Emission<'a> {
    link: &'a Link,
    form: Form<'a>,
    payload: Result<Scratch, EmitError>,
    flags: u8,
}

impl Bus {
    /// Emits an event on its type's topic. Returns when the outgoing buffer took it, having waited for room if need be.
    ///
    /// # Errors
    /// At once if the connection has ended, or the hub is known to refuse the topic; after
    /// [`room_timeout`](super::ConnectOptions::room_timeout) if the hub takes nothing.
    pub async fn emit<E: Event>(&self, event: &E) -> Result<(), EmitError> {
        self.event(event).send().await
    }

    /// Emits an event if there is room now.
    ///
    /// # Errors
    /// As [`Bus::emit`], and [`EmitError::Full`] at once.
    pub fn try_emit<E: Event>(&self, event: &E) -> Result<(), EmitError> {
        self.event(event).try_send()
    }

    /// Emits an event on a topic chosen at run time.
    ///
    /// # Errors
    /// As [`Bus::emit`].
    pub async fn emit_to<E: Event>(&self, topic: &str, event: &E) -> Result<(), EmitError> {
        self.event_to(topic, event).send().await
    }

    /// Emits an event that the hub keeps as its topic's last value, for those who subscribe later.
    ///
    /// # Errors
    /// As [`Bus::emit`].
    pub async fn emit_retained<E: Event>(&self, event: &E) -> Result<(), EmitError> {
        self.event(event).retained().send().await
    }

    /// Emits an event, and waits until the hub took it: the number of subscriptions it matched.
    ///
    /// # Errors
    /// As [`Bus::emit`]; and why the hub refused it.
    pub async fn emit_acked<E: Event>(&self, event: &E) -> Result<u64, EmitError> {
        self.event(event).acked().await
    }

    /// Emits any serializable value as JSON.
    ///
    /// # Errors
    /// As [`Bus::emit`].
    pub async fn emit_json<T: Serialize + ?Sized>(
        &self,
        topic: &str,
        value: &T,
    ) -> Result<(), EmitError> {
        self.json(topic, value).send().await
    }

    /// Emits bytes that mean nothing to the bus.
    ///
    /// # Errors
    /// As [`Bus::emit`].
    pub async fn emit_bytes(&self, topic: &str, bytes: impl Into<Bytes>) -> Result<(), EmitError> {
        let bytes = bytes.into();
        self.bytes(topic, &bytes).send().await
    }

    /// Encodes an event for its type's topic.
    pub fn event<E: Event>(&self, event: &E) -> Emission<'_> {
        self.emission(Form::Own(TypeRef::event::<E>()), Scratch::postcard(event))
    }

    /// Encodes an event for a topic chosen at run time.
    pub fn event_to<'a, E: Event>(&'a self, topic: &'a str, event: &E) -> Emission<'a> {
        let ty = TypeRef::event::<E>();
        let form = if topic == E::TOPIC {
            Form::Own(ty)
        } else {
            Form::Typed(ty, topic)
        };
        self.emission(form, Scratch::postcard(event))
    }

    /// Encodes any serializable value as JSON.
    pub fn json<'a, T: Serialize + ?Sized>(&'a self, topic: &'a str, value: &T) -> Emission<'a> {
        self.emission(Form::Json(topic), Scratch::json(value))
    }

    /// Takes text that is JSON already.
    pub fn json_text<'a>(&'a self, topic: &'a str, text: &str) -> Emission<'a> {
        self.emission(Form::Json(topic), json_text(text))
    }

    /// Takes bytes that mean nothing to the bus.
    pub fn bytes<'a>(&'a self, topic: &'a str, bytes: &[u8]) -> Emission<'a> {
        self.emission(Form::Bytes(topic), Ok(Scratch::bytes(bytes)))
    }

    fn emission<'a>(&'a self, form: Form<'a>, payload: Result<Scratch, String>) -> Emission<'a> {
        let link = &*self.handle.link;
        Emission {
            link,
            form,
            payload: sendable(link, &form, payload),
            flags: 0,
        }
    }
}

/// Checks that text is JSON.
pub(super) fn json_text(text: &str) -> Result<Scratch, String> {
    let json: &RawValue = serde_json::from_str(text).map_err(|e| e.to_string())?;
    Ok(Scratch::bytes(json.get().as_bytes()))
}

/// Checks what can be checked before anything is sent.
pub(super) fn sendable(
    link: &Link,
    form: &Form<'_>,
    payload: Result<Scratch, String>,
) -> Result<Scratch, EmitError> {
    let payload = payload.map_err(|reason| EmitError::Encoding {
        topic: form.topic().into(),
        reason,
    })?;
    let limit = link.welcome.limits.payload;
    match form {
        Form::Own(_) => {}
        Form::Typed(_, text) | Form::Json(text) | Form::Bytes(text) => {
            topic::check(text).map_err(EmitError::BadTopic)?;
        }
    }
    if payload.len() > limit {
        return Err(EmitError::too_large(form.topic(), payload.len(), limit));
    }
    Ok(payload)
}

impl Emission<'_> {
    /// The hub keeps it as its topic's last value, for those who subscribe later.
    pub fn retained(mut self) -> Self {
        self.flags |= flags::RETAIN;
        self
    }

    /// Emits it. Returns when the outgoing buffer took it, having waited for room if need be.
    ///
    /// # Errors
    /// As [`Bus::emit`].
    pub async fn send(self) -> Result<(), EmitError> {
        let payload = self.payload?;
        let (form, flags) = (self.form, self.flags);
        self.link
            .put(Purpose::Begin, |state| state.emit(&form, flags, &payload))
            .await
    }

    /// Emits it if there is room now.
    ///
    /// # Errors
    /// As [`Bus::try_emit`].
    pub fn try_send(self) -> Result<(), EmitError> {
        let payload = self.payload?;
        let put = |state: &mut State| state.emit(&self.form, self.flags, &payload);
        self.link.try_put(Purpose::Begin, put).map_err(|e| match e {
            PutError::Full => EmitError::Full {
                waited: std::time::Duration::ZERO,
            },
            PutError::Never(why) => why,
        })
    }

    /// Emits it, and waits until the hub took it: the number of subscriptions it matched.
    ///
    /// # Errors
    /// As [`Bus::emit_acked`].
    pub async fn acked(self) -> Result<u64, EmitError> {
        let payload = self.payload?;
        let (form, flags) = (self.form, self.flags);
        let put = |state: &mut State| state.emit_acked(&form, flags, &payload);
        let answer = self.link.put(Purpose::Begin, put).await?;
        let after = self.link.answer_timeout();
        let topic = || form.topic().to_owned();
        match tokio::time::timeout(after, answer).await {
            Ok(Ok(Ok(matches))) => Ok(matches),
            Ok(Ok(Err(refusal))) => Err(EmitError::Refused {
                topic: topic(),
                refusal,
            }),
            Ok(Err(_)) => Err(EmitError::Disconnected(self.link.why_closed())),
            Err(_) => Err(EmitError::Unanswered {
                topic: topic(),
                after,
            }),
        }
    }
}

/// How a frame addresses its event, after its type was announced and its topic found not to be refused.
pub(super) struct Addressed<'a> {
    pub(super) kind: data::Payload,
    /// Empty for the announced topic.
    pub(super) topic: &'a str,
    /// True for the first on its topic.
    first: bool,
}

impl State {
    fn emit(&mut self, form: &Form<'_>, flags: u8, payload: &[u8]) -> Result<(), PutError> {
        let addressed = self.address(form)?;
        let probe = addressed.first.then(|| {
            self.ledger
                .open(Pending::Probe(addressee(form, &addressed)))
        });
        self.put_emit(&addressed, flags, probe, payload);
        Ok(())
    }

    fn emit_acked(
        &mut self,
        form: &Form<'_>,
        flags: u8,
        payload: &[u8],
    ) -> Result<oneshot::Receiver<Result<u64, Refusal>>, PutError> {
        let addressed = self.address(form)?;
        let (answer, answered) = oneshot::channel();
        let to = addressee(form, &addressed);
        let r#ref = self.ledger.open(Pending::Ack { to, answer });
        self.put_emit(&addressed, flags, Some(r#ref), payload);
        Ok(answered)
    }

    fn put_emit(&mut self, to: &Addressed<'_>, flags: u8, ack: Option<u64>, payload: &[u8]) {
        let flags = flags | if ack.is_some() { flags::ACK } else { 0 };
        let head = |out: &mut _| data::put_emit(out, to.kind, to.topic, ack);
        self.outbox.frame(FrameType::Emit, flags, head, payload);
    }

    /// Announces the type if need be, and finds the topic's standing.
    fn address<'a>(&mut self, form: &Form<'a>) -> Result<Addressed<'a>, EmitError> {
        let (kind, topic) = match *form {
            Form::Own(ty) if !self.types.has_other_topic(&ty) => {
                let (index, first) = self.announced(&ty, Scope::Own, ty.topic)?;
                let kind = data::Payload::Postcard(index);
                return Ok(Addressed {
                    kind,
                    topic: "",
                    first,
                });
            }
            Form::Own(ty) => (self.free(&ty, ty.topic)?, ty.topic),
            Form::Typed(ty, topic) => (self.free(&ty, topic)?, topic),
            Form::Json(topic) => (data::Payload::Json, topic),
            Form::Bytes(topic) => (data::Payload::Bytes, topic),
        };
        if let Some(refusal) = self.topics.refusal(topic) {
            return Err(EmitError::Refused {
                topic: topic.into(),
                refusal: refusal.clone(),
            });
        }
        let first = self.topics.note(topic);
        Ok(Addressed { kind, topic, first })
    }

    fn free(&mut self, ty: &TypeRef, topic: &str) -> Result<data::Payload, EmitError> {
        let (index, _) = self.announced(ty, Scope::Free, topic)?;
        Ok(data::Payload::Postcard(index))
    }

    /// As [`State::address`], for a request: it has an answer of its own, so its topic's standing is not looked at.
    pub(super) fn address_request<'a>(
        &mut self,
        form: &Form<'a>,
    ) -> Result<(data::Payload, &'a str), EmitError> {
        Ok(match *form {
            Form::Own(ty) | Form::Typed(ty, _) => (self.free(&ty, form.topic())?, form.topic()),
            Form::Json(topic) => (data::Payload::Json, topic),
            Form::Bytes(topic) => (data::Payload::Bytes, topic),
        })
    }
}

fn addressee(form: &Form<'_>, addressed: &Addressed<'_>) -> Addressee {
    match form {
        Form::Own(ty) if addressed.topic.is_empty() => Addressee::Announced(Announcement::own(ty)),
        Form::Own(_) | Form::Typed(..) | Form::Json(_) | Form::Bytes(_) => {
            Addressee::Topic(addressed.topic.into())
        }
    }
}
