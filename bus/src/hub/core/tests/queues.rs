//! Bounds: what a slow reader loses, and that it is told exactly.

use super::support::*;
use crate::{
    Limits,
    hub::{Admission, HubNotice, Rules, core::Door},
    wire::{
        control::{ClientOp, CloseKind, HubOp, RefusalKind, SubscribeOptions},
        frame::FrameType,
        hello::Codec,
    },
};

fn bounded(sub: u32, pattern: &str, messages: Option<u32>, bytes: Option<u32>) -> ClientOp {
    ClientOp::Subscribe {
        sub,
        pattern: pattern.into(),
        reader: None,
        options: SubscribeOptions {
            max_messages: messages,
            max_bytes: bytes,
            ..SubscribeOptions::default()
        },
    }
}

fn lagged(got: &[Got]) -> Vec<(u32, u64)> {
    got.iter()
        .filter_map(|g| match g {
            Got::Control(0, HubOp::Lagged { sub, missed }) => Some((*sub, *missed)),
            _ => None,
        })
        .collect()
}

#[test]
fn the_oldest_are_dropped_and_the_loss_is_told_in_its_place() {
    let mut w = World::new();
    let (a, b) = (w.join(client("a")), w.join(client("b")));
    w.must(b, bounded(1, "t", Some(3), None));
    w.must(b, bounded(2, "t", None, None));
    // Some as one run, some one by one.
    let run: Vec<u8> = (0..5_u8).flat_map(|n| emit("t", &[n])).collect();
    w.send(a, &run);
    w.send(a, &emit("t", &[5]));
    w.send(a, &emit("t", &[6]));
    let got = w.take(b);
    assert_eq!(lagged(&got), [(1, 4)]);
    let mine: Vec<&Got> = got
        .iter()
        .filter(|g| match g {
            Got::Event(e) => e.sub == 1,
            Got::Control(_, HubOp::Lagged { .. }) => true,
            _ => false,
        })
        .collect();
    assert!(matches!(mine[0], Got::Control(_, HubOp::Lagged { .. })));
    let seqs: Vec<u64> = mine[1..]
        .iter()
        .filter_map(|g| match g {
            Got::Event(e) => Some(e.seq),
            _ => None,
        })
        .collect();
    assert_eq!(seqs, [5, 6, 7]);
    let all = got
        .iter()
        .filter(|g| matches!(g, Got::Event(e) if e.sub == 2));
    assert_eq!(all.count(), 7, "the other subscription lost nothing");
}

#[test]
fn a_bound_in_bytes_holds_even_for_one_event() {
    let mut w = World::new();
    let (a, b) = (w.join(client("a")), w.join(client("b")));
    w.must(b, bounded(1, "t", None, Some(100)));
    w.send(a, &emit("t", &[0; 200]));
    let got = w.take(b);
    assert_eq!(
        lagged(&got),
        [(1, 1)],
        "nothing but the loss is left to tell"
    );
    w.send(a, &emit("t", &[0; 40]));
    w.send(a, &emit("t", &[1; 40]));
    w.send(a, &emit("t", &[2; 40]));
    let got = w.take(b);
    assert_eq!(lagged(&got), [(1, 1)]);
}

#[test]
fn losses_are_noticed_now_and_then() {
    let mut w = World::new();
    let (a, b) = (w.join(client("a")), w.join(client("b")));
    w.must(b, bounded(1, "t", Some(1), None));
    w.notices();
    for _ in 0..10 {
        w.send(a, &emit("t", b""));
    }
    let missed = |notices: Vec<HubNotice>| -> Vec<u64> {
        notices
            .into_iter()
            .map(|n| match n {
                HubNotice::Lagged { missed, .. } => missed,
                other => panic!("{other:?}"),
            })
            .collect()
    };
    assert_eq!(missed(w.notices()), [1], "the first at once");
    w.pass(std::time::Duration::from_secs(11));
    assert_eq!(
        missed(w.notices()),
        [8],
        "the rest together, even if nothing more is lost"
    );
    w.send(a, &emit("t", b""));
    assert_eq!(missed(w.notices()), [0; 0], "ten seconds from the last");
    w.must(b, bounded(2, "t", Some(1), None));
    w.ask(b, 1, ClientOp::Unsubscribe { sub: 1 });
    assert_eq!(missed(w.notices()), [1], "what is left at the end");
    w.pass(std::time::Duration::from_secs(30));
    w.send(a, &emit("t", b""));
    w.send(a, &emit("t", b""));
    assert_eq!(missed(w.notices()), [1]);
    w.pass(std::time::Duration::from_secs(30));
    assert_eq!(missed(w.notices()), [0; 0], "nothing new");
    assert_eq!(w.core.next_deadline(), None);
}

