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

mod cursor;
mod put;

use bytes::{Buf, Bytes};

use self::cursor::Cursor;
pub use self::put::{put_answer, put_call, put_emit, put_reply, put_request, put_run};

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
