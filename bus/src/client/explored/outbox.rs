//! The outgoing buffer: the owning task sleeps while it is empty, senders while it is full.

use std::sync::Arc;

use super::{
    assert_written, block_on, client, connect, emit, explore, handle, join, spawn,
    wire::{Wire, Written},
};
use crate::{
    client::{error::Disconnected, receive::Receiver, state::Ending},
    wire::control::HubOp,
};

#[test]
fn what_is_appended_is_written() {
    explore(|| {
        let (link, written) = (client(1 << 10), Written::default());
        let emitters = ["a", "b"].map(|topic| {
            let bus = handle(&link);
            spawn(move || {
                emit(&bus, topic, 2);
                bus
            })
        });
        let mut receiver = Receiver::new(Arc::clone(&link));
        connect(&link, &mut receiver, Wire::until(4, &written));
        let _open = emitters.map(join);
        assert_written(&written, &["a", "b"], 2);
    });
}

#[test]
fn whoever_waits_for_room_gets_it() {
    explore(|| {
        // One frame, and no more, may wait.
        let (link, written) = (client(1), Written::default());
        let emitters = ["a", "b"].map(|topic| {
            let bus = handle(&link);
            spawn(move || {
                emit(&bus, topic, 2);
                bus
            })
        });
        let mut receiver = Receiver::new(Arc::clone(&link));
        connect(&link, &mut receiver, Wire::until(4, &written));
        let _open = emitters.map(join);
        assert_written(&written, &["a", "b"], 2);
    });
}

#[test]
fn whoever_waits_for_a_topic_goes_on_when_it_is_released() {
    explore(|| {
        let (link, written) = (client(1 << 10), Written::default());
        let bus = handle(&link);
        let emitter = spawn(move || {
            emit(&bus, "a", 2);
            bus
        });
        let topic = || "a".to_owned();
        let says = [
            HubOp::Hold { topic: topic() },
            HubOp::Release { topic: topic() },
        ];
        let wire = Wire::until(2, &written).saying(says);
        let mut receiver = Receiver::new(Arc::clone(&link));
        connect(&link, &mut receiver, wire);
        let _open = join(emitter);
        assert_written(&written, &["a"], 2);
    });
}

#[test]
fn an_acknowledgement_reaches_whoever_waits_for_it() {
    explore(|| {
        let (link, written) = (client(1 << 10), Written::default());
        let emitters = ["a", "b"].map(|topic| {
            let bus = handle(&link);
            spawn(move || {
                let taken = block_on(bus.bytes(topic, &[0]).acked());
                assert_eq!(taken.expect("the hub answers"), 1);
                bus
            })
        });
        let mut receiver = Receiver::new(Arc::clone(&link));
        let wire = Wire::until(2, &written).answering();
        connect(&link, &mut receiver, wire);
        let _open = emitters.map(join);
        assert_written(&written, &["a", "b"], 1);
    });
}

#[test]
fn the_last_handle_takes_what_was_emitted_along() {
    explore(|| {
        let (link, written) = (client(1 << 10), Written::default());
        let bus = handle(&link);
        let emitter = spawn(move || emit(&bus, "a", 2));
        let mut receiver = Receiver::new(Arc::clone(&link));
        let ended = connect(&link, &mut receiver, Wire::until(usize::MAX, &written));
        assert_eq!(ended.why, Disconnected::HungUp);
        join(emitter);
        assert_written(&written, &["a"], 2);
    });
}

#[test]
fn an_end_at_once_needs_nothing_written() {
    explore(|| {
        let (link, written) = (client(1 << 10), Written::default());
        let (bus, other) = (handle(&link), Arc::clone(&link));
        let emitter = spawn(move || {
            emit(&bus, "a", 1);
            bus
        });
        let ender = spawn(move || other.end(Ending::Now(Disconnected::Drained)));
        let mut receiver = Receiver::new(Arc::clone(&link));
        let ended = connect(&link, &mut receiver, Wire::until(usize::MAX, &written));
        assert_eq!(ended.why, Disconnected::Drained);
        join(ender);
        let _open = join(emitter);
    });
}

#[test]
fn whoever_waits_is_told_of_the_end() {
    explore(|| {
        let (link, written) = (client(1), Written::default());
        let bus = handle(&link);
        let emitter = spawn(move || {
            let mut emitted = 0;
            while block_on(bus.emit_bytes("a", vec![emitted])).is_ok() {
                emitted += 1;
                assert!(emitted < 4, "nobody writes");
            }
            bus
        });
        let mut receiver = Receiver::new(Arc::clone(&link));
        connect(&link, &mut receiver, Wire::until(1, &written));
        receiver.end(&Disconnected::HungUp);
        let _open = join(emitter);
    });
}
