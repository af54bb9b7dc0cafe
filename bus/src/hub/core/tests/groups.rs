//! Queue groups: to whom an event goes, and what becomes of it when its member ends.

use super::support::*;
use crate::{
    TypeSchema,
    wire::{
        control::{ClientOp, CloseKind, OverflowPolicy, SubscribeOptions},
        data::Payload,
        flags,
        frame::FrameType,
        hello::Codec,
    },
};

fn member(window: Option<u32>) -> SubscribeOptions {
    SubscribeOptions {
        group: Some("g".into()),
        window,
        ..SubscribeOptions::default()
    }
}

fn bytes(w: &mut World, id: u64) -> Vec<(u8, bool)> {
    let events = w.events(id).into_iter();
    events
        .map(|e| (e.payload[0], e.flags & flags::REDELIVERED != 0))
        .collect()
}

fn run(events: std::ops::Range<u8>) -> Vec<u8> {
    events.flat_map(|n| emit("t", &[n])).collect()
}

#[test]
fn the_least_busy_member_gets_the_next_event_and_equals_take_turns() {
    let mut w = World::new();
    let a = w.join(client("a"));
    let members: Vec<u64> = (0..3).map(|n| w.join(client(&n.to_string()))).collect();
    for id in &members {
        w.must(*id, subscribe_with(1, "t", member(None)));
    }
    for n in 0..6 {
        w.send(a, &run(n..n + 1));
    }
    let firsts: Vec<_> = members.iter().map(|id| bytes(&mut w, *id)).collect();
    assert_eq!(firsts[0], [(0, false), (3, false)]);
    assert_eq!(firsts[2], [(2, false), (5, false)]);
    // Two have worked theirs off: they get all of the next four, as one run each.
    for id in &members[1..] {
        w.ask(*id, 0, ClientOp::Took { sub: 1, count: 2 });
    }
    w.send(a, &run(6..10));
    let counts: Vec<usize> = members.iter().map(|id| bytes(&mut w, *id).len()).collect();
    assert_eq!(counts, [0, 2, 2]);
}

#[test]
fn who_has_no_room_is_passed_over() {
    let mut w = World::new();
    let (a, small, large) = (
        w.join(client("a")),
        w.join(client("small")),
        w.join(client("large")),
    );
    let tight = SubscribeOptions {
        max_messages: Some(2),
        ..member(Some(1))
    };
    w.must(small, subscribe_with(1, "t", tight));
    w.must(large, subscribe_with(1, "t", member(None)));
    w.send(a, &run(0..20));
    assert_eq!(bytes(&mut w, small).len(), 1);
    assert_eq!(bytes(&mut w, large).len(), 18, "nothing was lost");
}

#[test]
fn what_a_member_leaves_comes_to_another_before_what_is_newer_and_marked_if_it_was_sent() {
    let mut w = World::new();
    let (a, b, c) = (
        w.join(client("a")),
        w.join(client("b")),
        w.join(client("c")),
    );
    w.must(b, subscribe_with(1, "t", member(Some(3))));
    w.send(a, &run(0..5));
    assert_eq!(bytes(&mut w, b).len(), 3, "the window");
    w.ask(b, 0, ClientOp::Took { sub: 1, count: 1 });
    w.must(c, subscribe_with(7, "t", member(Some(2))));
    w.send(a, &run(5..7));
    // Both have waited for c: now what is older comes first.
    w.leave(a);
    w.ask(b, 1, ClientOp::Unsubscribe { sub: 1 });
    let mut got = Vec::new();
    while got.len() < 6 {
        let more = bytes(&mut w, c);
        assert!(!more.is_empty() && more.len() <= 2, "{got:?} {more:?}");
        let count = more.len() as u64;
        got.extend(more);
        w.ask(c, 0, ClientOp::Took { sub: 7, count });
    }
    let want = [
        (1, true),
        (2, true),
        (3, false),
        (4, false),
        (5, false),
        (6, false),
    ];
    assert_eq!(got, want);
    assert_eq!(w.core.conns[&c].outbox.counts(7).unwrap().redelivered, 2);
}

#[test]
fn who_is_dismissed_leaves_to_others_at_once() {
    let mut w = World::new();
    let (a, b, c) = (
        w.join(client("a")),
        w.join(client("b")),
        w.join(client("c")),
    );
    w.must(b, subscribe_with(1, "t", member(Some(1))));
    w.send(a, &run(0..2));
    assert_eq!(bytes(&mut w, b), [(0, false)], "one sent, one waits");
    w.must(c, subscribe_with(1, "t", member(None)));
    let reason = "the token it came with is good no longer";
    w.core
        .dismiss(w.now, b, CloseKind::Denied, reason.to_owned());
    // It may take its time to read that, and be connected meanwhile.
    assert_eq!(bytes(&mut w, c), [(0, true), (1, false)]);
    assert_eq!(w.closing(b), Some((CloseKind::Denied, reason.to_owned())));
}

