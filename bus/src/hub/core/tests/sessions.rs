//! Clients that lose their connection and come back.

use std::time::Duration;

use super::support::*;
use crate::{
    Generation, Limits, Slot, WorkerId,
    hub::{
        Admission, HistoryRule, HubOptions, Principal, Rules,
        core::{Door, Whose},
    },
    wire::{
        control::{ClientOp, CloseKind, HubOp, OverflowPolicy, Resume, SubscribeOptions},
        flags,
        hello::Codec,
    },
};

const ME: u128 = 0xabc;

fn resume(sub: u32, pattern: &str, from: u32, since: u64, taken: u64) -> ClientOp {
    let options = SubscribeOptions {
        resume: Some(Resume {
            sub: from,
            since,
            taken,
        }),
        ..SubscribeOptions::default()
    };
    subscribe_with(sub, pattern, options)
}

/// What is resumed: the number missed, and the events that come with it.
fn resumed(w: &mut World, id: u64, op: ClientOp) -> (Option<u64>, Vec<(u64, u8)>) {
    w.ask(id, 7, op);
    let got = w.take(id);
    assert_eq!(got[0], Got::Control(7, HubOp::Done { count: 0 }), "{got:?}");
    let Got::Control(0, HubOp::Resumed { missed, .. }) = got[1] else {
        panic!("{got:?}")
    };
    let events = got.iter().filter_map(|g| match g {
        Got::Event(event) => Some((event.seq, event.flags)),
        _ => None,
    });
    (missed, events.collect())
}

fn world() -> World {
    World::with(HubOptions {
        history: vec![HistoryRule::last("h", 3)],
        ..options(Limits::default(), Rules::allow_all())
    })
}

#[test]
fn whoever_comes_back_learns_exactly_what_it_missed() {
    let mut w = world();
    let a = w.join(client("a"));
    let c = w.join_instance(ME, Codec::Postcard);
    w.subscribe(c, 1, "*");
    w.send(a, &emit("h", b"1"));
    assert_eq!(w.events(c).len(), 1);
    // Written but not read, waiting, and while nobody is there.
    w.send(a, &emit("h", b"2"));
    w.take_raw(c);
    w.send(a, &emit("n", b"3"));
    w.leave(c);
    w.pass(Duration::from_secs(59));
    w.send(
        a,
        &[
            emit("h", b"4"),
            emit("n", b"5"),
            emit("h", b"6"),
            emit("h", b"7"),
        ]
        .concat(),
    );
    let c = w.join_instance(ME, Codec::Postcard);
    let h = flags::HISTORY;
    let (missed, events) = resumed(&mut w, c, resume(5, "*", 1, 1, 1));
    assert_eq!((missed, events), (Some(3), vec![(4, h), (6, h), (7, h)]));
    w.send(a, &emit("n", b"8"));
    assert_eq!(w.events(c)[0].seq, 8);
    // Only once: the old one is taken over.
    let again = resumed(&mut w, c, resume(6, "n", 1, 1, 1));
    assert_eq!(again, (None, vec![]));
}

#[test]
fn nobody_is_told_twice_of_what_was_told_as_lost() {
    let mut w = world();
    let a = w.join(client("a"));
    let c = w.join_instance(ME, Codec::Postcard);
    let options = SubscribeOptions {
        max_messages: Some(1),
        ..SubscribeOptions::default()
    };
    w.must(c, subscribe_with(1, "h", options));
    for _ in 0..3 {
        w.send(a, &emit("h", b"x"));
    }
    // Told that two are lost; the third, which follows, doesn't arrive.
    let bytes = w.take_raw(c);
    let lagged = w.read(c, &bytes[..bytes.len() - 1]);
    assert!(
        lagged.contains(&Got::Control(0, HubOp::Lagged { sub: 1, missed: 2 })),
        "{lagged:?}"
    );
    w.leave(c);
    let c = w.join_instance(ME, Codec::Postcard);
    let (missed, events) = resumed(&mut w, c, resume(1, "h", 1, 0, 2));
    assert_eq!((missed, events), (Some(0), vec![(3, flags::HISTORY)]));
}

