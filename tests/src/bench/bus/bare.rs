//! The least that a peer can do: a blocking socket, a handshake, frames; no runtime, no queue, nothing decoded.

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::Path,
};

use bytes::BytesMut;
use ostler_bus::wire::{
    FrameType, HEADER_BYTES, codec,
    control::{ClientControl, ClientOp, HubControl, HubOp, SubscribeOptions},
    data,
    frame::{self, Frame},
    hello::{Codec, Hello, Kind, MAGIC, VERSIONS},
};

/// Bytes read or written at once.
pub(super) const BUFFER: usize = 64 << 10;

/// A frame of a hub is far below this.
const FRAME_LIMIT: usize = 16 << 20;

/// What a frame begins with, for a RUN up to its count.
const RUN_HEAD: usize = HEADER_BYTES + data::RUN_BYTES;

/// A connection that has said HELLO.
#[derive(Debug)]
pub struct Bare {
    stream: UnixStream,
    came: BytesMut,
}

impl Bare {
    /// Connects, and says HELLO.
    ///
    /// # Errors
    /// If nobody is there, or it is not a hub.
    pub fn connect(socket: &Path, name: &str) -> Result<Self, String> {
        let stream = UnixStream::connect(socket).map_err(|e| e.to_string())?;
        let mut bare = Self {
            stream,
            came: BytesMut::new(),
        };
        let hello = Hello {
            magic: MAGIC.into(),
            proto: VERSIONS,
            codecs: vec!["postcard".into()],
            kind: Kind::Client,
            name: name.into(),
            instance: None,
            token: None,
            features: vec![],
            ext: serde_json::Map::new(),
        };
        let hello = serde_json::to_vec(&hello).map_err(|e| e.to_string())?;
        bare.write(&framed(FrameType::Hello, &hello))?;
        match bare.frame()?.kind {
            kind if kind == FrameType::Welcome as u8 => Ok(bare),
            kind => Err(format!("a frame of type {kind} instead of WELCOME")),
        }
    }

    /// Subscribes to a topic; returns when the hub has it.
    ///
    /// # Errors
    /// If the hub refuses.
    pub fn subscribe(&mut self, topic: &str) -> Result<(), String> {
        let op = ClientOp::Subscribe {
            sub: 1,
            pattern: topic.into(),
            reader: None,
            options: SubscribeOptions::default(),
        };
        let message = ClientControl { r#ref: 1, op };
        let body = codec::encode(Codec::Postcard, &message).map_err(|e| e.to_string())?;
        self.write(&framed(FrameType::Control, &body))?;
        let answer = self.frame()?;
        match control(&answer.body)?.op {
            HubOp::Done { .. } => Ok(()),
            other => Err(format!("{other:?}")),
        }
    }

    /// Writes bytes.
    ///
    /// # Errors
    /// If the hub is gone.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.stream.write_all(bytes).map_err(|e| e.to_string())
    }

    /// Reads on and on: gives `each` the events and the losses of what came, until it says true.
    ///
    /// # Errors
    /// If the hub is gone, or `each` fails.
    pub fn drain(
        mut self,
        mut each: impl FnMut(u64, u64) -> Result<bool, String>,
    ) -> Result<(), String> {
        let mut counter = Counter::default();
        let mut buffer = vec![0; BUFFER];
        let mut filled = self.came.len();
        buffer[..filled].copy_from_slice(&self.came);
        loop {
            let (used, read, lost) = counter.take(&buffer[..filled])?;
            if each(read, lost)? {
                return Ok(());
            }
            buffer.copy_within(used..filled, 0);
            filled -= used;
            match self.stream.read(&mut buffer[filled..]) {
                Ok(0) => return Err("the hub is gone".into()),
                Ok(n) => filled += n,
                Err(e) => return Err(e.to_string()),
            }
        }
    }

