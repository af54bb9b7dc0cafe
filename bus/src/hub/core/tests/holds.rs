//! Topics that publishers hold back: how many there may be, what they cost, and whom they outlive.

use rustix::time::{ClockId, clock_gettime};

use super::support::*;
use crate::{
    Limits,
    hub::Rules,
    wire::control::{HubOp, OverflowPolicy, SubscribeOptions},
};

/// As many events fill half of a subscriber's queue.
const HALF: usize = 8;

fn world(limits: Limits) -> World {
    World::with(options(limits, Rules::allow_all()))
}

/// A subscriber that asks publishers to wait as soon as more than [`HALF`] wait for it, and reads nothing by itself.
fn waiting(w: &mut World) -> u64 {
    let id = w.join(client("slow"));
    let options = SubscribeOptions {
        policy: OverflowPolicy::Backpressure {
            max_wait_ms: 60_000,
        },
        max_bytes: Some(4 << 20),
        ..SubscribeOptions::default()
    };
    w.must(id, subscribe_with(1, "t.>", options));
    let (filler, bytes) = (w.join(client("filler")), vec![0; (2 << 20) / HALF]);
    for _ in 0..HALF + 1 {
        w.send(filler, &emit("t.fill", &bytes));
    }
    w.take(filler);
    id
}

/// An event on each of so many topics.
fn topics(count: std::ops::Range<usize>) -> Vec<u8> {
    count.flat_map(|n| emit(&format!("t.{n}"), b"")).collect()
}

/// How many topics it was asked to hold back, and to go on with.
fn told(w: &mut World, id: u64) -> (usize, usize) {
    let got = w.take(id);
    let count = |of: fn(&HubOp) -> bool| {
        let is_it = |g: &&Got| matches!(g, Got::Control(0, op) if of(op));
        got.iter().filter(is_it).count()
    };
    (
        count(|op| matches!(op, HubOp::Hold { .. })),
        count(|op| matches!(op, HubOp::Release { .. })),
    )
}

/// Processor time of this thread, in seconds.
fn spent() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// What it takes to let go of so many topics that a publisher was told to hold back, and to tell it so.
fn cost_of_release(count: usize) -> f64 {
    let mut w = world(Limits {
        held_topics: count,
        ..Limits::default()
    });
    let slow = waiting(&mut w);
    let a = w.join(client("a"));
    w.send(a, &topics(0..count));
    assert_eq!(told(&mut w, a), (count, 0));
    let began = spent();
    w.leave(slow);
    let took = spent() - began;
    assert_eq!(told(&mut w, a), (0, count));
    took
}

#[test]
fn letting_go_of_many_topics_takes_time_in_proportion() {
    let least = |count| {
        (0..3)
            .map(|_| cost_of_release(count))
            .fold(f64::MAX, f64::min)
    };
    let (few, many) = (least(2_000), least(16_000));
    assert!(
        many < few * 8.0 * 3.0,
        "{few} s for 2,000, {many} s for 16,000"
    );
}

#[test]
fn what_was_not_told_yet_is_taken_back_and_costs_nothing() {
    let mut w = world(Limits::default());
    let slow = waiting(&mut w);
    let a = w.join(client("a"));
    let before = w.core.conns[&a].outbox.held();
    w.send(a, &topics(0..100));
    assert!(w.core.conns[&a].outbox.held() > before, "they wait for it");
    w.leave(slow);
    assert_eq!(w.core.conns[&a].outbox.held(), before);
    assert_eq!(told(&mut w, a), (0, 0), "it was told nothing");
}

#[test]
fn a_publisher_is_asked_for_so_many_topics_at_most_and_goes_on_with_others() {
    let mut w = world(Limits {
        held_topics: 3,
        ..Limits::default()
    });
    let slow = waiting(&mut w);
    let (a, b) = (w.join(client("a")), w.join(client("b")));
    w.send(a, &topics(0..5));
    assert_eq!(told(&mut w, a), (3, 0));
    w.send(b, &topics(3..5));
    assert_eq!(told(&mut w, b), (2, 0), "each for itself");
    // What comes on a topic that isn't held is queued; with no room for it the queue is full, as ever.
    w.send(a, &topics(3..4));
    assert_eq!(w.core.conns[&slow].outbox.counts(1).unwrap().lagged, 0);
    for _ in 0..HALF + 1 {
        w.send(a, &emit("t.4", &vec![0; (2 << 20) / HALF]));
    }
    assert!(w.core.conns[&slow].outbox.counts(1).unwrap().lagged > 0);
    assert_eq!((told(&mut w, a), told(&mut w, b)), ((0, 3), (0, 2)));
    assert!(w.core.holds.is_empty());
}

#[test]
fn all_that_is_held_together_takes_a_part_of_the_memory_at_most() {
    let memory_bytes = 16 << 20;
    let mut w = world(Limits {
        held_topics: usize::MAX,
        memory_bytes,
        ..Limits::default()
    });
    let slow = waiting(&mut w);
    let a = w.join(client("a"));
    let mut held = 0;
    for part in 0..20 {
        w.send(a, &topics(part * 1_000..(part + 1) * 1_000));
        held += told(&mut w, a).0;
        assert!(w.core.holds.bytes() <= memory_bytes / 16);
        assert!(w.core.held() >= w.core.holds.bytes(), "it is counted");
    }
    assert!((500..19_000).contains(&held), "{held}");
    w.leave(slow);
    assert_eq!(told(&mut w, a), (0, held), "all of them are let go");
    assert_eq!(w.core.holds.bytes(), 0);
}

#[test]
fn a_publisher_that_leaves_takes_its_topics_with_it() {
    let mut w = world(Limits::default());
    let slow = waiting(&mut w);
    let (mut before, stays) = (0, w.join(client("stays")));
    w.send(stays, &topics(0..1));
    for round in 0..3 {
        let a = w.join(client("a"));
        w.send(a, &topics(round * 100..(round + 1) * 100));
        w.leave(a);
        let held = w.core.holds.bytes();
        assert!(
            round == 0 || held == before,
            "{held} bytes, and {before} before"
        );
        before = held;
    }
    assert_eq!(told(&mut w, stays), (1, 0));
    w.leave(slow);
    assert_eq!(told(&mut w, stays), (0, 1));
    assert!(w.core.holds.is_empty());
}
