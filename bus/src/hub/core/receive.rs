//! What came from a peer: frames found in its bytes, and each brought to whoever handles its kind.

use std::time::Instant;

use bytes::Bytes;

use super::{
    Core,
    conn::{Peer, Phase},
    edge,
    emit::{Batch, EmitFrame},
    requests::{Asked, Replied},
};
use crate::{
    limits::DATA_OVERHEAD,
    wire::{
        base64,
        control::{CloseKind, RefusalKind},
        data::{self, Payload, READERS_TYPE},
        flags,
        frame::{self, FrameError, FrameType, HEADER_BYTES},
        headers::Headers,
        hello::Codec,
        json,
    },
};

/// What a peer's bytes hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scan {
    /// So many bytes are whole frames, ready to be received.
    pub(crate) whole: usize,
    /// The frame after them needs so many bytes; 0 if that is not known yet.
    pub(crate) next: usize,
}

/// What may come from a connection now.
#[derive(Clone)]
enum Stance {
    Greeting,
    /// Nothing, until it is known whether what it said is true.
    Waiting,
    Open(Peer, Codec),
    Deaf,
}

impl Core {
    /// Finds whole frames in `bytes`, within what the connection may send at this point. A frame over its limit is found
    /// out by its header, before anything is allocated for it.
    ///
    /// # Errors
    /// Broken framing; the connection must be closed with it.
    pub(crate) fn scan(&self, id: u64, bytes: &[u8]) -> Result<Scan, FrameError> {
        let greeting = matches!(self.stance(id), Stance::Greeting);
        let most = self.limits.payload_bytes + DATA_OVERHEAD;
        let most = most.max(self.limits.control_bytes);
        let mut whole = 0;
        loop {
            let rest = &bytes[whole..];
            let limit = match (greeting, rest.get(4)) {
                (true, _) => self.limits.hello_bytes,
                (false, Some(kind)) if *kind == FrameType::Control as u8 => {
                    self.limits.control_bytes
                }
                (false, _) => most,
            };
            let size = match frame::peek(rest, limit) {
                Ok(size) => size.unwrap_or(0),
                // What came before it is good, and is taken first.
                Err(_) if whole > 0 => return Ok(Scan { whole, next: 0 }),
                Err(error) => return Err(error),
            };
            if size == 0 || size > rest.len() {
                return Ok(Scan { whole, next: size });
            }
            whole += size;
            if greeting {
                // What may follow is another question once HELLO has been heard.
                return Ok(Scan { whole, next: 0 });
            }
        }
    }

    /// Takes whole frames, and says how many bytes of them: fewer if the connection must first read what it asked for.
    /// The rest is to be received again once its output has been written.
    pub(crate) fn receive(&mut self, now: Instant, id: u64, input: &Bytes) -> usize {
        self.now = now;
        self.input += 1;
        let mut batch = Batch::new(input);
        let mut stance = self.stance(id);
        let mut closings = self.closings;
        let mut at = 0;
        while at < input.len() {
            if closings != self.closings {
                // Perhaps this very connection, for flooding somebody.
                closings = self.closings;
                let now = self.stance(id);
                if let (Stance::Open(peer, _), Stance::Deaf) = (&stance, &now) {
                    // What was taken of it goes on its way.
                    self.bring(id, peer, &mut batch);
                }
                stance = now;
            }
            let size = match frame::peek(&input[at..], usize::MAX >> 1) {
                Ok(Some(size)) if size <= input.len() - at => size,
                Ok(_) | Err(_) => break,
            };
            let (kind, flags) = (input[at + 4], input[at + 5]);
            let end = at + size;
            match &stance {
                Stance::Deaf => {
                    at = input.len();
                    break;
                }
                Stance::Waiting => break,
                Stance::Open(peer, Codec::Postcard) if kind == FrameType::Emit as u8 => {
                    let frame = EmitFrame { at, end, flags };
                    self.emit(id, peer, &mut batch, &frame);
                    // Only an answer can change anything about the connection.
                    if flags & flags::ACK == 0 {
                        at = self.emit_alike(&mut batch, end);
                        continue;
                    }
                }
                Stance::Open(peer, codec) => {
                    self.bring(id, peer, &mut batch);
                    let frame = Came {
                        kind,
                        flags,
                        body: input.slice(at + HEADER_BYTES..end),
                    };
                    self.take(id, &peer.clone(), *codec, frame);
                    batch = Batch::new(input);
                }
                Stance::Greeting => self.hello(id, kind, &input[at + HEADER_BYTES..end]),
            }
            at = end;
            if self.is_clogged(id) {
                break;
            }
            if kind != FrameType::Emit as u8 {
                stance = self.stance(id);
            }
        }
        if let Stance::Open(peer, _) = &stance {
            self.bring(id, peer, &mut batch);
        }
        if !self.left.is_empty() {
            self.regroup();
        }
        at
    }

