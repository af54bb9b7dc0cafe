//! The wire, byte for byte. What is expected here was written by hand from `docs/protocol.md`, never taken from the
//! encoder: it is what other languages' clients rely on.

mod controls;
mod conversation;
mod events;
mod handshake;
mod in_json;

use bytes::{BufMut, Bytes, BytesMut};
use ostler_bus::{
    Event, Generation, Origin, Slot, TypeSchema, WorkerId,
    wire::{
        FrameType, codec,
        control::{
            ClientControl, ClientOp, CloseKind, HubControl, HubOp, OverflowPolicy, Refusal,
            RefusalKind, Resume, SubscribeOptions,
        },
        data::{self, Payload},
        flags, frame,
        headers::Headers,
        hello::{Codec, Hello, Kind, Welcome, WelcomeLimits},
        json,
    },
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Event)]
#[event(topic = "orders.created")]
struct OrderCreated {
    id: u64,
    total: f64,
}

/// Hexadecimal digits to bytes; what follows `;` on a line is a remark.
fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .lines()
        .flat_map(|line| line.split(';').next().unwrap_or("").chars())
        .filter(|c| !c.is_whitespace())
        .map(|c| u8::try_from(c.to_digit(16).expect("a hexadecimal digit")).expect("below 16"))
        .collect();
    assert!(digits.len().is_multiple_of(2), "an odd number of digits");
    digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}

/// Takes the one frame that `bytes` are.
fn one_frame(bytes: &[u8]) -> frame::Frame {
    let mut buffer = BytesMut::from(bytes);
    let taken = frame::take(&mut buffer, 1 << 20).expect("sound framing");
    assert!(buffer.is_empty(), "bytes after the frame");
    taken.expect("a whole frame")
}

fn framed(kind: FrameType, flags: u8, body: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::new();
    frame::put(&mut out, kind, flags, body);
    out.to_vec()
}

/// A control message is these bytes, both ways, in a CONTROL frame.
#[track_caller]
fn control<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(
    message: &T,
    golden: &str,
) {
    let golden = hex(golden);
    let body = codec::encode(Codec::Postcard, message).expect("encodes");
    assert_eq!(framed(FrameType::Control, 0, &body), golden, "encoded");
    let frame = one_frame(&golden);
    assert_eq!((frame.kind, frame.flags), (0x03, 0));
    let decoded: T = codec::decode(Codec::Postcard, &frame.body).expect("decodes");
    assert_eq!(decoded, *message, "decoded");
}

#[track_caller]
fn client(r#ref: u64, op: ClientOp, golden: &str) {
    control(&ClientControl { r#ref, op }, golden);
}

#[track_caller]
fn hub(r#ref: u64, op: HubOp, golden: &str) {
    control(&HubControl { r#ref, op }, golden);
}

/// A data frame is these bytes; the caller decodes what is returned.
#[track_caller]
fn data_frame(
    kind: FrameType,
    flags: u8,
    put: impl FnOnce(&mut BytesMut),
    payload: &[u8],
    golden: &str,
) -> Bytes {
    let golden = hex(golden);
    let mut out = BytesMut::new();
    let at = frame::begin(&mut out, kind, flags);
    put(&mut out);
    out.extend_from_slice(payload);
    frame::end(&mut out, at);
    assert_eq!(out.to_vec(), golden, "encoded");
    let frame = one_frame(&golden);
    assert_eq!((frame.kind, frame.flags), (kind as u8, flags));
    frame.body
}

const ORDER_SCHEMA: &str = "
    17 0c 4f72646572437265617465 64 ; Struct, OrderCreated
    03 02                           ; with two fields
    02 6964 09                      ; id, U64
    05 746f74616c 0e                ; total, F64
";

const TYPED_EMIT: &str = "
    00000019 10 02                 ; EMIT, ACK
    00 00 00000000                 ; postcard, the announced topic, type 0
    0000000000000003               ; reference
    01 0000000000002340            ; id 1, total 9.5
";
const JSON_EMIT: &str = "
    0000000e 10 00                 ; EMIT
    01 03 612e62                   ; JSON, a.b
    7b2278223a317d                 ; {\"x\":1}
";
