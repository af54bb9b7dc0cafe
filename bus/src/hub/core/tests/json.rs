//! Connections that speak JSON, beside those that speak postcard.

use serde_json::{Value, json};

use super::support::*;
use crate::{
    Limits, Schema,
    hub::Rules,
    wire::{
        FrameType,
        control::{HubOp, RefusalKind},
        data::{Payload, READERS_TYPE},
        flags,
        hello::Codec,
    },
};

#[derive(serde::Serialize, serde::Deserialize, Schema)]
struct Price {
    cents: u32,
}

fn object(kind: FrameType, flags: u8, body: &Value) -> Vec<u8> {
    raw(kind as u8, flags, body.to_string().as_bytes())
}

fn objects(got: Vec<Got>) -> Vec<(FrameType, Value)> {
    got.into_iter()
        .filter_map(|g| match g {
            Got::Object(kind, _, value) => Some((kind, value)),
            _ => None,
        })
        .collect()
}

#[test]
fn a_json_peer_sees_typed_events_as_json() {
    let mut w = World::new();
    let a = w.join(client("a"));
    let j = w.join_as(client("j"), Codec::Json);
    w.subscribe(j, 1, "*");
    w.announce::<Price>(a, 0, "price");
    let typed = |cents| {
        let payload = postcard::to_stdvec(&Price { cents }).unwrap();
        emit_with(0, Payload::Postcard(0), "", None, &payload)
    };
    w.send(a, &[typed(1), typed(300)].concat());
    w.send(
        a,
        &emit_with(0, Payload::Json, "price", None, b"{\"cents\": 3}"),
    );
    w.send(a, &emit("price", &[0xff, 0]));
    let got = objects(w.take(j));
    let origin = json!({"Client": {"name": "a", "conn": a}});
    let event = |seq: u64, key: &str, value: Value| {
        let event = json!({"sub": 1, "seq": seq, "origin": origin, "topic": "price", key: value});
        (FrameType::Run, event)
    };
    let want = [
        event(1, "payload", json!({"cents": 1})),
        event(2, "payload", json!({"cents": 300})),
        event(3, "payload", json!({"cents": 3})),
        event(4, "bytes", json!("/wA=")),
    ];
    assert_eq!(got, want);
}

#[test]
fn what_is_no_json_or_not_of_its_type_is_a_misfit_for_a_json_peer() {
    let mut w = World::new();
    let a = w.join(client("a"));
    let j = w.join_as(client("j"), Codec::Json);
    w.subscribe(j, 1, "*");
    w.announce::<Price>(a, 0, "price");
    w.send(a, &emit_with(0, Payload::Postcard(0), "", None, &[0xff; 9]));
    w.send(a, &emit_with(0, Payload::Json, "price", None, b"{"));
    let got = w.take(j);
    let [bytes, json] = misfits(&got)[..] else {
        panic!("{got:?}")
    };
    for word in ["not Price { cents: u32 }", "at $.cents: "] {
        assert!(bytes.contains(word), "{word} in {bytes}");
    }
    assert!(json.contains("it is not JSON: "), "{json}");
}

#[test]
fn what_a_json_peer_publishes_is_a_misfit_with_its_place_for_a_typed_reader() {
    let mut w = World::new();
    let a = w.join(client("a"));
    let j = w.join_as(client("j"), Codec::Json);
    w.must(a, subscribe_typed::<Vec<Price>>(1, "prices"));
    w.must(j, subscribe_typed::<Vec<Price>>(1, "prices"));
    let payload = json!([{"cents": 1}, {"cents": "two"}]);
    let body = json!({"topic": "prices", "payload": payload});
    w.send(j, &object(FrameType::Emit, 0, &body));
    for id in [a, j] {
        let got = w.take(id);
        let reason = misfits(&got).concat();
        for word in ["as Vec<Price { cents: u32 }>", "at $[1].cents: ", "two"] {
            assert!(reason.contains(word), "{word} in {reason}");
        }
    }
    // And in a request, to whoever asks.
    w.must(a, typed_server::<Vec<Price>>(2, "sum"));
    let body = json!({"ref": 3, "topic": "sum", "payload": payload});
    w.send(j, &object(FrameType::Request, 0, &body));
    let refusal = refusal_of(&w.take(j), 3);
    refused(&refusal, RefusalKind::Misfit, &["sum", "at $[1].cents: "]);
}

