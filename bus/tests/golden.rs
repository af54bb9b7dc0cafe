//! The wire, byte for byte. What is expected here was written by hand from `docs/protocol.md`, never taken from the
//! encoder: it is what other languages' clients rely on.

use bytes::{BufMut, Bytes, BytesMut};
use ostler_bus::{
    Event, Generation, Origin, Slot, TypeSchema, WorkerId,
    hub::HubStats,
    wire::{
        FrameType, codec,
        control::{
            ClientControl, ClientOp, CloseKind, HubControl, HubOp, OverflowPolicy, Refusal,
            RefusalKind, Resume, SubscribeOptions,
        },
        data::{self, Payload},
        flags, frame,
        headers::Headers,
        hello::{Codec, Hello, Kind, Welcome, WelcomeLimits},
        json,
    },
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Event)]
#[event(topic = "orders.created")]
struct OrderCreated {
    id: u64,
    total: f64,
}

/// Hexadecimal digits to bytes; what follows `;` on a line is a remark.
fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .lines()
        .flat_map(|line| line.split(';').next().unwrap_or("").chars())
        .filter(|c| !c.is_whitespace())
        .map(|c| u8::try_from(c.to_digit(16).expect("a hexadecimal digit")).expect("below 16"))
        .collect();
    assert!(digits.len().is_multiple_of(2), "an odd number of digits");
    digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}

/// Takes the one frame that `bytes` are.
fn one_frame(bytes: &[u8]) -> frame::Frame {
    let mut buffer = BytesMut::from(bytes);
    let taken = frame::take(&mut buffer, 1 << 20).expect("sound framing");
    assert!(buffer.is_empty(), "bytes after the frame");
    taken.expect("a whole frame")
}

fn framed(kind: FrameType, flags: u8, body: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::new();
    frame::put(&mut out, kind, flags, body);
    out.to_vec()
}

/// A control message is these bytes, both ways, in a CONTROL frame.
#[track_caller]
fn control<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(
    message: &T,
    golden: &str,
) {
    let golden = hex(golden);
    let body = codec::encode(Codec::Postcard, message).expect("encodes");
    assert_eq!(framed(FrameType::Control, 0, &body), golden, "encoded");
    let frame = one_frame(&golden);
    assert_eq!((frame.kind, frame.flags), (0x03, 0));
    let decoded: T = codec::decode(Codec::Postcard, &frame.body).expect("decodes");
    assert_eq!(decoded, *message, "decoded");
}

