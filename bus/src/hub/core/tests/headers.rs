//! Headers of requests and answers: carried as they are, from codec to codec, and looked at for their shape alone.

use bytes::BytesMut;
use serde_json::{Value, json};

use super::support::*;
use crate::{
    Schema,
    wire::{
        FrameType,
        control::RefusalKind,
        data::{self, Payload, READERS_TYPE},
        flags,
        headers::{HEADERS_BYTES, Headers, put_block},
        hello::Codec,
    },
};

#[derive(serde::Serialize, serde::Deserialize, Schema)]
struct Price {
    cents: u32,
}

fn headers(pairs: &[(&str, &str)]) -> Headers {
    let mut headers = Headers::new();
    for (name, value) in pairs {
        headers.insert(name, value).unwrap();
    }
    headers
}

/// A REQUEST with a block of headers that may be anything.
fn ask(kind: Payload, block: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut body = BytesMut::new();
    data::put_request(&mut body, kind, "q", 7, READERS_TYPE, 1_000);
    put_block(&mut body, block);
    body.extend_from_slice(payload);
    raw(FrameType::Request as u8, flags::HEADERS, &body)
}

fn answer(call: u64, kind: Payload, block: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut body = BytesMut::new();
    data::put_reply(&mut body, call, kind, None);
    put_block(&mut body, block);
    body.extend_from_slice(payload);
    raw(FrameType::Reply as u8, flags::HEADERS, &body)
}

fn block(headers: &Headers) -> Vec<u8> {
    let mut out = BytesMut::new();
    headers.put(&mut out);
    out[2..].to_vec()
}

fn call_of(got: &[Got]) -> (u64, Headers, Vec<u8>) {
    let call = got.iter().find_map(|got| match got {
        Got::Call {
            call,
            headers,
            payload,
            ..
        } => Some((*call, headers.clone(), payload.to_vec())),
        _ => None,
    });
    call.unwrap_or_else(|| panic!("no call among {got:?}"))
}

fn answer_of(got: &[Got]) -> (Headers, Vec<u8>) {
    let answer = got.iter().find_map(|got| match got {
        Got::Answer {
            headers, payload, ..
        } => Some((headers.clone(), payload.to_vec())),
        _ => None,
    });
    answer.unwrap_or_else(|| panic!("no answer among {got:?}"))
}

fn object_of(got: Vec<Got>, wanted: FrameType) -> Value {
    let object = got.into_iter().find_map(|got| match got {
        Got::Object(kind, _, value) if kind == wanted => Some(value),
        _ => None,
    });
    object.expect("such an object")
}

#[test]
fn they_go_with_a_request_and_come_with_its_answer() {
    let mut w = World::new();
    let (asker, responder) = (w.join(client("asker")), w.join(client("responder")));
    w.serve(responder, 1, "q");
    let there = headers(&[("traceparent", "00-1-2-01"), ("b", "")]);
    w.send(asker, &ask(Payload::Bytes, &block(&there), b"?"));
    let (call, heard, payload) = call_of(&w.take(responder));
    assert_eq!((heard, &payload[..]), (there, &b"?"[..]));
    let back = headers(&[("answered-by", "grün")]);
    w.send(
        responder,
        &answer(call, Payload::Bytes, &block(&back), b"!"),
    );
    assert_eq!(answer_of(&w.take(asker)), (back, b"!".to_vec()));
}

#[test]
fn a_payload_of_the_largest_size_passes_beside_headers_of_the_largest_size() {
    let mut w = World::new();
    let (asker, responder) = (w.join(client("asker")), w.join(client("responder")));
    w.serve(responder, 1, "q");
    let most = headers(&[("a", &"v".repeat(HEADERS_BYTES - 4))]);
    let payload = vec![7; 1 << 20];
    w.send(asker, &ask(Payload::Bytes, &block(&most), &payload));
    let (call, heard, got) = call_of(&w.take(responder));
    assert!(heard == most && got == payload);
    w.send(
        responder,
        &answer(call, Payload::Bytes, &block(&most), &payload),
    );
    assert!(answer_of(&w.take(asker)) == (most, payload));
}

