//! What a full queue loses, by what was asked for.

use std::sync::Arc;

use bytes::BytesMut;
use futures::task::noop_waker;

use super::*;
use crate::{
    Origin,
    client::publishers::{Publisher, Publishers},
    wire::{FrameType, data, frame},
};

fn publisher() -> Arc<Publisher> {
    let mut publishers = Publishers::default();
    publishers.origin_is(1, Origin::Master);
    Arc::clone(publishers.get(1).expect("just introduced"))
}

/// A run of events, each on a topic, with its number as its payload.
fn run(events: &[(&str, u8)]) -> Item {
    let mut frames = BytesMut::new();
    for (topic, n) in events {
        let at = frame::begin(&mut frames, FrameType::Emit, 0);
        data::put_emit(&mut frames, data::Payload::Bytes, topic, None);
        frames.extend_from_slice(&[*n]);
        frame::end(&mut frames, at);
    }
    Item::Run(RunItem {
        publisher: publisher(),
        first_seq: events.first().map_or(0, |(_, n)| u64::from(*n)),
        count: u32::try_from(events.len()).expect("few"),
        flags: 0,
        epoch: 0,
        frames: frames.freeze(),
    })
}

fn all_on(topic: &str, numbers: std::ops::Range<u8>) -> Item {
    let events: Vec<_> = numbers.map(|n| (topic, n)).collect();
    run(&events)
}

/// Everything that waits, as its reader sees it.
fn seen(queue: &Queue) -> Vec<String> {
    let waker = noop_waker();
    let cx = Context::from_waker(&waker);
    let (mut seen, mut batch) = (Vec::new(), VecDeque::new());
    loop {
        match queue.poll_take(&cx, &mut batch) {
            Poll::Ready(Taken::Items) => {}
            Poll::Ready(Taken::Missed(n)) => seen.push(format!("missed {n}")),
            Poll::Ready(Taken::Reconnected(n)) => seen.push(format!("reconnected {n:?}")),
            Poll::Ready(Taken::Ended(_)) | Poll::Pending => return seen,
        }
        for item in batch.drain(..) {
            match item {
                Item::Run(mut run) => {
                    while run.count > 0 {
                        let first = run.take_first();
                        assert_eq!(first.first_seq, u64::from(*first.frames.last().unwrap()));
                        seen.push(first.first_seq.to_string());
                    }
                }
                Item::Lagged(n) => seen.push(format!("lagged {n}")),
                Item::Misfit { missed, .. } => seen.push(format!("misfit {missed}")),
                Item::Reconnected(n) => seen.push(format!("reconnected {n:?}")),
                Item::Replaced => {}
            }
        }
    }
}

#[test]
fn the_oldest_are_lost() {
    let queue = Queue::new(Losing::Oldest, 3, 10_000);
    queue.push(all_on("a", 0..2));
    queue.push(all_on("a", 2..5));
    assert_eq!(seen(&queue), ["missed 2", "2", "3", "4"]);
}

#[test]
fn the_newest_are_lost_and_told_behind_the_others() {
    let queue = Queue::new(Losing::Newest, 3, 10_000);
    queue.push(all_on("a", 0..2));
    queue.push(all_on("a", 2..5));
    queue.push(all_on("a", 5..9));
    assert_eq!(seen(&queue), ["0", "1", "2", "lagged 6"]);
    queue.push(all_on("a", 9..10));
    assert_eq!(seen(&queue), ["9"], "there is room again");
    // By bytes: one run alone is kept.
    let queue = Queue::new(Losing::Newest, 100, 1);
    queue.push(all_on("a", 0..2));
    queue.push(all_on("a", 2..4));
    assert_eq!(seen(&queue), ["0", "1", "lagged 2"]);
}

#[test]
fn misfits_over_the_bound_are_one_number() {
    let queue = Queue::new(Losing::Newest, 3, 1 << 20);
    queue.push(all_on("a", 1..3));
    for n in 0..1_000 {
        queue.push(Item::Misfit {
            missed: 1,
            topic: "a".into(),
            reason: format!("the {n}th"),
        });
    }
    assert!(queue.lock().items.len() <= 4);
    assert_eq!(seen(&queue).last().map(String::as_str), Some("lagged 999"));
}

#[test]
fn of_each_topic_the_latest_stays_at_its_own_place() {
    let queue = Queue::new(Losing::AllButLatest, 100, 100_000);
    queue.push(run(&[("a", 1), ("b", 2), ("a", 3)]));
    queue.push(Item::Lagged(9));
    queue.push(run(&[("c", 4), ("b", 5)]));
    assert_eq!(seen(&queue), ["3", "lagged 9", "4", "5"]);
    // What was read is not replaced.
    queue.push(run(&[("a", 6)]));
    assert_eq!(seen(&queue), ["6"]);
    let few = Queue::new(Losing::AllButLatest, 2, 100_000);
    few.push(run(&[("a", 1), ("b", 2), ("c", 3), ("b", 4)]));
    assert_eq!(seen(&few), ["missed 1", "3", "4"]);
}

#[test]
fn the_latest_are_found_among_many_and_take_no_room_when_replaced() {
    let topics: Vec<String> = (0..50).map(|n| format!("t.{n}")).collect();
    let queue = Queue::new(Losing::AllButLatest, 1000, 100_000_000);
    let mut luck = 7_u32;
    let mut want: Vec<(String, u8)> = Vec::new();
    for round in 0..5000_u32 {
        luck = luck.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let topic = &topics[(luck >> 8) as usize % topics.len()];
        let n = u8::try_from(round % 250).expect("small");
        queue.push(run(&[(topic, n)]));
        want.retain(|(other, _)| other != topic);
        want.push((topic.clone(), n));
        let waiting = queue.lock();
        assert_eq!(waiting.messages, want.len() as u64);
        assert!(waiting.items.len() <= 2 * want.len() + 200);
        drop(waiting);
        if round % 613 == 0 {
            let numbers: Vec<_> = want.drain(..).map(|(_, n)| n.to_string()).collect();
            assert_eq!(seen(&queue), numbers);
            assert_eq!(queue.lock().bytes, 0);
        }
    }
}

#[test]
fn a_lost_connection_is_told_even_where_all_else_is_lost() {
    let queue = Queue::new(Losing::Oldest, 2, 10_000);
    queue.push(Item::Reconnected(Some(1)));
    queue.push(all_on("a", 0..2));
    queue.push(Item::Reconnected(Some(2)));
    queue.push(all_on("a", 2..5));
    assert_eq!(seen(&queue), ["missed 3", "reconnected Some(3)", "3", "4"]);
    queue.push(Item::Reconnected(Some(1)));
    queue.push(Item::Reconnected(None));
    assert_eq!(seen(&queue), ["reconnected None"]);
}
