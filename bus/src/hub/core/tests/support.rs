//! A core with peers that speak raw frames, and a reader of what the hub says that checks the protocol's own promises:
//! nothing of a publisher before its origin and types, and whole frames only.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};

use crate::{
    Limits, Origin, SchemaTrait, Topic, TypeSchema,
    hub::{
        HubNotice, HubOptions, Principal, Rules,
        core::{Core, Door, Output},
    },
    limits::DATA_OVERHEAD,
    wire::{
        FrameType, codec,
        control::{
            ClientControl, ClientOp, CloseKind, HubControl, HubOp, Refusal, RefusalKind,
            SubscribeOptions,
        },
        data::{self, Payload, READERS_TYPE},
        flags, frame,
        headers::Headers,
        hello::{Codec, Welcome},
    },
};

/// An event as a peer got it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::hub) struct Event {
    pub(in crate::hub) sub: u32,
    pub(in crate::hub) seq: u64,
    pub(in crate::hub) conn: u64,
    pub(in crate::hub) flags: u8,
    pub(in crate::hub) topic: String,
    pub(in crate::hub) kind: Payload,
    pub(in crate::hub) headers: Bytes,
    pub(in crate::hub) payload: Bytes,
}

/// Something a peer got.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::hub) enum Got {
    Welcome(Box<Welcome>),
    Event(Event),
    Control(u64, HubOp),
    Call {
        call: u64,
        sub: u32,
        kind: Payload,
        topic: String,
        headers: Headers,
        payload: Bytes,
    },
    Answer {
        r#ref: u64,
        conn: u64,
        headers: Headers,
        kind: Payload,
        payload: Bytes,
    },
    /// A frame with a JSON object.
    Object(FrameType, u8, serde_json::Value),
}

impl Got {
    pub(in crate::hub) fn refusal(&self) -> Option<(u64, &Refusal)> {
        match self {
            Self::Control(r#ref, HubOp::Refused(refusal)) => Some((*r#ref, refusal)),
            _ => None,
        }
    }
}

/// Reads what the hub writes to one peer.
#[derive(Debug, Default)]
pub(in crate::hub) struct Reader {
    codec: Option<Codec>,
    buffer: BytesMut,
    pub(in crate::hub) known: HashMap<u64, (Origin, HashMap<u32, String>)>,
    pub(in crate::hub) forgotten: HashSet<u64>,
}

impl Reader {
    pub(in crate::hub) fn read(&mut self, bytes: &[u8]) -> Vec<Got> {
        self.buffer.extend_from_slice(bytes);
        let mut got = Vec::new();
        let limit = (64 << 10) + (1 << 20) + DATA_OVERHEAD;
        while let Some(frame) = frame::take(&mut self.buffer, limit).expect("the hub frames well") {
            self.frame(frame, &mut got);
        }
        got
    }

    /// Everything read so far was whole.
    pub(in crate::hub) fn is_between_frames(&self) -> bool {
        self.buffer.is_empty()
    }