#[test]
fn all_queues_together_are_bounded_and_the_largest_pays() {
    let limits = Limits {
        memory_bytes: 1 << 20,
        ..Limits::default()
    };
    let mut w = World::with(options(limits, Rules::allow_all()));
    let (a, slow, slight) = (
        w.join(client("a")),
        w.join(client("slow")),
        w.join(client("slight")),
    );
    w.subscribe(slow, 1, "big");
    w.subscribe(slight, 1, "small");
    w.send(a, &emit("small", b"kept"));
    for _ in 0..500 {
        w.send(a, &emit("big", &[7; 10_000]));
        assert!(w.core.tally.total() <= 1 << 20);
    }
    let got = w.take(slow);
    let kept = got.iter().filter(|g| matches!(g, Got::Event(_))).count() as u64;
    let lost: u64 = lagged(&got).iter().map(|(_, n)| n).sum();
    assert_eq!(kept + lost, 500);
    assert!(kept > 50 && lost > 300, "{kept} {lost}");
    assert_eq!(w.events(slight).len(), 1, "who holds little loses nothing");
}

#[test]
fn one_event_for_many_readers_of_json_is_bounded_by_memory() {
    let limits = Limits {
        memory_bytes: 1 << 20,
        ..Limits::default()
    };
    let mut w = World::with(options(limits, Rules::allow_all()));
    let a = w.join(client("a"));
    let j = w.join_as(client("j"), Codec::Json);
    for sub in 1..=100 {
        w.subscribe(j, sub, "t");
    }
    w.send(a, &emit("t", &[7; 60_000]));
    let most = w.core.tally.most();
    assert!(most < (1 << 20) + 100_000, "{most} bytes were held at once");
    let got = w.take(j);
    let is_event = |g: &&Got| matches!(g, Got::Object(FrameType::Run, ..));
    let kept = got.iter().filter(is_event).count();
    assert!((1..20).contains(&kept), "{kept} copies of 80 KB");
}

#[test]
fn memory_is_given_back() {
    let mut w = World::new();
    let (a, b) = (w.join(client("a")), w.join(client("b")));
    w.announce::<u32>(a, 0, "n");
    w.subscribe(b, 1, "*");
    w.must(b, bounded(2, "*", Some(2), None));
    let before = w.core.tally.total();
    for _ in 0..10 {
        w.send(a, &emit("t", &[0; 1000]));
    }
    assert!(w.core.tally.total() > before + 10_000);
    w.take(b);
    assert_eq!(w.core.tally.total(), before);
    w.send(a, &emit("t", &[0; 1000]));
    w.ask(b, 1, ClientOp::Unsubscribe { sub: 1 });
    w.leave(b);
    w.leave(a);
    assert_eq!(w.core.tally.total(), 0);
}

#[test]
fn a_small_event_does_not_keep_a_read_buffer_alive_for_long() {
    let mut w = World::new();
    let (a, b) = (w.join(client("a")), w.join(client("b")));
    w.subscribe(b, 1, "t");
    let frame = emit("t", b"small");
    let inputs: Vec<_> = (0..100)
        .map(|_| {
            let mut buffer = bytes::BytesMut::with_capacity(64 << 10);
            buffer.extend_from_slice(&frame);
            let input = buffer.split().freeze();
            w.core.receive(w.now, a, &input);
            input
        })
        .collect();
    let kept = inputs.iter().filter(|i| !i.is_unique()).count();
    assert_eq!(kept, 1, "one buffer is kept, the rest is copied");
    assert_eq!(w.events(b).len(), 100);
}

