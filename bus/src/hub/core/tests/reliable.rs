//! Reliable events: taken once, whatever is lost on the way.

use proptest::prelude::*;

use super::support::*;
use crate::wire::{
    FrameType,
    control::{HubOp, RefusalKind},
    data::Payload,
    flags,
    hello::Codec,
};

const ME: u128 = 0xabc;

fn reliable(number: u64) -> Vec<u8> {
    let payload = number.to_be_bytes();
    let flags = flags::ACK | flags::RELIABLE;
    emit_with(flags, Payload::Bytes, "a", Some(number), &payload)
}

/// A publisher that loses its connection, and a subscriber that doesn't.
struct Scene {
    w: World,
    subscriber: u64,
    publisher: u64,
    /// Numbers sent and not acknowledged.
    open: Vec<u64>,
    next: u64,
}

impl Scene {
    fn new() -> Self {
        let mut w = World::new();
        let subscriber = w.join(client("s"));
        w.subscribe(subscriber, 1, "a");
        let publisher = w.join_instance(ME, Codec::Postcard);
        Self {
            w,
            subscriber,
            publisher,
            open: Vec::new(),
            next: 1,
        }
    }

    /// Publishes; of the frames, so many arrive.
    fn publish(&mut self, events: u64, arrive: usize) {
        let numbers = self.next..self.next + events;
        self.next += events;
        for number in numbers.clone() {
            self.open.push(number);
        }
        self.arrive(&numbers.collect::<Vec<_>>(), arrive);
    }

    fn arrive(&mut self, numbers: &[u64], arrive: usize) {
        let frames: Vec<u8> = numbers
            .iter()
            .take(arrive)
            .flat_map(|n| reliable(*n))
            .collect();
        self.w.send(self.publisher, &frames);
    }

    /// Reads so many bytes of the answers, in thousandths.
    fn read(&mut self, part: usize) {
        let bytes = self.w.take_raw(self.publisher);
        let got = self
            .w
            .read(self.publisher, &bytes[..bytes.len() * part / 1000]);
        for got in got {
            if let Got::Control(number, HubOp::Done { count }) = got {
                assert_eq!(count, 1);
                self.open.retain(|n| *n != number);
            }
        }
    }

    /// Loses the connection, comes back, and sends again what is open.
    fn reconnect(&mut self, noticed: bool, arrive: usize) {
        if noticed {
            self.w.leave(self.publisher);
        }
        self.publisher = self.w.join_instance(ME, Codec::Postcard);
        let open = self.open.clone();
        self.arrive(&open, arrive);
    }

    fn check(mut self) {
        self.reconnect(true, usize::MAX);
        self.read(1000);
        assert!(self.open.is_empty(), "{:?}", self.open);
        let got = self.w.events(self.subscriber);
        let numbers: Vec<u64> = got
            .iter()
            .map(|e| u64::from_be_bytes(e.payload[..].try_into().unwrap()))
            .collect();
        assert_eq!(numbers, (1..self.next).collect::<Vec<_>>());
    }
}

#[test]
fn a_connection_lost_at_any_frame_loses_and_doubles_nothing() {
    const EVENTS: usize = 6;
    for arrive in 0..=EVENTS {
        for acked in 0..=arrive {
            for again in 0..=EVENTS - acked {
                let mut s = Scene::new();
                s.publish(EVENTS as u64, arrive);
                // Each answer has the same length.
                s.read(if arrive == 0 {
                    0
                } else {
                    (1000 * acked).div_ceil(arrive)
                });
                assert_eq!(s.open.len(), EVENTS - acked);
                s.reconnect(again % 2 == 0, again);
                s.check();
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Publish(u64, usize),
    Read(usize),
    Reconnect(bool, usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (1..8_u64, 0..10_usize).prop_map(|(n, arrive)| Step::Publish(n, arrive)),
        (0..=1000_usize).prop_map(Step::Read),
        (any::<bool>(), 0..20_usize).prop_map(|(noticed, arrive)| Step::Reconnect(noticed, arrive)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn random_disconnects_lose_and_double_nothing(steps in prop::collection::vec(step(), 1..40)) {
        let mut s = Scene::new();
        // A stream that lost something carries nothing after it.
        let mut broken = false;
        for step in steps {
            match step {
                Step::Publish(n, arrive) => {
                    let arrive = if broken { 0 } else { arrive };
                    broken |= arrive < n as usize;
                    s.publish(n, arrive);
                }
                Step::Read(part) => {
                    s.read(part);
                    // What was left unread is lost: the connection is.
                    broken = true;
                    s.reconnect(true, 0);
                }
                Step::Reconnect(noticed, arrive) => {
                    broken = arrive < s.open.len();
                    s.reconnect(noticed, arrive);
                }
            }
        }
        s.check();
    }
}

#[test]
fn what_was_refused_stays_refused_and_what_is_forgotten_is_told() {
    let mut w = World::new();
    let c = w.join_instance(ME, Codec::Postcard);
    let flags = flags::ACK | flags::RELIABLE;
    let bad = emit_with(flags, Payload::Postcard(3), "a", Some(1), b"");
    w.send(c, &bad);
    refused(
        &refusal_of(&w.take(c), 1),
        RefusalKind::BadType,
        &["type 3"],
    );
    w.send(c, &reliable(2));
    w.leave(c);
    let c = w.join_instance(ME, Codec::Postcard);
    w.announce::<u32>(c, 3, "");
    w.send(c, &bad);
    refused(
        &refusal_of(&w.take(c), 1),
        RefusalKind::BadType,
        &["when it first came"],
    );
    for number in 3..=1026 {
        w.send(c, &reliable(number));
        w.take(c);
    }
    w.send(c, &reliable(2));
    refused(
        &refusal_of(&w.take(c), 2),
        RefusalKind::Malformed,
        &["the last 1024"],
    );
    w.send(c, &reliable(3));
    assert_eq!(w.take(c), [Got::Control(3, HubOp::Done { count: 0 })]);
}

#[test]
fn reliable_events_need_an_instance_and_a_number() {
    let mut w = World::new();
    let c = w.join(client("c"));
    w.subscribe(c, 1, "a");
    w.send(c, &reliable(5));
    refused(
        &refusal_of(&w.take(c), 5),
        RefusalKind::Malformed,
        &["instance"],
    );
    w.send(
        c,
        &emit_with(flags::RELIABLE, Payload::Bytes, "a", None, b""),
    );
    refused(
        &refusal_of(&w.take(c), 0),
        RefusalKind::Malformed,
        &["reference"],
    );
}

#[test]
fn json_clients_are_reliable_too() {
    let mut w = World::new();
    let s = w.join(client("s"));
    w.subscribe(s, 1, "a");
    let body = serde_json::json!({"topic": "a", "payload": 1, "ref": 4}).to_string();
    let frame = raw(FrameType::Emit as u8, flags::RELIABLE, body.as_bytes());
    for _ in 0..2 {
        let c = w.join_instance(ME, Codec::Json);
        w.send(c, &[frame.clone(), frame.clone()].concat());
        let done = Got::Control(4, HubOp::Done { count: 1 });
        assert_eq!(w.take(c), [done.clone(), done]);
    }
    assert_eq!(w.events(s).len(), 1);
}
