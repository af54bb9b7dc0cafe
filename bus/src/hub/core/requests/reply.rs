//! The way back: from REPLY to ANSWER.

use std::rc::Rc;

use bytes::Bytes;

use super::{Pending, headed, introduced, json_of, refusal};
use crate::{
    hub::core::{
        Core,
        conn::Peer,
        edge::{Forms, How, how, json_frame},
        item::{Announced, Item, Whole},
        queue::Urgent,
    },
    wire::{
        control::{HubOp, Refusal, RefusalKind},
        data::{self, Payload, READERS_TYPE},
        frame::FrameType,
        hello::Codec,
        json,
    },
};

impl Core {
    /// Takes the reply to a call.
    pub(in crate::hub::core) fn reply(
        &mut self,
        id: u64,
        peer: &Peer,
        call: u64,
        kind: Payload,
        payload: Bytes,
    ) {
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
            .check_payload_size(payload.len())
            .and_then(|()| self.answer_frame(id, peer, &pending, kind, payload));
        match answer {
            Ok(whole) => self.queue_answer(&pending, whole),
            Err(e) => {
                self.refuse_unasked(id, &pending.topic, e.kind, e.reason.clone());
                self.answer(pending.asker, pending.r#ref, HubOp::Refused(e));
            }
        }
    }

    fn answer_frame(
        &self,
        id: u64,
        peer: &Peer,
        pending: &Pending,
        kind: Payload,
        payload: Bytes,
    ) -> Result<Whole, Refusal> {
        let ty = match kind {
            Payload::Postcard(index) => Some(self.announced(id, index)?),
            Payload::Json | Payload::Bytes => None,
        };
        let codec = self
            .conn(pending.asker)
            .map_or(Codec::Postcard, |c| c.codec);
        let reader = pending.reader.as_ref().map(|r| &r.schema);
        let how = how(kind, ty.as_deref(), codec, reader);
        self.formed_answer(&how, peer, pending, kind, payload, ty)
            .map_err(|e| {
                let reason = format!("the answer to {:?}: {e}", pending.topic);
                refusal(RefusalKind::Misfit, reason)
            })
    }

    fn formed_answer(
        &self,
        how: &How,
        peer: &Peer,
        pending: &Pending,
        kind: Payload,
        payload: Bytes,
        ty: Option<Rc<Announced>>,
    ) -> Result<Whole, Rc<str>> {
        let (r#ref, conn) = (pending.r#ref, peer.card.conn);
        let mut forms = Forms::new(kind, payload.clone(), ty.clone());
        let (kind, payload, ty) = match how {
            How::AsIs => (kind, payload, ty),
            How::Typed(reader) => {
                let payload = forms.typed(reader)?;
                (Payload::Postcard(READERS_TYPE), payload, None)
            }
            How::Text(reader) => {
                let text = forms.text(reader.as_ref())?;
                let object = json::Answer {
                    r#ref,
                    origin: peer.card.origin.clone(),
                    payload: Some(json_of(&text)?),
                    headers: json::HeaderTexts::new(),
                };
                return Ok(Whole::plain(json_frame(FrameType::Answer, 0, &object)));
            }
            How::Misfit(reason) => return Err(Rc::clone(reason)),
        };
        let head = headed(FrameType::Answer, payload.len(), |out| {
            data::put_answer(out, r#ref, conn, kind);
        });
        Ok(introduced(head, payload, &peer.card, ty))
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
            return self.answer(pending.asker, pending.r#ref, HubOp::Refused(refusal));
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
        self.relieve();
    }
}
