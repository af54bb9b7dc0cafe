//! Who gets what, in which order, from whom.

use super::support::*;
use crate::{
    Generation, Origin, Slot, WorkerId,
    hub::Principal,
    wire::{
        control::{ClientOp, HubOp, RefusalKind},
        data::Payload,
        flags,
    },
};

#[test]
fn an_event_comes_once_per_matching_subscription_the_emitters_own_included() {
    let mut w = World::new();
    let (a, b) = (w.join(client("a")), w.join(client("b")));
    w.subscribe(a, 1, "orders.created");
    w.subscribe(a, 2, "*");
    w.subscribe(b, 1, "orders.*");
    w.subscribe(b, 2, "other");
    w.send(a, &emit("orders.created", b"x"));
    let subs = |events: Vec<Event>| events.iter().map(|e| (e.sub, e.seq)).collect::<Vec<_>>();
    assert_eq!(subs(w.events(a)), [(1, 1), (2, 1)]);
    assert_eq!(subs(w.events(b)), [(1, 1)]);
}

#[test]
fn frames_of_one_read_travel_as_one_run_of_the_very_bytes() {
    let mut w = World::new();
    let (a, b) = (w.join(client("a")), w.join(client("b")));
    w.subscribe(b, 1, "t.*");
    let mut input = Vec::new();
    for n in 0..100_u8 {
        input.extend(emit(if n % 2 == 0 { "t.even" } else { "t.odd" }, &[n]));
    }
    w.send(a, &input);
    let mut out = crate::hub::core::Output::default();
    w.core.take_output(w.now, b, &mut out);
    let written: Vec<u8> = out.slices().iter().flat_map(|s| s.to_vec()).collect();
    let at = written.windows(input.len()).position(|w| w == input);
    assert_eq!(
        at,
        Some(written.len() - input.len()),
        "one run, verbatim, last"
    );
}

#[test]
fn events_of_different_ways_keep_their_order() {
    let mut w = World::new();
    let (a, b) = (w.join(client("a")), w.join(client("b")));
    w.subscribe(b, 1, "one");
    w.subscribe(b, 2, "two");
    let input: Vec<u8> = ["one", "two", "none", "two", "one"]
        .iter()
        .flat_map(|t| emit(t, b""))
        .collect();
    w.send(a, &input);
    let got: Vec<_> = w.events(b).into_iter().map(|e| (e.topic, e.seq)).collect();
    let want = [("one", 1), ("two", 2), ("two", 4), ("one", 5)];
    assert_eq!(got, want.map(|(t, s)| (t.to_owned(), s)));
}

#[test]
fn a_publisher_that_leaves_is_forgotten_after_its_last_event_however_large_that_is() {
    let mut w = World::new();
    let (a, b) = (w.join(client("a")), w.join(client("b")));
    w.subscribe(b, 1, "t");
    let large = vec![7; 100 << 10];
    w.send(a, &emit("t", &large));
    w.leave(a);
    let got = w.take(b);
    let [
        Got::Control(_, HubOp::OriginIs { .. }),
        Got::Event(event),
        Got::Control(_, HubOp::Forget { conn }),
    ] = &got[..]
    else {
        panic!("{got:?}")
    };
    assert_eq!((&event.payload[..], *conn), (&large[..], a));
}

#[test]
fn the_origin_is_what_the_hub_knows() {
    let mut w = World::new();
    let worker = Principal::Worker {
        app: "web".into(),
        id: WorkerId(7),
        slot: Slot(0),
        generation: Generation(3),
        pid: 42,
    };
    let listener = w.join(client("listener"));
    w.subscribe(listener, 1, "*");
    // Its HELLO says that it is a client named "tester".
    let a = w.join(worker);
    w.send(a, &emit("t", b""));
    let got = w.take(listener);
    let want = Origin::Worker {
        app: "web".into(),
        id: WorkerId(7),
        slot: Slot(0),
        generation: Generation(3),
        pid: 42,
    };
    let is_it =
        |g: &Got| matches!(g, Got::Control(0, HubOp::OriginIs { origin, .. }) if *origin == want);
    assert!(got.iter().any(is_it), "{got:?}");
}

#[test]
fn a_publisher_is_forgotten_after_its_last_event() {
    let mut w = World::new();
    let (a, b, c) = (
        w.join(client("a")),
        w.join(client("b")),
        w.join(client("c")),
    );
    w.subscribe(b, 1, "*");
    w.send(a, &emit("t", b"1"));
    assert_eq!(w.events(b).len(), 1);
    w.send(a, &emit("t", b"2"));
    w.send(c, &emit("t", b"3"));
    w.leave(a);
    w.leave(c);
    let got = w.take(b);
    let place = |want: &dyn Fn(&Got) -> bool| got.iter().position(want).expect("it is there");
    let event =
        |text: &'static [u8]| move |g: &Got| matches!(g, Got::Event(e) if e.payload == text);
    let forget = |id: u64| move |g: &Got| matches!(g, Got::Control(0, HubOp::Forget { conn }) if *conn == id);
    assert!(place(&event(b"2")) < place(&forget(a)));
    assert!(
        place(&event(b"3")) < place(&forget(c)),
        "introduced, though gone"
    );
    assert!(w.reader(b).known.is_empty());
}

