//! What happens when a queue is full, policy by policy.

use std::time::Duration;

use super::support::*;
use crate::{
    Limits,
    hub::{Action, ControlTopics, Principal, Rules, Topics},
    wire::{
        control::{ClientOp, CloseKind, HubOp, OverflowPolicy, RefusalKind, SubscribeOptions},
        data::Payload,
        flags,
        hello::Codec,
    },
};

fn options_of(policy: OverflowPolicy, messages: u32) -> SubscribeOptions {
    SubscribeOptions {
        policy,
        max_messages: Some(messages),
        ..SubscribeOptions::default()
    }
}

fn with(policy: OverflowPolicy, messages: u32) -> ClientOp {
    subscribe_with(1, "t.>", options_of(policy, messages))
}

/// What a peer got: the last byte of an event, or how many were lost there.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    Event(u8),
    Lost(u64),
}

fn told(got: &[Got]) -> Vec<Told> {
    got.iter()
        .filter_map(|g| match g {
            Got::Event(e) => e.payload.last().map(|n| Told::Event(*n)),
            Got::Control(0, HubOp::Lagged { missed, .. }) => Some(Told::Lost(*missed)),
            _ => None,
        })
        .collect()
}

fn holds(got: Vec<Got>) -> Vec<(bool, String)> {
    got.into_iter()
        .filter_map(|g| match g {
            Got::Control(0, HubOp::Hold { topic }) => Some((true, topic)),
            Got::Control(0, HubOp::Release { topic }) => Some((false, topic)),
            _ => None,
        })
        .collect()
}

fn held(topic: &str) -> (bool, String) {
    (true, topic.into())
}

fn released(topic: &str) -> (bool, String) {
    (false, topic.into())
}

fn several(topic: &str, events: std::ops::Range<u8>) -> Vec<u8> {
    events.flat_map(|n| emit(topic, &[n])).collect()
}

const BACKPRESSURE: OverflowPolicy = OverflowPolicy::Backpressure { max_wait_ms: 500 };

#[test]
fn the_newest_are_dropped_and_the_loss_is_told_behind_what_was_kept() {
    let mut w = World::new();
    let (a, b) = (w.join(client("a")), w.join(client("b")));
    w.must(b, with(OverflowPolicy::DropNewest, 3));
    w.send(a, &several("t.x", 0..5));
    w.send(a, &several("t.x", 5..6));
    let want = [0, 1, 2].map(Told::Event).into_iter();
    let want: Vec<Told> = want.chain([Told::Lost(3)]).collect();
    assert_eq!(told(&w.take(b)), want);
    w.send(a, &several("t.x", 6..7));
    assert_eq!(told(&w.take(b)), [Told::Event(6)]);
}

#[test]
fn of_one_read_whatever_fits_is_kept_by_its_own_size() {
    let mut w = World::new();
    let (a, b) = (w.join(client("a")), w.join(client("b")));
    let options = SubscribeOptions {
        policy: OverflowPolicy::DropNewest,
        max_bytes: Some(100),
        ..SubscribeOptions::default()
    };
    w.must(b, subscribe_with(1, "t.>", options));
    let mut input = several("t.x", 0..1);
    input.extend(emit("t.x", &[1; 200]));
    input.extend(several("t.x", 2..3));
    w.send(a, &input);
    let want = [Told::Event(0), Told::Lost(1), Told::Event(2)];
    assert_eq!(told(&w.take(b)), want);
}

#[test]
fn of_each_topic_the_last_is_kept_and_what_it_replaces_is_not_told() {
    let mut w = World::new();
    let (a, b) = (w.join(client("a")), w.join(client("b")));
    w.must(b, with(OverflowPolicy::KeepLatest, 2));
    w.send(a, &several("t.x", 0..4));
    w.send(a, &several("t.y", 4..6));
    w.send(a, &several("t.x", 6..7));
    let counts = *w.core.conns[&b].outbox.counts(1).unwrap();
    assert_eq!((counts.conflated, counts.lagged), (5, 0));
    assert_eq!(
        told(&w.take(b)),
        [Told::Event(5), Told::Event(6)],
        "in order"
    );
    // More topics than there is room for.
    for (n, topic) in ["t.x", "t.y", "t.z", "t.y"].into_iter().enumerate() {
        w.send(a, &several(topic, n as u8..n as u8 + 1));
    }
    let want = [Told::Lost(1), Told::Event(2), Told::Event(3)];
    assert_eq!(told(&w.take(b)), want);
}

