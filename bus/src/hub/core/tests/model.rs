//! The core against a naive model: a list of events per subscription. Order, exactly once, and losses to the last one.

use std::collections::HashMap;

use proptest::{collection::vec, prelude::*};

use super::support::*;
use crate::{
    Pattern,
    wire::control::{ClientOp, HubOp, SubscribeOptions},
};

const PEERS: usize = 4;
const SUBS: u32 = 3;
const PATTERNS: [&str; 7] = ["a", "a.b", "*", "a.*", "a.>", "_x", "_x.*"];
const TOPICS: [&str; 6] = ["a", "a.b", "a.b.c", "b", "_x", "_x.y"];

#[derive(Clone, Debug)]
enum Step {
    /// These topics, in one read.
    Publish(usize, Vec<usize>),
    Subscribe(usize, u32, usize, Option<u32>),
    Unsubscribe(usize, u32),
    /// One write's worth, or all.
    Read(usize, bool),
    Reconnect(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let peer = 0..PEERS;
    prop_oneof![
        6 => (peer.clone(), vec(0..TOPICS.len(), 1..12)).prop_map(|(p, t)| Step::Publish(p, t)),
        4 => (peer.clone(), 0..SUBS, 0..PATTERNS.len(), prop::option::of(1..10_u32))
            .prop_map(|(p, s, pattern, max)| Step::Subscribe(p, s, pattern, max)),
        1 => (peer.clone(), 0..SUBS).prop_map(|(p, s)| Step::Unsubscribe(p, s)),
        2 => (peer.clone(), any::<bool>()).prop_map(|(p, all)| Step::Read(p, all)),
        1 => peer.prop_map(Step::Reconnect),
    ]
}

/// What a subscription is owed: events in order, `None` in place of those lost.
#[derive(Debug, Default)]
struct Owed {
    pattern: String,
    max: Option<usize>,
    lost: u64,
    waiting: Vec<(u64, String)>,
}

impl Owed {
    fn publish(&mut self, seq: u64, topic: &str) {
        if !Pattern::new(&self.pattern).unwrap().matches(topic) {
            return;
        }
        self.waiting.push((seq, topic.into()));
        if self.max.is_some_and(|max| self.waiting.len() > max) {
            self.waiting.remove(0);
            self.lost += 1;
        }
    }
}

struct Model {
    world: World,
    ids: Vec<u64>,
    owed: HashMap<(usize, u32), Owed>,
    seq: u64,
    names: u32,
    /// The hub's number of each subscription, new each time, so that what is late is told apart.
    numbers: HashMap<(usize, u32), u32>,
}

impl Model {
    fn new() -> Self {
        let mut world = World::new();
        let ids = (0..PEERS)
            .map(|n| world.join(client(&n.to_string())))
            .collect();
        Self {
            world,
            ids,
            owed: HashMap::new(),
            seq: 0,
            names: 0,
            numbers: HashMap::new(),
        }
    }

    fn play(&mut self, step: &Step) {
        match step {
            Step::Publish(peer, topics) => self.publish(*peer, topics),
            Step::Subscribe(peer, sub, pattern, max) => {
                self.subscribe(*peer, *sub, PATTERNS[*pattern], *max);
            }
            Step::Unsubscribe(peer, sub) => self.unsubscribe(*peer, *sub),
            Step::Read(peer, all) => self.read(*peer, *all),
            Step::Reconnect(peer) => {
                self.world.leave(self.ids[*peer]);
                self.owed.retain(|(p, _), _| p != peer);
                self.numbers.retain(|(p, _), _| p != peer);
                self.ids[*peer] = self.world.join(client("again"));
            }
        }
    }

    fn publish(&mut self, peer: usize, topics: &[usize]) {
        let mut input = Vec::new();
        for topic in topics {
            self.seq += 1;
            let topic = TOPICS[*topic];
            input.extend(emit(topic, &self.seq.to_be_bytes()));
            for owed in self.owed.values_mut() {
                owed.publish(self.seq, topic);
            }
        }
        self.world.send(self.ids[peer], &input);
    }

    fn subscribe(&mut self, peer: usize, sub: u32, pattern: &str, max: Option<u32>) {
        if self.owed.contains_key(&(peer, sub)) {
            return;
        }
        self.names += 1;
        let op = ClientOp::Subscribe {
            sub: self.names,
            pattern: pattern.into(),
            reader: None,
            options: SubscribeOptions {
                max_messages: max,
                ..SubscribeOptions::default()
            },
        };
        self.world.ask(self.ids[peer], 1, op);
        let owed = Owed {
            pattern: pattern.into(),
            max: max.map(|m| m as usize),
            ..Owed::default()
        };
        self.owed.insert((peer, sub), owed);
        self.numbers.insert((peer, sub), self.names);
    }

    fn unsubscribe(&mut self, peer: usize, sub: u32) {
        self.owed.remove(&(peer, sub));
        if let Some(number) = self.numbers.remove(&(peer, sub)) {
            let op = ClientOp::Unsubscribe { sub: number };
            self.world.ask(self.ids[peer], 1, op);
        }
    }

    fn read(&mut self, peer: usize, all: bool) {
        let got = match all {
            true => self.world.take(self.ids[peer]),
            false => self.world.take_once(self.ids[peer]).unwrap_or_default(),
        };
        let mut last_seq = 0;
        for got in got {
            match got {
                Got::Event(event) => {
                    let owed = self.owed(peer, event.sub);
                    assert_eq!(owed.lost, 0, "a loss is told before what follows it");
                    assert!(!owed.waiting.is_empty(), "{event:?} is not owed");
                    let want = owed.waiting.remove(0);
                    assert_eq!(want, (event.seq, event.topic));
                    assert_eq!(event.payload[..], event.seq.to_be_bytes());
                    assert!(
                        event.seq + 12 >= last_seq,
                        "across subscriptions, but for a run"
                    );
                    last_seq = event.seq;
                }
                Got::Control(0, HubOp::Lagged { sub, missed }) => {
                    let owed = self.owed(peer, sub);
                    assert_eq!(std::mem::take(&mut owed.lost), missed);
                }
                Got::Control(..) => {}
                other => panic!("{other:?}"),
            }
        }
        if all {
            let left = self.owed.iter().filter(|((p, _), _)| *p == peer);
            for (_, owed) in left {
                assert_eq!((owed.lost, owed.waiting.len()), (0, 0), "{owed:?}");
            }
        }
    }

    fn owed(&mut self, peer: usize, number: u32) -> &mut Owed {
        let key = self
            .numbers
            .iter()
            .find(|((p, _), n)| *p == peer && **n == number)
            .map(|(key, _)| *key)
            .expect("nothing comes for a subscription that is gone");
        self.owed.get_mut(&key).expect("it is owed")
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_subscription_gets_what_it_is_owed(steps in vec(step(), 1..80)) {
        let mut model = Model::new();
        for step in &steps {
            model.play(step);
        }
        for peer in 0..PEERS {
            model.read(peer, true);
        }
        for id in model.ids.clone() {
            model.world.leave(id);
        }
        prop_assert_eq!(model.world.core.tally.total(), 0);
    }
}