    fn frame(&mut self, frame: frame::Frame, got: &mut Vec<Got>) {
        let kind = FrameType::from_byte(frame.kind).expect("the hub sends known frames");
        let codec = self.codec.unwrap_or(Codec::Json);
        match (kind, codec) {
            (FrameType::Welcome, _) => {
                let welcome: Welcome = serde_json::from_slice(&frame.body).unwrap();
                self.codec = Some(welcome.codec);
                got.push(Got::Welcome(Box::new(welcome)));
            }
            (FrameType::Control, _) => {
                let message: HubControl = codec::decode(codec, &frame.body).unwrap();
                self.learn(&message.op);
                got.push(Got::Control(message.r#ref, message.op));
            }
            (_, Codec::Json) => {
                let object = serde_json::from_slice(&frame.body).unwrap();
                got.push(Got::Object(kind, frame.flags, object));
            }
            (FrameType::Run, _) => self.run(frame.flags, frame.body, got),
            (FrameType::Call, _) => {
                let call = data::call(&frame.body, frame.flags).unwrap();
                self.check(call.conn, call.kind);
                got.push(Got::Call {
                    call: call.call,
                    sub: call.sub,
                    kind: call.kind,
                    topic: String::from_utf8(call.topic.to_vec()).unwrap(),
                    headers: Headers::parse(call.headers).unwrap(),
                    payload: frame.body.slice(call.payload_at..),
                });
            }
            (FrameType::Answer, _) => {
                let answer = data::answer(&frame.body, frame.flags).unwrap();
                self.check(answer.conn, answer.kind);
                got.push(Got::Answer {
                    r#ref: answer.r#ref,
                    conn: answer.conn,
                    headers: Headers::parse(answer.headers).unwrap(),
                    kind: answer.kind,
                    payload: frame.body.slice(answer.payload_at..),
                });
            }
            (FrameType::Hello | FrameType::Emit | FrameType::Request | FrameType::Reply, _) => {
                panic!("the hub sent {kind:?}")
            }
        }
    }

    fn learn(&mut self, op: &HubOp) {
        match op {
            HubOp::OriginIs { conn, origin } => {
                let known = self.known.insert(*conn, (origin.clone(), HashMap::new()));
                assert!(known.is_none(), "told of {conn} twice");
            }
            HubOp::TypeIs {
                conn, index, topic, ..
            } => {
                let (_, types) = self
                    .known
                    .get_mut(conn)
                    .expect("an origin before its types");
                let known = types.insert(*index, topic.clone());
                assert!(known.is_none(), "told of type {index} of {conn} twice");
            }
            HubOp::Forget { conn } => {
                assert!(self.known.remove(conn).is_some(), "forget the unknown");
                self.forgotten.insert(*conn);
            }
            HubOp::Done { .. }
            | HubOp::Refused(_)
            | HubOp::Lagged { .. }
            | HubOp::Misfit { .. }
            | HubOp::Resumed { .. }
            | HubOp::Hold { .. }
            | HubOp::Release { .. }
            | HubOp::Closing { .. } => {}
        }
    }

    fn check(&self, conn: u64, kind: Payload) -> Option<&str> {
        let (_, types) = self.known.get(&conn).expect("an origin before its events");
        match kind {
            Payload::Postcard(READERS_TYPE) | Payload::Json | Payload::Bytes => None,
            Payload::Postcard(index) => Some(types.get(&index).expect("a type before its events")),
        }
    }

    fn run(&mut self, flags: u8, body: Bytes, got: &mut Vec<Got>) {
        let run = data::run(&body).unwrap();
        let before = got.len();
        for (i, (emit_flags, body)) in data::frames(body.slice(data::RUN_BYTES..)).enumerate() {
            let emit = data::emit(&body, emit_flags).unwrap();
            let announced = self.check(run.conn, emit.kind);
            let topic = match emit.topic {
                [] => announced
                    .expect("a topic, or a type that has one")
                    .to_owned(),
                topic => String::from_utf8(topic.to_vec()).unwrap(),
            };
            got.push(Got::Event(Event {
                sub: run.sub,
                seq: run.first_seq + i as u64,
                conn: run.conn,
                flags,
                topic,
                kind: emit.kind,
                headers: body.slice_ref(emit.headers),
                payload: body.slice(emit.payload_at..),
            }));
        }
        assert_eq!(got.len() - before, run.count as usize, "a run's count");
    }
}

/// A core and its peers.
pub(in crate::hub) struct World {
    pub(in crate::hub) core: Core,
    pub(in crate::hub) now: Instant,
    last: u64,
    codecs: HashMap<u64, Codec>,
    readers: HashMap<u64, Reader>,
}

pub(in crate::hub) fn options(limits: Limits, rules: Rules) -> HubOptions {
    HubOptions {
        name: "test".into(),
        limits,
        rules,
        builtins: Vec::new(),
        history: Vec::new(),
    }
}

pub(in crate::hub) fn client(name: &str) -> Principal {
    Principal::Client { name: name.into() }
}

impl World {
    /// Everybody may do everything.
    pub(in crate::hub) fn new() -> Self {
        Self::with(options(Limits::default(), Rules::allow_all()))
    }

    pub(in crate::hub) fn with(options: HubOptions) -> Self {
        let now = Instant::now();
        Self {
            core: Core::new(&options, 0x9f0c, now),
            now,
            last: 0,
            codecs: HashMap::new(),
            readers: HashMap::new(),
        }
    }

    pub(in crate::hub) fn pass(&mut self, time: Duration) {
        self.now += time;
        self.core.expire(self.now);
    }

    /// A connection that has not said HELLO.
    pub(in crate::hub) fn connect(&mut self, door: Door) -> u64 {
        self.last += 1;
        self.core.connect(self.now, self.last, door);
        self.readers.insert(self.last, Reader::default());
        self.last
    }

    pub(in crate::hub) fn join(&mut self, principal: Principal) -> u64 {
        self.join_as(principal, Codec::Postcard)
    }

    pub(in crate::hub) fn join_as(&mut self, principal: Principal, codec: Codec) -> u64 {
        let id = self.connect(Door::Known(principal));
        self.codecs.insert(id, codec);
        self.send(id, &hello(codec));
        let got = self.take(id);
        assert!(matches!(got[..], [Got::Welcome(_)]), "{got:?}");
        id
    }

    /// A client that is known across its connections.
    pub(in crate::hub) fn join_instance(&mut self, instance: u128, codec: Codec) -> u64 {
        let id = self.connect(Door::Known(client("tester")));
        self.codecs.insert(id, codec);
        self.send(id, &hello_instance(codec, instance));
        let got = self.take(id);
        assert!(matches!(got[..], [Got::Welcome(_)]), "{got:?}");
        id
    }

    /// A connection that said HELLO by hand speaks this.
    pub(in crate::hub) fn speaks(&mut self, id: u64, codec: Codec) {
        self.codecs.insert(id, codec);
    }

    /// All that waits for a peer, unread.
    pub(in crate::hub) fn take_raw(&mut self, id: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        loop {
            let mut out = Output::default();
            self.core.take_output(self.now, id, &mut out);
            if out.is_empty() {
                return bytes;
            }
            for slice in out.slices() {
                bytes.extend_from_slice(&slice);
            }
        }
    }

    /// A peer reads bytes that [`take_raw`](Self::take_raw) gave.
    pub(in crate::hub) fn read(&mut self, id: u64, bytes: &[u8]) -> Vec<Got> {
        self.readers.get_mut(&id).expect("it is there").read(bytes)
    }

    pub(in crate::hub) fn leave(&mut self, id: u64) {
        self.core.disconnect(self.now, id, "left");
        self.readers.remove(&id);
    }

    /// Sends bytes as the shell would: whole frames, in one piece.
    pub(in crate::hub) fn send(&mut self, id: u64, bytes: &[u8]) {
        assert_eq!(
            self.send_some(id, bytes),
            bytes.len(),
            "all of it was taken"
        );
    }

    pub(in crate::hub) fn send_some(&mut self, id: u64, bytes: &[u8]) -> usize {
        let mut done = 0;
        loop {
            let rest = &bytes[done..];
            match self.core.scan(id, rest) {
                Ok(scan) if scan.whole > 0 => {
                    let input = Bytes::copy_from_slice(&rest[..scan.whole]);
                    let taken = self.core.receive(self.now, id, &input);
                    done += taken;
                    if taken < scan.whole {
                        return done;
                    }
                }
                Ok(_) => return done,
                Err(error) => {
                    self.core.broken(self.now, id, error);
                    return bytes.len();
                }
            }
        }
    }

    /// All that waits for a peer.
    pub(in crate::hub) fn take(&mut self, id: u64) -> Vec<Got> {
        let mut got = Vec::new();
        while let Some(more) = self.take_once(id) {
            got.extend(more);
        }
        assert!(self.readers[&id].is_between_frames());
        got
    }

    /// As much as one write takes.
    pub(in crate::hub) fn take_once(&mut self, id: u64) -> Option<Vec<Got>> {
        let mut out = Output::default();
        self.core.take_output(self.now, id, &mut out);
        if out.is_empty() {
            return None;
        }
        let mut bytes = Vec::new();
        for slice in out.slices() {
            bytes.extend_from_slice(&slice);
        }
        Some(self.readers.get_mut(&id)?.read(&bytes))
    }

    pub(in crate::hub) fn reader(&self, id: u64) -> &Reader {
        &self.readers[&id]
    }

    /// Only the events of what waits for a peer.
    pub(in crate::hub) fn events(&mut self, id: u64) -> Vec<Event> {
        self.take(id)
            .into_iter()
            .filter_map(|got| match got {
                Got::Event(event) => Some(event),
                _ => None,
            })
            .collect()
    }

    /// Asks something of the hub; the answer is among what waits.
    pub(in crate::hub) fn ask(&mut self, id: u64, r#ref: u64, op: ClientOp) {
        let codec = self.codecs[&id];
        self.send(id, &control(codec, r#ref, op));
    }

    /// Asks something that must be done.
    pub(in crate::hub) fn must(&mut self, id: u64, op: ClientOp) {
        self.ask(id, 999, op);
        let got = self.take(id);
        let done = Got::Control(999, HubOp::Done { count: 0 });
        assert!(got.contains(&done), "{got:?}");
    }

    /// Asks something that must be refused.
    pub(in crate::hub) fn must_not(&mut self, id: u64, op: ClientOp) -> Refusal {
        self.ask(id, 998, op);
        refusal_of(&self.take(id), 998)
    }

    pub(in crate::hub) fn subscribe(&mut self, id: u64, sub: u32, pattern: &str) {
        self.must(id, subscribe(sub, pattern));
    }

    pub(in crate::hub) fn serve(&mut self, id: u64, sub: u32, pattern: &str) {
        self.must(id, serve(sub, pattern));
    }

    pub(in crate::hub) fn announce<T: SchemaTrait + 'static>(
        &mut self,
        id: u64,
        index: u32,
        topic: &str,
    ) {
        self.must(id, announce::<T>(index, topic));
    }

    /// Emits and tells how many subscriptions it matched, or why it was refused.
    pub(in crate::hub) fn emit_acked(
        &mut self,
        id: u64,
        kind: Payload,
        topic: &str,
        payload: &[u8],
    ) -> Result<u64, Refusal> {
        let frame = emit_with(flags::ACK, kind, topic, Some(77), payload);
        self.send(id, &frame);
        let got = self.take(id);
        got.iter()
            .find_map(|g| match g {
                Got::Control(77, HubOp::Done { count }) => Some(Ok(*count)),
                Got::Control(77, HubOp::Refused(refusal)) => Some(Err(refusal.clone())),
                _ => None,
            })
            .expect("an acknowledged event is answered")
    }

    pub(in crate::hub) fn closing(&mut self, id: u64) -> Option<(CloseKind, String)> {
        self.take(id).into_iter().find_map(|got| match got {
            Got::Control(_, HubOp::Closing { kind, reason }) => Some((kind, reason)),
            _ => None,
        })
    }

    pub(in crate::hub) fn notices(&mut self) -> Vec<HubNotice> {
        self.core.take_notices()
    }
}

pub(in crate::hub) fn refusal_of(got: &[Got], r#ref: u64) -> Refusal {
    got.iter()
        .filter_map(Got::refusal)
        .find(|(r, _)| *r == r#ref)
        .unwrap_or_else(|| panic!("no refusal of {ref} among {got:?}"))
        .1
        .clone()
}

pub(in crate::hub) fn refused(refusal: &Refusal, kind: RefusalKind, words: &[&str]) {
    assert_eq!(refusal.kind, kind, "{}", refusal.reason);
    for word in words {
        assert!(
            refusal.reason.contains(word),
            "{word:?} in {:?}",
            refusal.reason
        );
    }
}

pub(in crate::hub) fn hello(codec: Codec) -> Vec<u8> {
    let codec = match codec {
        Codec::Postcard => "postcard",
        Codec::Json => "json",
    };
    hello_with(&serde_json::json!({
        "magic": "ostler", "proto": [1, 1], "codecs": [codec], "kind": "client", "name": "tester"
    }))
}

pub(in crate::hub) fn hello_instance(codec: Codec, instance: u128) -> Vec<u8> {
    let codec = match codec {
        Codec::Postcard => "postcard",
        Codec::Json => "json",
    };
    hello_with(&serde_json::json!({
        "magic": "ostler", "proto": [1, 1], "codecs": [codec], "kind": "client", "name": "tester",
        "instance": format!("{instance:032x}")
    }))
}

pub(in crate::hub) fn hello_with(body: &serde_json::Value) -> Vec<u8> {
    raw(FrameType::Hello as u8, 0, body.to_string().as_bytes())
}

pub(in crate::hub) fn raw(kind: u8, flags: u8, body: &[u8]) -> Vec<u8> {
    let mut frame = (body.len() as u32 + 2).to_be_bytes().to_vec();
    frame.extend([kind, flags]);
    frame.extend(body);
    frame
}

/// A frame with a JSON object.
pub(in crate::hub) fn object(kind: FrameType, body: &serde_json::Value) -> Vec<u8> {
    raw(kind as u8, 0, body.to_string().as_bytes())
}

pub(in crate::hub) fn control(codec: Codec, r#ref: u64, op: ClientOp) -> Vec<u8> {
    let body = codec::encode(codec, &ClientControl { r#ref, op }).unwrap();
    raw(FrameType::Control as u8, 0, &body)
}

pub(in crate::hub) fn subscribe(sub: u32, pattern: &str) -> ClientOp {
    ClientOp::Subscribe {
        sub,
        pattern: pattern.into(),
        reader: None,
        options: SubscribeOptions::default(),
    }
}

pub(in crate::hub) fn subscribe_with(
    sub: u32,
    pattern: &str,
    options: SubscribeOptions,
) -> ClientOp {
    ClientOp::Subscribe {
        sub,
        pattern: pattern.into(),
        reader: None,
        options,
    }
}

pub(in crate::hub) fn subscribe_typed<T: SchemaTrait + 'static>(
    sub: u32,
    pattern: &str,
) -> ClientOp {
    ClientOp::Subscribe {
        sub,
        pattern: pattern.into(),
        reader: Some(TypeSchema::of::<T>().encoded().to_vec()),
        options: SubscribeOptions::default(),
    }
}

pub(in crate::hub) fn serve(sub: u32, pattern: &str) -> ClientOp {
    ClientOp::Subscribe {
        sub,
        pattern: pattern.into(),
        reader: None,
        options: SubscribeOptions {
            serve: true,
            ..SubscribeOptions::default()
        },
    }
}

/// Serving, with a type that requests are read as.
pub(in crate::hub) fn typed_server<T: SchemaTrait + 'static>(sub: u32, pattern: &str) -> ClientOp {
    ClientOp::Subscribe {
        sub,
        pattern: pattern.into(),
        reader: Some(TypeSchema::of::<T>().encoded().to_vec()),
        options: SubscribeOptions {
            serve: true,
            ..SubscribeOptions::default()
        },
    }
}

pub(in crate::hub) fn announce<T: SchemaTrait + 'static>(index: u32, topic: &str) -> ClientOp {
    ClientOp::Announce {
        index,
        topic: topic.into(),
        schema: TypeSchema::of::<T>().encoded().to_vec(),
    }
}

pub(in crate::hub) fn emit(topic: &str, payload: &[u8]) -> Vec<u8> {
    emit_with(0, Payload::Bytes, topic, None, payload)
}

pub(in crate::hub) fn emit_with(
    flags: u8,
    kind: Payload,
    topic: &str,
    ack: Option<u64>,
    payload: &[u8],
) -> Vec<u8> {
    let mut body = BytesMut::new();
    data::put_emit(&mut body, kind, topic, ack);
    body.extend_from_slice(payload);
    raw(FrameType::Emit as u8, flags, &body)
}

pub(in crate::hub) fn request(
    r#ref: u64,
    kind: Payload,
    topic: &str,
    reply_type: u32,
    payload: &[u8],
) -> Vec<u8> {
    let mut body = BytesMut::new();
    data::put_request(&mut body, kind, topic, r#ref, reply_type, 1_000);
    body.extend_from_slice(payload);
    raw(FrameType::Request as u8, 0, &body)
}

pub(in crate::hub) fn reply(call: u64, kind: Payload, payload: &[u8]) -> Vec<u8> {
    let mut body = BytesMut::new();
    data::put_reply(&mut body, call, kind, None);
    body.extend_from_slice(payload);
    raw(FrameType::Reply as u8, 0, &body)
}

/// A reply that holds for so long.
pub(in crate::hub) fn reply_for(call: u64, payload: &[u8], ttl_ms: u32) -> Vec<u8> {
    let mut body = bytes::BytesMut::new();
    data::put_reply(&mut body, call, Payload::Bytes, Some(ttl_ms));
    body.extend_from_slice(payload);
    raw(FrameType::Reply as u8, flags::EXPIRES, &body)
}

pub(in crate::hub) fn topic(text: &str) -> Topic {
    Topic::new(text).unwrap()
}