#[test]
fn publishers_wait_while_a_queue_is_more_than_half_full_and_lose_nothing() {
    let mut w = World::new();
    let (a, c, b) = (
        w.join(client("a")),
        w.join_as(client("c"), Codec::Postcard),
        w.join(client("b")),
    );
    w.must(b, with(BACKPRESSURE, 100));
    w.send(a, &several("t.x", 0..50));
    assert_eq!(holds(w.take(a)), [], "half full");
    w.send(a, &several("t.x", 50..51));
    w.send(a, &several("t.x", 51..52));
    assert_eq!(holds(w.take(a)), [held("t.x")], "told once");
    w.send(c, &several("t.y", 52..53));
    assert_eq!(holds(w.take(c)), [held("t.y")], "each for what it emits");
    w.pass(Duration::from_millis(300));
    assert_eq!(told(&w.take(b)).len(), 53, "nothing was lost");
    assert_eq!(holds(w.take(a)), [released("t.x")]);
    assert_eq!(holds(w.take(c)), [released("t.y")]);
    let counts = w.core.conns[&b].outbox.counts(1).unwrap();
    assert_eq!(counts.held_us, 300_000);
    assert_eq!(w.core.next_deadline(), None);
}

#[test]
fn a_full_queue_gives_up_until_it_is_nearly_empty() {
    let mut w = World::new();
    let (a, b) = (w.join(client("a")), w.join(client("b")));
    let options = SubscribeOptions {
        window: Some(1),
        ..options_of(BACKPRESSURE, 8)
    };
    w.must(b, subscribe_with(1, "t.>", options));
    w.send(a, &several("t.x", 0..5));
    w.send(a, &several("t.x", 5..12));
    assert_eq!(holds(w.take(a)), [], "held and released before it was told");
    let mut got = told(&w.take(b));
    assert_eq!(got, [Told::Lost(4), Told::Event(4)], "the window is one");
    w.send(a, &several("t.x", 12..13));
    assert_eq!(holds(w.take(a)), [], "it has given up");
    while got.len() < 10 {
        w.ask(b, 0, ClientOp::Took { sub: 1, count: 1 });
        got.extend(told(&w.take(b)));
    }
    assert_eq!(got.last(), Some(&Told::Event(12)));
    w.send(a, &several("t.x", 13..20));
    assert_eq!(holds(w.take(a)), [held("t.x")], "and begins anew");
}

#[test]
fn publishers_wait_no_longer_than_they_may() {
    let mut w = World::new();
    let (a, b) = (w.join(client("a")), w.join(client("b")));
    w.must(b, with(BACKPRESSURE, 10));
    w.send(a, &several("t.x", 0..6));
    w.pass(Duration::from_millis(499));
    assert_eq!(holds(w.take(a)), [held("t.x")]);
    w.pass(Duration::from_millis(1));
    assert_eq!(holds(w.take(a)), [released("t.x")]);
    w.send(a, &several("t.x", 6..20));
    assert_eq!(holds(w.take(a)), []);
    assert_eq!(told(&w.take(b))[0], Told::Lost(10));
    // A topic that two ask for is released by the second.
    let c = w.join(client("c"));
    w.must(c, with(BACKPRESSURE, 10));
    w.send(a, &several("t.x", 0..6));
    w.take(b);
    assert_eq!(holds(w.take(a)), [held("t.x")]);
    w.leave(c);
    assert_eq!(holds(w.take(a)), [released("t.x")], "with its connection");
}

#[test]
fn the_control_lane_and_the_master_are_never_held() {
    let rules = Rules {
        control_lane: vec![ControlTopics {
            action: Action::Emit,
            topics: vec![Topics::matching("t.urgent")],
        }],
        ..Rules::allow_all()
    };
    let mut w = World::with(options(Limits::default(), rules));
    let (a, b) = (w.join(client("a")), w.join(client("b")));
    let master = w.join(Principal::Master);
    let options = SubscribeOptions {
        window: Some(1),
        ..options_of(BACKPRESSURE, 4)
    };
    w.must(b, subscribe_with(1, "t.>", options));
    w.send(a, &several("t.x", 0..4));
    w.send(master, &several("t.x", 4..5));
    assert_eq!(holds(w.take(a)), []);
    w.send(a, &several("t.urgent", 100..103));
    assert_eq!(holds(w.take(a)), [], "what is urgent is not held");
    assert_eq!(holds(w.take(master)), [], "the master waits for nobody");
    let got = told(&w.take(b));
    let urgent = [100, 101, 102].map(Told::Event);
    assert_eq!(got[..3], urgent, "past the window, and before all else");
    assert_eq!(got[3..], [Told::Lost(1), Told::Event(1)]);
}

