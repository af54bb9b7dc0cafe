//! D-Bus: signals with an array of bytes, by way of a match rule.

use super::{super::line::Line, Piece};

const PATH: &str = "/bench";
const INTERFACE: &str = "bench.Bus";
const MEMBER: &str = "Sample";

const CALL: u8 = 1;
const ANSWER: u8 = 2;
const FAILURE: u8 = 3;
const SIGNAL: u8 = 4;

/// Bytes being laid, with D-Bus's alignment.
#[derive(Default)]
struct Laid(Vec<u8>);

impl Laid {
    fn align(&mut self, to: usize) {
        self.0.resize(self.0.len().next_multiple_of(to), 0);
    }

    fn number(&mut self, number: u32) {
        self.align(4);
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u32);
        self.0.extend_from_slice(text.as_bytes());
        self.0.push(0);
    }

    fn signature(&mut self, signature: &str) {
        self.0.push(signature.len() as u8);
        self.0.extend_from_slice(signature.as_bytes());
        self.0.push(0);
    }
}

/// A message: its kind, its fields as `(code, signature, value)`, its body.
fn message(kind: u8, serial: u32, fields: &[(u8, &str, &str)], body: &[u8]) -> Vec<u8> {
    let mut out = Laid(vec![b'l', kind, 1, 1]);
    out.number(body.len() as u32);
    out.number(serial);
    out.number(0);
    let begin = out.0.len();
    for (code, signature, value) in fields {
        out.align(8);
        out.0.push(*code);
        out.signature(signature);
        match *signature {
            "g" => out.signature(value),
            _ => out.text(value),
        }
    }
    let length = (out.0.len() - begin) as u32;
    out.0[12..16].copy_from_slice(&length.to_le_bytes());
    out.align(8);
    out.0.extend_from_slice(body);
    out.0
}

/// The whole size of the message that `bytes` begin with.
fn size(bytes: &[u8]) -> Option<usize> {
    let number = |at: usize| {
        let four = bytes.get(at..)?.first_chunk()?;
        Some(u32::from_le_bytes(*four) as usize)
    };
    Some((16 + number(12)?).next_multiple_of(8) + number(4)?)
}

/// A call to the bus itself; returns when it has answered.
fn call(line: &mut Line, serial: u32, member: &str, text: Option<&str>) -> Result<(), String> {
    let mut fields = vec![
        (1, "o", "/org/freedesktop/DBus"),
        (6, "s", "org.freedesktop.DBus"),
        (2, "s", "org.freedesktop.DBus"),
        (3, "s", member),
    ];
    let mut body = Laid::default();
    if let Some(text) = text {
        fields.push((8, "g", "s"));
        body.text(text);
    }
    let mut message = message(CALL, serial, &fields, &body.0);
    // An answer is wanted.
    message[2] = 0;
    line.write(&message)?;
    loop {
        let kind = line.until(|came| {
            let size = size(came).filter(|size| came.len() >= *size);
            Ok(size.map(|size| (size, came[1])))
        })?;
        match kind {
            ANSWER => return Ok(()),
            FAILURE => return Err(format!("{member} was refused")),
            _ => {}
        }
    }
}

pub(super) fn greet(line: &mut Line) -> Result<(), String> {
    let uid = rustix::process::getuid().as_raw().to_string();
    let hex: String = uid.bytes().map(|byte| format!("{byte:02x}")).collect();
    line.write(format!("\0AUTH EXTERNAL {hex}\r\n").as_bytes())?;
    line.expect("OK")?;
    line.write(b"BEGIN\r\n")?;
    call(line, 1, "Hello", None)
}

pub(super) fn subscribe(line: &mut Line) -> Result<(), String> {
    let rule = format!("type='signal',interface='{INTERFACE}'");
    call(line, 2, "AddMatch", Some(&rule))
}

pub(super) fn event(payload: &[u8]) -> Vec<u8> {
    let fields = [
        (1, "o", PATH),
        (2, "s", INTERFACE),
        (3, "s", MEMBER),
        (8, "g", "ay"),
    ];
    let length = (payload.len() as u32).to_le_bytes();
    message(SIGNAL, 3, &fields, &[&length[..], payload].concat())
}

/// The bus's own signals come before the answer to the subscription: what comes later are events.
pub(super) fn piece(bytes: &[u8]) -> Result<Option<Piece>, String> {
    match (size(bytes), bytes.get(1)) {
        (Some(size), Some(&SIGNAL)) => Ok(Some(Piece::event(size))),
        (Some(_), kind) => Err(format!("a message of kind {kind:?}")),
        (None, _) => Ok(None),
    }
}
