//! CALL and ANSWER as frames, in the form their reader wants.

use std::rc::Rc;

use bytes::{Bytes, BytesMut};

use super::Admitted;
use crate::{
    hub::core::{
        edge::{Forms, How, Text, json_frame},
        item::{Announced, Card, Whole},
        path::Target,
    },
    wire::{
        data::{self, READERS_TYPE},
        flags,
        frame::{self, FrameType},
        headers::Headers,
        json,
    },
};

/// A payload no longer than this is copied rather than kept alive with its read buffer.
const COPY_BELOW: usize = 32 << 10;

impl Admitted<'_> {
    /// The CALL for one responder.
    pub(super) fn call_frame(
        &self,
        call: u64,
        target: &Target,
        forms: &mut Forms,
    ) -> Result<Whole, Rc<str>> {
        let (sub, timeout_ms, path) = (target.sub, self.timeout_ms, &self.path);
        let card = &self.peer.card;
        let (kind, payload, ty) = match &target.how {
            How::AsIs => (path.kind, self.payload.clone(), path.ty.clone()),
            How::Typed(reader) => {
                let kind = data::Payload::Postcard(READERS_TYPE);
                (kind, forms.typed(reader)?, None)
            }
            How::Text(reader) => {
                let text = forms.text(reader.as_ref())?;
                let object = json::Call {
                    call,
                    sub,
                    origin: card.origin.clone(),
                    topic: path.topic.to_string(),
                    timeout_ms,
                    payload: Some(json_of(&text)?),
                    headers: json::header_texts(&self.headers),
                };
                let mut whole = Whole::plain(json_frame(FrameType::Call, 0, &object));
                whole.call = Some(call);
                return Ok(whole);
            }
            How::Misfit(reason) => return Err(Rc::clone(reason)),
        };
        let head = headed(FrameType::Call, &self.headers, payload.len(), |out| {
            let topic = path.topic.as_str();
            data::put_call(out, call, card.conn, sub, timeout_ms, kind, topic);
        });
        Ok(Whole {
            call: Some(call),
            ..introduced(head, payload, card, ty)
        })
    }
}

pub(super) fn json_of(text: &Text) -> Result<&serde_json::value::RawValue, Rc<str>> {
    text.json().ok_or_else(|| {
        "it is plain bytes, which requests and answers can't carry on a connection that speaks JSON"
            .into()
    })
}

/// A frame up to its payload of `length` bytes: its header, data header and headers.
pub(super) fn headed(
    kind: FrameType,
    headers: &Headers,
    length: usize,
    put: impl FnOnce(&mut BytesMut),
) -> Bytes {
    let mut out = BytesMut::with_capacity(64);
    let flags = match headers.is_empty() {
        true => 0,
        false => flags::HEADERS,
    };
    let at = frame::begin(&mut out, kind, flags);
    put(&mut out);
    if !headers.is_empty() {
        headers.put(&mut out);
    }
    let whole = u32::try_from(out.len() - at - 4 + length)
        .expect("frames are far below 4 GiB by every limit");
    out[at..at + 4].copy_from_slice(&whole.to_be_bytes());
    out.freeze()
}

pub(super) fn introduced(
    head: Bytes,
    payload: Bytes,
    card: &Rc<Card>,
    ty: Option<Rc<Announced>>,
) -> Whole {
    Whole {
        head,
        payload: if payload.len() < COPY_BELOW {
            Bytes::copy_from_slice(&payload)
        } else {
            payload
        },
        card: Some(Rc::clone(card)),
        ty,
        call: None,
        event: None,
    }
}
