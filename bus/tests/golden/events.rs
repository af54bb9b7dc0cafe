//! Events, requests and runs.

use super::*;

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
    let put = |out: &mut BytesMut| data::put_reply(out, 9, Payload::Bytes, Some(250));
    let golden_for = "00000010 12 10  0000000000000009 02 000000fa 61";
    let stands = data_frame(FrameType::Reply, flags::EXPIRES, put, b"a", golden_for);
    let head = data::reply(&stands, flags::EXPIRES).expect("a REPLY");
    assert_eq!(
        (head.ttl_ms, &stands[head.payload_at..]),
        (Some(250), &b"a"[..])
    );
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
