//! HELLO and what can go wrong with it, and frames over their limits.

use std::time::Duration;

use serde_json::json;

use super::support::*;
use crate::{
    Limits,
    hub::{Admission, HubNotice, Role, Rules, core::Door},
    limits::DATA_OVERHEAD,
    wire::{
        FrameType,
        control::{CloseKind, HubOp, RefusalKind},
        data::Payload,
        flags,
        hello::Codec,
    },
};

fn by_path(most: Role) -> Door {
    Door::Path(Admission { most })
}

fn turned_away(body: &serde_json::Value, most: Role) -> (CloseKind, String) {
    let mut w = World::new();
    let id = w.connect(by_path(most));
    w.send(id, &hello_with(body));
    let closing = w.closing(id).expect("it is turned away");
    assert!(w.core.is_closing(id));
    let notices = w.notices();
    assert!(
        matches!(&notices[..], [HubNotice::TurnedAway { .. }]),
        "{notices:?}"
    );
    closing
}

fn body(changes: serde_json::Value) -> serde_json::Value {
    let mut body = json!({
        "magic": "ostler", "proto": [1, 1], "codecs": ["postcard"], "kind": "client", "name": "x"
    });
    for (key, value) in changes.as_object().unwrap() {
        body[key] = value.clone();
    }
    body
}

#[test]
fn every_disagreement_has_its_reason() {
    for (changes, word) in [
        (json!({"magic": "http"}), "magic"),
        (json!({"proto": [2, 9]}), "versions 1 to 1"),
        (json!({"proto": [0, 0]}), "versions 1 to 1"),
        (json!({"codecs": ["cbor"]}), "cbor"),
        (json!({"codecs": []}), "postcard"),
        (json!({"name": "x".repeat(65)}), "65 bytes"),
        (json!({"kind": "king"}), "king"),
        (json!({"proto": "one"}), "HELLO"),
    ] {
        let (kind, reason) = turned_away(&body(changes), Role::Operator);
        assert_eq!(kind, CloseKind::Hello);
        assert!(reason.contains(word), "{word:?} in {reason:?}");
    }
}

#[test]
fn nobody_becomes_more_than_the_door_allows() {
    let (kind, reason) = turned_away(&body(json!({"kind": "operator"})), Role::Client);
    assert_eq!(kind, CloseKind::Denied);
    assert!(reason.contains("operator"), "{reason}");
    let (kind, reason) = turned_away(&body(json!({"kind": "worker"})), Role::Operator);
    assert_eq!(kind, CloseKind::Denied);
    assert!(reason.contains("OSTLER_BUS_FD"), "{reason}");
    let (kind, _) = turned_away(&body(json!({})), Role::Observer);
    assert_eq!(kind, CloseKind::Denied);
}

#[test]
fn what_is_unknown_in_hello_is_passed_over() {
    let mut w = World::new();
    let id = w.connect(by_path(Role::Operator));
    let changes = json!({"codecs": ["cbor", "json", "postcard"], "proto": [0, 7], "kind": "operator", "shoe": 43});
    w.send(id, &hello_with(&body(changes)));
    let got = w.take(id);
    let [Got::Welcome(welcome)] = &got[..] else {
        panic!("{got:?}")
    };
    assert_eq!(
        (welcome.codec, welcome.proto, welcome.conn),
        (Codec::Json, 1, id)
    );
    assert_eq!(welcome.limits.payload, 1 << 20);
    let notices = w.notices();
    let HubNotice::Connected { principal, .. } = &notices[0] else {
        panic!("{notices:?}")
    };
    assert_eq!(principal.role(), Role::Operator);
}

#[test]
fn frames_sent_with_hello_are_not_lost() {
    let mut w = World::new();
    let id = w.connect(by_path(Role::Operator));
    let mut bytes = hello(Codec::Postcard);
    bytes.extend(control(Codec::Postcard, 5, subscribe(1, "*")));
    bytes.extend(emit("t", b""));
    w.send(id, &bytes);
    assert_eq!(w.events(id).len(), 1);
}

#[test]
fn a_peer_that_is_closed_before_it_read_anything_still_gets_its_welcome() {
    let mut w = World::new();
    let id = w.connect(by_path(Role::Operator));
    let mut bytes = hello(Codec::Postcard);
    bytes.extend([0xff; 6]);
    w.send(id, &bytes);
    let got = w.take(id);
    assert!(
        matches!(
            &got[..],
            [Got::Welcome(_), Got::Control(0, HubOp::Closing { .. })]
        ),
        "{got:?}"
    );
}

