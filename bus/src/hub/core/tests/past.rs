//! Headers, times to live, retained values and histories.

use std::time::Duration;

use super::support::*;
use crate::{
    Limits,
    hub::{ControlTopics, HistoryRule, HubOptions, Rules, Topics, core::edge::Emit},
    wire::{
        FrameType,
        control::{HubOp, RefusalKind, SubscribeOptions},
        data::Payload,
        flags,
        headers::Headers,
        hello::Codec,
    },
};

fn emit_of(topic: &'static str, payload: &'static [u8]) -> Emit<'static> {
    Emit {
        kind: Payload::Json,
        topic,
        ack: None,
        ttl_ms: None,
        headers: &[],
        payload,
    }
}

fn with_history(rules: Vec<HistoryRule>, limits: Limits) -> World {
    World::with(HubOptions {
        history: rules,
        ..options(limits, Rules::allow_all())
    })
}

fn last(n: u32) -> SubscribeOptions {
    SubscribeOptions {
        history: n,
        ..SubscribeOptions::default()
    }
}

/// Sequence numbers and flags of the events of a new subscription.
fn past(w: &mut World, pattern: &str, n: u32) -> Vec<(u64, u8)> {
    let c = w.join(client("late"));
    w.ask(c, 1, subscribe_with(1, pattern, last(n)));
    let got = w.events(c).iter().map(|e| (e.seq, e.flags)).collect();
    w.leave(c);
    got
}

#[test]
fn headers_pass_as_they_came_and_in_every_form() {
    let mut w = World::new();
    let (a, plain, typed) = (
        w.join(client("a")),
        w.join(client("p")),
        w.join(client("t")),
    );
    let json = w.join_as(client("j"), Codec::Json);
    w.subscribe(plain, 1, "a");
    w.must(typed, subscribe_typed::<u32>(1, "a"));
    w.subscribe(json, 1, "a");
    let mut headers = Headers::new();
    headers.insert("traceparent", "00-1-2-01").unwrap();
    headers.insert("x", "ü").unwrap();
    let emit = Emit {
        headers: headers.as_bytes(),
        ..emit_of("a", b"7")
    };
    w.send(a, &emit.frame(0));
    for id in [plain, typed] {
        let events = w.events(id);
        assert_eq!(events[0].headers, headers.as_bytes());
        assert_eq!(events.len(), 1);
    }
    let got = w.take(json);
    let [Got::Object(FrameType::Run, 0, object)] = &got[..] else {
        panic!("{got:?}")
    };
    let texts = serde_json::json!({"traceparent": "00-1-2-01", "x": "ü"});
    assert_eq!(object["headers"], texts);
    // And from JSON.
    let body =
        serde_json::json!({"topic": "a", "payload": 7, "headers": texts, "ttl_ms": 5, "ref": 3});
    w.send(
        json,
        &raw(FrameType::Emit as u8, 0, body.to_string().as_bytes()),
    );
    assert_eq!(w.events(typed)[0].headers, headers.as_bytes());
    w.pass(Duration::from_millis(5));
    assert_eq!(w.events(plain), []);
}

#[test]
fn headers_that_can_not_be_are_refused() {
    let mut w = World::new();
    let a = w.join(client("a"));
    w.subscribe(a, 1, "a");
    for block in [
        &b"\x01"[..],
        b"\x01A\x00\x00",
        b"\x01a\x00\x00\x01a\x00\x00",
    ] {
        let emit = Emit {
            ack: Some(4),
            headers: block,
            ..emit_of("a", b"1")
        };
        w.send(a, &emit.frame(0));
        refused(
            &refusal_of(&w.take(a), 4),
            RefusalKind::Malformed,
            &["header"],
        );
    }
    let json = w.join_as(client("j"), Codec::Json);
    let body = serde_json::json!({"topic": "a", "headers": {"No": ""}});
    w.send(
        json,
        &raw(FrameType::Emit as u8, 0, body.to_string().as_bytes()),
    );
    refused(
        &refusal_of(&w.take(json), 0),
        RefusalKind::Malformed,
        &["\"No\""],
    );
    assert_eq!(w.events(a), []);
}

