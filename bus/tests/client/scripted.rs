//! A hub that does what a test says, made of raw frames: what the client meets is bytes, not another half of our own code.

use std::{future::Future, io, time::Duration};

use bytes::{Bytes, BytesMut};
use ostler_bus::{
    Bus, ConnectOptions, Event, Origin, Request, Schema, TypeSchema,
    client::{ConnectError, ReconnectPolicy},
    transport::{ByteStream, MemoryTransport, Transport},
    wire::{
        Frame, FrameType, codec,
        control::{
            ClientControl, ClientOp, HubControl, HubOp, Refusal, RefusalKind, SubscribeOptions,
        },
        data, flags, frame,
        hello::{Codec, Hello},
    },
};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    sync::mpsc,
};

/// An event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Event)]
#[event(topic = "orders.created")]
pub(crate) struct OrderCreated {
    pub(crate) id: u64,
    pub(crate) total: f64,
}

/// An event of another type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Event)]
#[event(topic = "orders.noted")]
pub(crate) struct Noted {
    pub(crate) text: String,
}

/// A request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Request)]
#[request(topic = "orders.price", reply = Price)]
pub(crate) struct PriceOf {
    pub(crate) id: u64,
}

/// Its reply.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Schema)]
pub(crate) struct Price {
    pub(crate) cents: u32,
}

/// No wait in these tests is longer: what is awaited comes at once, or never.
pub(crate) async fn within<F: Future>(what: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(20), what)
        .await
        .expect("this should have happened long ago")
}

/// The hub's end of a connection.
pub(crate) struct Hub {
    stream: DuplexStream,
    received: BytesMut,
}

/// What a client said.
#[derive(Debug, PartialEq)]
pub(crate) enum Said {
    Control(u64, ClientOp),
    Emit {
        flags: u8,
        topic: String,
        kind: data::Payload,
        ack: Option<u64>,
        payload: Bytes,
    },
    Request {
        r#ref: u64,
        topic: String,
        kind: data::Payload,
        reply_type: u32,
        timeout_ms: u32,
        payload: Bytes,
    },
    Reply {
        call: u64,
        kind: data::Payload,
        payload: Bytes,
    },
}

pub(crate) const WELCOME: &str = r#"{"proto":1,"codec":"postcard","hub":"scripted","conn":7,
    "limits":{"payload":1048576,"control":65536,"subscriptions":1024},"ping_ms":0}"#;

/// A way to a hub that can be gone again and again; there is one as long as somebody holds the [`Door`].
pub(crate) struct Again {
    arrivals: mpsc::Sender<DuplexStream>,
    pipe_bytes: usize,
}

/// Where clients arrive.
pub(crate) struct Door(mpsc::Receiver<DuplexStream>);

impl Again {
    /// A way whose pipe holds so many bytes each way.
    pub(crate) fn way(pipe_bytes: usize) -> (Self, Door) {
        let (arrivals, door) = mpsc::channel(4);
        let way = Self {
            arrivals,
            pipe_bytes,
        };
        (way, Door(door))
    }
}

#[async_trait::async_trait]
impl Transport for Again {
    async fn connect(&self) -> io::Result<Box<dyn ByteStream>> {
        let (ours, theirs) = tokio::io::duplex(self.pipe_bytes);
        let refused = |_| io::Error::from(io::ErrorKind::ConnectionRefused);
        self.arrivals.try_send(theirs).map_err(refused)?;
        Ok(Box::new(ours))
    }

    fn target(&self) -> String {
        "again".into()
    }
}

impl Door {
    /// The next client, which has said nothing yet.
    pub(crate) async fn arrival(&mut self) -> Hub {
        let stream = within(self.0.recv()).await.expect("a client that comes");
        Hub {
            stream,
            received: BytesMut::new(),
        }
    }

    /// The next client, welcomed; and its HELLO.
    pub(crate) async fn welcome(&mut self, welcome: &str) -> (Hub, Hello) {
        let mut hub = self.arrival().await;
        let hello = hub.hello().await;
        hub.frame(FrameType::Welcome, 0, welcome.as_bytes()).await;
        (hub, hello)
    }

    /// Whether nobody will ever come again.
    pub(crate) fn is_shut(&self) -> bool {
        self.0.is_closed()
    }

    /// Whether a client has come and not been let in.
    pub(crate) fn is_knocked_at(&mut self) -> bool {
        self.0.try_recv().is_ok()
    }
}

/// Options with which a lost connection is made again at once.
pub(crate) fn eager() -> ConnectOptions {
    let mut options = ConnectOptions::client("test");
    options.reconnect = Some(ReconnectPolicy {
        first: Duration::from_millis(1),
        max: Duration::from_millis(2),
        give_up_after: None,
    });
    options
}

/// A welcomed client that comes back, and its hub.
pub(crate) async fn returning(options: ConnectOptions) -> (Bus, Hub, Door) {
    let (way, mut door) = Again::way(64 << 10);
    let connecting = Bus::connect(way, options);
    let (bus, (hub, _)) = within(async { tokio::join!(connecting, door.welcome(LIVELY)) }).await;
    (bus.expect("welcome"), hub, door)
}

