//! What a program says of itself when it connects, and the bounds of its own side.

use std::time::Duration;

use super::reconnect::ReconnectPolicy;
use crate::wire::hello::Kind;

/// How to connect. Made by [`ConnectOptions::client`] and its siblings; every field has a default that suits most programs.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    /// What the connection wants to be; the hub decides what it may be.
    pub kind: Kind,
    /// A name for people, shown with everything it sends: at most 64 bytes.
    pub name: String,
    /// 128-bit identity across connections, as 32 hexadecimal digits: by it the hub knows a client that comes back. Of two
    /// that show the same one, the hub keeps the later. `None`: a random one.
    pub instance: Option<String>,
    /// Proof of being a worker, when it didn't inherit its socket. One that the hub gives replaces it.
    pub token: Option<String>,
    /// How long connecting may take, the handshake included. Default 10 s, the time the hub itself gives a HELLO.
    pub connect_timeout: Duration,
    /// How long an emit may wait for room in the outgoing buffer, before it fails with
    /// [`EmitError::Full`](super::EmitError::Full). Default 5 s: a hub that takes nothing for that long is hung.
    pub room_timeout: Duration,
    /// How long an emit may wait on a topic that a subscriber with back pressure holds, before it fails with
    /// [`EmitError::Held`](super::EmitError::Held). Default 30 s: subscribers set their own, shorter bound.
    pub hold_timeout: Duration,
    /// How a lost connection is made again; `None`: not at all. Default: see [`ReconnectPolicy`]. A way to the hub that
    /// can be gone only once (in memory, an inherited socket without a path) is never tried again.
    pub reconnect: Option<ReconnectPolicy>,
    /// How long the hub may take to answer a subscription or an acknowledged event. Default 10 s.
    pub answer_timeout: Duration,
    /// Bytes that may wait to be written, or for a connection; as many again may be in the write under way, and in
    /// acknowledged events that the hub hasn't answered yet. Default 4 MiB: some 50,000 small events, a few milliseconds
    /// of a Unix socket.
    pub outgoing_bytes: usize,
    /// Events that may wait in this process for one subscription's reader. Default 65,536, as at the hub.
    pub queue_messages: usize,
    /// Bytes that may wait in this process for one subscription's reader. Default 8 MiB, as at the hub.
    pub queue_bytes: usize,
}

impl ConnectOptions {
    /// An ordinary program.
    pub fn client(name: impl Into<String>) -> Self {
        Self::new(Kind::Client, name)
    }

    /// A worker, on the socket it inherited.
    pub fn worker(name: impl Into<String>) -> Self {
        Self::new(Kind::Worker, name)
    }

    /// A program that only listens.
    pub fn observer(name: impl Into<String>) -> Self {
        Self::new(Kind::Observer, name)
    }

    /// A program that commands the fleet.
    pub fn operator(name: impl Into<String>) -> Self {
        Self::new(Kind::Operator, name)
    }

    /// The defaults, for one kind of connection.
    pub fn new(kind: Kind, name: impl Into<String>) -> Self {
        Self {
            kind,
            name: name.into(),
            instance: None,
            token: None,
            connect_timeout: Duration::from_secs(10),
            room_timeout: Duration::from_secs(5),
            hold_timeout: Duration::from_secs(30),
            reconnect: Some(ReconnectPolicy::default()),
            answer_timeout: Duration::from_secs(10),
            outgoing_bytes: 4 << 20,
            queue_messages: 64 << 10,
            queue_bytes: 8 << 20,
        }
    }

    /// The same, with a token.
    #[must_use]
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// The same, but a connection that is lost stays lost: every subscription ends.
    #[must_use]
    pub fn once(mut self) -> Self {
        self.reconnect = None;
        self
    }
}