#[track_caller]
fn client(r#ref: u64, op: ClientOp, golden: &str) {
    control(&ClientControl { r#ref, op }, golden);
}

#[track_caller]
fn hub(r#ref: u64, op: HubOp, golden: &str) {
    control(&HubControl { r#ref, op }, golden);
}

/// A data frame is these bytes; the caller decodes what is returned.
#[track_caller]
fn data_frame(
    kind: FrameType,
    flags: u8,
    put: impl FnOnce(&mut BytesMut),
    payload: &[u8],
    golden: &str,
) -> Bytes {
    let golden = hex(golden);
    let mut out = BytesMut::new();
    let at = frame::begin(&mut out, kind, flags);
    put(&mut out);
    out.extend_from_slice(payload);
    frame::end(&mut out, at);
    assert_eq!(out.to_vec(), golden, "encoded");
    let frame = one_frame(&golden);
    assert_eq!((frame.kind, frame.flags), (kind as u8, flags));
    frame.body
}

const ORDER_SCHEMA: &str = "
    17 0c 4f72646572437265617465 64 ; Struct, OrderCreated
    03 02                           ; with two fields
    02 6964 09                      ; id, U64
    05 746f74616c 0e                ; total, F64
";

#[test]
fn a_schema() {
    let golden = hex(ORDER_SCHEMA);
    assert_eq!(golden.len(), 27);
    let schema = TypeSchema::of::<OrderCreated>();
    assert_eq!(schema.encoded(), golden);
    assert_eq!(TypeSchema::decode(&golden).expect("a schema"), schema);
    let order = OrderCreated { id: 1, total: 9.5 };
    let payload = hex("01 0000000000002340");
    assert_eq!(postcard::to_stdvec(&order).expect("encodes"), payload);
    assert_eq!(
        postcard::from_bytes::<OrderCreated>(&payload).expect("decodes"),
        order
    );
}

#[test]
fn hello() {
    let text =
        r#"{"magic":"ostler","proto":[1,1],"codecs":["postcard"],"kind":"client","name":"shop"}"#;
    let golden = [&hex("00000056 01 00")[..], text.as_bytes()].concat();
    let message = Hello {
        magic: "ostler".into(),
        proto: [1, 1],
        codecs: vec!["postcard".into()],
        kind: Kind::Client,
        name: "shop".into(),
        instance: None,
        token: None,
        features: Vec::new(),
        ext: serde_json::Map::new(),
    };
    let body = serde_json::to_vec(&message).expect("encodes");
    assert_eq!(framed(FrameType::Hello, 0, &body), golden);
    let frame = one_frame(&golden);
    assert_eq!(frame.kind, 0x01);
    assert_eq!(
        serde_json::from_slice::<Hello>(&frame.body).expect("decodes"),
        message
    );
    // The least a client may say, and more than is known.
    let least = r#"{"magic":"ostler","proto":[1,9],"codecs":[],"kind":"operator","shoe":7}"#;
    let least: Hello = serde_json::from_str(least).expect("decodes");
    assert_eq!(
        (least.kind, &*least.name, least.proto),
        (Kind::Operator, "", [1, 9])
    );
}

#[test]
fn welcome() {
    let text = r#"{"proto":1,"codec":"postcard","hub":"ostler","conn":3,"life":"9f0c2b5a7d1e4f608192a3b4c5d6e7f8","limits":{"payload":1048576,"control":65536,"subscriptions":1024},"ping_ms":0}"#;
    let golden = [&hex("000000b0 02 00")[..], text.as_bytes()].concat();
    let message = Welcome {
        proto: 1,
        codec: Codec::Postcard,
        hub: "ostler".into(),
        conn: 3,
        life: "9f0c2b5a7d1e4f608192a3b4c5d6e7f8".into(),
        token: None,
        limits: WelcomeLimits {
            payload: 1_048_576,
            control: 65_536,
            subscriptions: 1024,
        },
        ping_ms: 0,
        ext: serde_json::Map::new(),
    };
    let body = serde_json::to_vec(&message).expect("encodes");
    assert_eq!(framed(FrameType::Welcome, 0, &body), golden);
    let frame = one_frame(&golden);
    assert_eq!(frame.kind, 0x02);
    assert_eq!(
        serde_json::from_slice::<Welcome>(&frame.body).expect("decodes"),
        message
    );
}

#[test]
fn subscribe() {
    let plain = ClientOp::Subscribe {
        sub: 1,
        pattern: "orders.>".into(),
        reader: None,
        options: SubscribeOptions::default(),
    };
    client(
        1,
        plain,
        "00000017 03 00
         01 01                   ; reference, Subscribe
         01 08 6f72646572732e3e  ; sub, pattern
         00                      ; no reader
         00 00 00 00 00 00 00 00 ; options",
    );
    let full = ClientOp::Subscribe {
        sub: 300,
        pattern: "a".into(),
        reader: Some(vec![9]),
        options: SubscribeOptions {
            serve: true,
            max_messages: Some(300),
            max_bytes: Some(1),
            policy: OverflowPolicy::Backpressure { max_wait_ms: 300 },
            group: Some("g".into()),
            window: Some(300),
            resume: Some(Resume {
                sub: 1,
                since: 41,
                taken: 300,
            }),
            history: 2,
        },
    };
    client(
        2,
        full,
        "00000020 03 00
         02 01          ; reference, Subscribe
         ac02 01 61     ; sub, pattern
         01 01 09       ; a reader: one byte, U64
         01             ; serves
         01 ac02  01 01 ; bounds
         03 ac02        ; Backpressure, milliseconds
         01 01 67       ; the group \"g\"
         01 ac02        ; window
         01 01 29 ac02  ; resume: sub, since, taken
         02             ; history",
    );
}

#[test]
fn announce_and_the_other_asks() {
    let announce = ClientOp::Announce {
        index: 0,
        topic: "orders.created".into(),
        schema: hex(ORDER_SCHEMA),
    };
    let golden = "00000030 03 00
         02 00 00                        ; reference, Announce, index
         0e 6f72646572732e63726561746564 ; topic
         1b                              ; bytes of schema
        ";
    client(2, announce, &format!("{golden}{ORDER_SCHEMA}"));
    client(
        5,
        ClientOp::Unsubscribe { sub: 1 },
        "00000005 03 00  05 02 01",
    );
    let reason = "no".into();
    client(
        6,
        ClientOp::Decline { call: 9, reason },
        "00000008 03 00  06 03 09 02 6e6f",
    );
    client(7, ClientOp::Drain, "00000004 03 00  07 04");
    let took = ClientOp::Took { sub: 1, count: 300 };
    client(8, took, "00000007 03 00  08 05 01 ac02");
}

#[test]
fn answers() {
    hub(3, HubOp::Done { count: 1 }, "00000005 03 00  03 00 01");
    let refused = |kind| {
        let reason = "no".into();
        HubOp::Refused(Refusal { kind, reason })
    };
    hub(
        3,
        refused(RefusalKind::Denied),
        "00000008 03 00  03 01 00 02 6e6f",
    );
    let kinds = [
        RefusalKind::Denied,
        RefusalKind::BadTopic,
        RefusalKind::BadType,
        RefusalKind::Misfit,
        RefusalKind::Limit,
        RefusalKind::Malformed,
        RefusalKind::NoResponders,
        RefusalKind::TimedOut,
        RefusalKind::Declined,
    ];
    for (number, kind) in (0..).zip(kinds) {
        hub(
            0,
            refused(kind),
            &format!("00000008 03 00  00 01 {number:02} 02 6e6f"),
        );
    }
}

#[test]
fn what_the_hub_tells() {
    let origin = Origin::Client {
        name: "shop".into(),
        conn: 3,
    };
    hub(
        0,
        HubOp::OriginIs { conn: 3, origin },
        "0000000c 03 00  00 02 03  02 04 73686f70 03",
    );
    let origin = Origin::Master;
    hub(
        0,
        HubOp::OriginIs { conn: 1, origin },
        "00000006 03 00  00 02 01  00",
    );
    let origin = Origin::Worker {
        app: "web".into(),
        id: WorkerId(300),
        slot: Slot(2),
        generation: Generation(1),
        pid: 128,
    };
    let golden = "00000010 03 00  00 02 04
        01 03 776562    ; Worker, of web
        ac02 02 01 8001 ; id, slot, generation, pid";
    hub(0, HubOp::OriginIs { conn: 4, origin }, golden);
    let type_is = HubOp::TypeIs {
        conn: 3,
        index: 0,
        topic: "orders.created".into(),
        schema: hex(ORDER_SCHEMA),
    };
    let golden = "00000031 03 00  00 03 03 00  0e 6f72646572732e63726561746564  1b ";
    hub(0, type_is, &format!("{golden}{ORDER_SCHEMA}"));
    hub(0, HubOp::Forget { conn: 3 }, "00000005 03 00  00 04 03");
    hub(
        0,
        HubOp::Lagged {
            sub: 1,
            missed: 300,
        },
        "00000007 03 00  00 05 01 ac02",
    );
    let misfit = HubOp::Misfit {
        sub: 1,
        missed: 2,
        topic: "a".into(),
        reason: "b".into(),
    };
    hub(0, misfit, "0000000a 03 00  00 06 01 02 01 61 01 62");
    let kinds = [
        CloseKind::Framing,
        CloseKind::Hello,
        CloseKind::Denied,
        CloseKind::Limit,
        CloseKind::Stopping,
        CloseKind::Fault,
    ];
    for (number, kind) in (0..).zip(kinds) {
        let reason = "stop".into();
        hub(
            0,
            HubOp::Closing { kind, reason },
            &format!("0000000a 03 00  00 07 {number:02} 04 73746f70"),
        );
    }
}

const TYPED_EMIT: &str = "
    00000019 10 02                 ; EMIT, ACK
    00 00 00000000                 ; postcard, the announced topic, type 0
    0000000000000003               ; reference
    01 0000000000002340            ; id 1, total 9.5
";
const JSON_EMIT: &str = "
    0000000e 10 00                 ; EMIT
    01 03 612e62                   ; JSON, a.b
    7b2278223a317d                 ; {\"x\":1}
";

#[test]
fn emit() {
    let payload = hex("01 0000000000002340");
    let put = |out: &mut BytesMut| data::put_emit(out, Payload::Postcard(0), "", Some(3));
    let body = data_frame(FrameType::Emit, flags::ACK, put, &payload, TYPED_EMIT);
    let head = data::emit(&body, flags::ACK).expect("an EMIT");
    assert_eq!(
        (head.kind, head.topic, head.ack),
        (Payload::Postcard(0), &b""[..], Some(3))
    );
    assert_eq!(body[head.payload_at..], payload);

    let put = |out: &mut BytesMut| data::put_emit(out, Payload::Json, "a.b", None);
    let body = data_frame(FrameType::Emit, 0, put, br#"{"x":1}"#, JSON_EMIT);
    let head = data::emit(&body, 0).expect("an EMIT");
    assert_eq!(
        (head.kind, head.topic, head.ack),
        (Payload::Json, &b"a.b"[..], None)
    );
    assert_eq!(&body[head.payload_at..], br#"{"x":1}"#);

    let put = |out: &mut BytesMut| data::put_emit(out, Payload::Bytes, "a.b", None);
    let golden = "00000009 10 04  02 03 612e62  dead";
    let body = data_frame(FrameType::Emit, flags::RETAIN, put, b"\xde\xad", golden);
    let head = data::emit(&body, flags::RETAIN).expect("an EMIT");
    assert_eq!(
        (head.kind, head.topic, head.ack),
        (Payload::Bytes, &b"a.b"[..], None)
    );
    assert_eq!(&body[head.payload_at..], b"\xde\xad");

    let put = |out: &mut BytesMut| data::put_emit(out, Payload::Postcard(7), "a.b", Some(1 << 32));
    let golden = "00000013 10 02  00 03 612e62 00000007 0000000100000000";
    let body = data_frame(FrameType::Emit, flags::ACK, put, b"", golden);
    let head = data::emit(&body, flags::ACK).expect("an EMIT");
    assert_eq!(
        (head.kind, head.ack, head.payload_at),
        (Payload::Postcard(7), Some(1 << 32), body.len())
    );
}

#[test]
fn emit_with_everything() {
    let mut headers = Headers::new();
    headers.insert("k", "ü").expect("a header");
    let flags = flags::ACK | flags::RELIABLE | flags::EXPIRES | flags::HEADERS;
    let put = |out: &mut BytesMut| {
        data::put_emit(out, Payload::Json, "a.b", Some(3));
        out.put_u32(5000);
        headers.put(out);
    };
    let golden = "0000001d 10 3a
        01 03 612e62          ; JSON, a.b
        0000000000000003      ; reference
        00001388              ; milliseconds to live
        0006 01 6b 0002 c3bc  ; headers: k, u with dots
        7b7d";
    let body = data_frame(FrameType::Emit, flags, put, b"{}", golden);
    let head = data::emit(&body, flags).expect("an EMIT");
    assert_eq!((head.ack, head.ttl_ms), (Some(3), Some(5000)));
    assert_eq!(Headers::parse(head.headers), Ok(headers));
    assert_eq!(&body[head.payload_at..], b"{}");
}

#[test]
fn request_of_many_with_headers() {
    let mut headers = Headers::new();
    headers.insert("k", "v").expect("a header");
    let flags = flags::MANY | flags::HEADERS;
    let put = |out: &mut BytesMut| {
        data::put_request(out, Payload::Json, "a.b", 4, u32::MAX, 5000);
        out.put_u32(7);
        headers.put(out);
    };
    let golden = "00000024 11 18
        01 03 612e62               ; JSON, a.b
        0000000000000004           ; reference
        ffffffff 00001388          ; any reply type, milliseconds
        00000007                   ; seven answers are enough
        0005 01 6b 0001 76         ; headers: k, v
        7b7d";
    let body = data_frame(FrameType::Request, flags, put, b"{}", golden);
    let head = data::request(&body, flags).expect("a REQUEST");
    assert_eq!((head.timeout_ms, head.limit), (5000, Some(7)));
    assert_eq!(Headers::parse(head.headers), Ok(headers));
    assert_eq!(&body[head.payload_at..], b"{}");
}

#[test]
fn request_reply_call_answer() {
    let price = Payload::Postcard(1);
    let put = |out: &mut BytesMut| data::put_request(out, price, "orders.price", 4, 2, 5000);
    let golden = "00000025 11 00
        00 0c 6f72646572732e7072696365 00000001 ; postcard, orders.price, type 1
        0000000000000004                        ; reference
        00000002 00001388                       ; reply type, milliseconds
        01";
    let body = data_frame(FrameType::Request, 0, put, b"\x01", golden);
    let head = data::request(&body, 0).expect("a REQUEST");
    assert_eq!(
        (head.kind, head.topic, head.r#ref),
        (price, &b"orders.price"[..], 4)
    );
    assert_eq!(
        (head.reply_type, head.timeout_ms, &body[head.payload_at..]),
        (2, 5000, &b"\x01"[..])
    );

    let put = |out: &mut BytesMut| data::put_reply(out, 9, Payload::Postcard(2), None);
    let golden = "00000011 12 00  0000000000000009 00 00000002 ac02";
    let body = data_frame(FrameType::Reply, 0, put, b"\xac\x02", golden);
    let head = data::reply(&body, 0).expect("a REPLY");
    assert_eq!(
        (head.call, head.kind, &body[head.payload_at..]),
        (9, Payload::Postcard(2), &b"\xac\x02"[..])
    );

    let put = |out: &mut BytesMut| data::put_call(out, 9, 3, 2, 5000, price, "orders.price");
    let golden = "0000002d 21 00
        0000000000000009 0000000000000003       ; call, connection
        00000002 00001388                       ; sub, milliseconds
        00 0c 6f72646572732e7072696365 00000001 ; postcard, orders.price, type 1
        01";
    let body = data_frame(FrameType::Call, 0, put, b"\x01", golden);
    let head = data::call(&body, 0).expect("a CALL");
    assert_eq!(
        (head.call, head.conn, head.sub, head.timeout_ms),
        (9, 3, 2, 5000)
    );
    assert_eq!(
        (head.kind, head.topic, &body[head.payload_at..]),
        (price, &b"orders.price"[..], &b"\x01"[..])
    );

    let put = |out: &mut BytesMut| data::put_answer(out, 4, 5, Payload::Json);
    let golden = "00000015 22 00  0000000000000004 0000000000000005 01 7b7d";
    let body = data_frame(FrameType::Answer, 0, put, b"{}", golden);
    let head = data::answer(&body, 0).expect("an ANSWER");
    assert_eq!((head.r#ref, head.conn, head.kind), (4, 5, Payload::Json));
    assert_eq!(&body[head.payload_at..], b"{}");
}

#[test]
fn run() {
    let frames = [hex(TYPED_EMIT), hex(JSON_EMIT)].concat();
    let head = data::Run {
        conn: 3,
        first_seq: 41,
        sub: 1,
        count: 2,
    };
    let golden = "00000049 20 20
        0000000000000003 0000000000000029 ; connection, first sequence number
        00000001 00000002                 ; sub, count";
    let golden = format!("{golden}\n{TYPED_EMIT}{JSON_EMIT}");
    let put = |out: &mut BytesMut| data::put_run(out, head);
    let mut body = data_frame(FrameType::Run, flags::RETAINED, put, &frames, &golden);
    assert_eq!(data::run(&body).expect("a RUN"), head);
    let within: Vec<_> = data::frames(body.split_off(data::RUN_BYTES)).collect();
    assert_eq!(within.len(), 2);
    let first = data::emit(&within[0].1, within[0].0).expect("an EMIT");
    assert_eq!((first.kind, first.ack), (Payload::Postcard(0), Some(3)));
    let second = data::emit(&within[1].1, within[1].0).expect("an EMIT");
    assert_eq!((second.kind, second.topic), (Payload::Json, &b"a.b"[..]));
}

#[test]
fn control_messages_in_json() {
    let pairs = [
        (
            ClientControl {
                r#ref: 1,
                op: ClientOp::Subscribe {
                    sub: 1,
                    pattern: "orders.>".into(),
                    reader: None,
                    options: SubscribeOptions::default(),
                },
            },
            r#"{"ref":1,"op":{"Subscribe":{"sub":1,"pattern":"orders.>","options":{}}}}"#,
        ),
        (
            ClientControl {
                r#ref: 2,
                op: ClientOp::Drain,
            },
            r#"{"ref":2,"op":"Drain"}"#,
        ),
    ];
    for (message, text) in pairs {
        assert_eq!(
            codec::decode::<ClientControl>(Codec::Json, text.as_bytes()).expect("decodes"),
            message
        );
    }
    let lagged = HubControl {
        r#ref: 0,
        op: HubOp::Lagged {
            sub: 1,
            missed: 300,
        },
    };
    let text = br#"{"ref":0,"op":{"Lagged":{"sub":1,"missed":300}}}"#;
    assert_eq!(codec::encode(Codec::Json, &lagged).expect("encodes"), text);
    assert_eq!(
        codec::decode::<HubControl>(Codec::Json, text).expect("decodes"),
        lagged
    );
    let reason = "only the hub's own user may connect".into();
    let closing = HubControl {
        r#ref: 0,
        op: HubOp::Closing {
            kind: CloseKind::Denied,
            reason,
        },
    };
    let text = br#"{"ref":0,"op":{"Closing":{"kind":"Denied","reason":"only the hub's own user may connect"}}}"#;
    assert_eq!(codec::encode(Codec::Json, &closing).expect("encodes"), text);
}

#[test]
fn data_in_json() {
    let raw = |text: &str| RawValue::from_string(text.into()).expect("JSON");
    let payload = raw(r#"{"x":1}"#);
    let event = json::Event {
        sub: 1,
        seq: 41,
        origin: Origin::Client {
            name: "shop".into(),
            conn: 3,
        },
        topic: "a.b".into(),
        payload: Some(&payload),
        bytes: None,
        headers: json::HeaderTexts::new(),
    };
    let text = r#"{"sub":1,"seq":41,"origin":{"Client":{"name":"shop","conn":3}},"topic":"a.b","payload":{"x":1}}"#;
    assert_eq!(serde_json::to_string(&event).expect("encodes"), text);
    let emit: json::Emit<'_> =
        serde_json::from_str(r#"{"topic":"a.b","payload":{"x":1},"ref":3}"#).expect("decodes");
    assert_eq!(
        (&*emit.topic, emit.r#ref, emit.payload.map(RawValue::get)),
        ("a.b", Some(3), Some(r#"{"x":1}"#))
    );
    let request: json::Request<'_> =
        serde_json::from_str(r#"{"ref":4,"topic":"orders.price","payload":{"id":1}}"#)
            .expect("decodes");
    assert_eq!((request.r#ref, request.timeout_ms), (4, 5000));
    let reply: json::Reply<'_> =
        serde_json::from_str(r#"{"call":9,"payload":{"cents":300}}"#).expect("decodes");
    assert_eq!(
        (reply.call, reply.payload.map(RawValue::get)),
        (9, Some(r#"{"cents":300}"#))
    );
    let payload = raw(r#"{"id":1}"#);
    let call = json::Call {
        call: 9,
        sub: 2,
        origin: Origin::Master,
        topic: "orders.price".into(),
        timeout_ms: 5000,
        payload: Some(&payload),
        headers: json::HeaderTexts::new(),
    };
    let text = r#"{"call":9,"sub":2,"origin":"Master","topic":"orders.price","timeout_ms":5000,"payload":{"id":1}}"#;
    assert_eq!(serde_json::to_string(&call).expect("encodes"), text);
    let payload = raw(r#"{"cents":300}"#);
    let answer = json::Answer {
        r#ref: 4,
        origin: Origin::Master,
        payload: Some(&payload),
        headers: json::HeaderTexts::new(),
    };
    let text = r#"{"ref":4,"origin":"Master","payload":{"cents":300}}"#;
    assert_eq!(serde_json::to_string(&answer).expect("encodes"), text);
}

/// The statistics printed on the protocol page have each field, and no other.
#[test]
fn the_statistics_on_the_page() {
    let page = include_str!("../../docs/protocol.md");
    let (_, after) = page
        .split_once("## What a hub tells of itself")
        .expect("the section");
    let (_, block) = after.split_once("```json\n").expect("a block");
    let (block, _) = block.split_once("```").expect("its end");
    let stats: HubStats = serde_json::from_str(block).expect("decodes");
    let printed: serde_json::Value = serde_json::from_str(block).expect("JSON");
    assert_eq!(serde_json::to_value(&stats).expect("encodes"), printed);
}

/// The conversation printed on the protocol page is sound, and says what the page says.
#[test]
fn the_conversation_on_the_page() {
    let page = include_str!("../../docs/protocol.md");
    let (_, after) = page
        .split_once("## A short conversation")
        .expect("the section");
    let (_, block) = after.split_once("```text\n").expect("a block");
    let (block, _) = block.split_once("```").expect("its end");
    let mut said: Vec<(char, String)> = Vec::new();
    for line in block.lines() {
        match line.chars().next() {
            Some(way @ ('>' | '<')) => said.push((way, line[1..].into())),
            _ => {
                let last = &mut said
                    .last_mut()
                    .expect("a frame begins with its direction")
                    .1;
                last.push('\n');
                last.push_str(line);
            }
        }
    }
    let kinds: Vec<_> = said
        .iter()
        .map(|(way, text)| (*way, one_frame(&hex(text)).kind))
        .collect();
    let (control, emit, run) = (0x03, 0x10, 0x20);
    assert_eq!(
        kinds,
        [
            ('>', control),
            ('<', control),
            ('>', control),
            ('<', control),
            ('>', emit),
            ('<', control),
            ('<', control),
            ('<', control),
            ('<', run),
            ('>', emit),
            ('<', control),
        ]
    );
    for (way, text) in &said {
        let frame = one_frame(&hex(text));
        match (way, frame.kind) {
            ('>', 0x03) => {
                drop(
                    codec::decode::<ClientControl>(Codec::Postcard, &frame.body).expect("decodes"),
                );
            }
            (_, 0x03) => {
                drop(codec::decode::<HubControl>(Codec::Postcard, &frame.body).expect("decodes"));
            }
            (_, 0x10) => drop(data::emit(&frame.body, frame.flags).expect("decodes")),
            (_, _) => {
                assert_eq!(data::run(&frame.body).expect("decodes").first_seq, 41);
                assert_eq!(
                    frame.body[data::RUN_BYTES..],
                    hex(&said[4].1),
                    "the frame as it was sent"
                );
            }
        }
    }
}