#[test]
fn sessions_end_in_time_and_then_the_hub_can_not_know() {
    let mut w = world();
    let a = w.join(client("a"));
    let c = w.join_instance(ME, Codec::Postcard);
    w.subscribe(c, 1, "*");
    let base = w.core.tally.total();
    w.leave(c);
    w.pass(Duration::from_secs(60));
    assert!(w.core.tally.total() < base);
    assert_eq!(
        w.emit_acked(a, crate::wire::data::Payload::Bytes, "h", b""),
        Ok(0)
    );
    let c = w.join_instance(ME, Codec::Postcard);
    let (missed, events) = resumed(&mut w, c, resume(1, "*", 1, 0, 0));
    assert_eq!((missed, events), (None, vec![(1, flags::HISTORY)]));
    // From here on it is known again, and what came with it counts.
    w.leave(c);
    w.send(a, &emit("n", b""));
    let c = w.join_instance(ME, Codec::Postcard);
    let (missed, events) = resumed(&mut w, c, resume(1, "*", 1, 1, 1));
    assert_eq!((missed, events), (Some(1), vec![]));
}

#[test]
fn who_leaves_a_hub_that_had_nothing_to_do_is_waited_for_as_long_as_anybody() {
    let mut w = world();
    let c = w.join_instance(ME, Codec::Postcard);
    w.subscribe(c, 1, "*");
    // Nothing is due, so nobody tells the core how late it is.
    assert_eq!(w.core.next_deadline(), None);
    w.now += Duration::from_secs(600);
    w.leave(c);
    w.pass(Duration::from_secs(59));
    let c = w.join_instance(ME, Codec::Postcard);
    let (missed, events) = resumed(&mut w, c, resume(1, "*", 1, 0, 0));
    assert_eq!((missed, events), (Some(0), vec![]));
}

#[test]
fn what_is_not_resumed_is_forgotten_in_time() {
    let mut w = world();
    let a = w.join(client("a"));
    let c = w.join_instance(ME, Codec::Postcard);
    w.subscribe(c, 1, "*");
    w.leave(c);
    let c = w.join_instance(ME, Codec::Postcard);
    w.pass(Duration::from_secs(60));
    w.send(a, &emit("n", b""));
    assert_eq!(resumed(&mut w, c, resume(1, "*", 1, 0, 0)), (None, vec![]));
    // Another pattern or reader is not the same subscription.
    w.leave(c);
    let c = w.join_instance(ME, Codec::Postcard);
    assert_eq!(resumed(&mut w, c, resume(1, "n", 1, 1, 0)).0, None);
    assert_eq!(resumed(&mut w, c, resume(2, "*", 1, 1, 0)).0, Some(0));
}

#[test]
fn the_same_client_has_one_connection() {
    let mut w = world();
    let a = w.join(client("a"));
    let old = w.join_instance(ME, Codec::Postcard);
    w.subscribe(old, 1, "*");
    w.send(a, &emit("n", b"1"));
    let new = w.join_instance(ME, Codec::Postcard);
    assert_eq!(
        w.closing(old).map(|(kind, _)| kind),
        Some(CloseKind::Replaced)
    );
    assert!(w.core.is_closing(old));
    w.send(a, &emit("n", b"2"));
    assert_eq!(resumed(&mut w, new, resume(1, "*", 1, 0, 0)).0, Some(2));
    w.leave(old);
    w.send(a, &emit("n", b"3"));
    assert_eq!(w.events(new).len(), 1);
}

#[test]
fn nobody_takes_over_the_session_of_another() {
    let mut w = world();
    let by_path = |w: &mut World, uid: u32, kind: &str| {
        let id = w.connect(Door::Path(Admission::default()));
        w.core.vouch(id, Whose::Uid(uid));
        let hello = serde_json::json!({
            "magic": "ostler", "proto": [1, 1], "codecs": ["postcard"], "kind": kind,
            "instance": format!("{ME:032x}")
        });
        w.send(id, &hello_with(&hello));
        w.speaks(id, Codec::Postcard);
        assert!(matches!(w.take(id)[..], [Got::Welcome(_)]));
        id
    };
    let mine = by_path(&mut w, 1000, "client");
    w.subscribe(mine, 1, "*");
    for (uid, kind) in [(0, "client"), (1000, "operator"), (1000, "observer")] {
        let other = by_path(&mut w, uid, kind);
        assert!(!w.core.is_closing(mine), "{uid} {kind}");
        assert_eq!(resumed(&mut w, other, resume(1, "*", 1, 0, 0)).0, None);
        w.leave(other);
    }
    // A token's name and a uid are never the same, nor are two names.
    for (instance, name, missed) in [(1, "a", None), (1, "a", Some(0)), (1, "b", None)] {
        let other = w.connect(Door::Path(Admission::default()));
        w.core.vouch(other, Whose::Token(name.into()));
        w.send(other, &hello_instance(Codec::Postcard, instance));
        w.speaks(other, Codec::Postcard);
        assert!(matches!(w.take(other)[..], [Got::Welcome(_)]));
        assert_eq!(resumed(&mut w, other, resume(1, "*", 1, 0, 0)).0, missed);
        w.leave(other);
    }
    let worker = |id| Principal::Worker {
        app: "web".into(),
        id: WorkerId(id),
        slot: Slot(0),
        generation: Generation(1),
        pid: 1,
    };
    for id in [1, 2] {
        let other = w.connect(Door::Known(worker(id)));
        w.send(other, &hello_instance(Codec::Postcard, ME));
    }
    w.leave(mine);
    let mine = by_path(&mut w, 1000, "client");
    assert_eq!(resumed(&mut w, mine, resume(1, "*", 1, 0, 0)).0, Some(0));
}

