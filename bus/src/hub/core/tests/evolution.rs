//! Two versions of a type on one topic: each reader gets its own, whoever wrote it.

use std::rc::Rc;

use serde_json::json;

use super::support::*;
use crate::{
    Limits, Schema, SchemaTrait, TypeSchema,
    hub::{HubOptions, Rules},
    wire::{
        FrameType,
        control::{ClientOp, HubOp, RefusalKind, SubscribeOptions},
        data::{Payload, READERS_TYPE},
        flags,
        hello::Codec,
    },
};

/// An order, in the first generation of a program.
#[derive(serde::Serialize, serde::Deserialize, Schema)]
struct Order {
    id: u32,
    clerk: String,
    state: State,
}

#[derive(serde::Serialize, serde::Deserialize, Schema)]
enum State {
    Open,
    Paid(u32),
}

/// And in the second.
mod later {
    #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize, crate::Schema)]
    pub(super) struct Order {
        pub(super) total: Option<f64>,
        pub(super) state: State,
        pub(super) clerk: String,
        pub(super) id: u64,
    }

    #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize, crate::Schema)]
    pub(super) enum State {
        Returned,
        Open,
        Paid(u32),
    }
}

fn old(id: u32, state: State) -> Vec<u8> {
    let clerk = "Ada".into();
    postcard::to_stdvec(&Order { id, clerk, state }).unwrap()
}

fn new(id: u64, state: later::State) -> Vec<u8> {
    let (total, clerk) = (None, "Ada".into());
    postcard::to_stdvec(&later::Order {
        total,
        state,
        clerk,
        id,
    })
    .unwrap()
}

fn typed(index: u32, payload: &[u8]) -> Vec<u8> {
    emit_with(0, Payload::Postcard(index), "orders", None, payload)
}

fn serve_typed<T: SchemaTrait + 'static>(sub: u32) -> ClientOp {
    ClientOp::Subscribe {
        sub,
        pattern: "orders".into(),
        reader: Some(TypeSchema::of::<T>().encoded().to_vec()),
        options: SubscribeOptions {
            serve: true,
            ..SubscribeOptions::default()
        },
    }
}

fn events(got: &[Got]) -> Vec<(u64, Payload, Vec<u8>)> {
    got.iter()
        .filter_map(|g| match g {
            Got::Event(e) => Some((e.seq, e.kind, e.payload.to_vec())),
            _ => None,
        })
        .collect()
}

fn misfits(got: &[Got]) -> Vec<(u64, &str)> {
    got.iter()
        .filter_map(|g| match g {
            Got::Control(_, HubOp::Misfit { missed, reason, .. }) => Some((*missed, &**reason)),
            _ => None,
        })
        .collect()
}

#[test]
fn each_reader_gets_its_own_version_in_one_order() {
    let mut w = World::new();
    let (a, b) = (w.join(client("a")), w.join(client("b")));
    let (c, d) = (w.join(client("c")), w.join(client("d")));
    w.announce::<Order>(a, 0, "");
    w.announce::<later::Order>(b, 0, "");
    w.must(c, subscribe_typed::<later::Order>(1, "orders"));
    w.must(d, subscribe_typed::<Order>(1, "orders"));
    let run = [
        typed(0, &old(1, State::Open)),
        typed(0, &old(2, State::Paid(7))),
    ]
    .concat();
    w.send(a, &run);
    // What the first generation can't hold is a misfit of that one event.
    w.send(b, &typed(0, &new(3, later::State::Returned)));
    w.send(a, &typed(0, &old(4, State::Open)));
    let readers = Payload::Postcard(READERS_TYPE);
    let got = w.take(c);
    let want = [
        (1, readers, new(1, later::State::Open)),
        (2, readers, new(2, later::State::Paid(7))),
        (3, Payload::Postcard(0), new(3, later::State::Returned)),
        (4, readers, new(4, later::State::Open)),
    ];
    assert_eq!(events(&got), want);
    assert_eq!(misfits(&got), []);
    let got = w.take(d);
    assert_eq!(
        events(&got).iter().map(|e| e.0).collect::<Vec<_>>(),
        [1, 2, 4]
    );
    let [(1, reason)] = misfits(&got)[..] else {
        panic!("{got:?}")
    };
    let types = [TypeSchema::of::<later::Order>(), TypeSchema::of::<Order>()];
    assert!(
        types.iter().all(|ty| reason.contains(&ty.to_string())),
        "{reason}"
    );
    assert!(reason.contains("at $.id"), "narrower: {reason}");
}

