//! The way back: from REPLY to ANSWER.

use std::rc::Rc;

use bytes::Bytes;

use super::{
    Ends, Pending, bad_headers,
    frames::{headed, introduced, json_of},
    refusal,
};
use crate::{
    hub::core::{
        Core,
        conn::Peer,
        edge::{Forms, How, how, json_frame},
        item::{Announced, Card, Item, Whole},
        queue::Urgent,
    },
    wire::{
        control::{HubOp, Refusal, RefusalKind},
        data::{self, Payload, READERS_TYPE},
        frame::FrameType,
        headers::{BadHeaders, Headers},
        hello::Codec,
        json,
    },
};

/// A REPLY as it was sent, in either codec.
pub(in crate::hub::core) struct Replied {
    pub(in crate::hub::core) call: u64,
    pub(in crate::hub::core) kind: Payload,
    pub(in crate::hub::core) payload: Bytes,
    pub(in crate::hub::core) headers: Result<Headers, BadHeaders>,
}

impl Core {
    /// Takes the reply to a call.
    pub(in crate::hub::core) fn reply(&mut self, id: u64, peer: &Peer, replied: Replied) {
        let call = replied.call;
        let is_its = |p: &Pending| p.responder == id;
        if !self.requests.pending.get(&call).is_some_and(is_its) {
            let reason = format!(
                "call {call} waits for no reply of yours: its asker has gone, or waits no longer"
            );
            return self.refuse_unasked(id, "reply", RefusalKind::TimedOut, reason);
        }
        let Some(pending) = self.end_call(call) else {
            return;
        };
        let answer = self
            .check_payload_size(replied.payload.len())
            .and_then(|()| self.answer_frame(id, peer, &pending, replied));
        match answer {
            Ok(whole) => self.queue_answer(&pending, whole),
            Err(e) => {
                self.refuse_unasked(id, &pending.topic, e.kind, e.reason.clone());
                match pending.ends {
                    Ends::At(_) => self.answer(pending.asker, pending.r#ref, HubOp::Refused(e)),
                    Ends::With(gather) => self.went_on(gather),
                }
            }
        }
    }

    fn answer_frame(
        &self,
        id: u64,
        peer: &Peer,
        pending: &Pending,
        replied: Replied,
    ) -> Result<Whole, Refusal> {
        let headers = replied.headers.map_err(bad_headers)?;
        let (kind, payload) = (replied.kind, replied.payload);
        let ty = match kind {
            Payload::Postcard(index) => Some(self.announced(id, index)?),
            Payload::Json | Payload::Bytes => None,
        };
        let codec = self
            .conn(pending.asker)
            .map_or(Codec::Postcard, |c| c.codec);
        let reader = pending.reader.as_ref().map(|r| &r.schema);
        let way = Way {
            how: how(kind, ty.as_deref(), codec, reader),
            card: &peer.card,
            r#ref: pending.r#ref,
            most: self.limits.payload_bytes,
        };
        way.answer(kind, payload, ty, &headers).map_err(|e| {
            let reason = format!("the answer to {:?}: {e}", pending.topic);
            refusal(RefusalKind::Misfit, reason)
        })
    }

    fn queue_answer(&mut self, pending: &Pending, whole: Whole) {
        let Some(conn) = self.conns.get_mut(&pending.asker) else {
            return;
        };
        let bytes = whole.head.len() + whole.payload.len();
        if conn.outbox.unread_answers().1 + bytes > self.limits.queue_bytes {
            let reason = format!(
                "the answer to {:?} came, but {} bytes of answers are waiting to be read already",
                pending.topic, self.limits.queue_bytes
            );
            let refusal = refusal(RefusalKind::Limit, reason);
            return match pending.ends {
                Ends::At(_) => self.answer(pending.asker, pending.r#ref, HubOp::Refused(refusal)),
                Ends::With(gather) => self.refuse_gather(gather, refusal),
            };
        }
        if pending.urgent {
            conn.outbox.push_urgent(Urgent {
                item: Item::Whole(whole),
                sub: None,
                from: None,
                stands_for: None,
            });
        } else {
            conn.outbox.push_unowned(whole);
        }
        self.mark(pending.asker);
        if let Ends::With(gather) = pending.ends {
            self.answered(gather);
        }
        self.relieve();
    }
}

/// How an answer gets to its asker.
struct Way<'a> {
    how: How,
    card: &'a Rc<Card>,
    r#ref: u64,
    /// What any payload may have, in bytes.
    most: usize,
}

impl Way<'_> {
    fn answer(
        &self,
        kind: Payload,
        payload: Bytes,
        ty: Option<Rc<Announced>>,
        headers: &Headers,
    ) -> Result<Whole, Rc<str>> {
        let (r#ref, conn) = (self.r#ref, self.card.conn);
        let mut forms = Forms::new(kind, payload.clone(), ty.clone(), self.most);
        let (kind, payload, ty) = match &self.how {
            How::AsIs => (kind, payload, ty),
            How::Typed(reader) => {
                let payload = forms.typed(reader)?;
                (Payload::Postcard(READERS_TYPE), payload, None)
            }
            How::Text(reader) => {
                let text = forms.text(reader.as_ref())?;
                let object = json::Answer {
                    r#ref,
                    origin: self.card.origin.clone(),
                    payload: Some(json_of(&text)?),
                    headers: json::header_texts(headers),
                };
                return Ok(Whole::plain(json_frame(FrameType::Answer, 0, &object)));
            }
            How::Misfit(reason) => return Err(Rc::clone(reason)),
        };
        let head = headed(FrameType::Answer, headers, payload.len(), |out| {
            data::put_answer(out, r#ref, conn, kind);
        });
        Ok(introduced(head, payload, self.card, ty))
    }
}
