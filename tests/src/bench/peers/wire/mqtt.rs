//! MQTT 3.1.1, quality of service 0.

use super::{
    super::{TOPIC, line::Line},
    Piece,
};

fn packet(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![kind];
    let mut left = body.len();
    loop {
        let more = if left > 127 { 0x80 } else { 0 };
        out.push((left & 0x7f) as u8 | more);
        left >>= 7;
        if left == 0 {
            break;
        }
    }
    out.extend_from_slice(body);
    out
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u16).to_be_bytes(), text.as_bytes()].concat()
}

/// A clean session, no keep-alive, and a client id that the broker chooses.
pub(super) fn greet(line: &mut Line) -> Result<(), String> {
    let body = [text("MQTT"), vec![4, 2, 0, 0], text("")].concat();
    line.write(&packet(0x10, &body))?;
    match answer(line, 4)?[..] {
        [0x20, 2, _, 0] => Ok(()),
        ref other => Err(format!("no connection: {other:?}")),
    }
}

pub(super) fn subscribe(line: &mut Line) -> Result<(), String> {
    let body = [vec![0, 1], text(TOPIC), vec![0]].concat();
    line.write(&packet(0x82, &body))?;
    match answer(line, 5)?[..] {
        [0x90, 3, 0, 1, 0] => Ok(()),
        ref other => Err(format!("no subscription: {other:?}")),
    }
}

fn answer(line: &mut Line, size: usize) -> Result<Vec<u8>, String> {
    line.until(|came| Ok(came.get(..size).map(|answer| (size, answer.to_vec()))))
}

pub(super) fn event(payload: &[u8]) -> Vec<u8> {
    packet(0x30, &[&text(TOPIC), payload].concat())
}

pub(super) fn piece(bytes: &[u8]) -> Result<Option<Piece>, String> {
    let Some(&kind) = bytes.first() else {
        return Ok(None);
    };
    if kind != 0x30 {
        return Err(format!("a packet of kind {kind:#x}"));
    }
    let mut length = 0;
    for (at, byte) in bytes[1..].iter().take(4).enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Ok(Some(Piece::event(2 + at + length)));
        }
    }
    Ok(None)
}
