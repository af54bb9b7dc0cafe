//! The wire format, as `docs/protocol.md` describes it byte by byte.
//!
//! A connection carries frames both ways. The first each way is JSON (HELLO, WELCOME) and settles version and codec;
//! after that control frames are postcard or JSON, and data frames have a hand-laid header before an opaque payload, so
//! that the hub routes without decoding.

pub mod base64;
pub mod codec;
pub mod control;
pub mod data;
pub mod frame;
pub mod headers;
pub mod hello;
pub mod json;

pub use frame::{Frame, FrameError, FrameType, HEADER_BYTES, flags};
