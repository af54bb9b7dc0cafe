//! The way back: from REPLY to ANSWER.

use std::{rc::Rc, time::Duration};

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
    /// For how long it holds, whoever asks the same.
    pub(in crate::hub::core) ttl_ms: Option<u32>,
}

/// What a reply gives, whoever gets it.
#[derive(Clone, Debug)]
pub(super) struct Given {
    pub(super) kind: Payload,
    pub(super) payload: Bytes,
    pub(super) ty: Option<Rc<Announced>>,
    pub(super) headers: Headers,
    pub(super) card: Rc<Card>,
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
        let holds = replied.ttl_ms;
        let answer = self.given(id, peer, replied).and_then(|given| {
            if let Some(ttl_ms) = holds {
                self.let_stand(&pending, &given, Duration::from_millis(ttl_ms.into()));
            }
            self.answer_frame(&pending, given)
        });
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

    fn given(&self, id: u64, peer: &Peer, replied: Replied) -> Result<Given, Refusal> {
        self.check_payload_size(replied.payload.len())?;
        let ty = match replied.kind {
            Payload::Postcard(index) => Some(self.announced(id, index)?),
            Payload::Json | Payload::Bytes => None,
        };
        Ok(Given {
            kind: replied.kind,
            payload: replied.payload,
            ty,
            headers: replied.headers.map_err(bad_headers)?,
            card: Rc::clone(&peer.card),
        })
    }

    pub(super) fn answer_frame(&self, pending: &Pending, given: Given) -> Result<Whole, Refusal> {
        let codec = self
            .conn(pending.asker)
            .map_or(Codec::Postcard, |c| c.codec);
        let reader = pending.reader.as_ref().map(|r| &r.schema);
        let way = Way {
            how: how(given.kind, given.ty.as_deref(), codec, reader),
            r#ref: pending.r#ref,
            most: self.limits.payload_bytes,
        };
        way.answer(given).map_err(|e| {
            let reason = format!("the answer to {:?}: {e}", pending.topic);
            refusal(RefusalKind::Misfit, reason)
        })
    }

    pub(super) fn queue_answer(&mut self, pending: &Pending, whole: Whole) {
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
struct Way {
    how: How,
    r#ref: u64,
    /// What any payload may have, in bytes.
    most: usize,
}

impl Way {
    fn answer(&self, given: Given) -> Result<Whole, Rc<str>> {
        let Given {
            kind,
            payload,
            ty,
            headers,
            card,
        } = given;
        let (r#ref, conn) = (self.r#ref, card.conn);
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
                    origin: card.origin.clone(),
                    payload: Some(json_of(&text)?),
                    headers: json::header_texts(&headers),
                };
                return Ok(Whole::plain(json_frame(FrameType::Answer, 0, &object)));
            }
            How::Misfit(reason) => return Err(Rc::clone(reason)),
        };
        let head = headed(FrameType::Answer, &headers, payload.len(), |out| {
            data::put_answer(out, r#ref, conn, kind);
        });
        Ok(introduced(head, payload, &card, ty))
    }
}
