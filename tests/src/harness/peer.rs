//! A peer of the hub written from the protocol's page alone, so that it can also break it.

use std::{path::Path, time::Duration};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
};

use super::{PATIENCE, deadline};

/// Type numbers of frames.
pub mod kind {
    #![expect(missing_docs, reason = "the protocol's own names")]
    pub const HELLO: u8 = 0x01;
    pub const WELCOME: u8 = 0x02;
    pub const CONTROL: u8 = 0x03;
    pub const EMIT: u8 = 0x10;
    pub const REQUEST: u8 = 0x11;
    pub const RUN: u8 = 0x20;
    pub const ANSWER: u8 = 0x22;
}

/// A frame that arrived.
#[derive(Clone, Debug, PartialEq)]
pub struct Arrived {
    /// Its type.
    pub kind: u8,
    /// Its body.
    pub body: Value,
}

/// A connection that speaks frames of JSON, right or wrong.
#[derive(Debug)]
pub struct Peer {
    stream: UnixStream,
}

/// What a well-behaved client says first.
#[must_use]
pub fn hello(who: &str) -> Value {
    json!({ "magic": "ostler", "proto": [1, 1], "codecs": ["json"], "kind": who, "name": "peer" })
}

impl Peer {
    /// Connects, and says nothing.
    ///
    /// # Panics
    /// If it can't.
    pub async fn connect(socket: impl AsRef<Path>) -> Self {
        let stream = UnixStream::connect(socket).await;
        Self {
            stream: stream.expect("a hub"),
        }
    }

    /// Connects and is let in as a client.
    ///
    /// # Panics
    /// If it isn't.
    pub async fn client(socket: impl AsRef<Path>) -> Self {
        let mut peer = Self::connect(socket).await;
        peer.send(kind::HELLO, 0, &hello("client")).await;
        let welcome = peer.next().await.expect("an answer");
        assert_eq!(welcome.kind, kind::WELCOME, "{welcome:?}");
        assert_eq!(welcome.body["codec"], "json");
        peer
    }

    /// Sends a frame.
    pub async fn send(&mut self, kind: u8, flags: u8, body: &Value) {
        self.send_bytes(&frame(kind, flags, body.to_string().as_bytes()))
            .await;
    }

    /// Sends any bytes. A hub that has hung up already is no failure: what it said is to be read.
    pub async fn send_bytes(&mut self, bytes: &[u8]) {
        let _hung_up = self.stream.write_all(bytes).await;
    }

    /// Sends no more.
    pub async fn end(&mut self) {
        let _hung_up = self.stream.shutdown().await;
    }

    /// The next frame; `None` at the end of the connection.
    ///
    /// # Panics
    /// If neither comes in time, or the body is not JSON.
    pub async fn next(&mut self) -> Option<Arrived> {
        self.next_within(PATIENCE).await
    }

    /// As [`Peer::next`], with patience of one's own.
    ///
    /// # Panics
    /// As [`Peer::next`].
    pub async fn next_within(&mut self, within: Duration) -> Option<Arrived> {
        deadline("a frame", within, async {
            let length = self.stream.read_u32().await.ok()?;
            let mut rest = vec![0; length as usize];
            self.stream.read_exact(&mut rest).await.ok()?;
            let body = serde_json::from_slice(&rest[2..]);
            Some(Arrived {
                kind: rest[0],
                body: body.expect("a body of JSON"),
            })
        })
        .await
    }

    /// The next frame of a type; those before it are passed over.
    ///
    /// # Panics
    /// If the connection ends before.
    pub async fn next_of(&mut self, kind: u8) -> Value {
        loop {
            let frame = self.next().await.expect("a connection that goes on");
            if frame.kind == kind {
                return frame.body;
            }
        }
    }

    /// Sends a control message, and waits for what answers it.
    pub async fn control(&mut self, reference: u64, op: &Value) -> Value {
        let message = json!({ "ref": reference, "op": op });
        self.send(kind::CONTROL, 0, &message).await;
        loop {
            let answer = self.next_of(kind::CONTROL).await;
            if answer["ref"] == reference {
                return answer["op"].clone();
            }
        }
    }

    /// Reads to the end of the connection; gives the reason that the hub gave for closing it.
    ///
    /// # Panics
    /// If the hub doesn't close it in time, or gave no reason.
    pub async fn closing(&mut self) -> String {
        let mut reason = None;
        while let Some(frame) = self.next().await {
            if let Some(closing) = frame.body["op"].get("Closing") {
                reason = Some(closing.to_string());
            }
        }
        reason.expect("a reason before the end")
    }
}

/// A frame as bytes.
#[must_use]
pub fn frame(kind: u8, flags: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 2).expect("a small frame");
    let mut bytes = length.to_be_bytes().to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(body);
    bytes
}