    /// Whether so much waits to be read by the connection that no more is taken from it. It is nobody's loss but its own.
    pub(crate) fn is_clogged(&self, id: u64) -> bool {
        self.conn(id).is_some_and(|c| {
            let (answers, bytes) = c.outbox.unread_answers();
            matches!(c.phase, Phase::Vouching { .. })
                || answers >= self.limits.control_frames
                || bytes >= self.limits.queue_bytes
        })
    }

    fn stance(&self, id: u64) -> Stance {
        match self.conn(id).map(|c| (&c.phase, c.codec)) {
            Some((Phase::Greeting { .. }, _)) => Stance::Greeting,
            Some((Phase::Open(peer), codec)) => Stance::Open(peer.clone(), codec),
            Some((Phase::Vouching { .. }, _)) => Stance::Waiting,
            Some((Phase::Closing, _)) | None => Stance::Deaf,
        }
    }

    /// Takes any frame but an EMIT with a hand-laid header.
    fn take(&mut self, id: u64, peer: &Peer, codec: Codec, frame: Came) {
        let known = FrameType::from_byte(frame.kind);
        match (known, codec) {
            (Some(FrameType::Control), _) => self.control(id, peer, &frame.body),
            (Some(FrameType::Emit), _) => self.take_json_emit(id, peer, &frame),
            (Some(FrameType::Request), Codec::Postcard) => self.take_request(id, peer, &frame),
            (Some(FrameType::Request), Codec::Json) => self.take_json_request(id, peer, &frame),
            (Some(FrameType::Reply), Codec::Postcard) => self.take_reply(id, peer, &frame),
            (Some(FrameType::Reply), Codec::Json) => self.take_json_reply(id, peer, &frame),
            (
                Some(
                    FrameType::Hello
                    | FrameType::Welcome
                    | FrameType::Run
                    | FrameType::Call
                    | FrameType::Answer,
                )
                | None,
                _,
            ) if frame.flags & flags::IGNORABLE != 0 => {}
            (Some(FrameType::Hello), _) => {
                self.malformed(id, "HELLO was said already".into());
            }
            (
                Some(FrameType::Welcome | FrameType::Run | FrameType::Call | FrameType::Answer),
                _,
            ) => self.malformed(
                id,
                format!("frames of type {} come from the hub", frame.kind),
            ),
            (None, _) => self.malformed(id, format!("frames of type {} are unknown", frame.kind)),
        }
    }

    fn malformed(&mut self, id: u64, reason: String) {
        self.refuse_unasked(id, "", RefusalKind::Malformed, reason);
    }

    fn take_request(&mut self, id: u64, peer: &Peer, frame: &Came) {
        match data::request(&frame.body, frame.flags) {
            Ok(head) => {
                let asked = Asked {
                    r#ref: head.r#ref,
                    topic: head.topic,
                    kind: head.kind,
                    payload: frame.body.slice(head.payload_at..),
                    reply_type: head.reply_type,
                    timeout_ms: head.timeout_ms,
                    limit: head.limit,
                    headers: Headers::parse(head.headers),
                };
                self.request(id, peer, asked);
            }
            Err(e) => self.malformed(id, e.to_string()),
        }
    }

