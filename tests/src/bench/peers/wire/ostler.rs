//! A hub: frames.

use std::sync::OnceLock;

use bytes::BytesMut;
use ostler_bus::wire::{
    FrameType, HEADER_BYTES, codec,
    control::{ClientControl, ClientOp, HubControl, HubOp, OverflowPolicy, SubscribeOptions},
    data::{self, Payload, Run},
    frame,
    hello::{Codec, Hello, Kind, MAGIC, VERSIONS},
};

use super::{
    super::{TOPIC, line::Line},
    Piece,
};

/// A frame of a hub is far below this.
const FRAME_LIMIT: usize = 16 << 20;

/// What a RUN frame begins with, up to its count.
const RUN_HEAD: usize = HEADER_BYTES + data::RUN_BYTES;

/// How a subscription is served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// What happens when its queue is full.
    pub policy: OverflowPolicy,
    /// Control messages are JSON.
    pub json: bool,
}

/// Says HELLO, and waits for WELCOME.
///
/// # Errors
/// If it is not a hub.
pub fn greet(line: &mut Line, codec: &str) -> Result<(), String> {
    static POSTCARD: OnceLock<BytesMut> = OnceLock::new();
    match codec {
        // Whoever counts connections a second is not to count JSON being made.
        "postcard" => line.write(POSTCARD.get_or_init(|| hello(codec)))?,
        other => line.write(&hello(other))?,
    }
    match frame(line)?.0 {
        kind if kind == FrameType::Welcome as u8 => Ok(()),
        kind => Err(format!("a frame of type {kind} instead of WELCOME")),
    }
}

/// A HELLO frame.
fn hello(codec: &str) -> BytesMut {
    let hello = Hello {
        magic: MAGIC.into(),
        proto: VERSIONS,
        codecs: vec![codec.into()],
        kind: Kind::Client,
        name: "bench".into(),
        instance: None,
        token: None,
        features: vec![],
        ext: serde_json::Map::new(),
    };
    let hello = serde_json::to_vec(&hello).expect("a HELLO has text keys");
    framed(FrameType::Hello, &hello)
}

/// Subscribes to the topic of everything.
///
/// # Errors
/// If the hub refuses.
pub fn subscribe(line: &mut Line, options: Options) -> Result<(), String> {
    let op = ClientOp::Subscribe {
        sub: 1,
        pattern: TOPIC.into(),
        reader: None,
        options: SubscribeOptions {
            policy: options.policy,
            ..SubscribeOptions::default()
        },
    };
    let codec = if options.json {
        Codec::Json
    } else {
        Codec::Postcard
    };
    let message = ClientControl { r#ref: 1, op };
    let body = codec::encode(codec, &message).map_err(|e| e.to_string())?;
    line.write(&framed(FrameType::Control, &body))?;
    let answer: HubControl = codec::decode(codec, &frame(line)?.1).map_err(|e| e.to_string())?;
    match answer.op {
        HubOp::Done { .. } => Ok(()),
        other => Err(format!("{other:?}")),
    }
}

/// The next frame: its type and its body.
///
/// # Errors
/// If the hub is gone.
pub fn frame(line: &mut Line) -> Result<(u8, Vec<u8>), String> {
    line.until(|came| {
        let size = frame::peek(came, FRAME_LIMIT).map_err(|e| e.to_string())?;
        let size = size.filter(|size| came.len() >= *size);
        Ok(size.map(|size| (size, (came[4], came[HEADER_BYTES..size].to_vec()))))
    })
}

/// One frame.
#[must_use]
pub fn framed(kind: FrameType, body: &[u8]) -> BytesMut {
    let mut out = BytesMut::with_capacity(HEADER_BYTES + body.len());
    frame::put(&mut out, kind, 0, body);
    out
}

pub(super) fn event(payload: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::new();
    let at = frame::begin(&mut out, FrameType::Emit, 0);
    data::put_emit(&mut out, Payload::Bytes, TOPIC, None);
    out.extend_from_slice(payload);
    frame::end(&mut out, at);
    out.to_vec()
}

pub(super) fn piece(bytes: &[u8]) -> Result<Option<Piece>, String> {
    let size = match frame::peek(bytes, FRAME_LIMIT).map_err(|e| e.to_string())? {
        Some(size) if bytes.len() >= size.min(RUN_HEAD) => size,
        Some(_) | None => return Ok(None),
    };
    if bytes[4] == FrameType::Run as u8 {
        let run = data::run(&bytes[HEADER_BYTES..]).map_err(|e| e.to_string())?;
        return Ok(Some(Piece {
            size,
            events: run.count.into(),
            lost: 0,
        }));
    }
    if bytes.len() < size {
        return Ok(None);
    }
    let body = &bytes[HEADER_BYTES..size];
    let control: HubControl = codec::decode(Codec::Postcard, body).map_err(|e| e.to_string())?;
    let lost = match control.op {
        HubOp::Lagged { missed, .. } | HubOp::Misfit { missed, .. } => missed,
        HubOp::Closing { reason, .. } => return Err(reason),
        HubOp::Done { .. }
        | HubOp::Refused(_)
        | HubOp::OriginIs { .. }
        | HubOp::TypeIs { .. }
        | HubOp::Forget { .. }
        | HubOp::Resumed { .. }
        | HubOp::Hold { .. }
        | HubOp::Release { .. } => 0,
    };
    Ok(Some(Piece {
        size,
        events: 0,
        lost,
    }))
}

/// A run, as a hub delivers it.
#[must_use]
pub fn run_of(payloads: &[&[u8]]) -> Vec<u8> {
    let mut out = BytesMut::new();
    let at = frame::begin(&mut out, FrameType::Run, 0);
    let run = Run {
        conn: 1,
        first_seq: 1,
        sub: 1,
        count: payloads.len() as u32,
    };
    data::put_run(&mut out, run);
    for payload in payloads {
        out.extend_from_slice(&event(payload));
    }
    frame::end(&mut out, at);
    out.to_vec()
}
