//! NATS: lines of text, payloads between them.

use super::{
    super::{TOPIC, line::Line},
    Piece,
};

pub(super) fn greet(line: &mut Line) -> Result<(), String> {
    line.expect("INFO")?;
    line.write(b"CONNECT {\"verbose\":false,\"pedantic\":false}\r\n")
}

pub(super) fn subscribe(line: &mut Line) -> Result<(), String> {
    line.write(format!("SUB {TOPIC} 1\r\nPING\r\n").as_bytes())?;
    line.expect("PONG").map(drop)
}

pub(super) fn event(payload: &[u8]) -> Vec<u8> {
    let head = format!("PUB {TOPIC} {}\r\n", payload.len());
    [head.as_bytes(), payload, b"\r\n"].concat()
}

pub(super) fn piece(bytes: &[u8], payload: usize) -> Result<Option<Piece>, String> {
    if bytes.len() < 4 {
        return Ok(None);
    }
    let line = bytes.iter().take(256).position(|byte| *byte == b'\n');
    Ok(match (&bytes[..4], line) {
        (b"MSG ", Some(end)) => Some(Piece::event(end + 1 + payload + 2)),
        (b"PING" | b"PONG" | b"INFO", Some(end)) => Some(Piece::other(end + 1)),
        (b"MSG " | b"PING" | b"PONG" | b"INFO", None) => None,
        _ => return Err(String::from_utf8_lossy(&bytes[..bytes.len().min(80)]).into_owned()),
    })
}