#[test]
fn they_stay_when_the_form_changes() {
    let mut w = World::new();
    let (a, j) = (w.join(client("a")), w.join_as(client("j"), Codec::Json));
    w.announce::<Price>(a, 0, "");
    w.serve(j, 1, "q");
    let cents = postcard::to_stdvec(&Price { cents: 5 }).unwrap();
    let there = headers(&[("k", "\"ü\"")]);
    w.send(a, &ask(Payload::Postcard(0), &block(&there), &cents));
    let call = object_of(w.take(j), FrameType::Call);
    assert_eq!(call["headers"], json!({"k": "\"ü\""}));
    assert_eq!(call["payload"], json!({"cents": 5}));
    let body = json!({"call": call["call"], "payload": 1, "headers": {"x": "1", "y": "\n"}});
    w.send(j, &object(FrameType::Reply, &body));
    let (heard, payload) = answer_of(&w.take(a));
    assert_eq!(
        (heard, &payload[..]),
        (headers(&[("x", "1"), ("y", "\n")]), &b"1"[..])
    );
}

#[test]
fn they_come_from_json_and_go_to_json() {
    let mut w = World::new();
    let (a, j) = (w.join(client("a")), w.join_as(client("j"), Codec::Json));
    w.must(a, typed_server::<Price>(1, "q"));
    let body = json!({"ref": 3, "topic": "q", "payload": {"cents": 2}, "headers": {"k": "v"}});
    w.send(j, &object(FrameType::Request, &body));
    let (call, heard, payload) = call_of(&w.take(a));
    assert_eq!((heard, &payload[..]), (headers(&[("k", "v")]), &[2][..]));
    let back = headers(&[("z", "26")]);
    w.send(a, &answer(call, Payload::Json, &block(&back), b"{}"));
    let answer = object_of(w.take(j), FrameType::Answer);
    assert_eq!(answer["headers"], json!({"z": "26"}));
}

#[test]
fn without_headers_nothing_of_them_is_written() {
    let mut w = World::new();
    let (a, j) = (w.join(client("a")), w.join_as(client("j"), Codec::Json));
    w.serve(j, 1, "q");
    w.send(a, &ask(Payload::Json, &[], b"1"));
    let call = object_of(w.take(j), FrameType::Call);
    assert_eq!(call.get("headers"), None);
}

#[test]
fn a_request_with_bad_headers_is_refused() {
    let mut w = World::new();
    let (asker, responder) = (w.join(client("asker")), w.join(client("responder")));
    let j = w.join_as(client("j"), Codec::Json);
    w.serve(responder, 1, "q");
    for (bad, word) in [
        (&b"\x01a\x00"[..], "cut short"),
        (b"\x01A\x00\x00", "\"A\""),
        (b"\x01a\x00\x01\xff", "UTF-8"),
        (b"\x01a\x00\x00\x01a\x00\x00", "twice"),
    ] {
        w.send(asker, &ask(Payload::Bytes, bad, b"?"));
        let refusal = refusal_of(&w.take(asker), 7);
        refused(&refusal, RefusalKind::Malformed, &[word]);
    }
    let body = json!({"ref": 5, "topic": "q", "headers": {"Not Ours": ""}});
    w.send(j, &object(FrameType::Request, &body));
    refused(
        &refusal_of(&w.take(j), 5),
        RefusalKind::Malformed,
        &["Not Ours"],
    );
    assert_eq!(w.take(responder), [], "nothing was asked");
}

#[test]
fn a_reply_with_bad_headers_ends_the_call_for_both() {
    let mut w = World::new();
    let (asker, responder) = (w.join(client("asker")), w.join(client("responder")));
    w.serve(responder, 1, "q");
    w.send(asker, &ask(Payload::Bytes, &[], b"?"));
    let (call, ..) = call_of(&w.take(responder));
    w.send(
        responder,
        &answer(call, Payload::Bytes, b"\x00\x00\x00", b"!"),
    );
    for (id, r#ref) in [(asker, 7), (responder, 0)] {
        let refusal = refusal_of(&w.take(id), r#ref);
        refused(&refusal, RefusalKind::Malformed, &["header name"]);
    }
    assert!(w.core.next_deadline().is_none());
}
