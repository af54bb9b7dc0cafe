//! The first frame each way: who speaks, which versions and codecs. JSON, so that a client in any language can begin.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What [`Hello::magic`] must be.
pub const MAGIC: &str = "ostler";

/// The oldest and newest protocol version spoken here.
pub const VERSIONS: [u32; 2] = [1, 1];

/// How control frames and data bodies are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Codec {
    /// Postcard control frames, hand-laid data headers.
    Postcard,
    /// Every body is one JSON object, payload inline.
    Json,
}

/// What a connection wants to be. The hub decides what it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A worker, on the socket it inherited.
    Worker,
    /// Any other program.
    Client,
    /// A program that only listens.
    Observer,
    /// A program that commands the fleet.
    Operator,
}

/// Client → hub.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// [`MAGIC`].
    pub magic: String,
    /// Oldest and newest protocol version the client speaks.
    pub proto: [u32; 2],
    /// Codecs the client speaks, best first. Unknown names are passed over.
    pub codecs: Vec<String>,
    /// What it wants to be.
    pub kind: Kind,
    /// A name for people: at most 64 bytes.
    #[serde(default)]
    pub name: String,
    /// 128-bit identity of this client across connections, as 32 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Proof of being a worker, when it didn't inherit its socket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Optional features it knows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<String>,
    /// For extensions; unknown keys are ignored.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub ext: Map<String, Value>,
}

/// Hub → client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Welcome {
    /// The version spoken from here on.
    pub proto: u32,
    /// The codec spoken from here on.
    pub codec: Codec,
    /// The hub's name.
    pub hub: String,
    /// This connection's number at the hub.
    pub conn: u64,
    /// 128 bits that no other life of a hub has, as 32 hexadecimal digits: sequence numbers and histories begin anew with it.
    #[serde(default)]
    pub life: String,
    /// What a worker that has lost this connection shows in [`Hello::token`] when it connects by path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// What the hub allows.
    pub limits: WelcomeLimits,
    /// Milliseconds between pings; 0 is none (a Unix socket's end-of-file tells).
    pub ping_ms: u64,
    /// For extensions.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub ext: Map<String, Value>,
}

/// The limits a client must keep to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WelcomeLimits {
    /// Largest payload, in bytes.
    pub payload: usize,
    /// Largest control frame, in bytes.
    pub control: usize,
    /// Subscriptions per connection.
    pub subscriptions: usize,
}
