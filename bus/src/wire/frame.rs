//! Frames: `u32 BE length | u8 type | u8 flags | body`. The length counts all that follows it and is checked before
//! anything is allocated for it.

use std::fmt;

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Bytes before the body: length, type, flags.
pub const HEADER_BYTES: usize = 6;

/// Flag bits.
pub mod flags {
    /// A receiver that doesn't know this frame's type may skip it.
    pub const IGNORABLE: u8 = 0x01;
    /// EMIT: a reference follows the topic, and the hub answers it.
    pub const ACK: u8 = 0x02;
    /// EMIT: the hub keeps this as the topic's retained value.
    pub const RETAIN: u8 = 0x04;
    /// EMIT, REQUEST, REPLY, CALL, ANSWER: headers stand before the payload.
    pub const HEADERS: u8 = 0x08;
    /// EMIT: a time to live follows the reference; later than that nobody wants it.
    pub const EXPIRES: u8 = 0x10;
    /// EMIT, with ACK: the reference numbers this client's reliable events, across its connections. What the hub has taken
    /// already is acknowledged, and not taken again.
    pub const RELIABLE: u8 = 0x20;
    /// REQUEST: everybody who serves the topic is asked.
    pub const MANY: u8 = 0x10;
    /// RUN: of the control lane, which counts its own sequence.
    pub const CONTROL_LANE: u8 = 0x10;
    /// RUN: a retained value, sent because of the subscription; its sequence number is of when it was taken.
    pub const RETAINED: u8 = 0x20;
    /// RUN: another member of the queue group had these events, and ended before it said that it took them.
    pub const REDELIVERED: u8 = 0x40;
    /// RUN: from the topic's history, sent because of the subscription.
    pub const HISTORY: u8 = 0x80;
}

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum FrameType {
    /// Client → hub, JSON, first.
    Hello = 0x01,
    /// Hub → client, JSON, first.
    Welcome = 0x02,
    /// Either way: a control message in the connection's codec.
    Control = 0x03,
    /// Client → hub: publish an event. Also the frames within a RUN.
    Emit = 0x10,
    /// Client → hub: ask.
    Request = 0x11,
    /// Client → hub: the answer to a CALL.
    Reply = 0x12,
    /// Hub → client: consecutive events of one publisher for one subscription.
    Run = 0x20,
    /// Hub → client: a request to be answered.
    Call = 0x21,
    /// Hub → client: the answer to a REQUEST.
    Answer = 0x22,
}

impl FrameType {
    /// The type with this number.
    #[must_use]
    pub fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            0x01 => Self::Hello,
            0x02 => Self::Welcome,
            0x03 => Self::Control,
            0x10 => Self::Emit,
            0x11 => Self::Request,
            0x12 => Self::Reply,
            0x20 => Self::Run,
            0x21 => Self::Call,
            0x22 => Self::Answer,
            _ => return None,
        })
    }
}

/// One frame as it came: type and flags not yet interpreted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The type byte.
    pub kind: u8,
    /// The flag bits.
    pub flags: u8,
    /// What follows.
    pub body: Bytes,
}

/// Broken framing: nothing after it can be understood, so the connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// A length below 2: no room for type and flags.
    TooShort(u32),
    /// A length above what is allowed at this point.
    TooLong {
        /// What the header says.
        length: u32,
        /// What is allowed.
        limit: usize,
    },
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooShort(n) => write!(f, "a frame of length {n}: at least 2 (type and flags)"),
            Self::TooLong { length, limit } => {
                write!(
                    f,
                    "a frame of {length} bytes: at most {limit} are allowed here"
                )
            }
        }
    }
}

impl std::error::Error for FrameError {}

/// The whole size (header included) of the frame that `buffer` begins with; `None` until its length has arrived.
///
/// `limit` is the largest allowed length field, and is checked as soon as the length is there.
///
/// # Errors
/// If the length is impossible or over the limit.
pub fn peek(buffer: &[u8], limit: usize) -> Result<Option<usize>, FrameError> {
    let Some(head) = buffer.first_chunk::<4>() else {
        return Ok(None);
    };
    let length = u32::from_be_bytes(*head);
    match length {
        0 | 1 => Err(FrameError::TooShort(length)),
        n if n as usize > limit => Err(FrameError::TooLong { length, limit }),
        n => Ok(Some(4 + n as usize)),
    }
}

/// Takes the first frame off `buffer` if it is complete.
///
/// # Errors
/// As [`peek`].
pub fn take(buffer: &mut BytesMut, limit: usize) -> Result<Option<Frame>, FrameError> {
    match peek(buffer, limit)? {
        Some(size) if buffer.len() >= size => {
            let mut whole = buffer.split_to(size).freeze();
            whole.advance(4);
            let (kind, flags) = (whole.get_u8(), whole.get_u8());
            Ok(Some(Frame {
                kind,
                flags,
                body: whole,
            }))
        }
        _ => Ok(None),
    }
}

/// Begins a frame in `out`; [`end`] fills in its length.
pub fn begin(out: &mut BytesMut, kind: FrameType, flags: u8) -> usize {
    let at = out.len();
    out.put_u32(0);
    out.put_u8(kind as u8);
    out.put_u8(flags);
    at
}

/// Ends the frame begun at `at`.
pub fn end(out: &mut BytesMut, at: usize) {
    let length =
        u32::try_from(out.len() - at - 4).expect("frames are far below 4 GiB by every limit");
    out[at..at + 4].copy_from_slice(&length.to_be_bytes());
}

/// Appends a whole frame.
pub fn put(out: &mut BytesMut, kind: FrameType, flags: u8, body: &[u8]) {
    let at = begin(out, kind, flags);
    out.put_slice(body);
    end(out, at);
}
