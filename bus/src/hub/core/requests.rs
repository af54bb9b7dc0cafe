//! Requests: REQUEST → one responder → CALL → REPLY → ANSWER, with a bounded table of what is pending.

mod reply;

use std::{
    collections::HashMap,
    rc::Rc,
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};

use super::{
    Core,
    conn::Peer,
    deadlines::Deadline,
    edge::{Forms, How, Text, json_frame},
    item::{Announced, Card, Item, Whole},
    path::{Path, Target},
    queue::Urgent,
    types::SharedType,
};
use crate::{
    hub::Action,
    wire::{
        control::{HubOp, Refusal, RefusalKind},
        data::{self, Payload, READERS_TYPE},
        frame::{self, FrameType},
        json,
    },
};

/// A payload no longer than this is copied rather than kept alive with its read buffer.
const COPY_BELOW: usize = 32 << 10;

/// A request that waits for its answer.
#[derive(Debug)]
pub(super) struct Pending {
    asker: u64,
    r#ref: u64,
    /// What the asker reads; `None`: anything.
    reader: Option<Rc<SharedType>>,
    responder: u64,
    sub: u32,
    until: Instant,
    urgent: bool,
    topic: String,
}

/// What is pending, by the hub's number for the call.
#[derive(Debug, Default)]
pub(super) struct Requests {
    last: u64,
    pending: HashMap<u64, Pending>,
}

/// A REQUEST as it was sent, in either codec.
pub(super) struct Asked<'a> {
    pub(super) r#ref: u64,
    pub(super) topic: &'a [u8],
    pub(super) kind: Payload,
    pub(super) payload: Bytes,
    pub(super) reply_type: u32,
    pub(super) timeout_ms: u32,
}

fn refusal(kind: RefusalKind, reason: impl Into<String>) -> Refusal {
    Refusal {
        kind,
        reason: reason.into(),
    }
}

impl Requests {
    /// How many wait for their answer.
    pub(super) fn waiting(&self) -> usize {
        self.pending.len()
    }

    /// How many there ever were.
    pub(super) fn begun(&self) -> u64 {
        self.last
    }
}

