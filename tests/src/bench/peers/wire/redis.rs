//! Redis: RESP 2.

use super::{
    super::{TOPIC, line::Line},
    Piece,
};

pub(super) fn subscribe(line: &mut Line) -> Result<(), String> {
    line.write(format!("SUBSCRIBE {TOPIC}\r\n").as_bytes())?;
    line.expect(":1").map(drop)
}

pub(super) fn event(payload: &[u8]) -> Vec<u8> {
    let (topic, size) = (TOPIC.len(), payload.len());
    let head = format!("*3\r\n$7\r\nPUBLISH\r\n${topic}\r\n{TOPIC}\r\n${size}\r\n");
    [head.as_bytes(), payload, b"\r\n"].concat()
}

pub(super) fn piece(bytes: &[u8], payload: usize) -> Result<Option<Piece>, String> {
    let Some(first) = bytes.first_chunk::<4>() else {
        return Ok(None);
    };
    if first != b"*3\r\n" {
        return Err(String::from_utf8_lossy(&bytes[..bytes.len().min(80)]).into_owned());
    }
    let head = format!(
        "*3\r\n$7\r\nmessage\r\n${}\r\n{TOPIC}\r\n${payload}\r\n",
        TOPIC.len()
    );
    Ok(Some(Piece::event(head.len() + payload + 2)))
}
