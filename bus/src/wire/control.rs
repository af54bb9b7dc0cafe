//! Control messages. With postcard: the reference, then the operation. With JSON: `{"ref": 7, "op": {"Subscribe": {…}}}`.
//!
//! Variants are numbered by their order (postcard), so new ones are added at the end.

use serde::{Deserialize, Serialize};

use crate::Origin;

/// Client → hub.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClientControl {
    /// Chosen by the client; the answer names it.
    pub r#ref: u64,
    /// What to do.
    pub op: ClientOp,
}

/// What a client asks of the hub. Each is answered by [`HubOp::Done`] or [`HubOp::Refused`] with its reference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ClientOp {
    /// From here on `index` means this topic and type. An empty topic: a type for replies, or for explicit topics only.
    Announce {
        /// Chosen by the client; an index is announced once.
        index: u32,
        /// The topic, or empty.
        topic: String,
        /// The type: canonical schema bytes.
        schema: Vec<u8>,
    },
    /// Deliver what matches.
    Subscribe {
        /// Chosen by the client.
        sub: u32,
        /// Which topics.
        pattern: String,
        /// The reader's type; `None` takes everything as it comes.
        reader: Option<Vec<u8>>,
        /// How it is served.
        options: SubscribeOptions,
    },
    /// Stop delivering. What was already sent may still arrive.
    Unsubscribe {
        /// Which subscription.
        sub: u32,
    },
    /// A CALL will not be answered.
    Decline {
        /// Which call.
        call: u64,
        /// Why, in words; told to the asker.
        reason: String,
    },
    /// Answer when everything sent before has been taken and everything queued for this connection has been written.
    Drain,
    /// The reader of a subscription with a window has taken so many more events. Not answered.
    Took {
        /// Which subscription.
        sub: u32,
        /// How many.
        count: u64,
    },
}

/// How a subscription is served.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubscribeOptions {
    /// Requests on these topics are answered here; events don't come.
    #[serde(default)]
    pub serve: bool,
    /// Bound of the queue in messages; `None` is the hub's default, which is also the most.
    #[serde(default)]
    pub max_messages: Option<u32>,
    /// Bound of the queue in bytes; `None` is the hub's default, which is also the most.
    #[serde(default)]
    pub max_bytes: Option<u32>,
    /// What happens when the queue is full.
    #[serde(default)]
    pub policy: OverflowPolicy,
    /// The queue group: of all its members that an event matches, one gets it.
    #[serde(default)]
    pub group: Option<String>,
    /// Events that may be sent beyond what [`ClientOp::Took`] has told; `None`: any number. Members of a group must have one.
    #[serde(default)]
    pub window: Option<u32>,
    /// Go on where an earlier subscription to the same pattern ended.
    #[serde(default)]
    pub resume: Option<Resume>,
    /// So many of the last events of each topic that keeps a history come first.
    #[serde(default)]
    pub history: u32,
}

/// Where an earlier subscription of the same client ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resume {
    /// Its number: the client's connections are known by the `instance` of HELLO.
    pub sub: u32,
    /// The last sequence number of the data lane that it got, or was told to have missed.
    pub since: u64,
    /// How many events it got or was told to have missed, retained values and history aside.
    pub taken: u64,
}

/// What happens when a subscription's queue is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OverflowPolicy {
    /// The oldest waiting events are dropped, and told as [`HubOp::Lagged`].
    #[default]
    DropOldest,
    /// New events are dropped, and told as [`HubOp::Lagged`].
    DropNewest,
    /// Of each topic only the last event waits. What it replaces is not told: that is what was asked for.
    KeepLatest,
    /// Publishers wait ([`HubOp::Hold`]), for so many milliseconds at a time at most; then as [`DropOldest`](Self::DropOldest).
    Backpressure {
        /// Milliseconds.
        max_wait_ms: u32,
    },
    /// The connection is closed, if the queue stays full.
    Disconnect,
}

/// Hub → client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HubControl {
    /// The reference of what this answers; 0 if it answers nothing.
    pub r#ref: u64,
    /// What the hub says.
    pub op: HubOp,
}

/// What the hub says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum HubOp {
    /// It is done. For an acknowledged event: with the number of subscriptions it matched.
    Done {
        /// Matches; 0 for everything else.
        count: u64,
    },
    /// It was not done; the connection lives on.
    Refused(Refusal),
    /// From here on `conn` in runs, calls and answers means this origin.
    OriginIs {
        /// The publisher's connection.
        conn: u64,
        /// Who that is.
        origin: Origin,
    },
    /// From here on `index` in frames that came from `conn` means this topic and type.
    TypeIs {
        /// The publisher's connection.
        conn: u64,
        /// The publisher's index.
        index: u32,
        /// The topic, or empty.
        topic: String,
        /// The type: canonical schema bytes.
        schema: Vec<u8>,
    },
    /// Nothing more will come from `conn`: forget its origin and types.
    Forget {
        /// The publisher's connection.
        conn: u64,
    },
    /// Events of this subscription were dropped here, because its queue was full.
    Lagged {
        /// Which subscription.
        sub: u32,
        /// How many.
        missed: u64,
    },
    /// Events of this subscription could not be given to it here, because their type is not its reader's.
    Misfit {
        /// Which subscription.
        sub: u32,
        /// How many in a row.
        missed: u64,
        /// The topic.
        topic: String,
        /// Why, with both types spelled out, or the path of the first mismatch.
        reason: String,
    },
    /// The hub closes this connection.
    Closing {
        /// Why.
        kind: CloseKind,
        /// Why, in words, and what to do about it.
        reason: String,
    },
    /// A subscription goes on where an earlier one ended; what its topics' histories still have of it follows.
    Resumed {
        /// Which subscription.
        sub: u32,
        /// How many events between are lost; `None` if the hub doesn't know the earlier one.
        missed: Option<u64>,
    },
    /// Publish nothing more on this topic until it is released: a subscriber asks for it.
    Hold {
        /// Which topic.
        topic: String,
    },
    /// Publish on this topic again.
    Release {
        /// Which topic.
        topic: String,
    },
}

/// Why something was refused, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// What kind of refusal.
    pub kind: RefusalKind,
    /// What was refused, in words, and what to do about it.
    pub reason: String,
}

/// The kinds of refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RefusalKind {
    /// A rule forbids it; the reason names the rule.
    Denied,
    /// Not a topic or pattern.
    BadTopic,
    /// A schema that is malformed or over a limit, or another type than the topic's.
    BadType,
    /// A payload that doesn't fit its type.
    Misfit,
    /// A limit was reached.
    Limit,
    /// A frame or message that makes no sense here.
    Malformed,
    /// Nobody answers requests on this topic.
    NoResponders,
    /// No answer came in time.
    TimedOut,
    /// Whoever should have answered has gone, or declined.
    Declined,
}

/// Why the hub closes a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum CloseKind {
    /// The framing was broken.
    Framing,
    /// HELLO was missing, late, malformed, or agreed on nothing.
    Hello,
    /// This peer may not connect.
    Denied,
    /// A limit was reached.
    Limit,
    /// The hub is stopping.
    Stopping,
    /// The hub's fault.
    Fault,
    /// The same client has connected again, or the same worker.
    Replaced,
}
