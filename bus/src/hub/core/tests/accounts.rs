//! Policies, windows and groups against a naive model: for every subscription what matched is what it got, was told as lost,
//! had conflated, wanted no more, or waits; in order, and each loss in its place. In a group each event comes once while members live,
//! and again only to another when one ends that had not confirmed it.

use std::collections::{BTreeSet, HashMap, VecDeque};

use bytes::Bytes;
use proptest::{collection::vec, option, prelude::*};
use serde_json::{Value, json};

use super::support::*;
use crate::{
    Pattern,
    hub::core::edge::Emit,
    wire::{
        FrameType, base64,
        control::{ClientOp, HubOp, OverflowPolicy, SubscribeOptions},
        data::Payload,
        flags,
        hello::Codec,
    },
};

const PEERS: usize = 4;
/// It speaks JSON.
const TALKER: usize = 3;
const PATTERNS: [&str; 4] = ["a", "*", "a.*", "b.>"];
const TOPICS: [&str; 5] = ["a", "a.b", "a.c", "b.c", "b.c.d"];

#[derive(Clone, Debug)]
enum Step {
    /// These topics, in one read; perhaps nobody wants them after a while.
    Publish(usize, Vec<usize>, Option<u32>),
    Subscribe(usize, usize, SubscribeOptions),
    /// The connection's subscription at this place.
    Unsubscribe(usize, usize),
    /// One write's worth, or all.
    Read(usize, bool),
    /// So many of what the subscription at this place was sent.
    Took(usize, usize, u64),
    Pass(u64),
    /// No time is left for events that change their form.
    Exhaust,
    Reconnect(usize),
}

fn policy() -> impl Strategy<Value = OverflowPolicy> {
    prop_oneof![
        Just(OverflowPolicy::DropOldest),
        Just(OverflowPolicy::DropNewest),
        Just(OverflowPolicy::KeepLatest),
        (1..2_000_u32).prop_map(|max_wait_ms| OverflowPolicy::Backpressure { max_wait_ms }),
        Just(OverflowPolicy::Disconnect),
    ]
}

fn subscribe_options() -> impl Strategy<Value = SubscribeOptions> {
    let single = (
        policy(),
        option::of(1..12_u32),
        option::weighted(0.2, 30..400_u32),
        option::of(1..9_u32),
    );
    let single = single.prop_map(
        |(policy, max_messages, max_bytes, window)| SubscribeOptions {
            policy,
            max_messages,
            max_bytes,
            window,
            ..SubscribeOptions::default()
        },
    );
    let member = (
        option::of(1..9_u32),
        option::weighted(0.2, 1..12_u32),
        policy(),
    );
    let member = member.prop_map(|(window, max_messages, policy)| SubscribeOptions {
        window,
        max_messages,
        policy: match policy {
            OverflowPolicy::KeepLatest => OverflowPolicy::DropOldest,
            policy => policy,
        },
        group: Some("g".into()),
        ..SubscribeOptions::default()
    });
    prop_oneof![single, member]
}

fn step() -> impl Strategy<Value = Step> {
    let peer = 0..PEERS;
    prop_oneof![
        8 => (peer.clone(), vec(0..TOPICS.len(), 1..12), option::weighted(0.1, 0..2_000_u32))
            .prop_map(|(p, t, ttl)| Step::Publish(p, t, ttl)),
        5 => (peer.clone(), 0..PATTERNS.len(), subscribe_options())
            .prop_map(|(p, pattern, options)| Step::Subscribe(p, pattern, options)),
        1 => (peer.clone(), any::<usize>()).prop_map(|(p, s)| Step::Unsubscribe(p, s)),
        4 => (peer.clone(), any::<bool>()).prop_map(|(p, all)| Step::Read(p, all)),
        3 => (peer.clone(), any::<usize>(), 1..10_u64).prop_map(|(p, s, n)| Step::Took(p, s, n)),
        1 => (1..3_000_u64).prop_map(Step::Pass),
        1 => Just(Step::Exhaust),
        1 => peer.prop_map(Step::Reconnect),
    ]
}