#[test]
fn hello_must_come_first_and_in_time() {
    let mut w = World::new();
    let id = w.connect(by_path(Role::Operator));
    w.send(id, &emit("t", b""));
    assert_eq!(w.closing(id).unwrap().0, CloseKind::Hello);

    let (late, punctual) = (
        w.connect(by_path(Role::Operator)),
        w.join(client("punctual")),
    );
    w.pass(Duration::from_secs(9));
    assert_eq!(w.take(late), []);
    w.pass(Duration::from_secs(2));
    let (kind, reason) = w.closing(late).unwrap();
    assert_eq!(kind, CloseKind::Hello);
    assert!(reason.contains("10s"), "{reason}");
    assert!(!w.core.is_closing(punctual));
    assert_eq!(w.core.next_deadline(), None);
    // Whoever inherited its socket may load for as long as it likes.
    let loading = w.connect(Door::Known(client("loading")));
    w.pass(Duration::from_secs(600));
    w.send(loading, &hello(Codec::Postcard));
    assert!(matches!(w.take(loading)[..], [Got::Welcome(_)]));

    w.send(punctual, &hello(Codec::Postcard));
    refused(
        &refusal_of(&w.take(punctual), 0),
        RefusalKind::Malformed,
        &["HELLO"],
    );
}

/// The header of a frame so long, and nothing of its body.
fn header(length: u32, kind: FrameType) -> Vec<u8> {
    let mut header = length.to_be_bytes().to_vec();
    header.extend([kind as u8, 0]);
    header
}

#[test]
fn a_frame_over_its_phases_limit_is_found_out_by_its_header() {
    let limits = Limits::default();
    let data = (limits.payload_bytes + DATA_OVERHEAD) as u32;
    for (joined, kind, most, close) in [
        (
            false,
            FrameType::Hello,
            limits.hello_bytes as u32,
            CloseKind::Hello,
        ),
        (
            true,
            FrameType::Control,
            limits.control_bytes as u32,
            CloseKind::Framing,
        ),
        (true, FrameType::Emit, data, CloseKind::Framing),
    ] {
        for excess in [0, 1, u32::MAX - most] {
            let mut w = World::new();
            let id = match joined {
                true => w.join(client("a")),
                false => w.connect(by_path(Role::Operator)),
            };
            let length = most + excess;
            w.send_some(id, &header(length, kind));
            assert_eq!(w.core.is_closing(id), excess > 0, "{kind:?} {length}");
            if excess > 0 {
                let (kind, reason) = w.closing(id).unwrap();
                assert_eq!(kind, close);
                assert!(reason.contains(&length.to_string()), "{reason}");
            }
        }
    }
    let mut w = World::new();
    let id = w.join(client("a"));
    w.send_some(id, &[0, 0, 0, 1, 3]);
    assert_eq!(w.closing(id).unwrap().0, CloseKind::Framing);
}

#[test]
fn a_payload_over_its_limit_is_refused_by_itself() {
    let limits = Limits {
        payload_bytes: 1000,
        ..Limits::default()
    };
    let mut w = World::with(options(limits, Rules::allow_all()));
    let id = w.join(client("a"));
    assert_eq!(w.emit_acked(id, Payload::Bytes, "t", &[0; 1000]), Ok(0));
    let refusal = w
        .emit_acked(id, Payload::Bytes, "t", &[0; 1001])
        .unwrap_err();
    refused(&refusal, RefusalKind::Limit, &["1001", "1000"]);
}

#[test]
fn unknown_frames_are_skipped_if_they_may_be_and_else_refused() {
    let mut w = World::new();
    let id = w.join(client("a"));
    w.send(id, &raw(0x7f, flags::IGNORABLE, b"whatever"));
    assert_eq!(w.take(id), []);
    w.send(id, &raw(0x7f, 0, b"whatever"));
    refused(
        &refusal_of(&w.take(id), 0),
        RefusalKind::Malformed,
        &["127"],
    );
    assert_eq!(w.emit_acked(id, Payload::Bytes, "t", b""), Ok(0));
}