#[test]
fn what_the_last_member_leaves_is_dropped_and_a_new_one_begins_with_what_is_new() {
    let mut w = World::new();
    let (a, b, c) = (
        w.join(client("a")),
        w.join(client("b")),
        w.join(client("c")),
    );
    w.must(b, subscribe_with(1, "t", member(None)));
    w.send(
        a,
        &emit_with(flags::RETAIN, Payload::Bytes, "t", None, b"r"),
    );
    w.send(a, &run(0..3));
    w.leave(b);
    assert_eq!(w.core.ungrouped, 4);
    w.must(c, subscribe_with(1, "t", member(None)));
    assert_eq!(bytes(&mut w, c), [], "not even what is retained");
    w.leave(a);
    w.leave(c);
    let kept = w
        .core
        .retained
        .matching(&crate::Pattern::new("t").unwrap(), w.now);
    assert_eq!(kept.len(), 1);
}

#[test]
fn members_may_read_differently_and_still_stand_in_for_each_other() {
    let mut w = World::new();
    let (a, json, typed) = (
        w.join(client("a")),
        w.join_as(client("json"), Codec::Json),
        w.join(client("typed")),
    );
    w.announce::<u32>(a, 0, "t");
    w.must(json, subscribe_with(1, "t", member(None)));
    w.send(a, &emit_with(0, Payload::Postcard(0), "", None, &[42]));
    let got = w.take(json);
    assert!(matches!(&got[..], [Got::Object(FrameType::Run, 0, o)] if o["payload"] == 42));
    w.must(
        typed,
        ClientOp::Subscribe {
            sub: 1,
            pattern: "t".into(),
            reader: Some(TypeSchema::of::<u32>().encoded().to_vec()),
            options: member(None),
        },
    );
    w.leave(json);
    let events = w.events(typed);
    assert_eq!(events.len(), 1);
    assert_eq!(&events[0].payload[..], [42]);
    assert_eq!(events[0].flags, flags::REDELIVERED);
    // And the other way round: what was converted from JSON is converted anew.
    w.send(a, &emit_with(0, Payload::Json, "t", None, b"7"));
    assert_eq!(&w.events(typed)[0].payload[..], [7]);
    let json = w.join_as(client("json"), Codec::Json);
    w.must(json, subscribe_with(1, "t", member(None)));
    w.leave(typed);
    let got = w.take(json).into_iter();
    let payloads: Vec<u64> = got
        .filter_map(|g| match g {
            Got::Object(FrameType::Run, flags::REDELIVERED, o) => o["payload"].as_u64(),
            _ => None,
        })
        .collect();
    assert_eq!(payloads, [42, 7]);
    w.leave(json);
    w.leave(a);
    assert_eq!(w.core.tally.total(), 0);
}

#[test]
fn an_event_goes_to_who_can_read_it() {
    let mut w = World::new();
    let (a, other, able) = (
        w.join(client("a")),
        w.join(client("other")),
        w.join(client("able")),
    );
    w.announce::<u32>(a, 0, "t");
    let reader = |schema: TypeSchema| ClientOp::Subscribe {
        sub: 1,
        pattern: "t".into(),
        reader: Some(schema.encoded().to_vec()),
        options: member(None),
    };
    w.must(other, reader(TypeSchema::of::<String>()));
    w.must(able, reader(TypeSchema::of::<u32>()));
    for n in 0..4 {
        w.send(a, &emit_with(0, Payload::Postcard(0), "", None, &[n]));
    }
    assert_eq!(w.events(able).len(), 4);
    assert_eq!(w.take(other), []);
}

#[test]
fn a_member_that_is_cut_off_leaves_its_own_to_others() {
    let mut w = World::new();
    let (a, b, c) = (
        w.join(client("a")),
        w.join(client("b")),
        w.join(client("c")),
    );
    let strict = SubscribeOptions {
        policy: OverflowPolicy::Disconnect,
        max_messages: Some(2),
        ..member(Some(1))
    };
    w.must(b, subscribe_with(1, "t", strict));
    w.send(a, &run(0..3));
    w.must(c, subscribe_with(1, "t", member(None)));
    w.pass(std::time::Duration::from_secs(2));
    assert!(w.core.is_closing(b));
    assert_eq!(bytes(&mut w, c), [(0, false), (1, false), (2, false)]);
}

#[test]
fn what_is_kept_is_bounded_in_bytes() {
    let mut w = World::new();
    let (a, b) = (w.join(client("a")), w.join(client("b")));
    let options = SubscribeOptions {
        max_bytes: Some(3_000),
        ..member(None)
    };
    w.must(b, subscribe_with(1, "t", options));
    for _ in 0..5 {
        w.send(a, &emit("t", &[7; 1_000]));
        w.take(b);
    }
    let sent = w.core.conns[&b].outbox.counts(1).unwrap().delivered;
    assert_eq!(sent, 3);
    w.ask(b, 0, ClientOp::Took { sub: 1, count: 2 });
    assert_eq!(w.events(b).len(), 2);
}