fn codec(peer: usize) -> Codec {
    match peer {
        TALKER => Codec::Json,
        _ => Codec::Postcard,
    }
}

/// An event as whoever speaks JSON gets it.
fn event_of(flags: u8, body: &Value) -> Event {
    let text = |key: &str| body[key].as_str().unwrap().to_owned();
    Event {
        sub: body["sub"].as_u64().unwrap() as u32,
        seq: body["seq"].as_u64().unwrap(),
        conn: 0,
        flags,
        topic: text("topic"),
        kind: Payload::Bytes,
        headers: Bytes::new(),
        payload: text("bytes").into_bytes().into(),
    }
}

/// A subscription, as its client sees it.
#[derive(Debug)]
struct Sub {
    pattern: usize,
    options: SubscribeOptions,
    /// What it matched by itself, with topics; and how far it has been told of that.
    matched: Vec<(u64, usize)>,
    told: usize,
    /// Told as lost, but not which.
    missing: usize,
    conflated: u64,
    expired: u64,
    got: u64,
    lagged: u64,
    unconfirmed: VecDeque<u64>,
}

/// A group, by its pattern.
#[derive(Debug, Default)]
struct Group {
    owed: BTreeSet<u64>,
    again: BTreeSet<u64>,
    seen: BTreeSet<u64>,
    /// Some was lost for want of room, or may have come too late: what is owed is not exact.
    lagged: bool,
}

struct Model {
    world: World,
    ids: Vec<u64>,
    seq: u64,
    /// Events that may come too late.
    hasty: BTreeSet<u64>,
    last_sub: u32,
    subs: HashMap<(usize, u32), Sub>,
    groups: HashMap<usize, Group>,
    held: Vec<BTreeSet<String>>,
}

impl Model {
    fn new() -> Self {
        let mut world = World::new();
        let ids = (0..PEERS).map(|n| world.join_as(client(&n.to_string()), codec(n)));
        Self {
            ids: ids.collect(),
            world,
            seq: 0,
            hasty: BTreeSet::new(),
            last_sub: 0,
            subs: HashMap::new(),
            groups: HashMap::new(),
            held: vec![BTreeSet::new(); PEERS],
        }
    }

    fn play(&mut self, step: &Step) {
        match step {
            Step::Publish(peer, topics, ttl) => self.publish(*peer, topics, *ttl),
            Step::Subscribe(peer, pattern, options) => self.subscribe(*peer, *pattern, options),
            Step::Unsubscribe(peer, at) => {
                if let Some(sub) = self.sub_at(*peer, *at) {
                    let op = ClientOp::Unsubscribe { sub };
                    self.world.ask(self.ids[*peer], 1, op);
                    self.end(*peer, sub);
                }
            }
            Step::Read(peer, all) => self.read(*peer, *all),
            Step::Took(peer, at, n) => {
                if let Some(sub) = self.sub_at(*peer, *at) {
                    self.took(*peer, sub, *n);
                }
            }
            Step::Pass(millis) => self.world.pass(std::time::Duration::from_millis(*millis)),
            Step::Exhaust => self.world.core.workshop.thrift.exhaust(),
            Step::Reconnect(peer) => self.reconnect(*peer),
        }
        self.bury();
        self.check();
    }

    fn sub_at(&self, peer: usize, at: usize) -> Option<u32> {
        let mut subs: Vec<u32> = self
            .subs
            .keys()
            .filter(|k| k.0 == peer)
            .map(|k| k.1)
            .collect();
        subs.sort_unstable();
        (!subs.is_empty()).then(|| subs[at % subs.len()])
    }