#[test]
fn an_answer_that_does_not_fit_names_the_place() {
    let mut w = World::new();
    let a = w.join(client("a"));
    let j = w.join_as(client("j"), Codec::Json);
    w.announce::<Price>(a, 0, "");
    w.serve(j, 1, "price");
    w.send(a, &request(8, Payload::Json, "price", 0, b"null"));
    let (_, call) = objects(w.take(j)).remove(0);
    let body = json!({"call": call["call"], "payload": {"cents": -1}});
    w.send(j, &object(FrameType::Reply, 0, &body));
    let refusal = refusal_of(&w.take(a), 8);
    refused(&refusal, RefusalKind::Misfit, &["price", "at $.cents: "]);
    // Whoever gave it is told as well.
    refused(
        &refusal_of(&w.take(j), 0),
        RefusalKind::Misfit,
        &["at $.cents: "],
    );
}

#[test]
fn a_json_peer_publishes_to_typed_readers() {
    let mut w = World::new();
    let a = w.join(client("a"));
    let j = w.join_as(client("j"), Codec::Json);
    w.must(a, subscribe_typed::<Price>(1, "price"));
    w.subscribe(a, 2, "raw");
    let body = json!({"topic": "price", "payload": {"cents": 7}, "ref": 3});
    w.send(j, &object(FrameType::Emit, 0, &body));
    w.send(
        j,
        &object(
            FrameType::Emit,
            0,
            &json!({"topic": "raw", "bytes": "/wA="}),
        ),
    );
    w.send(j, &object(FrameType::Emit, 0, &json!({"topic": "raw"})));
    let got: Vec<_> = w
        .events(a)
        .into_iter()
        .map(|e| (e.kind, e.payload.to_vec()))
        .collect();
    let want = [
        (Payload::Postcard(READERS_TYPE), vec![7]),
        (Payload::Bytes, vec![0xff, 0]),
        (Payload::Json, b"null".to_vec()),
    ];
    assert_eq!(got, want);
    assert_eq!(w.take(j), [Got::Control(3, HubOp::Done { count: 1 })]);
}