#[test]
fn who_asked_for_it_is_cut_off_after_a_while_over_its_bounds_and_told_why() {
    let mut w = World::new();
    let (a, b) = (w.join(client("a")), w.join(client("b")));
    w.must(b, with(OverflowPolicy::Disconnect, 10));
    w.send(a, &several("t.x", 0..15));
    w.pass(Duration::from_millis(1_500));
    assert_eq!(told(&w.take(b)).len(), 15, "a pause costs nothing");
    w.send(a, &several("t.x", 0..15));
    w.pass(Duration::from_millis(1_500));
    assert!(!w.core.is_closing(b), "not without a break");
    w.pass(Duration::from_millis(500));
    let (kind, reason) = w.closing(b).expect("two seconds without a break");
    assert_eq!(kind, CloseKind::Limit);
    for word in ["subscription 1", "\"t.>\"", "10 events", "15 events", "2s"] {
        assert!(reason.contains(word), "{word} in {reason}");
    }
}

#[test]
fn at_twice_its_bounds_it_is_cut_off_at_once() {
    let mut w = World::new();
    let (a, b, other) = (
        w.join(client("a")),
        w.join(client("b")),
        w.join(client("other")),
    );
    w.must(b, with(OverflowPolicy::Disconnect, 10));
    w.subscribe(other, 1, "t.>");
    w.send(a, &several("t.x", 0..25));
    let (kind, reason) = w.closing(b).expect("at once");
    assert_eq!(kind, CloseKind::Limit);
    assert!(reason.contains("twice"), "{reason}");
    assert_eq!(told(&w.take(other)).len(), 25, "nobody else notices");
}

#[test]
fn terms_that_contradict_each_other_are_refused() {
    let mut w = World::new();
    let a = w.join(client("a"));
    let group = |policy| SubscribeOptions {
        policy,
        group: Some("g".into()),
        ..SubscribeOptions::default()
    };
    let serving = SubscribeOptions {
        serve: true,
        ..group(OverflowPolicy::DropOldest)
    };
    let nameless = SubscribeOptions {
        group: Some(String::new()),
        ..SubscribeOptions::default()
    };
    for (options, word) in [
        (group(OverflowPolicy::KeepLatest), "KeepLatest"),
        (serving, "group"),
        (nameless, "name"),
    ] {
        let refusal = w.must_not(a, subscribe_with(1, "t", options));
        refused(&refusal, RefusalKind::Malformed, &[word]);
    }
    w.subscribe(a, 1, "t");
}

#[test]
fn a_loss_in_the_control_lane_is_told() {
    let rules = Rules {
        control_lane: vec![ControlTopics {
            action: Action::Emit,
            topics: vec![Topics::matching("t.>")],
        }],
        ..Rules::allow_all()
    };
    let limits = Limits {
        control_frames: 4,
        ..Limits::default()
    };
    let mut w = World::with(options(limits, rules));
    let master = w.join(Principal::Master);
    w.subscribe(master, 1, "t.>");
    for n in 0..6 {
        w.send(master, &several("t.x", n..n + 1));
    }
    let got = told(&w.take(master));
    assert_eq!(got[0], Told::Lost(2));
    assert_eq!(got.len(), 5);
}

#[test]
fn an_acknowledgement_counts_a_group_once() {
    let mut w = World::new();
    let (a, b) = (w.join(client("a")), w.join(client("b")));
    let group = SubscribeOptions {
        group: Some("g".into()),
        ..SubscribeOptions::default()
    };
    w.must(b, subscribe_with(1, "t", group.clone()));
    w.must(b, subscribe_with(2, "t", group));
    w.subscribe(b, 3, "t");
    assert_eq!(w.emit_acked(a, Payload::Bytes, "t", b""), Ok(2));
    let plain = w
        .events(b)
        .into_iter()
        .filter(|e| e.flags & flags::REDELIVERED == 0);
    assert_eq!(plain.count(), 2);
}
