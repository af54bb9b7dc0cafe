//! How an event is addressed and laid into the outgoing buffer; with the link locked.

use tokio::sync::oneshot;

use super::Form;
use crate::{
    client::{
        announce::{Announcement, Scope, TypeRef},
        error::EmitError,
        ledger::{Addressee, Pending},
        state::{PutError, State},
    },
    wire::{FrameType, control::Refusal, data, flags, headers::Headers},
};
use bytes::{BufMut, BytesMut};

/// What stands beside an event's payload.
#[derive(Clone, Debug, Default)]
pub(in crate::client) struct Extras {
    pub(super) flags: u8,
    pub(super) ttl_ms: Option<u32>,
    pub(super) headers: Headers,
}

/// How a frame addresses its event, after its type was announced and its topic found not to be refused.
struct Addressed<'a> {
    kind: data::Payload,
    /// Empty for the announced topic.
    topic: &'a str,
    /// True for the first on its topic.
    first: bool,
}

/// The flag of headers, if there are any.
pub(in crate::client) fn headers_flag(headers: &Headers) -> u8 {
    if headers.is_empty() {
        0
    } else {
        flags::HEADERS
    }
}

/// Writes headers, if there are any.
pub(in crate::client) fn put_headers(out: &mut BytesMut, headers: &Headers) {
    if !headers.is_empty() {
        headers.put(out);
    }
}

impl State {
    pub(super) fn emit(
        &mut self,
        form: &Form<'_>,
        extras: &Extras,
        payload: &[u8],
    ) -> Result<(), PutError> {
        let addressed = self.address(form)?;
        let probe = addressed.first.then(|| {
            self.ledger
                .open(Pending::Probe(addressee(form, &addressed)))
        });
        self.put_emit(&addressed, extras, 0, probe, payload);
        Ok(())
    }

    /// Emits what is kept until the hub has answered.
    pub(super) fn emit_acked(
        &mut self,
        form: &Form<'_>,
        extras: &Extras,
        payload: &[u8],
    ) -> Result<oneshot::Receiver<Result<u64, Refusal>>, PutError> {
        if self.reliable_is_full() {
            return Err(PutError::Full);
        }
        let addressed = self.address(form)?;
        let (answer, answered) = oneshot::channel();
        let to = addressee(form, &addressed);
        let r#ref = self.ledger.open(Pending::Ack { to, answer });
        let at = self.put_emit(&addressed, extras, flags::RELIABLE, Some(r#ref), payload);
        self.reliable.keep(r#ref, self.outbox.copy_from(at));
        Ok(answered)
    }

    fn put_emit(
        &mut self,
        to: &Addressed<'_>,
        extras: &Extras,
        more_flags: u8,
        ack: Option<u64>,
        payload: &[u8],
    ) -> usize {
        let mut flags = extras.flags | more_flags | headers_flag(&extras.headers);
        if ack.is_some() {
            flags |= flags::ACK;
        }
        if extras.ttl_ms.is_some() {
            flags |= flags::EXPIRES;
        }
        let head = |out: &mut BytesMut| {
            data::put_emit(out, to.kind, to.topic, ack);
            if let Some(ttl) = extras.ttl_ms {
                out.put_u32(ttl);
            }
            put_headers(out, &extras.headers);
        };
        self.outbox.frame(FrameType::Emit, flags, head, payload)
    }

    /// Announces the type if need be, and finds the topic's standing.
    fn address<'a>(&mut self, form: &Form<'a>) -> Result<Addressed<'a>, PutError> {
        if self.holds.has(form.topic()) {
            return Err(PutError::Held);
        }
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
            return Err(PutError::Never(EmitError::Refused {
                topic: topic.into(),
                refusal: refusal.clone(),
            }));
        }
        let first = self.topics.note(topic);
        Ok(Addressed { kind, topic, first })
    }

    fn free(&mut self, ty: &TypeRef, topic: &str) -> Result<data::Payload, EmitError> {
        let (index, _) = self.announced(ty, Scope::Free, topic)?;
        Ok(data::Payload::Postcard(index))
    }

    /// As [`State::address`], for a request: it has an answer of its own, so its topic's standing is not looked at.
    pub(in crate::client) fn address_request<'a>(
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
