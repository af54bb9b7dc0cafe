//! What is counted for those who are away, and what that takes.

use std::time::Duration;

use proptest::{collection::vec, prelude::*};

use super::support::*;
use crate::{
    Limits,
    hub::{HistoryRule, HubOptions, Rules, core::edge::Emit},
    wire::{
        control::{ClientOp, HubOp, Resume, SubscribeOptions},
        data::Payload,
        hello::Codec,
    },
};

const ME: u128 = 0xabc;

/// Only the topics of `h` keep a history.
fn world() -> World {
    World::with(HubOptions {
        history: vec![HistoryRule::last("t.h", 3)],
        ..options(Limits::default(), Rules::allow_all())
    })
}

fn lasting(topic: &str, ttl_ms: Option<u32>) -> Vec<u8> {
    let emit = Emit {
        kind: Payload::Bytes,
        topic,
        ack: None,
        ttl_ms,
        headers: &[],
        payload: b"1",
    };
    emit.frame(0).to_vec()
}

/// Goes on; what was missed, and the sequence numbers of what came.
fn resume(w: &mut World, id: u64, since: u64, taken: u64) -> (Option<u64>, Vec<u64>) {
    let options = SubscribeOptions {
        resume: Some(Resume {
            sub: 1,
            since,
            taken,
        }),
        ..SubscribeOptions::default()
    };
    w.ask(id, 5, subscribe_with(1, "t.*", options));
    let got = w.take(id);
    let missed = got.iter().find_map(|got| match got {
        Got::Control(0, HubOp::Resumed { missed, .. }) => Some(*missed),
        _ => None,
    });
    let seqs = got.iter().filter_map(|got| match got {
        Got::Event(event) => Some(event.seq),
        _ => None,
    });
    (missed.expect("an answer"), seqs.collect())
}

#[test]
fn what_ended_meanwhile_was_not_missed() {
    let mut w = world();
    let a = w.join(client("a"));
    let c = w.join_instance(ME, Codec::Postcard);
    w.subscribe(c, 1, "t.*");
    // Waiting when the connection is lost: one has ended by then, one ends later, one goes on.
    for ttl_ms in [Some(5), Some(20), None] {
        w.send(a, &lasting("t.n", ttl_ms));
    }
    w.pass(Duration::from_millis(5));
    w.leave(c);
    // And while its client is away.
    for ttl_ms in [Some(10), Some(40), None] {
        w.send(a, &lasting("t.n", ttl_ms));
    }
    w.pass(Duration::from_millis(30));
    let c = w.join_instance(ME, Codec::Postcard);
    assert_eq!(resume(&mut w, c, 0, 0), (Some(3), vec![]));
}

#[test]
fn what_is_cut_off_while_it_is_brought_is_counted_until_it_ends() {
    let mut w = world();
    w.core.limits.queue_bytes = 60;
    let a = w.join(client("a"));
    let c = w.join_instance(ME, Codec::Postcard);
    let options = SubscribeOptions {
        policy: crate::wire::control::OverflowPolicy::Disconnect,
        ..SubscribeOptions::default()
    };
    w.must(c, subscribe_with(1, "t.*", options.clone()));
    w.leave(c);
    // Of the history, and too much for its queue.
    for ttl_ms in [Some(1000), Some(50), Some(1000)] {
        let emit = Emit {
            kind: Payload::Bytes,
            topic: "t.h",
            ack: None,
            ttl_ms,
            headers: &[],
            payload: &[0; 100],
        };
        w.send(a, &emit.frame(0));
    }
    let c = w.join_instance(ME, Codec::Postcard);
    let again = SubscribeOptions {
        resume: Some(Resume {
            sub: 1,
            since: 0,
            taken: 0,
        }),
        ..options
    };
    w.ask(c, 5, subscribe_with(1, "t.*", again));
    assert!(w.core.is_closing(c));
    w.leave(c);
    w.core.limits.queue_bytes = 1 << 20;
    w.pass(Duration::from_millis(100));
    let c = w.join_instance(ME, Codec::Postcard);
    assert_eq!(resume(&mut w, c, 0, 0), (Some(0), vec![1, 3]));
}