#[test]
fn a_variant_the_reader_does_not_know_is_a_misfit_of_one_event() {
    let mut w = World::new();
    let (a, b) = (w.join(client("a")), w.join(client("b")));
    w.announce::<later::State>(a, 0, "");
    w.must(b, subscribe_typed::<State>(1, "orders"));
    for state in [
        later::State::Open,
        later::State::Returned,
        later::State::Paid(9),
    ] {
        w.send(a, &typed(0, &postcard::to_stdvec(&state).unwrap()));
    }
    let got = w.take(b);
    let payloads: Vec<_> = events(&got).into_iter().map(|e| (e.0, e.2)).collect();
    assert_eq!(payloads, [(1, vec![0]), (3, vec![1, 9])]);
    let [(1, reason)] = misfits(&got)[..] else {
        panic!("{got:?}")
    };
    assert!(
        reason.contains("at $: the reader doesn't know the variant `Returned`"),
        "{reason}"
    );
    // In its place, not before or after.
    let at = got
        .iter()
        .position(|g| matches!(g, Got::Control(_, HubOp::Misfit { .. })));
    assert!(
        matches!(&got[at.unwrap() + 1], Got::Event(e) if e.seq == 3),
        "{got:?}"
    );
}

#[test]
fn bytes_that_are_not_of_their_type_never_reach_a_reader_of_another() {
    let mut w = World::new();
    let (a, b) = (w.join(client("a")), w.join(client("b")));
    w.announce::<Order>(a, 0, "");
    w.must(b, subscribe_typed::<later::Order>(1, "orders"));
    for payload in [
        &b""[..],
        &[0xff; 40],
        &[old(1, State::Open), vec![0]].concat(),
    ] {
        w.send(a, &typed(0, payload));
        let got = w.take(b);
        assert!(events(&got).is_empty(), "{got:?}");
        assert_eq!(misfits(&got).len(), 1, "{got:?}");
    }
}

#[test]
fn a_retained_value_is_resolved_for_who_comes_later() {
    let mut w = World::new();
    let (a, b) = (w.join(client("a")), w.join(client("b")));
    w.announce::<Order>(a, 0, "");
    let kept = emit_with(
        flags::RETAIN,
        Payload::Postcard(0),
        "orders",
        None,
        &old(1, State::Open),
    );
    w.send(a, &kept);
    w.leave(a);
    w.ask(b, 1, subscribe_typed::<later::Order>(1, "orders"));
    let got = w.events(b);
    assert_eq!(got[0].payload, new(1, later::State::Open));
    assert_eq!(got[0].flags & flags::RETAINED, flags::RETAINED);
}

#[test]
fn a_json_peer_with_a_reader_sees_that_type() {
    let mut w = World::new();
    let a = w.join(client("a"));
    let j = w.join_as(client("j"), Codec::Json);
    w.announce::<Order>(a, 0, "");
    w.must(j, subscribe_typed::<later::Order>(1, "orders"));
    w.must(j, subscribe_typed::<Order>(2, "orders"));
    w.send(a, &typed(0, &old(1, State::Paid(2))));
    let mut seen: Vec<_> = w
        .take(j)
        .into_iter()
        .filter_map(|g| match g {
            Got::Object(FrameType::Run, _, event) => {
                Some((event["sub"].as_u64(), event["payload"].clone()))
            }
            _ => None,
        })
        .collect();
    seen.sort_by_key(|(sub, _)| *sub);
    let want = [
        (
            Some(1),
            json!({"total": null, "state": {"Paid": 2}, "clerk": "Ada", "id": 1}),
        ),
        (
            Some(2),
            json!({"id": 1, "clerk": "Ada", "state": {"Paid": 2}}),
        ),
    ];
    assert_eq!(seen, want);
}