impl Core {
    /// Takes a request: it is called through, or refused.
    pub(super) fn request(&mut self, id: u64, peer: &Peer, asked: Asked<'_>) {
        let r#ref = asked.r#ref;
        if let Err(refusal) = self.try_request(id, peer, asked) {
            self.answer(id, r#ref, HubOp::Refused(refusal));
        }
    }

    fn try_request(&mut self, id: u64, peer: &Peer, asked: Asked<'_>) -> Result<(), Refusal> {
        self.check_payload_size(asked.payload.len())?;
        let path = self.path(id, peer, Action::Request, asked.kind, asked.topic)?;
        path.verdict.clone()?;
        let reader = self.reply_reader(id, asked.reply_type)?;
        let mut forms = Forms::new(asked.kind, asked.payload.clone(), path.ty.clone());
        if let Some(builtin) = &path.builtin
            && asked.kind == Payload::Json
        {
            forms
                .fits(builtin)
                .map_err(|e| refusal(RefusalKind::Misfit, format!("{}: {e}", path.topic)))?;
        }
        let waiting = self.conn(id).map_or(0, |c| c.asks.len());
        if waiting >= self.limits.requests {
            let reason =
                format!("{waiting} requests of this connection wait for an answer already");
            return Err(refusal(RefusalKind::Limit, reason));
        }
        let target = self.choose(&path)?;
        let call = self.requests.last + 1;
        let frame = self
            .call_frame(call, peer, &path, &target, &mut forms, &asked)
            .map_err(|e| refusal(RefusalKind::Misfit, format!("{}: {e}", path.topic)))?;
        self.queue_call(id, &path, &target, frame)?;
        let pending = Pending {
            asker: id,
            r#ref: asked.r#ref,
            reader,
            responder: target.conn,
            sub: target.sub,
            until: self.now + Duration::from_millis(u64::from(asked.timeout_ms)),
            urgent: path.urgent,
            topic: path.topic.to_string(),
        };
        self.begin_call(call, pending);
        self.blame(id, target.conn);
        self.relieve();
        Ok(())
    }

    /// Enters a call into all tables.
    fn begin_call(&mut self, call: u64, pending: Pending) {
        self.requests.last = call;
        self.deadlines.set(pending.until, Deadline::Call(call));
        if let Some(conn) = self.conns.get_mut(&pending.asker) {
            conn.asks.insert(call);
        }
        if let Some(conn) = self.conns.get_mut(&pending.responder) {
            conn.serves.insert(call);
            if let Some(sub) = conn.subs.get_mut(&pending.sub) {
                sub.outstanding += 1;
                sub.last_call = call;
            }
        }
        self.requests.pending.insert(call, pending);
    }

    fn reply_reader(&self, id: u64, reply_type: u32) -> Result<Option<Rc<SharedType>>, Refusal> {
        if reply_type == READERS_TYPE {
            return Ok(None);
        }
        let ty = self.announced(id, reply_type)?;
        Ok(Some(Rc::clone(&ty.shared)))
    }

    /// The responder with the fewest calls to answer; of several, the one that was asked longest ago.
    fn choose(&self, path: &Path) -> Result<Target, Refusal> {
        let load = |t: &&Target| {
            self.conn(t.conn)
                .and_then(|c| c.subs.get(&t.sub))
                .map(|s| (s.outstanding, s.last_call))
        };
        let fits = |t: &&Target| !matches!(t.how, How::Misfit(_));
        if let Some(target) = path.targets.iter().filter(fits).min_by_key(load) {
            return Ok(target.clone());
        }
        Err(match path.targets.first().map(|t| &t.how) {
            Some(How::Misfit(reason)) => {
                refusal(RefusalKind::Misfit, format!("{}: {reason}", path.topic))
            }
            _ => refusal(
                RefusalKind::NoResponders,
                format!("nobody answers requests on {:?}", path.topic.as_str()),
            ),
        })
    }

    fn call_frame(
        &self,
        call: u64,
        peer: &Peer,
        path: &Path,
        target: &Target,
        forms: &mut Forms,
        asked: &Asked<'_>,
    ) -> Result<Whole, Rc<str>> {
        let (sub, timeout_ms) = (target.sub, asked.timeout_ms);
        let (kind, payload, ty) = match &target.how {
            How::AsIs => (asked.kind, asked.payload.clone(), path.ty.clone()),
            How::Typed(reader) => (Payload::Postcard(READERS_TYPE), forms.typed(reader)?, None),
            How::Text(reader) => {
                let text = forms.text(reader.as_ref())?;
                let object = json::Call {
                    call,
                    sub,
                    origin: peer.card.origin.clone(),
                    topic: path.topic.to_string(),
                    timeout_ms,
                    payload: Some(json_of(&text)?),
                    headers: json::HeaderTexts::new(),
                };
                let mut whole = Whole::plain(json_frame(FrameType::Call, 0, &object));
                whole.call = Some(call);
                return Ok(whole);
            }
            How::Misfit(reason) => return Err(Rc::clone(reason)),
        };
        let head = headed(FrameType::Call, payload.len(), |out| {
            let topic = path.topic.as_str();
            data::put_call(out, call, peer.card.conn, sub, timeout_ms, kind, topic);
        });
        Ok(Whole {
            call: Some(call),
            ..introduced(head, payload, &peer.card, ty)
        })
    }

    fn queue_call(
        &mut self,
        asker: u64,
        path: &Path,
        target: &Target,
        whole: Whole,
    ) -> Result<(), Refusal> {
        let Some(conn) = self.conns.get_mut(&target.conn) else {
            return Err(refusal(RefusalKind::Declined, "whoever answers has gone"));
        };
        if path.urgent {
            conn.outbox.push_urgent(Urgent {
                item: Item::Whole(whole),
                sub: Some(target.sub),
                from: Some(asker),
                stands_for: None,
            });
        } else if conn
            .outbox
            .has_room(target.sub, whole.head.len() + whole.payload.len())
        {
            conn.outbox.push(target.sub, Item::Whole(whole));
        } else {
            let reason = format!(
                "whoever answers {:?} has not read the requests that wait for it, and no more may",
                path.topic.as_str()
            );
            return Err(refusal(RefusalKind::Limit, reason));
        }
        self.mark(target.conn);
        Ok(())
    }

    /// The responder will not answer.
    pub(super) fn decline(&mut self, id: u64, call: u64, reason: &str) -> bool {
        let is_its = self
            .requests
            .pending
            .get(&call)
            .is_some_and(|p| p.responder == id);
        if is_its {
            self.fail_call(call, RefusalKind::Declined, |_| {
                format!("declined: {reason}")
            });
        }
        is_its
    }

    /// Ends a call without an answer, and tells the asker.
    pub(super) fn fail_call(
        &mut self,
        call: u64,
        kind: RefusalKind,
        reason: impl FnOnce(&str) -> String,
    ) {
        if let Some(pending) = self.end_call(call) {
            let refusal = refusal(kind, reason(&pending.topic));
            self.answer(pending.asker, pending.r#ref, HubOp::Refused(refusal));
        }
    }

    /// Takes a call out of all tables.
    pub(super) fn end_call(&mut self, call: u64) -> Option<Pending> {
        let pending = self.requests.pending.remove(&call)?;
        self.deadlines.clear(pending.until, Deadline::Call(call));
        if let Some(conn) = self.conns.get_mut(&pending.asker) {
            conn.asks.remove(&call);
        }
        if let Some(conn) = self.conns.get_mut(&pending.responder) {
            conn.serves.remove(&call);
            if let Some(sub) = conn.subs.get_mut(&pending.sub) {
                sub.outstanding = sub.outstanding.saturating_sub(1);
            }
        }
        Some(pending)
    }
}

fn json_of(text: &Text) -> Result<&serde_json::value::RawValue, Rc<str>> {
    text.json().ok_or_else(|| {
        "it is plain bytes, which requests and answers can't carry on a connection that speaks JSON"
            .into()
    })
}

/// A frame's header and data header, before a payload of `length` bytes.
fn headed(kind: FrameType, length: usize, put: impl FnOnce(&mut BytesMut)) -> Bytes {
    let mut out = BytesMut::with_capacity(64);
    let at = frame::begin(&mut out, kind, 0);
    put(&mut out);
    let whole = u32::try_from(out.len() - at - 4 + length)
        .expect("frames are far below 4 GiB by every limit");
    out[at..at + 4].copy_from_slice(&whole.to_be_bytes());
    out.freeze()
}

fn introduced(head: Bytes, payload: Bytes, card: &Rc<Card>, ty: Option<Rc<Announced>>) -> Whole {
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
    }
}
