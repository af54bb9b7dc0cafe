//! Writing data headers.

use bytes::{BufMut, BytesMut};

use super::{Payload, Run};

fn put_kind(out: &mut BytesMut, kind: Payload) {
    out.put_u8(match kind {
        Payload::Postcard(_) => 0,
        Payload::Json => 1,
        Payload::Bytes => 2,
    });
}

fn put_topic(out: &mut BytesMut, topic: &str) {
    out.put_u8(u8::try_from(topic.len()).expect("a topic has at most 255 bytes"));
    out.put_slice(topic.as_bytes());
}

fn put_type(out: &mut BytesMut, kind: Payload) {
    if let Payload::Postcard(index) = kind {
        out.put_u32(index);
    }
}

/// Writes an EMIT's header, before its time to live, its headers and its payload.
pub fn put_emit(out: &mut BytesMut, kind: Payload, topic: &str, ack: Option<u64>) {
    put_kind(out, kind);
    put_topic(out, topic);
    put_type(out, kind);
    if let Some(r#ref) = ack {
        out.put_u64(r#ref);
    }
}

/// Writes a REQUEST's header, before its limit, its headers and its payload.
pub fn put_request(
    out: &mut BytesMut,
    kind: Payload,
    topic: &str,
    r#ref: u64,
    reply_type: u32,
    timeout_ms: u32,
) {
    put_kind(out, kind);
    put_topic(out, topic);
    put_type(out, kind);
    out.put_u64(r#ref);
    out.put_u32(reply_type);
    out.put_u32(timeout_ms);
}

/// Writes a REPLY's header, before its headers and its payload; with EXPIRES if there is a time.
pub fn put_reply(out: &mut BytesMut, call: u64, kind: Payload, ttl_ms: Option<u32>) {
    out.put_u64(call);
    put_kind(out, kind);
    put_type(out, kind);
    if let Some(ttl_ms) = ttl_ms {
        out.put_u32(ttl_ms);
    }
}

/// Writes a RUN's header, before its frames.
pub fn put_run(out: &mut BytesMut, run: Run) {
    out.put_u64(run.conn);
    out.put_u64(run.first_seq);
    out.put_u32(run.sub);
    out.put_u32(run.count);
}

/// Writes a CALL's header, before its headers and its payload.
pub fn put_call(
    out: &mut BytesMut,
    call: u64,
    conn: u64,
    sub: u32,
    timeout_ms: u32,
    kind: Payload,
    topic: &str,
) {
    out.put_u64(call);
    out.put_u64(conn);
    out.put_u32(sub);
    out.put_u32(timeout_ms);
    put_kind(out, kind);
    put_topic(out, topic);
    put_type(out, kind);
}

/// Writes an ANSWER's header, before its headers and its payload.
pub fn put_answer(out: &mut BytesMut, r#ref: u64, conn: u64, kind: Payload) {
    out.put_u64(r#ref);
    out.put_u64(conn);
    put_kind(out, kind);
    put_type(out, kind);
}