#[test]
fn a_subscription_is_acknowledged_then_gets_retained_values_then_news() {
    let mut w = World::new();
    let (a, b) = (w.join(client("a")), w.join(client("b")));
    for text in [b"old", b"new"] {
        w.send(
            a,
            &emit_with(flags::RETAIN, Payload::Bytes, "state.x", None, text),
        );
    }
    w.send(
        a,
        &emit_with(flags::RETAIN, Payload::Bytes, "state.y", None, b"y"),
    );
    w.ask(b, 5, subscribe(1, "state.>"));
    w.send(a, &emit("state.x", b"live"));
    let got = w.take(b);
    assert_eq!(got[0], Got::Control(5, HubOp::Done { count: 0 }));
    let events: Vec<_> = got
        .iter()
        .filter_map(|g| match g {
            Got::Event(e) => Some((&e.payload[..], e.flags & flags::RETAINED != 0)),
            _ => None,
        })
        .collect();
    assert_eq!(
        events,
        [(&b"new"[..], true), (b"y", true), (b"live", false)]
    );
    // What is retained outlives its publisher.
    w.leave(a);
    let c = w.join(client("c"));
    w.ask(c, 5, subscribe(1, "state.x"));
    let events = w.events(c);
    assert_eq!(events.len(), 1);
    assert_eq!(&events[0].payload[..], b"new");
    assert_eq!(w.reader(c).forgotten, [a].into());
}

#[test]
fn retained_values_are_bounded() {
    let limits = crate::Limits {
        retained_topics: 2,
        retained_bytes: 1000,
        ..crate::Limits::default()
    };
    let mut w = World::with(options(limits, crate::hub::Rules::allow_all()));
    let a = w.join(client("a"));
    let mut keep = |topic: &str, bytes: usize| {
        let ack = flags::RETAIN | flags::ACK;
        w.send(
            a,
            &emit_with(ack, Payload::Bytes, topic, Some(1), &vec![0; bytes]),
        );
        w.take(a).remove(0)
    };
    let done = Got::Control(1, HubOp::Done { count: 0 });
    assert_eq!(keep("a", 100), done);
    assert_eq!(keep("b", 100), done);
    assert_eq!(keep("b", 200), done);
    refused(
        keep("c", 1).refusal().unwrap().1,
        RefusalKind::Limit,
        &["c:", "2 topics"],
    );
    refused(
        keep("b", 900).refusal().unwrap().1,
        RefusalKind::Limit,
        &["b:", "1000"],
    );
    // The master's own values find room all the same.
    let master = w.join(Principal::Master);
    let report = emit_with(flags::RETAIN, Payload::Bytes, "report", None, &[0; 2000]);
    w.send(master, &report);
    w.ask(a, 2, subscribe(1, "report"));
    assert_eq!(w.events(a).len(), 1);
}

#[test]
fn an_acknowledged_event_counts_its_matches() {
    let mut w = World::new();
    let (a, b) = (w.join(client("a")), w.join(client("b")));
    w.subscribe(b, 1, "t");
    w.subscribe(b, 2, "*");
    assert_eq!(w.emit_acked(a, Payload::Bytes, "t", b""), Ok(2));
    assert_eq!(w.emit_acked(a, Payload::Bytes, "u", b""), Ok(1));
    w.must(b, ClientOp::Unsubscribe { sub: 2 });
    assert_eq!(w.emit_acked(a, Payload::Bytes, "u", b""), Ok(0));
}

#[test]
fn unsubscribing_drops_what_waits_and_the_number_can_be_used_again() {
    let mut w = World::new();
    let (a, b) = (w.join(client("a")), w.join(client("b")));
    w.subscribe(b, 1, "t");
    w.send(a, &emit("t", b"1"));
    w.ask(b, 2, ClientOp::Unsubscribe { sub: 1 });
    w.send(a, &emit("t", b"2"));
    assert_eq!(w.events(b), []);
    w.subscribe(b, 1, "t");
    w.send(a, &emit("t", b"3"));
    assert_eq!(w.events(b).len(), 1);
    refused(
        &w.must_not(b, subscribe(1, "u")),
        RefusalKind::Malformed,
        &["1"],
    );
    let gone = ClientOp::Unsubscribe { sub: 9 };
    refused(&w.must_not(b, gone), RefusalKind::Malformed, &["9"]);
}

#[test]
fn drain_is_answered_behind_all_that_waits() {
    let mut w = World::new();
    let (a, b) = (w.join(client("a")), w.join(client("b")));
    w.subscribe(b, 1, "t");
    w.send(a, &emit("t", b"1"));
    w.ask(b, 4, ClientOp::Drain);
    let got = w.take(b);
    assert!(matches!(got[got.len() - 2], Got::Event(_)), "{got:?}");
    assert_eq!(
        got[got.len() - 1],
        Got::Control(4, HubOp::Done { count: 0 })
    );
}

#[test]
fn reserved_topics_need_their_first_token_spelled_out() {
    let mut w = World::new();
    let (a, b) = (w.join(client("a")), w.join(client("b")));
    w.subscribe(b, 1, "*");
    w.subscribe(b, 2, "_log.>");
    w.send(a, &emit("_log.web.0", b"line"));
    let subs: Vec<u32> = w.events(b).iter().map(|e| e.sub).collect();
    assert_eq!(subs, [2]);
}
