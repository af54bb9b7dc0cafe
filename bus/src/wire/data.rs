//! Data headers, laid by hand: the hub reads these few bytes and never the payload.
//!
//! ```text
//! EMIT     kind u8 | topic length u8 | topic | [type u32] | [ref u64, if ACK] | [ttl_ms u32, if EXPIRES] | rest
//! REQUEST  kind u8 | topic length u8 | topic | [type u32] | ref u64 | reply type u32 | timeout_ms u32 | [limit u32, if MANY] | rest
//! REPLY    call u64 | kind u8 | [type u32] | [ttl_ms u32, if EXPIRES] | rest
//! RUN      conn u64 | first sequence u64 | sub u32 | count u32 | that many EMIT frames, whole, as they came
//! CALL     call u64 | conn u64 | sub u32 | timeout_ms u32 | kind u8 | topic length u8 | topic | [type u32] | rest
//! ANSWER   ref u64 | conn u64 | kind u8 | [type u32] | rest
//! rest     [headers length u16 | headers, if HEADERS] | payload
//! ```
//!
//! All numbers are big-endian. The type is there if the kind is postcard: an index announced on the publisher's
//! connection, or [`READERS_TYPE`]. An EMIT or REQUEST with an empty topic is for the topic announced with its type.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::headers::HEADERS_BYTES;

/// In frames from the hub: the payload was converted to the reader's own type.
/// In a REQUEST's reply type: any type will do.
pub const READERS_TYPE: u32 = u32::MAX;

/// What a payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Payload {
    /// Postcard of the type with this index.
    Postcard(u32),
    /// JSON text.
    Json,
    /// Bytes that mean nothing to the bus.
    Bytes,
}

/// The header of an EMIT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Emit<'a> {
    /// What the payload is.
    pub kind: Payload,
    /// The topic as sent; empty for the announced one. Not checked yet.
    pub topic: &'a [u8],
    /// The reference, if an acknowledgement is wanted.
    pub ack: Option<u64>,
    /// Milliseconds from its arrival at the hub until nobody wants it any more.
    pub ttl_ms: Option<u32>,
    /// Its headers, as they travel. Not checked yet.
    pub headers: &'a [u8],
    /// Where the payload begins within the body.
    pub payload_at: usize,
}

/// The header of a REQUEST.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// What the payload is.
    pub kind: Payload,
    /// The topic as sent; empty for the announced one. Not checked yet.
    pub topic: &'a [u8],
    /// The reference.
    pub r#ref: u64,
    /// The type the asker reads the answer as: an index it announced, or [`READERS_TYPE`].
    pub reply_type: u32,
    /// Milliseconds until the asker gives up.
    pub timeout_ms: u32,
    /// If everybody who serves the topic is asked: how many answers are enough.
    pub limit: Option<u32>,
    /// Its headers, as they travel. Not checked yet.
    pub headers: &'a [u8],
    /// Where the payload begins within the body.
    pub payload_at: usize,
}

/// The header of a REPLY.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply<'a> {
    /// Which call it answers.
    pub call: u64,
    /// What the payload is.
    pub kind: Payload,
    /// For how many milliseconds the hub may give it to whoever asks the same.
    pub ttl_ms: Option<u32>,
    /// Its headers, as they travel. Not checked yet.
    pub headers: &'a [u8],
    /// Where the payload begins within the body.
    pub payload_at: usize,
}

/// The header of a RUN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The publisher's connection.
    pub conn: u64,
    /// The sequence number of the first event; the others follow one by one.
    pub first_seq: u64,
    /// For which subscription.
    pub sub: u32,
    /// How many EMIT frames follow.
    pub count: u32,
}

/// Bytes of a RUN's header after the frame header.
pub const RUN_BYTES: usize = 24;

/// The header of a CALL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call<'a> {
    /// The hub's number for it, to be named in the REPLY.
    pub call: u64,
    /// The asker's connection.
    pub conn: u64,
    /// Which subscription serves it.
    pub sub: u32,
    /// Milliseconds the asker will still wait.
    pub timeout_ms: u32,
    /// What the payload is.
    pub kind: Payload,
    /// The topic: never empty.
    pub topic: &'a [u8],
    /// Its headers, as they travel. Not checked yet.
    pub headers: &'a [u8],
    /// Where the payload begins within the body.
    pub payload_at: usize,
}

/// The header of an ANSWER.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer<'a> {
    /// The reference of the REQUEST.
    pub r#ref: u64,
    /// The connection of whoever answered.
    pub conn: u64,
    /// What the payload is.
    pub kind: Payload,
    /// Its headers, as they travel. Not checked yet.
    pub headers: &'a [u8],
    /// Where the payload begins within the body.
    pub payload_at: usize,
}

/// A data header that ends too early or names an unknown payload kind. The frame is refused; the connection lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadHeader;

impl std::fmt::Display for BadHeader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the data header is cut short or names an unknown payload kind")
    }
}

impl std::error::Error for BadHeader {}

