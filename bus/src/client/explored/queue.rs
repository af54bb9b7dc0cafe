//! The queue between the owning task and a reader: what is pushed is read or told as missed, and the reader woken for it.

use std::{collections::VecDeque, future::poll_fn, sync::Arc};

use bytes::BytesMut;
use futures::task::noop_waker;

use super::{block_on, explore, join, spawn};
use crate::{
    Origin,
    client::{
        error::Disconnected,
        publishers::Publishers,
        queue::{Item, Losing, Queue, RunItem, Taken},
    },
    wire::{FrameType, data, frame},
};

const EVENTS: u8 = 3;

fn run(n: u8) -> Item {
    let mut publishers = Publishers::default();
    publishers.origin_is(1, Origin::Master);
    let mut frames = BytesMut::new();
    let at = frame::begin(&mut frames, FrameType::Emit, 0);
    data::put_emit(&mut frames, data::Payload::Bytes, "a", None);
    frames.extend_from_slice(&[n]);
    frame::end(&mut frames, at);
    Item::Run(RunItem {
        publisher: Arc::clone(publishers.get(1).expect("just introduced")),
        first_seq: u64::from(n),
        count: 1,
        flags: 0,
        epoch: 0,
        frames: frames.freeze(),
    })
}

/// The numbers of the events read, and how many were missed.
fn read_to_the_end(queue: &Queue) -> (Vec<u64>, u64) {
    let (mut got, mut missed, mut batch) = (Vec::new(), 0, VecDeque::new());
    // It was polled before, by a task that is no more.
    let waker = noop_waker();
    let mut first = Some(std::task::Context::from_waker(&waker));
    loop {
        let taken = match first.take().map(|cx| queue.poll_take(&cx, &mut batch)) {
            Some(std::task::Poll::Ready(taken)) => taken,
            Some(std::task::Poll::Pending) | None => {
                block_on(poll_fn(|cx| queue.poll_take(cx, &mut batch)))
            }
        };
        match taken {
            Taken::Items => {}
            Taken::Missed(lost) => missed += lost,
            Taken::Reconnected(_) => panic!("it was not"),
            Taken::Ended(why) => {
                assert_eq!(why, Disconnected::HungUp);
                return (got, missed);
            }
        }
        for item in batch.drain(..) {
            match item {
                Item::Run(run) => got.push(run.first_seq),
                Item::Lagged(lost) => missed += lost,
                Item::Replaced => {}
                Item::Misfit { .. } | Item::Reconnected(_) => panic!("nothing of the kind"),
            }
        }
    }
}

fn pushed_and_read(losing: Losing, max_messages: usize) {
    explore(move || {
        let queue = Queue::new(losing, max_messages, 1 << 20);
        let pushing = Arc::clone(&queue);
        let pusher = spawn(move || {
            for n in 0..EVENTS {
                pushing.push(run(n));
            }
            pushing.end(Disconnected::HungUp);
        });
        let (got, missed) = read_to_the_end(&queue);
        join(pusher);
        assert!(got.is_sorted_by(|a, b| a < b), "{got:?}");
        match losing {
            Losing::Oldest | Losing::Newest => {
                assert_eq!(got.len() as u64 + missed, u64::from(EVENTS));
            }
            // What was replaced is not told; the last is always there.
            Losing::AllButLatest => {
                assert_eq!(missed, 0);
                assert_eq!(got.last(), Some(&(u64::from(EVENTS) - 1)));
            }
        }
    });
}

#[test]
fn every_event_is_read() {
    pushed_and_read(Losing::Oldest, usize::MAX);
}

#[test]
fn the_oldest_are_lost_and_told() {
    pushed_and_read(Losing::Oldest, 1);
}

#[test]
fn the_newest_are_lost_and_told() {
    pushed_and_read(Losing::Newest, 1);
}

#[test]
fn the_latest_is_read() {
    pushed_and_read(Losing::AllButLatest, 4);
}