#[test]
fn what_nobody_wants_any_more_is_not_written_and_not_told_as_lost() {
    let mut w = World::new();
    let a = w.join(client("a"));
    let readers = [w.join(client("b")), w.join_as(client("j"), Codec::Json)];
    for id in readers {
        w.subscribe(id, 1, "a");
    }
    let with_ttl = |ttl_ms| {
        Emit {
            ttl_ms,
            ..emit_of("a", b"1")
        }
        .frame(0)
    };
    let mut input = Vec::new();
    for ttl in [None, Some(10), Some(10), Some(20), Some(10)] {
        input.extend(with_ttl(ttl));
    }
    w.send(a, &input);
    w.pass(Duration::from_millis(10));
    let seqs: Vec<u64> = w.events(readers[0]).iter().map(|e| e.seq).collect();
    assert_eq!(seqs, [1, 4]);
    let expired = |w: &World, id| w.core.conn(id).unwrap().outbox.counts(1).unwrap().expired;
    assert_eq!(expired(&w, readers[0]), 3);
    let got = w.take(readers[1]);
    assert!(got.iter().all(|g| matches!(g, Got::Object(..))), "{got:?}");
    assert_eq!((got.len(), expired(&w, readers[1])), (2, 3));
    // At once is never.
    w.send(a, &with_ttl(Some(0)));
    assert_eq!(w.events(readers[0]), []);
}

#[test]
fn retained_values_are_replaced_deleted_and_expire() {
    let mut w = World::new();
    let a = w.join(client("a"));
    let retain = |w: &mut World, emit: Emit<'_>| w.send(a, &emit.frame(flags::RETAIN));
    retain(&mut w, emit_of("a", b"1"));
    retain(&mut w, emit_of("a", b"2"));
    retain(&mut w, emit_of("b", b"3"));
    let short = Emit {
        ttl_ms: Some(10),
        ..emit_of("c", b"4")
    };
    retain(&mut w, short);
    let retained = flags::RETAINED;
    assert_eq!(
        past(&mut w, "*", 0),
        [(2, retained), (3, retained), (4, retained)]
    );
    w.pass(Duration::from_millis(10));
    // An empty JSON text is a value; without bytes there is none.
    let delete = Emit {
        kind: Payload::Bytes,
        ..emit_of("a", b"")
    };
    w.subscribe(a, 9, "a");
    w.take(a);
    retain(&mut w, delete);
    let told = w.events(a);
    assert_eq!(
        (told.len(), told[0].flags),
        (1, 0),
        "it is an event like any other"
    );
    assert_eq!(past(&mut w, "*", 0), [(3, retained)]);
    assert_eq!(past(&mut w, "a", 0), []);
}

#[test]
fn retained_values_count_in_the_hubs_memory_and_keep_no_read_buffer() {
    let mut w = World::new();
    let a = w.join(client("a"));
    let before = w.core.tally.total();
    let value = Emit {
        kind: Payload::Bytes,
        ..emit_of("a", &[7; 1000])
    };
    w.send(a, &value.frame(flags::RETAIN));
    assert!(w.core.tally.total() >= before + 1000);
    let kept = w
        .core
        .retained
        .matching(&crate::Pattern::new("a").unwrap(), w.now);
    assert!(kept[0].frame.is_unique(), "in memory of its own");
    drop(kept);
    let delete = Emit {
        kind: Payload::Bytes,
        ..emit_of("a", b"")
    };
    w.send(a, &delete.frame(flags::RETAIN));
    assert_eq!(w.core.tally.total(), before);
}

#[test]
fn too_many_values_are_refused_with_the_way_out() {
    let limits = Limits {
        retained_topics: 2,
        retained_bytes: 200,
        ..Limits::default()
    };
    let mut w = World::with(options(limits, Rules::allow_all()));
    let a = w.join(client("a"));
    let mut retain = |topic: &str, size: usize, ttl_ms| {
        let payload = vec![1; size];
        let emit = Emit {
            kind: Payload::Bytes,
            topic,
            ack: Some(5),
            ttl_ms,
            headers: &[],
            payload: &payload,
        };
        w.send(a, &emit.frame(flags::RETAIN));
        let got = w.take(a);
        w.pass(Duration::from_millis(10));
        got.iter().find_map(Got::refusal).map(|(_, r)| r.clone())
    };
    assert_eq!(retain("a", 10, None), None);
    assert_eq!(retain("b", 10, None), None);
    let many = retain("c", 10, None).unwrap();
    refused(
        &many,
        RefusalKind::Limit,
        &["c: ", "2 topics", "delete some"],
    );
    let large = retain("b", 300, None).unwrap();
    refused(&large, RefusalKind::Limit, &["b: ", "200", "delete some"]);
    assert_eq!(retain("b", 0, None), None);
    // What expired makes room.
    assert_eq!(retain("d", 10, Some(5)), None);
    assert_eq!(retain("e", 10, None), None);
}

#[test]
fn nothing_is_retained_in_the_control_lane() {
    let rules = Rules {
        control_lane: vec![ControlTopics {
            action: crate::hub::Action::Emit,
            topics: vec![Topics::matching("c")],
        }],
        ..Rules::allow_all()
    };
    let mut w = World::with(options(Limits::default(), rules));
    for principal in [client("a"), crate::hub::Principal::Master] {
        let id = w.join(principal);
        let emit = Emit {
            ack: Some(5),
            ..emit_of("c", b"1")
        };
        w.send(id, &emit.frame(flags::RETAIN));
        refused(
            &refusal_of(&w.take(id), 5),
            RefusalKind::Denied,
            &["control lane"],
        );
    }
}

