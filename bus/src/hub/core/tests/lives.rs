//! Reliable events over several lives of a hub: within one, each is taken once; over all, none is lost, and only those
//! without an answer are taken again.

use std::collections::{BTreeMap, BTreeSet};

use proptest::{collection::vec, prelude::*};

use super::support::*;
use crate::wire::{control::HubOp, data::Payload, flags, hello::Codec};

const ME: u128 = 0xabc;

/// As many as a client may have without an answer.
const UNACKED: usize = 1024;

#[derive(Clone, Debug)]
enum Step {
    /// So many, of which a part arrives, in thousandths.
    Publish(usize, usize),
    /// Reads a part of the answers, in thousandths.
    Read(usize),
    /// Comes back, and sends again what has no answer; a part of it arrives.
    Reconnect(usize),
    /// The hub begins anew.
    Fail,
}

fn step() -> impl Strategy<Value = Step> {
    let part = || prop_oneof![Just(1000_usize), 0..=1000_usize];
    prop_oneof![
        4 => (1..700_usize, part()).prop_map(|(n, part)| Step::Publish(n, part)),
        3 => part().prop_map(Step::Read),
        2 => part().prop_map(Step::Reconnect),
        1 => Just(Step::Fail),
    ]
}

struct Scene {
    w: World,
    subscriber: u64,
    publisher: u64,
    last: u64,
    /// Without an answer: a client's numbers ascend, and so do these.
    open: BTreeSet<u64>,
    /// Something was lost on the way: nothing arrives by this connection any more.
    broken: bool,
    /// How often each was taken, by this life and by all.
    taken: BTreeMap<u64, u32>,
    /// Those whose answer was outstanding when a life ended: they may come again, once for each life.
    risked: BTreeMap<u64, u32>,
}

impl Scene {
    fn new() -> Self {
        let (w, subscriber, publisher) = Self::life();
        Self {
            w,
            subscriber,
            publisher,
            last: 0,
            open: BTreeSet::new(),
            broken: false,
            taken: BTreeMap::new(),
            risked: BTreeMap::new(),
        }
    }

    fn life() -> (World, u64, u64) {
        let mut w = World::new();
        let subscriber = w.join(client("s"));
        w.subscribe(subscriber, 1, "a");
        let publisher = w.join_instance(ME, Codec::Postcard);
        (w, subscriber, publisher)
    }

    fn send(&mut self, numbers: &[u64], part: usize) {
        let arrive = match self.broken {
            true => 0,
            false => numbers.len() * part / 1000,
        };
        self.broken |= arrive < numbers.len();
        let frames: Vec<u8> = numbers[..arrive]
            .iter()
            .flat_map(|n| {
                let payload = n.to_be_bytes();
                let flags = flags::ACK | flags::RELIABLE;
                emit_with(flags, Payload::Bytes, "a", Some(*n), &payload)
            })
            .collect();
        self.send_all(&frames);
        self.hear();
    }

    /// The hub takes no more while it has too many answers for its peer.
    fn send_all(&mut self, frames: &[u8]) {
        let taken = self.w.send_some(self.publisher, frames);
        self.broken |= taken < frames.len();
    }

    fn publish(&mut self, n: usize, part: usize) {
        let n = n.min(UNACKED - self.open.len()) as u64;
        let numbers: Vec<u64> = (self.last + 1..=self.last + n).collect();
        self.last += n;
        self.open.extend(&numbers);
        self.send(&numbers, part);
    }

    fn read(&mut self, part: usize) {
        let bytes = self.w.take_raw(self.publisher);
        let read = bytes.len() * part / 1000;
        for got in self.w.read(self.publisher, &bytes[..read]) {
            if let Got::Control(number, HubOp::Done { count }) = got {
                assert_eq!(count, 1);
                assert!(self.open.remove(&number), "{number} is answered twice");
            }
        }
        // What was not read is lost, and so is the connection.
        if read < bytes.len() {
            self.reconnect(0);
        }
    }

    fn reconnect(&mut self, part: usize) {
        self.publisher = self.w.join_instance(ME, Codec::Postcard);
        self.again(part);
    }

    fn again(&mut self, part: usize) {
        self.broken = false;
        let open: Vec<u64> = self.open.iter().copied().collect();
        self.send(&open, part);
    }

    fn fail(&mut self) {
        for number in &self.open {
            *self.risked.entry(*number).or_default() += 1;
        }
        (self.w, self.subscriber, self.publisher) = Self::life();
        self.again(1000);
    }

    fn hear(&mut self) {
        for event in self.w.events(self.subscriber) {
            let number = u64::from_be_bytes(event.payload[..].try_into().unwrap());
            *self.taken.entry(number).or_default() += 1;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn none_is_lost_and_only_unanswered_ones_come_again_in_another_life(steps in vec(step(), 1..40)) {
        let mut s = Scene::new();
        for step in steps {
            match step {
                Step::Publish(n, part) => s.publish(n, part),
                Step::Read(part) => s.read(part),
                Step::Reconnect(part) => s.reconnect(part),
                Step::Fail => s.fail(),
            }
        }
        // What a reader that keeps up is not answered now, it never is.
        s.reconnect(1000);
        s.read(1000);
        prop_assert!(s.open.is_empty(), "without an answer: {:?}", s.open);
        for number in 1..=s.last {
            let taken = s.taken.get(&number).copied().unwrap_or_default();
            let lives = 1 + s.risked.get(&number).copied().unwrap_or_default();
            prop_assert!((1..=lives).contains(&taken), "{} was taken {} times in {} lives", number, taken, lives);
        }
    }
}
