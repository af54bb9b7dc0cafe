//! ZeroMQ: ZMTP 3.0 without security, PUB and SUB. A message is one frame, its topic and payload together.

use std::time::Duration;

use super::{
    super::{
        TOPIC,
        line::{Address, Line},
    },
    Piece,
};

/// What a subscriber sends through the broker to itself, to know that its subscription has arrived there.
const MARK: &str = "mark.";

/// How long one mark is waited for before another is sent.
const MARK_AGAIN: Duration = Duration::from_millis(5);

/// The flags of a frame: a command, or long.
const COMMAND: u8 = 4;
const LONG: u8 = 2;

fn frame(body: &[u8], flags: u8) -> Vec<u8> {
    match u8::try_from(body.len()) {
        Ok(short) => [&[flags, short], body].concat(),
        Err(_) => {
            let length = (body.len() as u64).to_be_bytes();
            [&[flags | LONG], &length[..], body].concat()
        }
    }
}

pub(super) fn greet(line: &mut Line, publishes: bool) -> Result<(), String> {
    let mut greeting = [0; 64];
    (greeting[0], greeting[9], greeting[10]) = (0xff, 0x7f, 3);
    greeting[12..16].copy_from_slice(b"NULL");
    let kind = if publishes { "PUB" } else { "SUB" };
    let mut ready = b"\x05READY\x0bSocket-Type".to_vec();
    ready.extend_from_slice(&(kind.len() as u32).to_be_bytes());
    ready.extend_from_slice(kind.as_bytes());
    line.write(&greeting)?;
    line.write(&frame(&ready, COMMAND))?;
    line.until(|came| Ok((came.len() >= 64).then_some((64, ()))))?;
    line.until(|came| {
        let Some((flags, size)) = head(came).filter(|(_, size)| came.len() >= *size) else {
            return Ok(None);
        };
        match flags & COMMAND {
            COMMAND => Ok(Some((size, ()))),
            _ => Err("no READY".into()),
        }
    })
}

/// Flags and whole size of what `bytes` begin with.
fn head(bytes: &[u8]) -> Option<(u8, usize)> {
    let (&flags, rest) = bytes.split_first()?;
    if flags & LONG == 0 {
        return Some((flags, 2 + usize::from(*rest.first()?)));
    }
    let length = u64::from_be_bytes(*rest.first_chunk()?);
    Some((flags, 9 + length as usize))
}

/// Where publishers connect to the proxy whose subscribers connect to this address.
pub(in crate::bench::peers) fn publishers_of(subscribers: &Address) -> Address {
    match subscribers {
        Address::Unix(path) => Address::Unix(format!("{path}.in")),
        Address::Tcp(host) => Address::Tcp(host.clone()),
    }
}

/// A broker doesn't say that it has a subscription. So a second one follows the first, to something that is sent until it arrives.
pub(super) fn subscribe(line: &mut Line, to: &Address) -> Result<(), String> {
    let mark = format!("{MARK}{}", std::process::id());
    let subscription = |topic: &str| frame(&[b"\x01", topic.as_bytes()].concat(), 0);
    line.write(&subscription(TOPIC))?;
    line.write(&subscription(&mark))?;
    let mut beside = super::Wire::Zmtp.connect(&publishers_of(to), true)?;
    loop {
        beside.write(&frame(mark.as_bytes(), 0))?;
        if line.is_readable(MARK_AGAIN)? {
            return line.until(|came| {
                Ok(head(came)
                    .filter(|(_, n)| came.len() >= *n)
                    .map(|(_, n)| (n, ())))
            });
        }
    }
}

pub(super) fn event(payload: &[u8]) -> Vec<u8> {
    frame(&[TOPIC.as_bytes(), payload].concat(), 0)
}

pub(super) fn piece(bytes: &[u8]) -> Result<Option<Piece>, String> {
    let Some((flags, size)) = head(bytes) else {
        return Ok(None);
    };
    let body = if flags & LONG == 0 { 2 } else { 9 };
    Ok(match bytes.get(body) {
        None => None,
        Some(b'm') => Some(Piece::other(size)),
        Some(_) => Some(Piece::event(size)),
    })
}