    fn take_reply(&mut self, id: u64, peer: &Peer, frame: &Came) {
        match data::reply(&frame.body, frame.flags) {
            Ok(head) => {
                let replied = Replied {
                    call: head.call,
                    kind: head.kind,
                    payload: frame.body.slice(head.payload_at..),
                    headers: Headers::parse(head.headers),
                    ttl_ms: head.ttl_ms,
                };
                self.reply(id, peer, replied);
            }
            Err(e) => self.malformed(id, e.to_string()),
        }
    }

    fn take_json_emit(&mut self, id: u64, peer: &Peer, came: &Came) {
        let object: json::Emit<'_> = match serde_json::from_slice(&came.body) {
            Ok(object) => object,
            Err(e) => return self.malformed(id, format!("an EMIT that can't be read: {e}")),
        };
        let headers = match json::headers(&object.headers) {
            Ok(headers) => headers,
            Err(e) => return self.malformed(id, format!("{:?}: {e}", object.topic)),
        };
        let (kind, payload) = match (&object.payload, &object.bytes) {
            (None, Some(text)) => match base64::decode(text) {
                Some(bytes) => (Payload::Bytes, Bytes::from(bytes)),
                None => {
                    let reason = format!("\"bytes\" for {:?} are not base64", object.topic);
                    return self.malformed(id, reason);
                }
            },
            (payload, _) => (Payload::Json, json_text(*payload)),
        };
        if object.topic.len() > crate::limits::TOPIC_BYTES {
            return self.malformed(id, "a topic has at most 255 bytes".into());
        }
        let emit = edge::Emit {
            kind,
            topic: &object.topic,
            ack: object.r#ref,
            ttl_ms: object.ttl_ms,
            headers: headers.as_bytes(),
            payload: &payload,
        };
        let more = came.flags & (flags::RETAIN | flags::RELIABLE);
        let frame = emit.frame(more);
        let whole = EmitFrame {
            at: 0,
            end: frame.len(),
            flags: emit.flags() | more,
        };
        let mut batch = Batch::new(&frame);
        self.emit(id, peer, &mut batch, &whole);
        self.bring(id, peer, &mut batch);
    }

    fn take_json_request(&mut self, id: u64, peer: &Peer, came: &Came) {
        let object: json::Request<'_> = match serde_json::from_slice(&came.body) {
            Ok(object) => object,
            Err(e) => return self.malformed(id, format!("a REQUEST that can't be read: {e}")),
        };
        let many = came.flags & flags::MANY != 0;
        let asked = Asked {
            r#ref: object.r#ref,
            topic: object.topic.as_bytes(),
            kind: Payload::Json,
            payload: json_text(object.payload),
            reply_type: READERS_TYPE,
            timeout_ms: object.timeout_ms,
            limit: object.limit.or(many.then_some(0)),
            headers: json::headers(&object.headers),
        };
        self.request(id, peer, asked);
    }

    fn take_json_reply(&mut self, id: u64, peer: &Peer, came: &Came) {
        match serde_json::from_slice::<json::Reply<'_>>(&came.body) {
            Ok(object) => {
                let replied = Replied {
                    call: object.call,
                    kind: Payload::Json,
                    payload: json_text(object.payload),
                    headers: json::headers(&object.headers),
                    ttl_ms: object.ttl_ms,
                };
                self.reply(id, peer, replied);
            }
            Err(e) => self.malformed(id, format!("a REPLY that can't be read: {e}")),
        }
    }

    /// The framing is broken: nothing after it can be understood.
    pub(crate) fn broken(&mut self, now: Instant, id: u64, error: FrameError) {
        self.now = now;
        let kind = match self.stance(id) {
            Stance::Greeting | Stance::Waiting => CloseKind::Hello,
            Stance::Open(..) | Stance::Deaf => CloseKind::Framing,
        };
        self.close(id, kind, error.to_string());
        self.regroup();
    }
}

/// A frame that came.
struct Came {
    kind: u8,
    flags: u8,
    body: Bytes,
}

/// A payload that was left out is `null`.
fn json_text(payload: Option<&serde_json::value::RawValue>) -> Bytes {
    match payload {
        Some(raw) => Bytes::copy_from_slice(raw.get().as_bytes()),
        None => Bytes::from_static(b"null"),
    }
}
