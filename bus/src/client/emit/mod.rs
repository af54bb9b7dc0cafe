//! Emitting: an event is encoded, then copied into the outgoing buffer.

mod emission;
mod put;

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

pub use emission::Emission;
use put::Extras;
pub(super) use put::{headers_flag, put_headers};

use super::{
    announce::TypeRef, error::EmitError, handle::Bus, link::Link, scratch::Scratch, trace,
};
use crate::{Event, topic};

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

    /// The same, to another topic if there is one.
    pub(super) fn to<'b>(self, topic: Option<&'b str>) -> Form<'b>
    where
        'a: 'b,
    {
        match (topic, self) {
            (None, form) => form,
            (Some(topic), Self::Own(ty) | Self::Typed(ty, _)) => Form::Typed(ty, topic),
            (Some(topic), Self::Json(_)) => Form::Json(topic),
            (Some(topic), Self::Bytes(_)) => Form::Bytes(topic),
        }
    }
}

impl Bus {
    /// Emits an event on its type's topic. Returns when the outgoing buffer took it, having waited for room if need be, or
    /// for a subscriber with back pressure. While the connection is lost, events wait in that buffer for the next one; of what
    /// had been written when it was lost, the hub may not have taken the last: [`Bus::emit_acked`] makes sure.
    ///
    /// # Errors
    /// At once if the connection has ended, or the hub is known to refuse the topic; after
    /// [`room_timeout`](super::ConnectOptions::room_timeout) if the hub takes nothing, or there is none.
    pub async fn emit<E: Event>(&self, event: &E) -> Result<(), EmitError> {
        self.event(event).send().await
    }

    /// Emits an event if there is room now.
    ///
    /// # Errors
    /// As [`Bus::emit`], and [`EmitError::Full`] or [`EmitError::Held`] at once.
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
    /// This is the way to lose nothing: if the connection is lost before the hub has answered, the event is sent again on the
    /// next one, before anything newer, and the hub doesn't take it twice. (A hub that has begun anew, or had heard
    /// nothing of this program for a minute, may.) At most 1,024 events wait for their answer at once, further ones wait for room.
    ///
    /// # Errors
    /// As [`Bus::emit`]; why the hub refused it; and [`EmitError::Unanswered`] after
    /// [`answer_timeout`](super::ConnectOptions::answer_timeout), when the event is still under way.
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

    /// Has the hub forget the last value of a type's topic; who subscribes already is told by an event of no bytes.
    ///
    /// # Errors
    /// As [`Bus::emit`].
    pub async fn forget<E: Event>(&self) -> Result<(), EmitError> {
        self.forget_topic(E::TOPIC).await
    }

    /// Has the hub forget the last value of a topic.
    ///
    /// # Errors
    /// As [`Bus::emit`].
    pub async fn forget_topic(&self, topic: &str) -> Result<(), EmitError> {
        self.bytes(topic, &[]).retained().send().await
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
        let payload = sendable(link, &form, payload);
        Emission::new(link, form, payload, trace::outgoing())
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
    let limit = link.payload_limit();
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
