//! The core against a naive hub of lists: whatever peers do, each gets exactly what the naive hub owes it.
//!
//! Compared are, for every subscription: each event (sequence, origin, topic, flags), in order; each loss, its number and its
//! place; and all its counts. For every connection: HOLD and RELEASE, acknowledgements with their counts, and that it is cut
//! off. In play are the five policies with bounds in messages and bytes, windows, queue groups, retained values, histories,
//! times to live, mailboxes, and connections that come and go.
//!
//! Not compared: the order across subscriptions of one connection, but for what was published by different reads (a run is
//! one item for each of them); and in which of several items of the control lane HOLD and RELEASE of different topics come.
//! Where events come several at a time, groups have two members at most, without bounds in bytes or back pressure: what one
//! leaves then goes to the other, whatever runs it was in. Sessions are held against a naive count in `resumption.rs`: what is missed is exact
//! there, and which events of a history come is checked for being in order and once. Requests have a model of their own:
//! [`asks`].

mod asks;
mod groups;
mod memory;
mod naive;
mod queue;
mod read;
mod steps;

use std::time::Duration;

use proptest::{collection::vec, prelude::*};

use self::{
    memory::{Mailbox, Memory},
    naive::{Naive, Peer},
    queue::{Event, Sub, Terms},
    steps::{Asked, HISTORIES, PATTERNS, PEERS, PUBLISHERS, Put, Setup, Step, TOPICS, step},
};
use super::support::*;
use crate::{
    Generation, Limits, Pattern, Slot, WorkerId,
    hub::{HistoryRule, HubOptions, Principal, Rules, core::edge::Emit},
    vocab::rules::fleet_rules,
    wire::{
        control::{ClientOp, OverflowPolicy, SubscribeOptions},
        data::Payload,
        flags,
    },
};

/// Mail that may wait.
const MAIL: usize = 3;
/// A payload this large fills a write by itself.
const LARGE: usize = 9_000;

fn worker() -> Principal {
    Principal::Worker {
        app: "web".into(),
        id: WorkerId(7),
        slot: Slot(0),
        generation: Generation(1),
        pid: 1,
    }
}

struct Model {
    setup: Setup,
    world: World,
    naive: Naive,
    ids: Vec<u64>,
    limits: Limits,
    /// The last subscription's number: new each time, so that what is late is told apart.
    numbers: u32,
}

impl Model {
    fn new(setup: Setup) -> Self {
        let limits = Limits {
            mailbox_messages: MAIL,
            mailbox_timeout: Duration::from_secs(3),
            ..Limits::default()
        };
        let rules = HISTORIES.iter().filter(|_| setup.remembers);
        let history = rules.clone().map(|rule| HistoryRule {
            max_age: rule.max_age,
            ..HistoryRule::last(rule.pattern, rule.messages)
        });
        let world = World::with(HubOptions {
            history: history.collect(),
            ..options(
                limits.clone(),
                Rules {
                    mailboxes: fleet_rules().mailboxes,
                    ..Rules::allow_all()
                },
            )
        });
        let naive = Naive {
            now: world.now,
            grace: limits.overflow_grace,
            peers: Vec::new(),
            memory: Memory::new(rules.copied().collect()),
            asked: Vec::new(),
            told: Vec::new(),
            left: Vec::new(),
            turn: 0,
            seq: 0,
        };
        let mut model = Self {
            setup,
            world,
            naive,
            ids: Vec::new(),
            limits,
            numbers: 0,
        };
        for place in 0..PEERS {
            let id = model.join(place);
            model.ids.push(id);
        }
        model
    }

    fn join(&mut self, place: usize) -> u64 {
        let is_worker = place == PEERS - 1;
        let principal = if is_worker {
            worker()
        } else {
            client(&place.to_string())
        };
        let id = self.world.join(principal);
        let addresses = ["to.worker.7.>", "to.slot.web.0.>", "to.app.web.>"];
        let until = self.naive.now + self.limits.mailbox_timeout;
        self.naive.peers.push(Peer {
            id,
            closed: false,
            subs: Vec::new(),
            holds: Vec::new(),
            answers: Vec::new(),
            mailbox: is_worker.then(|| {
                let addresses = addresses.map(|a| Pattern::new(a).unwrap());
                Mailbox::new(addresses.to_vec(), until, MAIL)
            }),
        });
        id
    }

    fn play(&mut self, step: &Step) {
        match step {
            Step::Publish(place, puts) => self.publish(*place, puts),
            Step::Subscribe(place, asked) => self.subscribe(*place, asked),
            Step::Unsubscribe(place, at) => self.unsubscribe(*place, *at),
            Step::Read(place, all) => self.read(*place, *all || self.setup.expiring),
            Step::Took(place, at, count) => self.took(*place, *at, *count),
            Step::Pass(hundreds) => {
                let time = Duration::from_millis(hundreds * 100);
                self.world.pass(time);
                self.naive.pass(time);
            }
            Step::Rejoin(place) => self.rejoin(*place),
        }
    }

    fn publish(&mut self, place: usize, puts: &[Put]) {
        let id = self.ids[place];
        let most = if self.setup.singly { 1 } else { puts.len() };
        let (mut input, mut together) = (Vec::new(), Vec::<Event>::new());
        let mut row = None::<(String, u64)>;
        for put in &puts[..most] {
            let (event, frame) = self.event(id, put);
            // Those in a row on one topic go where the first goes, and what came just before may be on its way yet.
            let count = match &row {
                Some((topic, count)) if *topic == event.topic => *count,
                Some(_) | None => self.naive.matches(&event.topic),
            };
            row = Some((event.topic.clone(), count));
            if put.acked {
                self.naive.peer(id).answers.push(count);
            }
            let goes_along = together
                .last()
                .is_some_and(|last| last.topic == event.topic && last.until == event.until);
            if !goes_along && !together.is_empty() {
                self.naive.publish(&together);
                together.clear();
            }
            input.extend_from_slice(&frame);
            together.push(event);
        }
        self.naive.publish(&together);
        self.naive.regroup();
        self.world.send(id, &input);
    }

