//! Types: announced once, told once, never mistaken for each other.

use std::rc::Rc;

use super::support::*;
use crate::{
    Limits, Schema, TypeSchema,
    hub::{HubOptions, Rules},
    wire::{
        control::{ClientOp, HubOp, RefusalKind},
        data::{Payload, READERS_TYPE},
        flags,
    },
};

#[derive(serde::Serialize, serde::Deserialize, Schema)]
struct Order {
    id: u32,
    note: Option<String>,
}

/// What a later version of the program calls an order.
mod later {
    #[derive(serde::Serialize, serde::Deserialize, crate::Schema)]
    pub(super) struct Order {
        pub(super) id: u32,
        pub(super) total: f64,
    }
}

fn order(id: u32) -> Vec<u8> {
    postcard::to_stdvec(&Order { id, note: None }).unwrap()
}

fn misfits(got: &[Got]) -> Vec<(u32, u64, String)> {
    got.iter()
        .filter_map(|g| match g {
            Got::Control(
                0,
                HubOp::Misfit {
                    sub,
                    missed,
                    reason,
                    topic,
                },
            ) => {
                assert_eq!(topic, "orders");
                Some((*sub, *missed, reason.clone()))
            }
            _ => None,
        })
        .collect()
}

#[test]
fn the_same_type_passes_opaquely_and_is_told_once() {
    let mut w = World::new();
    let (a, b) = (w.join(client("a")), w.join(client("b")));
    w.announce::<Order>(a, 7, "orders");
    w.must(b, subscribe_typed::<Order>(1, "orders"));
    for id in 0..3 {
        w.send(a, &emit_with(0, Payload::Postcard(7), "", None, &order(id)));
    }
    // Explicitly on the topic, it is the same.
    w.send(
        a,
        &emit_with(0, Payload::Postcard(7), "orders", None, &order(3)),
    );
    let got = w.take(b);
    let told = |g: &&Got| matches!(g, Got::Control(0, HubOp::TypeIs { index: 7, .. }));
    assert_eq!(got.iter().filter(told).count(), 1);
    let payloads: Vec<_> = got
        .iter()
        .filter_map(|g| match g {
            Got::Event(e) => Some(e.payload.to_vec()),
            _ => None,
        })
        .collect();
    assert_eq!(payloads, (0..4).map(order).collect::<Vec<_>>());
}

#[test]
fn another_type_is_told_in_band_with_both_spelled_out() {
    let mut w = World::new();
    let (a, b) = (w.join(client("a")), w.join(client("b")));
    w.announce::<Order>(a, 0, "orders");
    w.must(b, subscribe_typed::<later::Order>(1, "orders"));
    w.subscribe(b, 2, "orders");
    let run: Vec<u8> = (0..3)
        .flat_map(|id| emit_with(0, Payload::Postcard(0), "", None, &order(id)))
        .collect();
    w.send(a, &emit_with(0, Payload::Postcard(0), "", None, &order(3)));
    w.send(a, &run);
    w.send(a, &run);
    let got = w.take(b);
    let [(1, 7, reason)] = &misfits(&got)[..] else {
        panic!("{got:?}")
    };
    let (theirs, mine) = (TypeSchema::of::<Order>(), TypeSchema::of::<later::Order>());
    assert!(
        reason.contains(&theirs.to_string()) && reason.contains(&mine.to_string()),
        "{reason}"
    );
    let untyped = got
        .iter()
        .filter(|g| matches!(g, Got::Event(e) if e.sub == 2));
    assert_eq!(untyped.count(), 7);
}