struct Cursor<'a> {
    body: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], BadHeader> {
        let part = self
            .body
            .get(self.at..)
            .and_then(|rest| rest.get(..n))
            .ok_or(BadHeader)?;
        self.at += n;
        Ok(part)
    }

    fn u16(&mut self) -> Result<u16, BadHeader> {
        self.take(2).map(|mut b| b.get_u16())
    }

    fn u8(&mut self) -> Result<u8, BadHeader> {
        self.take(1).map(|b| b[0])
    }

    fn u32(&mut self) -> Result<u32, BadHeader> {
        self.take(4).map(|mut b| b.get_u32())
    }

    fn u64(&mut self) -> Result<u64, BadHeader> {
        self.take(8).map(|mut b| b.get_u64())
    }

    fn topic(&mut self) -> Result<&'a [u8], BadHeader> {
        let length = self.u8()?;
        self.take(usize::from(length))
    }

    fn payload(&mut self, kind: u8) -> Result<Payload, BadHeader> {
        match kind {
            0 => Ok(Payload::Postcard(self.u32()?)),
            1 => Ok(Payload::Json),
            2 => Ok(Payload::Bytes),
            _ => Err(BadHeader),
        }
    }

    /// A number that is there if `flag` is set.
    fn u32_if(&mut self, flags: u8, flag: u8) -> Result<Option<u32>, BadHeader> {
        if flags & flag == 0 {
            return Ok(None);
        }
        self.u32().map(Some)
    }

    fn headers(&mut self, flags: u8) -> Result<&'a [u8], BadHeader> {
        if flags & super::flags::HEADERS == 0 {
            return Ok(&[]);
        }
        let length = usize::from(self.u16()?);
        if length > HEADERS_BYTES {
            return Err(BadHeader);
        }
        self.take(length)
    }
}

/// Reads an EMIT's header.
///
/// # Errors
/// [`BadHeader`]
pub fn emit(body: &[u8], flags: u8) -> Result<Emit<'_>, BadHeader> {
    let mut c = Cursor { body, at: 0 };
    let kind = c.u8()?;
    let topic = c.topic()?;
    let kind = c.payload(kind)?;
    let ack = if flags & super::flags::ACK != 0 {
        Some(c.u64()?)
    } else {
        None
    };
    let ttl_ms = c.u32_if(flags, super::flags::EXPIRES)?;
    let headers = c.headers(flags)?;
    Ok(Emit {
        kind,
        topic,
        ack,
        ttl_ms,
        headers,
        payload_at: c.at,
    })
}

/// Reads a REQUEST's header.
///
/// # Errors
/// [`BadHeader`]
pub fn request(body: &[u8], flags: u8) -> Result<Request<'_>, BadHeader> {
    let mut c = Cursor { body, at: 0 };
    let kind = c.u8()?;
    let topic = c.topic()?;
    let kind = c.payload(kind)?;
    let (r#ref, reply_type, timeout_ms) = (c.u64()?, c.u32()?, c.u32()?);
    let limit = c.u32_if(flags, super::flags::MANY)?;
    let headers = c.headers(flags)?;
    Ok(Request {
        kind,
        topic,
        r#ref,
        reply_type,
        timeout_ms,
        limit,
        headers,
        payload_at: c.at,
    })
}

/// Reads a REPLY's header.
///
/// # Errors
/// [`BadHeader`]
pub fn reply(body: &[u8], flags: u8) -> Result<Reply<'_>, BadHeader> {
    let mut c = Cursor { body, at: 0 };
    let call = c.u64()?;
    let kind = c.u8()?;
    let kind = c.payload(kind)?;
    let ttl_ms = c.u32_if(flags, super::flags::EXPIRES)?;
    let headers = c.headers(flags)?;
    Ok(Reply {
        call,
        kind,
        ttl_ms,
        headers,
        payload_at: c.at,
    })
}

/// Reads a RUN's header; its frames begin at [`RUN_BYTES`].
///
/// # Errors
/// [`BadHeader`]
pub fn run(body: &[u8]) -> Result<Run, BadHeader> {
    let mut c = Cursor { body, at: 0 };
    Ok(Run {
        conn: c.u64()?,
        first_seq: c.u64()?,
        sub: c.u32()?,
        count: c.u32()?,
    })
}

/// Reads a CALL's header.
///
/// # Errors
/// [`BadHeader`]
pub fn call(body: &[u8], flags: u8) -> Result<Call<'_>, BadHeader> {
    let mut c = Cursor { body, at: 0 };
    let (call, conn, sub, timeout_ms) = (c.u64()?, c.u64()?, c.u32()?, c.u32()?);
    let kind = c.u8()?;
    let topic = c.topic()?;
    let kind = c.payload(kind)?;
    let headers = c.headers(flags)?;
    Ok(Call {
        call,
        conn,
        sub,
        timeout_ms,
        kind,
        topic,
        headers,
        payload_at: c.at,
    })
}

/// Reads an ANSWER's header.
///
/// # Errors
/// [`BadHeader`]
pub fn answer(body: &[u8], flags: u8) -> Result<Answer<'_>, BadHeader> {
    let mut c = Cursor { body, at: 0 };
    let (r#ref, conn) = (c.u64()?, c.u64()?);
    let kind = c.u8()?;
    let kind = c.payload(kind)?;
    let headers = c.headers(flags)?;
    Ok(Answer {
        r#ref,
        conn,
        kind,
        headers,
        payload_at: c.at,
    })
}

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

/// The frames of a RUN, one by one, each as `(flags, body)`.
pub fn frames(mut rest: Bytes) -> impl Iterator<Item = (u8, Bytes)> {
    std::iter::from_fn(move || {
        let size = super::frame::peek(&rest, usize::MAX >> 1)
            .ok()
            .flatten()
            .filter(|n| *n <= rest.len())?;
        let mut whole = rest.split_to(size);
        let flags = whole[5];
        whole.advance(super::HEADER_BYTES);
        Some((flags, whole))
    })
}