/// Resumes subscription 1 under its own terms.
fn again(terms: &SubscribeOptions, since: u64, taken: u64) -> ClientOp {
    let from = Resume {
        sub: 1,
        since,
        taken,
    };
    let options = SubscribeOptions {
        resume: Some(from),
        ..terms.clone()
    };
    subscribe_with(1, ">", options)
}

#[test]
fn whoever_is_cut_off_misses_nothing_of_what_can_be_brought_and_knows_the_rest() {
    let mut w = world();
    let a = w.join(client("a"));
    let terms = SubscribeOptions {
        policy: OverflowPolicy::Disconnect,
        max_messages: Some(2),
        ..SubscribeOptions::default()
    };
    // In JSON each event waits by itself: those behind the one too many were on their way.
    let c = w.join_instance(ME, Codec::Json);
    w.must(c, subscribe_with(1, ">", terms.clone()));
    let several = |topic: &str, n: usize| emit(topic, b"1").repeat(n);
    w.send(a, &several("n", 7));
    assert_eq!(w.closing(c).map(|(kind, _)| kind), Some(CloseKind::Limit));
    w.leave(c);
    w.send(a, &several("h", 5));
    // What is brought is too much at once as well, and the answer is lost with it.
    let c = w.join_instance(ME, Codec::Json);
    let tight = SubscribeOptions {
        max_messages: Some(1),
        ..terms.clone()
    };
    w.send(c, &control(Codec::Json, 7, again(&tight, 0, 0)));
    w.take_raw(c);
    assert!(w.core.is_closing(c));
    w.leave(c);
    let c = w.join_instance(ME, Codec::Json);
    w.send(c, &control(Codec::Json, 7, again(&terms, 0, 0)));
    let got = w.take(c);
    let Got::Control(0, HubOp::Resumed { missed, .. }) = got[1] else {
        panic!("{got:?}")
    };
    assert_eq!((missed, got.len()), (Some(9), 2 + 3), "{got:?}");
}

#[test]
fn nobody_is_held_for_a_subscription_whose_connection_is_lost() {
    let mut w = world();
    let a = w.join(client("a"));
    let terms = SubscribeOptions {
        policy: OverflowPolicy::Backpressure { max_wait_ms: 500 },
        max_messages: Some(2),
        window: Some(1),
        ..SubscribeOptions::default()
    };
    let c = w.join_instance(ME, Codec::Postcard);
    w.must(c, subscribe_with(1, ">", terms.clone()));
    for _ in 0..3 {
        w.send(a, &emit("n", b""));
        w.take_raw(c);
    }
    let hold = |op: fn(String) -> HubOp| Got::Control(0, op("n".into()));
    assert_eq!(w.take(a), [hold(|topic| HubOp::Hold { topic })]);
    w.leave(c);
    assert_eq!(w.take(a), [hold(|topic| HubOp::Release { topic })]);
    let c = w.join_instance(ME, Codec::Postcard);
    assert_eq!(resumed(&mut w, c, again(&terms, 0, 0)).0, Some(3));
    w.pass(Duration::from_secs(1));
    assert_eq!(w.take(a), []);
}

#[test]
fn with_keep_latest_the_newest_of_each_topic_is_brought() {
    let mut w = world();
    let a = w.join(client("a"));
    let terms = SubscribeOptions {
        policy: OverflowPolicy::KeepLatest,
        ..SubscribeOptions::default()
    };
    let c = w.join_instance(ME, Codec::Postcard);
    w.must(c, subscribe_with(1, ">", terms.clone()));
    for topic in ["h", "h", "h", "n"] {
        w.send(a, &emit(topic, b""));
    }
    w.leave(c);
    let c = w.join_instance(ME, Codec::Postcard);
    let (missed, events) = resumed(&mut w, c, again(&terms, 0, 0));
    assert_eq!((missed, events), (Some(1), vec![(3, flags::HISTORY)]));
}