#[test]
fn requests_and_answers_are_resolved_both_ways() {
    let mut w = World::new();
    let (asker, server) = (w.join(client("asker")), w.join(client("server")));
    w.announce::<Order>(asker, 3, "");
    w.announce::<later::Order>(asker, 4, "");
    w.announce::<Order>(server, 5, "");
    w.must(server, serve_typed::<later::Order>(1));
    w.send(
        asker,
        &request(1, Payload::Postcard(3), "orders", 4, &old(7, State::Open)),
    );
    let got = w.take(server);
    let [
        Got::Call {
            call,
            kind,
            payload,
            ..
        },
    ] = &got[got.len() - 1..]
    else {
        panic!("{got:?}")
    };
    assert_eq!(
        (*kind, payload.to_vec()),
        (Payload::Postcard(READERS_TYPE), new(7, later::State::Open))
    );
    w.send(
        server,
        &reply(*call, Payload::Postcard(5), &old(8, State::Paid(1))),
    );
    let got = w.take(asker).pop();
    let want = new(8, later::State::Paid(1));
    assert!(
        matches!(&got, Some(Got::Answer { r#ref: 1, payload, .. }) if *payload == want),
        "{got:?}"
    );
}

#[test]
fn a_request_goes_to_a_server_that_can_read_it() {
    let mut w = World::new();
    let asker = w.join(client("asker"));
    let (first, second) = (w.join(client("first")), w.join(client("second")));
    w.announce::<later::State>(asker, 0, "");
    w.must(first, serve_typed::<State>(1));
    let returned = postcard::to_stdvec(&later::State::Returned).unwrap();
    let ask = |n| request(n, Payload::Postcard(0), "orders", READERS_TYPE, &returned);
    w.send(asker, &ask(1));
    let refusal = refusal_of(&w.take(asker), 1);
    refused(&refusal, RefusalKind::Misfit, &["orders", "`Returned`"]);
    w.must(second, serve_typed::<later::State>(1));
    for n in 2..5 {
        w.send(asker, &ask(n));
    }
    let calls = |got: Vec<Got>| got.iter().filter(|g| matches!(g, Got::Call { .. })).count();
    assert_eq!((calls(w.take(first)), calls(w.take(second))), (0, 3));
}

#[test]
fn a_plan_is_held_once_and_goes_with_the_writers_type() {
    let mut w = World::new();
    let (a, b) = (w.join(client("a")), w.join(client("b")));
    w.announce::<Order>(a, 0, "");
    for sub in 0..20 {
        w.must(b, subscribe_typed::<later::Order>(sub, "orders"));
    }
    let types = w.core.tally.total();
    w.send(a, &typed(0, &old(1, State::Open)));
    w.take(b);
    let plan = w.core.tally.total() - types;
    assert!((100..20_000).contains(&plan), "{plan}");
    // On another topic and for more readers, the plan is the same.
    w.must(b, subscribe_typed::<later::Order>(30, "others"));
    let before = w.core.tally.total();
    w.send(
        a,
        &emit_with(
            0,
            Payload::Postcard(0),
            "others",
            None,
            &old(1, State::Open),
        ),
    );
    w.take(b);
    assert_eq!(w.core.tally.total(), before);
    let shared = Rc::downgrade(&w.core.conns[&a].types[&0].shared);
    w.leave(a);
    assert!(shared.upgrade().is_none());
    w.leave(b);
    assert_eq!(w.core.tally.total(), 0);
}

#[test]
fn plans_keep_to_the_memory_of_types() {
    let types = [TypeSchema::of::<Order>(), TypeSchema::of::<later::Order>()];
    let encoded: usize = types.iter().map(|ty| ty.encoded().len()).sum();
    let limits = Limits {
        // A quarter of it is what the two types take, and nothing for what lies between them.
        memory_bytes: encoded * 5 * 4,
        ..Limits::default()
    };
    let mut w = World::with(HubOptions {
        limits,
        ..options(Limits::default(), Rules::allow_all())
    });
    let (a, b) = (w.join(client("a")), w.join(client("b")));
    w.announce::<Order>(a, 0, "");
    w.must(b, subscribe_typed::<later::Order>(1, "orders"));
    w.send(a, &typed(0, &old(1, State::Open)));
    let got = w.take(b);
    let [(1, reason)] = misfits(&got)[..] else {
        panic!("{got:?}")
    };
    assert!(reason.contains("memory for types"), "{reason}");
}

#[test]
fn what_is_resolved_is_no_larger_than_a_payload_may_be() {
    let limits = Limits {
        payload_bytes: 100,
        ..Limits::default()
    };
    let mut w = World::with(options(limits, Rules::allow_all()));
    let (a, b) = (w.join(client("a")), w.join(client("b")));
    w.announce::<Vec<f32>>(a, 0, "");
    w.must(b, subscribe_typed::<Vec<f64>>(1, "orders"));
    for n in [12, 13] {
        let payload = postcard::to_stdvec(&vec![0.5_f32; n]).unwrap();
        w.send(a, &typed(0, &payload));
    }
    let got = w.take(b);
    assert_eq!(events(&got).len(), 1);
    let [(1, reason)] = misfits(&got)[..] else {
        panic!("{got:?}")
    };
    assert!(reason.contains("more than 100 bytes"), "{reason}");
}
