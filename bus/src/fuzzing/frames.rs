//! Frames and data headers: what is read is within the bytes, and what was read is written again as it was.

use bytes::BytesMut;

use crate::wire::{
    HEADER_BYTES, codec,
    control::{ClientControl, HubControl},
    data, flags,
    frame::{self, Frame, FrameType},
    headers::{Headers, put_block},
    hello::Codec,
};

/// The largest frame taken. Small, so that lengths over it occur.
const LIMIT: usize = 4 << 10;

/// Takes frames from `bytes`, arriving one piece after the other; the first byte says how long the pieces are.
pub fn frames(bytes: &[u8]) {
    let Some((&piece, bytes)) = bytes.split_first() else {
        return;
    };
    let (mut buffer, mut taken) = (BytesMut::new(), 0);
    for piece in bytes.chunks(usize::from(piece).max(1)) {
        buffer.extend_from_slice(piece);
        loop {
            match frame::take(&mut buffer, LIMIT) {
                Ok(Some(whole)) => {
                    let again = framed(&whole);
                    assert_eq!(again, bytes[taken..taken + again.len()]);
                    taken += again.len();
                    assert!(whole.body.len() <= LIMIT);
                    read(&whole);
                }
                Ok(None) => break,
                // Nothing after broken framing can be understood.
                Err(_) => return,
            }
        }
        assert!(
            buffer.len() < LIMIT + HEADER_BYTES,
            "more waits than a frame"
        );
    }
}

fn framed(whole: &Frame) -> BytesMut {
    let mut out = BytesMut::new();
    let length = u32::try_from(whole.body.len() + 2).expect("within the limit");
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(&[whole.kind, whole.flags]);
    out.extend_from_slice(&whole.body);
    out
}

/// Reads a frame's body as what it says it is.
fn read(whole: &Frame) {
    let Frame { kind, flags, body } = whole;
    let mut again = BytesMut::new();
    let payload_at = match FrameType::from_byte(*kind) {
        Some(FrameType::Control) => return control(body),
        Some(FrameType::Emit) => data::emit(body, *flags).ok().map(|head| {
            put_emit(&mut again, &head, *flags);
            head.payload_at
        }),
        Some(FrameType::Request) => data::request(body, *flags).ok().map(|head| head.payload_at),
        Some(FrameType::Reply) => data::reply(body, *flags).ok().map(|head| head.payload_at),
        Some(FrameType::Call) => data::call(body, *flags).ok().map(|head| head.payload_at),
        Some(FrameType::Answer) => data::answer(body, *flags).ok().map(|head| head.payload_at),
        Some(FrameType::Run) => data::run(body).ok().map(|_| {
            for (flags, body) in data::frames(body.slice(data::RUN_BYTES..)) {
                if let Ok(head) = data::emit(&body, flags) {
                    assert!(head.payload_at <= body.len());
                }
            }
            data::RUN_BYTES
        }),
        Some(FrameType::Hello | FrameType::Welcome) | None => None,
    };
    assert!(payload_at.is_none_or(|at| at <= body.len()));
    assert!(body.starts_with(&again));
}

fn put_emit(out: &mut BytesMut, head: &data::Emit<'_>, flags: u8) {
    // Only what could be a topic is written by anybody.
    let Ok(topic) = std::str::from_utf8(head.topic) else {
        return;
    };
    data::put_emit(out, head.kind, topic, head.ack);
    if let Some(ttl) = head.ttl_ms {
        out.extend_from_slice(&ttl.to_be_bytes());
    }
    if flags & flags::HEADERS != 0 {
        put_block(out, head.headers);
        if let Ok(headers) = Headers::parse(head.headers) {
            let mut block = BytesMut::new();
            headers.put(&mut block);
            assert_eq!(block[2..], *head.headers);
        }
    }
    assert_eq!(out.len(), head.payload_at);
}

/// A message that can be read is written, and read as the same again: in both codecs.
fn control(body: &[u8]) {
    for from in [Codec::Postcard, Codec::Json] {
        if let Ok(message) = codec::decode::<ClientControl>(from, body) {
            for to in [Codec::Postcard, Codec::Json] {
                let again = codec::encode(to, &message).expect("what was read can be written");
                assert_eq!(
                    codec::decode::<ClientControl>(to, &again).ok(),
                    Some(message.clone())
                );
            }
        }
        if let Ok(message) = codec::decode::<HubControl>(from, body) {
            for to in [Codec::Postcard, Codec::Json] {
                let again = codec::encode(to, &message).expect("what was read can be written");
                assert_eq!(
                    codec::decode::<HubControl>(to, &again).ok(),
                    Some(message.clone())
                );
            }
        }
    }
}
