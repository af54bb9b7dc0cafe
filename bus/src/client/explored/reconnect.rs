//! A connection that breaks in the middle of a frame while events are emitted, and another one.

use std::sync::Arc;

use super::{
    assert_written, block_on, client, connect, emit, explore, handle, join, spawn, welcome,
    wire::{Wire, Written},
};
use crate::client::{error::Disconnected, link::Link, receive::Receiver, state::Ending};

/// Where the first connection breaks: in the middle of the first event.
const BREAKS_AFTER: usize = 11;

/// One connection after the other, as the owning task has them.
fn two_connections(link: &Arc<Link>, first: Wire, second: Wire) {
    let mut receiver = Receiver::new(Arc::clone(link));
    let ended = connect(link, &mut receiver, first);
    drop(link.lock().lose(&ended.why, ended.unwritten));
    link.has_room();
    receiver.resume(&welcome());
    link.set_welcome(welcome());
    connect(link, &mut receiver, second);
}

#[test]
fn what_was_not_written_is_on_the_next_one() {
    explore(|| {
        let (link, written) = (client(1), Written::default());
        let bus = handle(&link);
        let emitter = spawn(move || {
            emit(&bus, "a", 3);
            bus
        });
        let first = Wire::until(3, &written).after(BREAKS_AFTER);
        two_connections(&link, first, Wire::until(3, &written));
        let _open = join(emitter);
        assert_written(&written, &["a"], 3);
    });
}

#[test]
fn what_was_not_acknowledged_is_sent_again() {
    explore(|| {
        let (link, written) = (client(1 << 10), Written::default());
        let bus = handle(&link);
        let emitter = spawn(move || {
            let taken = block_on(bus.bytes("a", &[7]).acked());
            assert_eq!(taken.expect("the second answers"), 1);
            bus
        });
        // The first takes it and says nothing.
        let (first, second) = (Wire::until(1, &written), Wire::until(2, &written));
        two_connections(&link, first, second.answering());
        let _open = join(emitter);
        assert_eq!(written.events_on("a"), [7, 7]);
    });
}

#[test]
fn whoever_is_away_notices_that_nobody_wants_it_back() {
    explore(|| {
        let link = client(1 << 10);
        let lost = Disconnected::Drained;
        drop(link.lock().lose(&lost, bytes::BytesMut::new()));
        let bus = handle(&link);
        let drainer = Arc::clone(&link);
        let draining = spawn(move || drainer.start_draining().expect("it stands"));
        let dropping = spawn(move || drop(bus));
        let why = block_on(link.unwanted(std::time::Duration::from_secs(60)));
        assert!([lost, Disconnected::HungUp].contains(&why), "{why:?}");
        join(draining);
        join(dropping);
        assert!(matches!(
            link.lock().ending,
            Some((Ending::Flush(Disconnected::HungUp), _))
        ));
    });
}