    /// An event as it is kept, and its frame.
    fn event(&mut self, id: u64, put: &Put) -> (Event, bytes::Bytes) {
        self.naive.seq += 1;
        let (seq, topic) = (self.naive.seq, TOPICS[put.topic]);
        let mut payload = seq.to_be_bytes().to_vec();
        if put.large && !self.setup.expiring {
            payload.resize(LARGE, 0);
        }
        if put.empty {
            payload.clear();
        }
        let ttl = put.ttl.filter(|_| self.setup.expiring).map(|ttl| ttl * 100);
        let retain = put.retain && self.setup.remembers;
        let emit = Emit {
            kind: Payload::Bytes,
            topic,
            ack: put.acked.then_some(77),
            ttl_ms: ttl,
            headers: &[],
            payload: &payload,
        };
        let frame = emit.frame(if retain { flags::RETAIN } else { 0 });
        let event = Event {
            seq,
            from: id,
            topic: topic.into(),
            flags: 0,
            size: frame.len(),
            until: ttl.map(|ttl| self.naive.now + Duration::from_millis(ttl.into())),
        };
        self.naive.memory.keep(&event, self.naive.now);
        if retain {
            self.naive.memory.retain(&event, put.empty);
        }
        (event, frame)
    }

    fn subscribe(&mut self, place: usize, asked: &Asked) {
        self.notice_end(place);
        let runs_matter = asked.group.is_some() && !self.setup.singly;
        let asked = &Asked {
            bytes: asked.bytes.filter(|_| !runs_matter),
            ..asked.clone()
        };
        let id = self.ids[place];
        let pattern = Pattern::new(PATTERNS[asked.pattern]).unwrap();
        let members = |peer: &Peer| {
            peer.subs
                .iter()
                .filter(|s| s.terms.group == asked.group)
                .count()
        };
        let in_group: usize = self.naive.peers.iter().map(members).sum();
        let is_odd = match (asked.policy, asked.group) {
            (OverflowPolicy::Disconnect, Some(_)) | (OverflowPolicy::KeepLatest, Some(_)) => true,
            (OverflowPolicy::Disconnect, None) => place < PUBLISHERS,
            (OverflowPolicy::Backpressure { .. }, Some(_)) => !self.setup.singly,
            (_, Some(_)) => in_group >= 2 && !self.setup.singly,
            (_, None) => false,
        };
        if is_odd {
            return;
        }
        self.numbers += 1;
        let number = self.numbers;
        let within = |asked: Option<u32>, most: usize| asked.map_or(most, |n| n as usize);
        let window = asked.window.map(|w| w as usize);
        let terms = Terms {
            pattern,
            policy: asked.policy,
            messages: within(asked.messages, self.limits.queue_messages),
            bytes: within(asked.bytes, self.limits.queue_bytes),
            window: window.or(asked.group.map(|_| 1_024)),
            group: asked.group,
        };
        let options = SubscribeOptions {
            max_messages: asked.messages,
            max_bytes: asked.bytes,
            policy: asked.policy,
            group: asked.group.map(str::to_owned),
            window: asked.window,
            history: asked.history,
            ..SubscribeOptions::default()
        };
        self.world.ask(
            id,
            1,
            subscribe_with(number, PATTERNS[asked.pattern], options),
        );
        self.naive.peer(id).subs.push(Sub::new(number, terms));
        self.naive.bring_past((id, number), asked.history as usize);
    }

    /// A subscription of a peer, if it has any.
    fn some_sub(&mut self, place: usize, at: usize) -> Option<(u64, u32)> {
        self.notice_end(place);
        let id = self.ids[place];
        let subs = &self.naive.peer(id).subs;
        let sub = subs.get(at.checked_rem(subs.len())?)?;
        Some((id, sub.number))
    }

    fn unsubscribe(&mut self, place: usize, at: usize) {
        if let Some((id, sub)) = self.some_sub(place, at) {
            self.world.ask(id, 1, ClientOp::Unsubscribe { sub });
            self.naive.unsubscribe((id, sub));
        }
    }

    fn took(&mut self, place: usize, at: usize, count: u64) {
        if let Some((id, sub)) = self.some_sub(place, at) {
            self.world.ask(id, 0, ClientOp::Took { sub, count });
            let sent = &mut self.naive.sub((id, sub)).unconfirmed;
            sent.drain(..sent.len().min(count as usize));
        }
    }

    fn rejoin(&mut self, place: usize) {
        let id = self.ids[place];
        self.world.leave(id);
        self.naive.disconnect(id);
        self.ids[place] = self.join(place);
    }

    /// All is read, and all go: nothing is left of it.
    fn end(mut self) {
        for place in 0..PEERS {
            self.read(place, true);
        }
        // What one was released from by another's reading.
        for place in 0..PEERS {
            self.read(place, true);
        }
        for id in self.ids.clone() {
            self.world.leave(id);
        }
        assert!(self.world.core.holds.is_empty());
        if self.naive.memory.is_empty() {
            assert_eq!(self.world.core.tally.total(), 0);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn everybody_gets_what_the_naive_hub_owes(
        setup in any::<[bool; 3]>(),
        steps in vec(step(), 1..90),
    ) {
        let [singly, expiring, remembers] = setup;
        let mut model = Model::new(Setup { singly, expiring, remembers });
        for step in &steps {
            model.play(step);
        }
        model.end();
    }
}
