//! Requests: one responder each, one answer each, whatever happens.

use std::time::Duration;

use super::support::*;
use crate::{
    Limits,
    hub::Rules,
    wire::{
        control::{ClientOp, RefusalKind},
        data::{Payload, READERS_TYPE},
        headers::Headers,
    },
};

fn calls(got: &[Got]) -> Vec<(u64, u32)> {
    got.iter()
        .filter_map(|g| match g {
            Got::Call { call, sub, .. } => Some((*call, *sub)),
            _ => None,
        })
        .collect()
}

fn ask(r#ref: u64, topic: &str) -> Vec<u8> {
    request(r#ref, Payload::Bytes, topic, READERS_TYPE, b"?")
}

#[test]
fn a_request_goes_to_one_responder_and_its_reply_to_the_asker() {
    let mut w = World::new();
    let (asker, responder) = (w.join(client("asker")), w.join(client("responder")));
    w.serve(responder, 4, "price.*");
    w.subscribe(responder, 5, "price.*");
    w.send(asker, &ask(7, "price.of"));
    let got = w.take(responder);
    let [(call, 4)] = calls(&got)[..] else {
        panic!("{got:?}")
    };
    assert!(!got.iter().any(|g| matches!(g, Got::Event(_))), "no event");
    w.send(responder, &reply(call, Payload::Bytes, b"3"));
    let got = w.take(asker);
    let want = Got::Answer {
        r#ref: 7,
        conn: responder,
        headers: Headers::new(),
        kind: Payload::Bytes,
        payload: bytes::Bytes::from_static(b"3"),
    };
    assert!(got.contains(&want), "{got:?}");
    w.send(asker, &emit("price.of", b""));
    assert_eq!(w.events(responder).len(), 1, "an event is no request");
    w.pass(Duration::from_secs(10));
    assert_eq!(w.take(asker), [], "answered once");
}

#[test]
fn the_least_busy_responder_is_asked_in_turns() {
    let mut w = World::new();
    let asker = w.join(client("asker"));
    let responders: Vec<u64> = (0..3).map(|n| w.join(client(&n.to_string()))).collect();
    for r in &responders {
        w.serve(*r, 1, "q");
    }
    for n in 0..6 {
        w.send(asker, &ask(n, "q"));
    }
    let mut got: Vec<Vec<(u64, u32)>> = Vec::new();
    for r in &responders {
        got.push(calls(&w.take(*r)));
    }
    assert!(got.iter().all(|c| c.len() == 2), "{got:?}");
    // The one that answers is the least busy now.
    w.send(responders[1], &reply(got[1][0].0, Payload::Bytes, b""));
    w.send(asker, &ask(10, "q"));
    assert_eq!(calls(&w.take(responders[1])).len(), 1);
}

#[test]
fn every_way_of_getting_no_answer_is_told() {
    let mut w = World::new();
    let (asker, responder) = (w.join(client("asker")), w.join(client("responder")));
    w.send(asker, &ask(1, "nobody"));
    refused(
        &refusal_of(&w.take(asker), 1),
        RefusalKind::NoResponders,
        &["nobody"],
    );

    w.serve(responder, 1, "q");
    w.send(asker, &ask(2, "q"));
    let late = calls(&w.take(responder))[0].0;
    w.pass(Duration::from_millis(999));
    assert_eq!(w.take(asker), []);
    w.pass(Duration::from_millis(2));
    refused(
        &refusal_of(&w.take(asker), 2),
        RefusalKind::TimedOut,
        &["\"q\""],
    );
    w.send(responder, &reply(late, Payload::Bytes, b""));
    assert_eq!(w.take(asker), [], "too late");
    refused(
        &refusal_of(&w.take(responder), 0),
        RefusalKind::TimedOut,
        &["no reply"],
    );

    w.send(asker, &ask(3, "q"));
    let call = calls(&w.take(responder))[0].0;
    let reason = "too busy".into();
    w.must(responder, ClientOp::Decline { call, reason });
    refused(
        &refusal_of(&w.take(asker), 3),
        RefusalKind::Declined,
        &["too busy"],
    );

    w.send(asker, &ask(4, "q"));
    w.must(responder, ClientOp::Unsubscribe { sub: 1 });
    refused(
        &refusal_of(&w.take(asker), 4),
        RefusalKind::Declined,
        &["\"q\""],
    );

    w.serve(responder, 2, "q");
    w.send(asker, &ask(5, "q"));
    w.leave(responder);
    refused(
        &refusal_of(&w.take(asker), 5),
        RefusalKind::Declined,
        &["gone"],
    );
    assert!(
        w.core.next_deadline().is_none(),
        "nothing is left to wait for"
    );
}

#[test]
fn nobody_answers_for_another() {
    let mut w = World::new();
    let (asker, responder, thief) = (
        w.join(client("asker")),
        w.join(client("responder")),
        w.join(client("thief")),
    );
    w.serve(responder, 1, "q");
    w.send(asker, &ask(1, "q"));
    let call = calls(&w.take(responder))[0].0;
    w.send(thief, &reply(call, Payload::Bytes, b"stolen"));
    let reason = String::new();
    refused(
        &w.must_not(thief, ClientOp::Decline { call, reason }),
        RefusalKind::TimedOut,
        &[],
    );
    assert_eq!(w.take(asker), []);
    w.send(responder, &reply(call, Payload::Bytes, b"true"));
    assert!(matches!(
        &w.take(asker)[..],
        [.., Got::Answer { r#ref: 1, .. }]
    ));
}

#[test]
fn requests_that_wait_are_bounded_per_asker_and_per_responder() {
    let limits = Limits {
        requests: 3,
        queue_messages: 2,
        ..Limits::default()
    };
    let mut w = World::with(options(limits, Rules::allow_all()));
    let (asker, other, responder) = (
        w.join(client("asker")),
        w.join(client("other")),
        w.join(client("responder")),
    );
    w.serve(responder, 1, "q");
    for n in 1..=3 {
        w.send(asker, &ask(n, "q"));
    }
    refused(
        &refusal_of(&w.take(asker), 3),
        RefusalKind::Limit,
        &["\"q\"", "not read"],
    );
    let first = calls(&w.take(responder))[0].0;
    w.send(asker, &ask(4, "q"));
    w.send(asker, &ask(5, "q"));
    refused(
        &refusal_of(&w.take(asker), 5),
        RefusalKind::Limit,
        &["3 requests"],
    );
    w.send(other, &ask(1, "q"));
    assert_eq!(w.take(other), [], "another asker has bounds of its own");
    w.send(responder, &reply(first, Payload::Bytes, b""));
    w.take(responder);
    w.send(asker, &ask(6, "q"));
    let got = w.take(asker);
    assert!(got.iter().all(|g| g.refusal().is_none()), "{got:?}");
}

#[test]
fn a_call_is_not_lost_to_make_room() {
    let limits = Limits {
        memory_bytes: 100_000,
        ..Limits::default()
    };
    let mut w = World::with(options(limits, Rules::allow_all()));
    let (asker, responder) = (w.join(client("asker")), w.join(client("responder")));
    w.serve(responder, 1, "q");
    w.subscribe(responder, 2, "t");
    w.send(asker, &ask(1, "q"));
    for _ in 0..50 {
        w.send(asker, &emit("t", &[0; 5000]));
    }
    assert_eq!(calls(&w.take(responder)).len(), 1);
}