/// As [`WELCOME`], of a hub that says which of its lives it is.
pub(crate) const LIVELY: &str = r#"{"proto":1,"codec":"postcard","hub":"scripted","conn":7,"life":"aa",
    "limits":{"payload":1048576,"control":65536,"subscriptions":1024},"ping_ms":0}"#;

impl Hub {
    pub(crate) fn pair() -> (MemoryTransport, Self) {
        let (transport, stream) = MemoryTransport::pair();
        let hub = Self {
            stream,
            received: BytesMut::new(),
        };
        (transport, hub)
    }

    /// A welcomed client and its hub.
    pub(crate) async fn with(options: ConnectOptions) -> (Bus, Self) {
        let (transport, mut hub) = Self::pair();
        let (bus, ()) = within(async {
            tokio::join!(Bus::connect(transport, options), async {
                hub.hello().await;
                hub.frame(FrameType::Welcome, 0, WELCOME.as_bytes()).await;
            })
        })
        .await;
        (bus.expect("the hub said welcome"), hub)
    }

    pub(crate) async fn start() -> (Bus, Self) {
        Self::with(ConnectOptions::client("test")).await
    }

    /// Lets a client connect, and says `first` where the WELCOME should be.
    pub(crate) async fn meet(kind: FrameType, first: &[u8]) -> ConnectError {
        let (transport, mut hub) = Self::pair();
        let connecting = Bus::connect(transport, ConnectOptions::client("test"));
        let (bus, ()) = within(async {
            tokio::join!(connecting, async {
                hub.hello().await;
                hub.frame(kind, 0, first).await;
            })
        })
        .await;
        bus.expect_err("this is no welcome")
    }

    pub(crate) async fn hello(&mut self) -> Hello {
        let first = self.next_frame().await.expect("a HELLO");
        assert_eq!(first.kind, FrameType::Hello as u8);
        serde_json::from_slice(&first.body).expect("a HELLO is JSON")
    }

    async fn next_frame(&mut self) -> Option<Frame> {
        loop {
            let whole = frame::take(&mut self.received, 2 << 20).expect("a client sends frames");
            if whole.is_some() {
                return whole;
            }
            let read = within(self.stream.read_buf(&mut self.received)).await;
            if read.expect("readable") == 0 {
                return None;
            }
        }
    }

    /// The next frame the client sends, untouched.
    pub(crate) async fn raw(&mut self) -> Frame {
        self.next_frame().await.expect("a frame")
    }