#[test]
fn requests_cross_codecs_both_ways() {
    let mut w = World::new();
    let a = w.join(client("a"));
    let j = w.join_as(client("j"), Codec::Json);
    w.announce::<Price>(a, 0, "");
    w.serve(j, 1, "from.rust");
    w.serve(a, 1, "from.json");

    let cents = postcard::to_stdvec(&Price { cents: 5 }).unwrap();
    w.send(a, &request(8, Payload::Postcard(0), "from.rust", 0, &cents));
    let (kind, call) = objects(w.take(j)).remove(0);
    assert_eq!(
        (kind, &call["payload"]),
        (FrameType::Call, &json!({"cents": 5}))
    );
    let body = json!({"call": call["call"], "payload": {"cents": 6}});
    w.send(j, &object(FrameType::Reply, 0, &body));
    let got = w.take(a);
    let is_it = |g: &Got| matches!(g, Got::Answer { r#ref: 8, kind: Payload::Postcard(READERS_TYPE), payload, .. } if payload[..] == [6]);
    assert!(got.iter().any(is_it), "{got:?}");

    let body = json!({"ref": 9, "topic": "from.json", "payload": [1, 2]});
    w.send(j, &object(FrameType::Request, 0, &body));
    let got = w.take(a);
    let call = got.iter().find_map(|g| match g {
        Got::Call { call, payload, .. } => Some((*call, payload.clone())),
        _ => None,
    });
    let (call, payload) = call.unwrap();
    assert_eq!(&payload[..], b"[1,2]");
    w.send(a, &reply(call, Payload::Postcard(0), &cents));
    let (kind, answer) = objects(w.take(j)).remove(0);
    assert_eq!(kind, FrameType::Answer);
    assert_eq!(
        (&answer["ref"], &answer["payload"]),
        (&json!(9), &json!({"cents": 5}))
    );
}

#[test]
fn a_json_peer_deletes_a_retained_value_with_no_bytes() {
    let mut w = World::new();
    let j = w.join_as(client("j"), Codec::Json);
    for (body, values) in [
        (json!({"topic": "t", "payload": 1}), 1),
        (json!({"topic": "t", "bytes": ""}), 0),
    ] {
        w.send(j, &object(FrameType::Emit, flags::RETAIN, &body));
        assert_eq!(w.core.retained.size().0, values, "{body}");
    }
}

#[test]
fn objects_that_make_no_sense_are_refused_and_the_connection_lives() {
    let mut w = World::new();
    let j = w.join_as(client("j"), Codec::Json);
    for kind in [
        FrameType::Emit,
        FrameType::Request,
        FrameType::Reply,
        FrameType::Control,
    ] {
        w.send(j, &raw(kind as u8, 0, b"{\"topic\": "));
    }
    let long = "x".repeat(300);
    w.send(
        j,
        &object(FrameType::Emit, 0, &json!({"topic": long, "payload": 1})),
    );
    let got = w.take(j);
    refused(&refusal_of(&got, 0), RefusalKind::Malformed, &[]);
    assert_eq!(w.emit_acked_json(j), 1);
}

impl World {
    fn emit_acked_json(&mut self, id: u64) -> usize {
        let body = json!({"topic": "t", "payload": 1, "ref": 4});
        self.send(id, &object(FrameType::Emit, flags::RETAIN, &body));
        self.take(id)
            .iter()
            .filter(|g| matches!(g, Got::Control(4, HubOp::Done { .. })))
            .count()
    }
}

/// A hub with payloads of at most 1,000 bytes.
fn tight() -> World {
    let limits = Limits {
        payload_bytes: 1_000,
        ..Limits::default()
    };
    World::with(options(limits, Rules::allow_all()))
}

/// What it was told not to fit.
fn misfits(got: &[Got]) -> Vec<&str> {
    got.iter()
        .filter_map(|g| match g {
            Got::Control(0, HubOp::Misfit { reason, .. }) => Some(reason.as_str()),
            _ => None,
        })
        .collect()
}

#[test]
fn json_of_typed_events_has_four_times_a_payload_at_most() {
    let mut w = tight();
    let a = w.join(client("a"));
    let j = w.join_as(client("j"), Codec::Json);
    w.subscribe(j, 1, "t");
    w.announce::<Vec<bool>>(a, 0, "t");
    // `true,` has five bytes, `false,` six, and there are two brackets for one comma that is missing.
    for (trues, falses) in [(795, 4), (794, 5)] {
        let list = [vec![true; trues], vec![false; falses]].concat();
        let payload = postcard::to_stdvec(&list).unwrap();
        assert!(payload.len() <= 1_000);
        w.send(a, &emit_with(0, Payload::Postcard(0), "", None, &payload));
    }
    let got = w.take(j);
    let reason = misfits(&got).concat();
    let words = ["as JSON", "Vec<bool>", "at $: ", "more than 4000 bytes"];
    assert!(words.iter().all(|word| reason.contains(word)), "{reason}");
    let [(_, event)] = &objects(got)[..] else {
        panic!("one of them fits")
    };
    assert_eq!(event["payload"].to_string().len(), 4_000);
}

#[test]
fn no_frame_is_larger_than_the_protocol_promises() {
    /// Few bytes of postcard, many of JSON.
    #[derive(serde::Serialize, serde::Deserialize, Schema)]
    enum Wordy {
        AVariantWhoseNameIsQuiteLongToBeReadByPeopleWhoReadJson,
    }
    let limits = Limits {
        payload_bytes: 64 << 10,
        ..Limits::default()
    };
    let promised = 4 * limits.payload_bytes + (1 << 20);
    let mut w = World::with(options(limits, Rules::allow_all()));
    let a = w.join(client("a"));
    let j = w.join_as(client("j"), Codec::Json);
    w.subscribe(j, 1, "t");
    w.serve(j, 2, "t");
    w.announce::<Vec<Wordy>>(a, 0, "t");
    let word = || Wordy::AVariantWhoseNameIsQuiteLongToBeReadByPeopleWhoReadJson;
    let payload: Vec<Wordy> = std::iter::repeat_with(word).take(60_000).collect();
    let payload = postcard::to_stdvec(&payload).unwrap();
    w.send(a, &emit_with(0, Payload::Postcard(0), "", None, &payload));
    w.send(a, &request(5, Payload::Postcard(0), "t", 0, &payload));
    let written = w.take_raw(j).len();
    assert!(written < promised, "{written} bytes");
    let refusal = refusal_of(&w.take(a), 5);
    refused(&refusal, RefusalKind::Misfit, &["more than 262144 bytes"]);
}

#[test]
fn what_json_becomes_is_no_larger_than_a_payload_may_be() {
    let mut w = tight();
    let (a, b) = (w.join(client("a")), w.join(client("b")));
    w.must(b, subscribe_typed::<Vec<f64>>(1, "t"));
    for n in [124, 125] {
        let json = serde_json::to_vec(&vec![1; n]).unwrap();
        w.send(a, &emit_with(0, Payload::Json, "t", None, &json));
    }
    let got = w.take(b);
    let reason = misfits(&got).concat();
    let words = ["Vec<f64>", "at $[124]", "more than 1000 bytes"];
    assert!(words.iter().all(|word| reason.contains(word)), "{reason}");
    let lengths: Vec<usize> = got
        .iter()
        .filter_map(|g| match g {
            Got::Event(event) => Some(event.payload.len()),
            _ => None,
        })
        .collect();
    assert_eq!(lengths, [124 * 8 + 1]);
}