#[test]
fn json_becomes_the_readers_type_or_a_misfit_with_the_path() {
    let mut w = World::new();
    let (a, b) = (w.join(client("a")), w.join(client("b")));
    w.must(b, subscribe_typed::<Order>(1, "orders"));
    w.subscribe(b, 2, "orders");
    let json = |text: &str| emit_with(0, Payload::Json, "orders", None, text.as_bytes());
    w.send(a, &json(r#"{"id": 5, "note": null}"#));
    w.send(a, &json(r#"{"id": "five", "note": null}"#));
    w.send(a, &json("{"));
    w.send(a, &emit_with(0, Payload::Bytes, "orders", None, b"?"));
    let got = w.take(b);
    let typed: Vec<_> = got
        .iter()
        .filter_map(|g| match g {
            Got::Event(e) if e.sub == 1 => Some((e.kind, e.payload.to_vec(), e.seq)),
            _ => None,
        })
        .collect();
    assert_eq!(typed, [(Payload::Postcard(READERS_TYPE), order(5), 1)]);
    let misfits = misfits(&got);
    assert!(misfits[0].2.contains("$.id"), "{misfits:?}");
    assert_eq!(misfits.iter().map(|m| m.1).sum::<u64>(), 3);
    assert!(
        misfits.last().unwrap().2.contains("plain bytes"),
        "{misfits:?}"
    );
    let untyped = got
        .iter()
        .filter(|g| matches!(g, Got::Event(e) if e.sub == 2));
    assert_eq!(untyped.count(), 4, "whoever takes all gets all, as it came");
}

fn with_builtin() -> World {
    World::with(HubOptions {
        builtins: vec![(topic("orders"), TypeSchema::of::<Order>())],
        ..options(Limits::default(), Rules::allow_all())
    })
}

#[test]
fn a_builtin_topic_takes_its_own_type_only() {
    let mut w = with_builtin();
    let a = w.join(client("a"));
    let refusal = w.must_not(a, announce::<later::Order>(0, "orders"));
    let (fixed, other) = (TypeSchema::of::<Order>(), TypeSchema::of::<later::Order>());
    let both = [fixed.to_string(), other.to_string()];
    refused(&refusal, RefusalKind::BadType, &[&both[0], &both[1]]);
    // Announced for no topic, it is found out when used.
    w.announce::<later::Order>(a, 1, "");
    let refusal = w
        .emit_acked(a, Payload::Postcard(1), "orders", &order(1))
        .unwrap_err();
    refused(&refusal, RefusalKind::BadType, &[&both[0], &both[1]]);
    let refusal = w.emit_acked(a, Payload::Bytes, "orders", b"x").unwrap_err();
    refused(&refusal, RefusalKind::BadType, &["plain bytes"]);
    let refusal = w
        .emit_acked(a, Payload::Json, "orders", br#"{"id": -1}"#)
        .unwrap_err();
    refused(&refusal, RefusalKind::Misfit, &["orders", "$.id"]);
    w.announce::<Order>(a, 2, "orders");
    assert_eq!(w.emit_acked(a, Payload::Postcard(2), "", &order(1)), Ok(0));
    assert_eq!(
        w.emit_acked(a, Payload::Json, "orders", br#"{"id": 1, "note": "x"}"#),
        Ok(0)
    );
}

#[test]
fn refusals_without_a_reference_are_told_once_per_topic_and_kind() {
    let mut w = with_builtin();
    let a = w.join(client("a"));
    for _ in 0..50 {
        w.send(a, &emit("orders", b"x"));
        w.send(a, &emit("bad topic", b"x"));
        w.send(a, &emit_with(0, Payload::Postcard(9), "t", None, b""));
    }
    let got = w.take(a);
    let kinds: Vec<_> = got
        .iter()
        .filter_map(|g| g.refusal().map(|(r, x)| (r, x.kind)))
        .collect();
    let want = [
        RefusalKind::BadType,
        RefusalKind::BadTopic,
        RefusalKind::BadType,
    ];
    assert_eq!(kinds, want.map(|k| (0, k)));
    assert!(got[0].refusal().unwrap().1.reason.contains("orders"));
}

#[test]
fn replies_are_checked_against_what_the_asker_reads() {
    let mut w = World::new();
    let (asker, responder) = (w.join(client("asker")), w.join(client("responder")));
    w.announce::<Order>(asker, 3, "");
    w.announce::<Order>(responder, 4, "");
    w.announce::<later::Order>(responder, 5, "");
    w.serve(responder, 1, "q");
    let mut ask = |kind: Payload, payload: &[u8]| {
        w.send(asker, &request(1, Payload::Bytes, "q", 3, b""));
        let got = w.take(responder);
        let call = got.iter().find_map(|g| match g {
            Got::Call { call, .. } => Some(*call),
            _ => None,
        });
        w.send(responder, &reply(call.unwrap(), kind, payload));
        w.take(responder);
        w.take(asker).pop().unwrap()
    };
    let got = ask(Payload::Postcard(4), &order(1));
    assert!(
        matches!(
            got,
            Got::Answer {
                kind: Payload::Postcard(4),
                ..
            }
        ),
        "{got:?}"
    );
    let got = ask(Payload::Json, br#"{"id": 9, "note": null}"#);
    let is_it = matches!(&got, Got::Answer { kind: Payload::Postcard(READERS_TYPE), payload, .. } if *payload == order(9));
    assert!(is_it, "{got:?}");
    refused(
        ask(Payload::Postcard(5), b"").refusal().unwrap().1,
        RefusalKind::Misfit,
        &["total"],
    );
    refused(
        ask(Payload::Json, b"[]").refusal().unwrap().1,
        RefusalKind::Misfit,
        &["\"q\""],
    );
    refused(
        ask(Payload::Postcard(77), b"").refusal().unwrap().1,
        RefusalKind::BadType,
        &["77"],
    );
}

#[test]
fn hostile_schemas_are_refused() {
    let mut w = World::new();
    let a = w.join(client("a"));
    for schema in [vec![], vec![0xff; 100], vec![0x12; 20_000]] {
        let op = ClientOp::Announce {
            index: 0,
            topic: "t".into(),
            schema,
        };
        refused(&w.must_not(a, op), RefusalKind::BadType, &["schema"]);
    }
    w.announce::<u32>(a, 0, "t");
    refused(
        &w.must_not(a, announce::<u32>(0, "u")),
        RefusalKind::Malformed,
        &["taken"],
    );
}

#[test]
fn a_type_is_held_once_and_goes_with_its_last_user() {
    let mut w = World::new();
    let ids: Vec<u64> = (0..10).map(|n| w.join(client(&n.to_string()))).collect();
    w.announce::<Order>(ids[0], 0, "orders");
    let one = w.core.tally.total();
    for id in &ids[1..] {
        w.announce::<Order>(*id, 0, "orders");
    }
    let each = (w.core.tally.total() - one) / 9;
    assert!(
        each < TypeSchema::of::<Order>().encoded().len() * 2 + 128,
        "{each}"
    );
    let first = Rc::downgrade(&w.core.conns[&ids[0]].types[&0].shared);
    w.send(
        ids[0],
        &emit_with(flags::RETAIN, Payload::Postcard(0), "", None, &order(1)),
    );
    for id in ids {
        w.leave(id);
    }
    assert!(first.upgrade().is_some(), "the retained value needs it");
    let b = w.join(client("b"));
    w.ask(b, 1, subscribe_typed::<Order>(1, "orders"));
    assert_eq!(w.events(b).len(), 1);
    drop(w);
    assert!(first.upgrade().is_none());
}

#[test]
fn types_leave_room_for_events() {
    type Large = (Order, later::Order, Order, later::Order);
    let limits = Limits {
        // A quarter of it is a little less than one such type takes.
        memory_bytes: TypeSchema::of::<Large>().encoded().len() * 5 * 4 - 4,
        ..Limits::default()
    };
    let mut w = World::with(HubOptions {
        limits,
        ..options(Limits::default(), Rules::allow_all())
    });
    let (a, b) = (w.join(client("a")), w.join(client("b")));
    w.announce::<Large>(a, 0, "orders");
    refused(
        &w.must_not(b, announce::<later::Order>(0, "later")),
        RefusalKind::Limit,
        &["types"],
    );
    w.subscribe(b, 1, "t");
    w.send(a, &emit("t", b"!"));
    assert_eq!(w.events(b).len(), 1);
    w.leave(a);
    w.announce::<later::Order>(b, 1, "later");
}