    fn publish(&mut self, peer: usize, topics: &[usize], ttl_ms: Option<u32>) {
        let mut input = Vec::new();
        for at in topics {
            self.seq += 1;
            let topic = TOPICS[*at];
            // Of different sizes.
            let payload = vec![7; self.seq as usize % 5 * 20];
            let emit = Emit {
                kind: Payload::Bytes,
                topic,
                ack: None,
                ttl_ms,
                headers: &[],
                payload: &payload,
            };
            match codec(peer) {
                Codec::Postcard => input.extend(emit.frame(0)),
                Codec::Json => {
                    let bytes = base64::encode(&payload);
                    let body = json!({"topic": topic, "bytes": bytes, "ttl_ms": ttl_ms});
                    input.extend(object(FrameType::Emit, &body));
                }
            }
            if ttl_ms.is_some() {
                self.hasty.insert(self.seq);
            }
            for sub in self.subs.values_mut() {
                if !Pattern::new(PATTERNS[sub.pattern]).unwrap().matches(topic) {
                    continue;
                }
                match sub.options.group {
                    None => sub.matched.push((self.seq, *at)),
                    Some(_) => {
                        let group = self.groups.entry(sub.pattern).or_default();
                        group.owed.insert(self.seq);
                        group.lagged |= ttl_ms.is_some();
                    }
                }
            }
        }
        self.world.send(self.ids[peer], &input);
        // Whoever cuts itself off by what it publishes is not heard to its end.
        self.seq = self.world.core.seq[0];
        for sub in self.subs.values_mut() {
            sub.matched.retain(|(seq, _)| *seq <= self.seq);
        }
        for group in self.groups.values_mut() {
            group.owed.retain(|seq| *seq <= self.seq);
        }
    }

    fn subscribe(&mut self, peer: usize, pattern: usize, options: &SubscribeOptions) {
        self.last_sub += 1;
        let mut options = options.clone();
        // Members of a group have one pattern, so that it is known which events it gets.
        options.group = options.group.map(|g| format!("{g}{pattern}"));
        let op = subscribe_with(self.last_sub, PATTERNS[pattern], options.clone());
        self.world.ask(self.ids[peer], 1, op);
        let sub = Sub {
            pattern,
            options,
            matched: Vec::new(),
            told: 0,
            missing: 0,
            conflated: 0,
            expired: 0,
            got: 0,
            lagged: 0,
            unconfirmed: VecDeque::new(),
        };
        self.subs.insert((peer, self.last_sub), sub);
    }

    fn took(&mut self, peer: usize, sub: u32, n: u64) {
        let state = self.subs.get_mut(&(peer, sub)).unwrap();
        let count = n.min(state.unconfirmed.len() as u64);
        state.unconfirmed.drain(..count as usize);
        self.world
            .ask(self.ids[peer], 0, ClientOp::Took { sub, count });
    }

    /// A subscription is no more; of a group's member the others get what it has not confirmed, if there are any.
    fn end(&mut self, peer: usize, sub: u32) {
        let state = self.subs.remove(&(peer, sub)).unwrap();
        if state.options.group.is_none() {
            return;
        }
        let others = self.subs.values();
        let mut others = others.filter(|s| s.options.group == state.options.group);
        let group = self.groups.entry(state.pattern).or_default();
        match others.next() {
            Some(_) => group.again.extend(state.unconfirmed),
            None => *group = Group::default(),
        }
    }

    fn reconnect(&mut self, peer: usize) {
        self.world.leave(self.ids[peer]);
        let subs: Vec<u32> = self
            .subs
            .keys()
            .filter(|k| k.0 == peer)
            .map(|k| k.1)
            .collect();
        for sub in subs {
            self.end(peer, sub);
        }
        self.held[peer].clear();
        self.ids[peer] = self.world.join_as(client("again"), codec(peer));
    }