/// An event on a topic with or without a history, with its time to live, and how long it is until the next.
fn event() -> impl Strategy<Value = (bool, Option<u32>, u64)> {
    let ttl_ms = proptest::option::of(prop_oneof![1..40_u32, 1..3000_u32]);
    (any::<bool>(), ttl_ms, 0..30_u64)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn got_missed_and_ended_are_what_was_published(
        before in vec(event(), 0..10),
        away in vec(event(), 0..40),
        rest in 0..2000_u64,
    ) {
        let mut w = world();
        let a = w.join(client("a"));
        let c = w.join_instance(ME, Codec::Postcard);
        w.subscribe(c, 1, "t.*");
        let began = w.now;
        // When each ends.
        let mut ends = Vec::new();
        for (n, (keeps, ttl_ms, pause)) in before.iter().chain(&away).enumerate() {
            if n == before.len() {
                w.leave(c);
            }
            let topic = if *keeps { "t.h" } else { "t.n" };
            w.send(a, &lasting(topic, *ttl_ms));
            ends.push(ttl_ms.map(|ttl_ms| crate::hub::core::expiry::deadline(began, w.now, ttl_ms)));
            w.pass(Duration::from_millis(*pause));
        }
        if away.is_empty() {
            w.leave(c);
        }
        w.pass(Duration::from_millis(rest));
        let c = w.join_instance(ME, Codec::Postcard);
        let (missed, got) = resume(&mut w, c, 0, 0);
        let wanted = ends.iter().filter(|end| end.is_none_or(|end| end > w.now)).count();
        prop_assert_eq!(missed.map(|missed| missed as usize + got.len()), Some(wanted));
    }
}

#[test]
fn whoever_is_away_is_charged_for_what_it_holds() {
    let held = |pattern: &str, topic: &str, misfits: usize, deadlines: u64| {
        let mut w = world();
        let a = w.join(client("a"));
        let c = w.join_instance(ME, Codec::Postcard);
        let session = w.core.tally.total();
        let reader = crate::TypeSchema::of::<u32>().encoded().to_vec();
        let op = ClientOp::Subscribe {
            sub: 1,
            pattern: pattern.into(),
            reader: Some(reader),
            options: SubscribeOptions::default(),
        };
        w.must(c, op);
        let reader = w.core.tally.total() - session;
        for n in 0..misfits {
            let bad = format!("\"no number {n}\"");
            w.send(a, &emit_with(0, Payload::Json, topic, None, bad.as_bytes()));
            w.take(c);
        }
        w.leave(c);
        for _ in 0..deadlines {
            w.send(a, &lasting(topic, Some(1000)));
            w.pass(Duration::from_millis(1));
        }
        let held = w.core.tally.total() - session - reader;
        w.pass(Duration::from_secs(60));
        assert_eq!(w.core.tally.total(), 0, "all of it is given back");
        held
    };
    let short = held("*", "t", 0, 0);
    assert!(short >= 512, "{short}");
    // Each token may be a table of its own.
    let long = held(&vec!["*"; 120].join("."), &vec!["t"; 120].join("."), 0, 0);
    assert!(long > short + 120 * 400, "{long}");
    let noticed = held("*", "t", 64, 0);
    assert!(noticed >= short + 64 * 16, "{noticed}");
    let counted = held("*", "t", 0, 500);
    assert!(counted >= short + 500 * 24, "{counted}");
}

#[test]
fn outcomes_are_charged_as_far_as_there_is_room_for_them() {
    let mut w = World::new();
    let c = w.join_instance(ME, Codec::Postcard);
    let before = w.core.tally.total();
    let flags = crate::wire::flags::ACK | crate::wire::flags::RELIABLE;
    for number in 1..=3000 {
        w.send(c, &emit_with(flags, Payload::Bytes, "a", Some(number), b""));
        w.take(c);
    }
    let held = w.core.tally.total() - before;
    assert_eq!(held, 1024 * 24, "no room is taken that is not needed");
}