#[test]
fn a_history_brings_the_last_of_each_topic_in_order() {
    let rules = vec![
        HistoryRule::last("h.short", 2),
        HistoryRule::last("h.*", 10),
    ];
    let mut w = with_history(rules, Limits::default());
    let a = w.join(client("a"));
    for topic in [
        "h.short", "h.long", "h.short", "other", "h.short", "h.long", "h.long",
    ] {
        w.send(a, &emit(topic, b"x"));
    }
    let h = flags::HISTORY;
    assert_eq!(past(&mut w, "*", 0), []);
    assert_eq!(past(&mut w, "h.short", 9), [(3, h), (5, h)]);
    assert_eq!(past(&mut w, "h.*", 2), [(3, h), (5, h), (6, h), (7, h)]);
    assert_eq!(past(&mut w, "*", 1), [(5, h), (7, h)]);
    // What is retained as well is sent once.
    let value = Emit {
        kind: Payload::Bytes,
        ..emit_of("h.long", b"v")
    };
    w.send(a, &value.frame(flags::RETAIN));
    w.send(a, &emit("h.long", b"x"));
    let r = flags::RETAINED;
    assert_eq!(past(&mut w, "h.long", 2), [(8, h | r), (9, h)]);
    assert_eq!(past(&mut w, "h.long", 1), [(8, r), (9, h)]);
}

#[test]
fn a_history_is_followed_by_what_is_new() {
    let mut w = with_history(vec![HistoryRule::last("*", 10)], Limits::default());
    let a = w.join(client("a"));
    w.send(a, &[emit("a", b"1"), emit("a", b"2")].concat());
    let json = w.join_as(client("j"), Codec::Json);
    w.ask(json, 1, subscribe_with(1, "a", last(1)));
    w.send(a, &emit("a", b"3"));
    let got: Vec<(u8, u64)> = w
        .take(json)
        .iter()
        .filter_map(|g| match g {
            Got::Object(_, flags, object) => Some((*flags, object["seq"].as_u64().unwrap())),
            _ => None,
        })
        .collect();
    assert_eq!(got, [(flags::HISTORY, 2), (0, 3)]);
}

#[test]
fn histories_are_bounded_in_age_bytes_and_all_together() {
    let rule = HistoryRule {
        bytes: 100,
        max_age: Some(Duration::from_secs(1)),
        ..HistoryRule::last("*", 10)
    };
    let limits = Limits {
        history_bytes: 3 * (crate::limits::KEPT_BYTES + 60),
        ..Limits::default()
    };
    let mut w = with_history(vec![rule], limits);
    let a = w.join(client("a"));
    let before = w.core.tally.total();
    // Each takes 50 bytes with its header.
    let event = |topic: &str| emit(topic, &[1; 41]);
    w.send(a, &[event("a"), event("a"), event("a")].concat());
    let h = flags::HISTORY;
    assert_eq!(past(&mut w, "a", 9), [(2, h), (3, h)]);
    // Too large for the topic's ring: not kept.
    w.send(a, &emit("a", &[1; 101]));
    assert_eq!(past(&mut w, "a", 9), [(2, h), (3, h)]);
    w.pass(Duration::from_millis(600));
    w.send(a, &[event("b"), event("c")].concat());
    // Four of all are one too many: the oldest goes, whosever it is.
    assert_eq!(past(&mut w, "*", 9), [(3, h), (5, h), (6, h)]);
    assert!(w.core.tally.total() - before <= 3 * (crate::limits::KEPT_BYTES + 60));
    w.pass(Duration::from_millis(600));
    assert_eq!(past(&mut w, "*", 9), [(5, h), (6, h)]);
    // A time to live is over in a history, too.
    let short = Emit {
        ttl_ms: Some(10),
        ..emit_of("d", b"1")
    };
    w.send(a, &short.frame(0));
    assert_eq!(past(&mut w, "d", 9).len(), 1);
    w.pass(Duration::from_millis(10));
    assert_eq!(past(&mut w, "d", 9), []);
}

#[test]
fn a_subscription_with_a_small_queue_is_told_what_of_a_history_it_missed() {
    let mut w = with_history(vec![HistoryRule::last("*", 10)], Limits::default());
    let (a, b) = (w.join(client("a")), w.join(client("b")));
    for _ in 0..5 {
        w.send(a, &emit("a", b"x"));
    }
    let options = SubscribeOptions {
        max_messages: Some(2),
        ..last(5)
    };
    w.ask(b, 1, subscribe_with(1, "a", options));
    let got = w.take(b);
    assert!(
        got.contains(&Got::Control(0, HubOp::Lagged { sub: 1, missed: 3 })),
        "{got:?}"
    );
}