    /// The next subscription the client asks for: its reference, number, pattern and options.
    pub(crate) async fn subscription(&mut self) -> (u64, u32, String, SubscribeOptions) {
        match self.op().await {
            (
                r#ref,
                ClientOp::Subscribe {
                    sub,
                    pattern,
                    options,
                    ..
                },
            ) => (r#ref, sub, pattern, options),
            other => panic!("expected a subscription, heard {other:?}"),
        }
    }

    /// The next thing the client says; `None` if it hung up.
    pub(crate) async fn heard(&mut self) -> Option<Said> {
        let Frame { kind, flags, body } = self.next_frame().await?;
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("a topic");
        Some(match FrameType::from_byte(kind).expect("a known frame") {
            FrameType::Control => {
                let ClientControl { r#ref, op } =
                    codec::decode(Codec::Postcard, &body).expect("a control message");
                Said::Control(r#ref, op)
            }
            FrameType::Emit => {
                let head = data::emit(&body, flags).expect("an EMIT");
                Said::Emit {
                    flags,
                    topic: text(head.topic),
                    kind: head.kind,
                    ack: head.ack,
                    payload: body.slice(head.payload_at..),
                }
            }
            FrameType::Request => {
                let head = data::request(&body, flags).expect("a REQUEST");
                Said::Request {
                    r#ref: head.r#ref,
                    topic: text(head.topic),
                    kind: head.kind,
                    reply_type: head.reply_type,
                    timeout_ms: head.timeout_ms,
                    payload: body.slice(head.payload_at..),
                }
            }
            FrameType::Reply => {
                let head = data::reply(&body, flags).expect("a REPLY");
                Said::Reply {
                    call: head.call,
                    kind: head.kind,
                    payload: body.slice(head.payload_at..),
                }
            }
            other => panic!("a client never sends {other:?}"),
        })
    }

    /// The next control message.
    pub(crate) async fn op(&mut self) -> (u64, ClientOp) {
        match self.heard().await {
            Some(Said::Control(r#ref, op)) => (r#ref, op),
            other => panic!("expected a control message, heard {other:?}"),
        }
    }

    pub(crate) async fn bytes(&mut self, bytes: &[u8]) {
        within(self.stream.write_all(bytes))
            .await
            .expect("writable");
    }

    pub(crate) async fn frame(&mut self, kind: FrameType, flags: u8, body: &[u8]) {
        let mut out = BytesMut::new();
        frame::put(&mut out, kind, flags, body);
        self.bytes(&out).await;
    }

    pub(crate) async fn say(&mut self, r#ref: u64, op: HubOp) {
        let body = codec::encode(Codec::Postcard, &HubControl { r#ref, op }).expect("encodes");
        self.frame(FrameType::Control, 0, &body).await;
    }

    pub(crate) async fn done(&mut self, r#ref: u64, count: u64) {
        self.say(r#ref, HubOp::Done { count }).await;
    }

    pub(crate) async fn refuse(&mut self, r#ref: u64, kind: RefusalKind, reason: &str) {
        let reason = reason.into();
        self.say(r#ref, HubOp::Refused(Refusal { kind, reason }))
            .await;
    }

    /// Introduces connection 3.
    pub(crate) async fn introduce(&mut self) {
        let origin = publisher();
        self.say(0, HubOp::OriginIs { conn: 3, origin }).await;
    }

    /// Tells that connection 3 has a type.
    pub(crate) async fn type_is(&mut self, index: u32, topic: &str, schema: &TypeSchema) {
        let op = HubOp::TypeIs {
            conn: 3,
            index,
            topic: topic.into(),
            schema: schema.encoded().to_vec(),
        };
        self.say(0, op).await;
    }

    /// Accepts the next subscription, which must be it.
    pub(crate) async fn accept(&mut self, pattern: &str) -> u32 {
        match self.op().await {
            (
                r#ref,
                ClientOp::Subscribe {
                    sub, pattern: p, ..
                },
            ) if p == pattern => {
                self.done(r#ref, 0).await;
                sub
            }
            other => panic!("expected a subscription to {pattern}, heard {other:?}"),
        }
    }

    /// Delivers a run of connection 3.
    pub(crate) async fn run(
        &mut self,
        sub: u32,
        first_seq: u64,
        run_flags: u8,
        frames: &[BytesMut],
    ) {
        let body = run_body(sub, first_seq, frames);
        self.frame(FrameType::Run, run_flags, &body).await;
    }

    /// Delivers orders of connection 3 as its type 1.
    pub(crate) async fn orders(&mut self, sub: u32, ids: std::ops::Range<u64>) {
        let frames: Vec<_> = ids.clone().map(order_frame).collect();
        self.run(sub, ids.start, 0, &frames).await;
    }

    /// Introduces connection 3 with `OrderCreated` as its type 1.
    pub(crate) async fn introduce_orders(&mut self) {
        self.introduce().await;
        self.type_is(1, OrderCreated::TOPIC, &TypeSchema::of::<OrderCreated>())
            .await;
    }

    /// A CALL by connection 3.
    pub(crate) async fn call(&mut self, call: u64, sub: u32, kind: data::Payload, payload: &[u8]) {
        let mut body = BytesMut::new();
        data::put_call(&mut body, call, 3, sub, 1000, kind, PriceOf::TOPIC);
        body.extend_from_slice(payload);
        self.frame(FrameType::Call, 0, &body).await;
    }

    /// An ANSWER by connection 3.
    pub(crate) async fn answer(&mut self, r#ref: u64, kind: data::Payload, payload: &[u8]) {
        let mut body = BytesMut::new();
        data::put_answer(&mut body, r#ref, 3, kind);
        body.extend_from_slice(payload);
        self.frame(FrameType::Answer, 0, &body).await;
    }

    /// The bare stream, and what was received of it.
    pub(crate) fn into_parts(self) -> (DuplexStream, BytesMut) {
        (self.stream, self.received)
    }

    /// Whether the client has hung up, all that it said before being thrown away.
    pub(crate) async fn hung_up(&mut self) {
        while self.heard().await.is_some() {}
    }
}

/// Who connection 3 is.
pub(crate) fn publisher() -> Origin {
    Origin::Client {
        name: "shop".into(),
        conn: 3,
    }
}

pub(crate) fn order(id: u64) -> OrderCreated {
    OrderCreated { id, total: 0.5 }
}

pub(crate) fn order_frame(id: u64) -> BytesMut {
    let payload = postcard::to_stdvec(&order(id)).expect("encodes");
    emit_frame(data::Payload::Postcard(1), "", &payload)
}

/// An EMIT as a publisher sent it.
pub(crate) fn emit_frame(kind: data::Payload, topic: &str, payload: &[u8]) -> BytesMut {
    let mut out = BytesMut::new();
    let at = frame::begin(&mut out, FrameType::Emit, flags::ACK);
    data::put_emit(&mut out, kind, topic, Some(99));
    out.extend_from_slice(payload);
    frame::end(&mut out, at);
    out
}

pub(crate) fn run_body(sub: u32, first_seq: u64, frames: &[BytesMut]) -> BytesMut {
    let mut body = BytesMut::new();
    let run = data::Run {
        conn: 3,
        first_seq,
        sub,
        count: u32::try_from(frames.len()).expect("few"),
    };
    data::put_run(&mut body, run);
    for frame in frames {
        body.extend_from_slice(frame);
    }
    body
}