    fn frame(&mut self) -> Result<Frame, String> {
        let mut buffer = [0; 4096];
        loop {
            if let Some(frame) =
                frame::take(&mut self.came, FRAME_LIMIT).map_err(|e| e.to_string())?
            {
                return Ok(frame);
            }
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err("the hub is gone".into()),
                Ok(n) => self.came.extend_from_slice(&buffer[..n]),
                Err(e) => return Err(e.to_string()),
            }
        }
    }
}

/// One frame.
#[must_use]
fn framed(kind: FrameType, body: &[u8]) -> BytesMut {
    let mut out = BytesMut::with_capacity(HEADER_BYTES + body.len());
    frame::put(&mut out, kind, 0, body);
    out
}

fn control(body: &[u8]) -> Result<HubControl, String> {
    codec::decode(Codec::Postcard, body).map_err(|e| e.to_string())
}

/// Counts events by the headers of runs, and skips what they hold.
#[derive(Debug, Default)]
struct Counter {
    /// Bytes of the current run that are still to come.
    skip: usize,
}

impl Counter {
    /// Takes what it understands of `bytes`: how much that is, the events in it, the losses in it.
    fn take(&mut self, bytes: &[u8]) -> Result<(usize, u64, u64), String> {
        let (mut at, mut read, mut lost) = (0, 0, 0);
        loop {
            let skipped = self.skip.min(bytes.len() - at);
            (at, self.skip) = (at + skipped, self.skip - skipped);
            let rest = &bytes[at..];
            let size = match frame::peek(rest, FRAME_LIMIT).map_err(|e| e.to_string())? {
                Some(size) if rest.len() >= size.min(RUN_HEAD) => size,
                Some(_) | None => return Ok((at, read, lost)),
            };
            if rest[4] == FrameType::Run as u8 {
                let run = data::run(&rest[HEADER_BYTES..]).map_err(|e| e.to_string())?;
                read += u64::from(run.count);
                (at, self.skip) = (at + RUN_HEAD, size - RUN_HEAD);
                continue;
            }
            if rest.len() < size {
                return Ok((at, read, lost));
            }
            lost += loss(&control(&rest[HEADER_BYTES..size])?.op)?;
            at += size;
        }
    }
}

fn loss(op: &HubOp) -> Result<u64, String> {
    match op {
        HubOp::Lagged { missed, .. } | HubOp::Misfit { missed, .. } => Ok(*missed),
        HubOp::Closing { reason, .. } => Err(reason.clone()),
        HubOp::Done { .. }
        | HubOp::Refused(_)
        | HubOp::OriginIs { .. }
        | HubOp::TypeIs { .. }
        | HubOp::Forget { .. }
        | HubOp::Resumed { .. }
        | HubOp::Hold { .. }
        | HubOp::Release { .. } => Ok(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_counted_wherever_the_bytes_are_cut() {
        let mut stream = BytesMut::new();
        for (count, payload) in [(3, 200), (1, 0), (70, 5000)] {
            let mut body = BytesMut::new();
            let run = data::Run {
                conn: 1,
                first_seq: 1,
                sub: 1,
                count,
            };
            data::put_run(&mut body, run);
            body.extend_from_slice(&vec![0xff; payload]);
            frame::put(&mut stream, FrameType::Run, 0, &body);
            let lagged = HubControl {
                r#ref: 0,
                op: HubOp::Lagged { sub: 1, missed: 5 },
            };
            let lagged = codec::encode(Codec::Postcard, &lagged).unwrap();
            frame::put(&mut stream, FrameType::Control, 0, &lagged);
        }
        for cut in 0..stream.len() {
            let mut counter = Counter::default();
            let first = counter.take(&stream[..cut]).unwrap();
            let second = counter.take(&stream[first.0..]).unwrap();
            assert_eq!(first.0 + second.0, stream.len(), "cut at {cut}");
            assert_eq!((first.1 + second.1, first.2 + second.2), (74, 15));
        }
    }
}