    /// Whoever was cut off comes again.
    fn bury(&mut self) {
        for peer in 0..PEERS {
            if self.world.core.is_closing(self.ids[peer]) {
                let asked = |(key, sub): (&(usize, u32), &Sub)| {
                    key.0 == peer && sub.options.policy == OverflowPolicy::Disconnect
                };
                assert!(
                    self.subs.iter().any(asked),
                    "nobody is closed who didn't ask"
                );
                self.reconnect(peer);
            }
        }
    }

    fn read(&mut self, peer: usize, all: bool) {
        let got = match all {
            true => self.world.take(self.ids[peer]),
            false => self.world.take_once(self.ids[peer]).unwrap_or_default(),
        };
        for got in got {
            match got {
                Got::Event(event) => self.got(peer, &event),
                Got::Object(FrameType::Run, flags, body) => {
                    self.got(peer, &event_of(flags, &body));
                }
                Got::Control(0, HubOp::Lagged { sub, missed }) => self.lagged(peer, sub, missed),
                Got::Control(0, HubOp::Hold { topic }) => {
                    assert!(self.held[peer].insert(topic), "held once");
                }
                Got::Control(0, HubOp::Release { topic }) => {
                    assert!(self.held[peer].remove(&topic), "released once");
                }
                Got::Control(..) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    fn got(&mut self, peer: usize, event: &Event) {
        let again = event.flags & flags::REDELIVERED != 0;
        let sub = self.subs.get_mut(&(peer, event.sub));
        let sub = sub.expect("nothing comes for a subscription that is gone");
        sub.got += 1;
        if let Some(window) = sub.options.window {
            sub.unconfirmed.push_back(event.seq);
            assert!(
                sub.unconfirmed.len() <= window as usize,
                "within the window"
            );
        } else if sub.options.group.is_some() {
            sub.unconfirmed.push_back(event.seq);
        }
        if sub.options.group.is_some() {
            let group = self.groups.get_mut(&sub.pattern).expect("it was owed");
            assert_eq!(group.seen.contains(&event.seq), again, "{event:?}");
            group.seen.insert(event.seq);
            group.owed.remove(&event.seq);
            group.again.remove(&event.seq);
            return;
        }
        assert!(!again);
        if sub.options.policy == OverflowPolicy::KeepLatest {
            sub.skip_conflated(event.seq, &self.hasty);
        } else {
            sub.skip_missing(event.seq, &self.hasty);
        }
        let next = sub.matched.get(sub.told).expect("it is owed");
        assert_eq!(
            next.0, event.seq,
            "in order, with losses told in their place"
        );
        assert_eq!(TOPICS[next.1], event.topic);
        sub.told += 1;
    }

    fn lagged(&mut self, peer: usize, number: u32, missed: u64) {
        let sub = self.subs.get_mut(&(peer, number)).expect("it lives");
        sub.lagged += missed;
        match (&sub.options.group, sub.options.policy) {
            (Some(_), _) => {}
            // Which were lost and which conflated is known at the end.
            (None, OverflowPolicy::KeepLatest) => {}
            (None, _) => sub.missing += missed as usize,
        }
    }

    /// The hub's own accounts add up, and are those of the client.
    fn check(&mut self) {
        for ((peer, number), sub) in &self.subs {
            let outbox = &self.world.core.conns[&self.ids[*peer]].outbox;
            let counts = outbox.counts(*number).unwrap();
            let waiting = outbox.waiting(*number);
            let sum = counts.delivered + counts.lagged + counts.misfits + counts.conflated;
            let sum = sum + counts.expired;
            assert_eq!(counts.matched, sum + waiting, "{counts:?} {waiting}");
            assert_eq!(counts.delivered, sub.got);
            match sub.options.group {
                None => assert_eq!(counts.matched, sub.matched.len() as u64),
                // It may end before it is told.
                Some(_) if counts.lagged > 0 => {
                    self.groups.entry(sub.pattern).or_default().lagged = true;
                }
                Some(_) => {}
            }
            let bound = sub.options.max_messages.unwrap_or(u32::MAX).max(1);
            let bound = match sub.options.policy {
                OverflowPolicy::Disconnect => u64::from(bound) * 2,
                _ => u64::from(bound),
            };
            assert!(waiting <= bound, "{waiting} of {bound}");
        }
    }

    /// Everybody reads and confirms all there is.
    fn drain(&mut self) {
        // There is time for events that change their form.
        self.play(&Step::Pass(2));
        loop {
            for peer in 0..PEERS {
                self.read(peer, true);
            }
            let keys = self.subs.iter().filter(|(_, s)| !s.unconfirmed.is_empty());
            let keys: Vec<(usize, u32)> = keys.map(|(key, _)| *key).collect();
            if keys.is_empty() {
                break;
            }
            for (peer, sub) in keys {
                self.took(peer, sub, u64::MAX);
            }
        }
        for peer in 0..PEERS {
            // What the last to read released.
            self.read(peer, true);
        }
        self.check();
        for ((peer, number), sub) in &mut self.subs {
            let outbox = &self.world.core.conns[&self.ids[*peer]].outbox;
            assert_eq!(outbox.waiting(*number), 0, "nothing is left");
            let counts = outbox.counts(*number).unwrap();
            assert_eq!(counts.lagged, sub.lagged, "every loss was told");
            match (&sub.options.group, sub.options.policy) {
                (Some(_), _) => {}
                (None, OverflowPolicy::KeepLatest) => {
                    sub.skip_conflated(u64::MAX, &self.hasty);
                    let silent = counts.conflated + counts.lagged + counts.expired;
                    assert_eq!(silent, sub.conflated);
                }
                (None, _) => {
                    sub.skip_missing(u64::MAX, &self.hasty);
                    assert_eq!(counts.expired, sub.expired);
                }
            }
        }
        for group in self.groups.values().filter(|g| !g.lagged) {
            assert!(group.owed.is_empty() && group.again.is_empty(), "{group:?}");
        }
        assert!(self.held.iter().all(BTreeSet::is_empty), "{:?}", self.held);
        assert!(self.world.core.holds.is_empty());
    }
}

impl Sub {
    /// What comes before `seq` and was not delivered was told as lost, or came too late.
    fn skip_missing(&mut self, seq: u64, hasty: &BTreeSet<u64>) {
        let rest = &self.matched[self.told..];
        let skipped = rest.iter().take_while(|next| next.0 < seq);
        let skipped: Vec<u64> = skipped.map(|next| next.0).collect();
        let late = skipped.len().checked_sub(self.missing);
        let late = late.expect("no more was told as lost than was");
        let may_be = skipped.iter().filter(|seq| hasty.contains(seq)).count();
        assert!(late <= may_be, "{skipped:?}: {} told", self.missing);
        self.expired += late as u64;
        self.missing = 0;
        self.told += skipped.len();
    }

    /// What comes before `seq` and was not delivered was conflated, or lost.
    fn skip_conflated(&mut self, seq: u64, hasty: &BTreeSet<u64>) {
        while let Some(next) = self.matched.get(self.told).filter(|next| next.0 < seq) {
            let later = hasty.contains(&next.0)
                || self.matched[self.told + 1..].iter().any(|m| m.1 == next.1);
            assert!(
                later || self.options.max_messages.is_some() || self.options.max_bytes.is_some()
            );
            self.conflated += 1;
            self.told += 1;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn accounts_are_exact_under_every_policy(steps in vec(step(), 1..120)) {
        let mut model = Model::new();
        for step in &steps {
            model.play(step);
        }
        model.drain();
        for id in model.ids.clone() {
            model.world.leave(id);
        }
        prop_assert_eq!(model.world.core.tally.total(), 0);
        prop_assert!(model.world.core.holds.is_empty());
        model.world.pass(std::time::Duration::from_secs(60));
        prop_assert_eq!(model.world.core.next_deadline(), None);
    }
}