#[test]
fn whoever_does_not_read_its_answers_is_not_listened_to() {
    let limits = Limits {
        control_frames: 10,
        ..Limits::default()
    };
    let mut w = World::with(options(limits, Rules::allow_all()));
    let a = w.join(client("a"));
    let acked = emit_with(
        crate::wire::flags::ACK,
        crate::wire::data::Payload::Bytes,
        "t",
        Some(1),
        b"",
    );
    let input = acked.repeat(25);
    let mut taken = w.send_some(a, &input);
    assert_eq!(taken, 10 * acked.len());
    assert!(w.core.is_clogged(a));
    let mut answers = w.take(a).len();
    while taken < input.len() {
        taken += w.send_some(a, &input[taken..]);
        answers += w.take(a).len();
    }
    assert_eq!(answers, 25);
}

#[test]
fn subscriptions_types_and_connections_are_bounded() {
    let limits = Limits {
        subscriptions: 2,
        types: 1,
        connections: 2,
        ..Limits::default()
    };
    let mut w = World::with(options(limits, Rules::allow_all()));
    let a = w.join(client("a"));
    w.subscribe(a, 1, "x");
    w.subscribe(a, 2, "x");
    refused(
        &w.must_not(a, subscribe(3, "x")),
        RefusalKind::Limit,
        &["2"],
    );
    w.announce::<u32>(a, 0, "n");
    refused(
        &w.must_not(a, announce::<u64>(1, "m")),
        RefusalKind::Limit,
        &["1"],
    );
    w.join(client("b"));
    let c = w.connect(Door::Path(Admission::default()));
    let (kind, reason) = w.closing(c).expect("one too many");
    assert_eq!(kind, CloseKind::Limit);
    assert!(reason.contains('2'), "{reason}");
    // A worker isn't kept out by strangers.
    let worker = w.join(client("worker"));
    assert!(!w.core.is_closing(worker));
}

#[test]
fn the_master_holding_most_does_not_let_the_others_grow() {
    let bound = 450_000;
    let limits = Limits {
        memory_bytes: bound,
        ..Limits::default()
    };
    let mut w = World::with(options(limits, Rules::allow_all()));
    let (a, slow) = (w.join(client("a")), w.join(client("slow")));
    let master = w.join(crate::hub::Principal::Master);
    w.subscribe(slow, 1, "big");
    // Answers that it has not read: they can't be lost, and the master is never closed.
    let acked = emit_with(
        crate::wire::flags::ACK,
        crate::wire::data::Payload::Bytes,
        "t",
        Some(1),
        b"",
    );
    w.send(master, &acked.repeat(1000));
    assert!(w.core.tally.total() > bound / 2, "it holds most");
    for _ in 0..100 {
        w.send(a, &emit("big", &[7; 10_000]));
        assert!(w.core.tally.total() <= bound, "{}", w.core.tally.total());
    }
    let got = w.take(slow);
    let kept = got.iter().filter(|g| matches!(g, Got::Event(_))).count() as u64;
    let lost: u64 = lagged(&got).iter().map(|(_, n)| n).sum();
    assert_eq!(kept + lost, 100);
    assert!(!w.core.is_closing(master) && !w.core.is_closing(slow));
    assert_eq!(w.take(master).len(), 1000);
    // What the master subscribed to may be lost like anybody's.
    w.subscribe(master, 1, "big");
    for _ in 0..200 {
        w.send(a, &emit("big", &[7; 10_000]));
        assert!(w.core.tally.total() <= bound);
    }
    let got = w.take(master);
    let kept = got.iter().filter(|g| matches!(g, Got::Event(_))).count() as u64;
    let lost: u64 = lagged(&got).iter().map(|(_, n)| n).sum();
    assert!(lost > 0 && kept + lost == 200, "{kept} {lost}");
}