#[test]
fn an_instance_is_128_bits() {
    let mut w = world();
    for bad in [
        "",
        "12",
        "zz00000000000000000000000000000z",
        "+0000000000000000000000000000001",
    ] {
        let id = w.connect(Door::Known(client("c")));
        let hello = serde_json::json!({
            "magic": "ostler", "proto": [1, 1], "codecs": ["json"], "kind": "client", "instance": bad
        });
        w.send(id, &hello_with(&hello));
        let (kind, reason) = w.closing(id).unwrap();
        assert_eq!(kind, CloseKind::Hello);
        assert!(reason.contains("32 hexadecimal"), "{reason}");
    }
}

#[test]
fn those_gone_longest_are_forgotten_first_and_before_anybody_present_loses() {
    let limits = Limits {
        sessions: 2,
        ..Limits::default()
    };
    let mut w = World::with(options(limits, Rules::allow_all()));
    for instance in 1..=3 {
        let id = w.join_instance(instance, Codec::Postcard);
        w.subscribe(id, 1, "*");
        w.leave(id);
        w.pass(Duration::from_secs(1));
    }
    for (instance, missed) in [(1, None), (3, Some(0))] {
        let id = w.join_instance(instance, Codec::Postcard);
        assert_eq!(resumed(&mut w, id, resume(1, "*", 1, 0, 0)).0, missed);
    }
    // The second is still away; three get the event.
    w.core.limits.memory_bytes = w.core.tally.total() + 1_000;
    let (a, b) = (w.join(client("a")), w.join(client("b")));
    w.subscribe(b, 1, "x");
    w.send(a, &emit("x", &[0; 300]));
    assert_eq!(w.events(b).len(), 1);
    let id = w.join_instance(2, Codec::Postcard);
    assert_eq!(resumed(&mut w, id, resume(1, "*", 1, 0, 0)).0, None);
}

#[test]
fn who_left_nothing_behind_is_not_waited_for() {
    let mut w = World::new();
    let id = w.join_instance(ME, Codec::Postcard);
    w.subscribe(id, 1, "*");
    w.must(id, ClientOp::Unsubscribe { sub: 1 });
    w.leave(id);
    assert_eq!(w.core.tally.total(), 0);
    assert_eq!(w.core.next_deadline(), None);
}

#[test]
fn a_retained_value_that_was_on_its_way_still_comes() {
    let mut w = World::new();
    let a = w.join(client("a"));
    let value = emit_with(
        flags::RETAIN,
        crate::wire::data::Payload::Bytes,
        "a",
        None,
        b"1",
    );
    w.send(a, &value);
    let c = w.join_instance(ME, Codec::Postcard);
    w.ask(c, 1, subscribe(1, "a"));
    w.take_raw(c);
    w.leave(c);
    let c = w.join_instance(ME, Codec::Postcard);
    let (missed, events) = resumed(&mut w, c, resume(1, "a", 1, 0, 0));
    assert_eq!((missed, events), (Some(0), vec![(1, flags::RETAINED)]));
    w.leave(c);
    // One that came meanwhile was missed, and is brought.
    w.send(a, &[value.clone(), value].concat());
    let c = w.join_instance(ME, Codec::Postcard);
    let (missed, events) = resumed(&mut w, c, resume(1, "a", 1, 1, 0));
    let both = flags::RETAINED | flags::HISTORY;
    assert_eq!((missed, events), (Some(1), vec![(3, both)]));
}

#[test]
fn each_life_of_a_hub_has_a_name_of_its_own() {
    let mut w = World::new();
    let id = w.connect(Door::Known(client("c")));
    w.send(id, &hello(Codec::Json));
    let got = w.take(id);
    let [Got::Welcome(welcome)] = &got[..] else {
        panic!("{got:?}")
    };
    assert_eq!(welcome.life, format!("{:032x}", 0x9f0c));
}

#[test]
fn a_client_may_say_that_it_counted_any_number() {
    let mut w = world();
    let a = w.join(client("a"));
    for taken in [u64::MAX, u64::MAX - 1, 1 << 63] {
        let c = w.join_instance(ME, Codec::Postcard);
        w.ask(c, 7, resume(1, "n", 1, u64::MAX, taken));
        w.take(c);
        w.send(a, &emit("n", b"1"));
        assert_eq!(w.events(c).len(), 1);
        w.leave(c);
        w.send(a, &emit("n", b"2"));
    }
}
