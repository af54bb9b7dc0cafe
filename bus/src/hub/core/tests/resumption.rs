//! Random disconnects against a naive count: for every subscription, what it got and what it was told to have missed is
//! what was published for it; nothing twice, and all in order.

use proptest::{collection::vec, prelude::*};

use super::support::*;
use crate::{
    Limits, Pattern, TypeSchema,
    hub::{Action, ControlTopics, HistoryRule, HubOptions, Rules, Topics},
    wire::{
        FrameType,
        control::{ClientOp, HubOp, OverflowPolicy, Resume, SubscribeOptions},
        data::Payload,
        flags,
        hello::Codec,
    },
};

const ME: u128 = 0xabc;
/// Without a history, with a short and a long one, with values, and in the control lane.
const TOPICS: [&str; 5] = ["n", "h.short", "h.long", "v", "c"];
const PATTERNS: [&str; 5] = ["*", "h.*", "h.short", "v", "c"];

#[derive(Clone, Debug)]
enum Step {
    /// Topics, each with a payload that a typed reader reads or not.
    Publish(Vec<(usize, bool)>),
    /// Reads all there is, or one write of it.
    Read(bool),
    /// The connection is lost, after so much of what waits was read, in thousandths; the hub notices or doesn't.
    Lose(usize, bool),
    Return,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => vec((0..TOPICS.len(), prop::bool::weighted(0.8)), 1..12).prop_map(Step::Publish),
        2 => any::<bool>().prop_map(Step::Read),
        2 => (0..=1000_usize, any::<bool>()).prop_map(|(part, noticed)| Step::Lose(part, noticed)),
        3 => Just(Step::Return),
    ]
}

#[derive(Clone, Debug)]
struct Setup {
    codec: Codec,
    subs: Vec<Kind>,
}

#[derive(Clone, Debug)]
struct Kind {
    pattern: usize,
    max: Option<u32>,
    policy: OverflowPolicy,
    window: Option<u32>,
    history: u32,
    typed: bool,
    /// It comes back with another number.
    renumbers: bool,
}

fn policy() -> impl Strategy<Value = OverflowPolicy> {
    prop_oneof![
        Just(OverflowPolicy::DropOldest),
        Just(OverflowPolicy::DropNewest),
        Just(OverflowPolicy::Backpressure { max_wait_ms: 500 }),
    ]
}

fn setup() -> impl Strategy<Value = Setup> {
    let kind = (
        0..PATTERNS.len(),
        prop::option::of(1..6_u32),
        (policy(), prop::option::of(1..5_u32)),
        prop_oneof![Just(0), Just(3), Just(100)],
        any::<bool>(),
        any::<bool>(),
    );
    let kind = kind.prop_map(
        |(pattern, max, (policy, window), history, typed, renumbers)| Kind {
            pattern,
            max,
            policy,
            window,
            history,
            typed,
            renumbers,
        },
    );
    let codec = prop_oneof![Just(Codec::Postcard), Just(Codec::Json)];
    (codec, vec(kind, 1..4)).prop_map(|(codec, subs)| Setup { codec, subs })
}

/// A subscription as its client knows it.
#[derive(Debug)]
struct Sub {
    kind: Kind,
    number: u32,
    /// The number under which the hub is known to know it; none: it was never acknowledged.
    known: Option<u32>,
    /// The hub has said on this connection that it goes on.
    resumed: bool,
    since: u64,
    taken: u64,
    got: u64,
    missed: u64,
    /// Read, and not confirmed yet.
    unconfirmed: u64,
    /// Published since the hub took it.
    matched: u64,
    /// Published before: some of it may be told, as history or as a misfit.
    before: u64,
    /// The last of each lane.
    last: [u64; 2],
}

impl Sub {
    fn event(&mut self, seq: u64, flags: u8) {
        let lane = usize::from(flags & flags::CONTROL_LANE != 0);
        assert!(
            seq > self.last[lane],
            "twice, or out of order: {seq} in {self:?}"
        );
        self.last[lane] = seq;
        if lane == 0 {
            self.since = seq;
            self.unconfirmed += 1;
        }
        let counts = match (flags & flags::HISTORY != 0, flags & flags::RETAINED != 0) {
            (true, _) => self.resumed,
            (false, retained) => !retained,
        };
        self.taken += u64::from(counts);
        self.got += u64::from(counts);
    }

    fn lost(&mut self, missed: u64) {
        self.taken += missed;
        self.missed += missed;
    }
}

struct Model {
    w: World,
    setup: Setup,
    publisher: u64,
    conn: Option<u64>,
    /// One the hub still takes for alive.
    stale: Vec<u64>,
    subs: Vec<Sub>,
    numbers: u32,
}

impl Model {
    fn new(setup: Setup) -> Self {
        let rules = Rules {
            control_lane: vec![ControlTopics {
                action: Action::Emit,
                topics: vec![Topics::matching("c")],
            }],
            ..Rules::allow_all()
        };
        let history = vec![
            HistoryRule::last("h.short", 2),
            HistoryRule::last("h.long", 50),
        ];
        let mut w = World::with(HubOptions {
            history,
            ..options(Limits::default(), rules)
        });
        let publisher = w.join(client("p"));
        let subs = setup.subs.iter().zip(1..).map(|(kind, number)| Sub {
            kind: kind.clone(),
            number,
            known: None,
            resumed: false,
            since: 0,
            taken: 0,
            got: 0,
            missed: 0,
            unconfirmed: 0,
            matched: 0,
            before: 0,
            last: [0; 2],
        });
        let subs: Vec<Sub> = subs.collect();
        let numbers = subs.len() as u32;
        Self {
            w,
            setup,
            publisher,
            conn: None,
            stale: Vec::new(),
            subs,
            numbers,
        }
    }

    fn play(&mut self, step: &Step) {
        match step {
            Step::Publish(events) => self.publish(events),
            Step::Read(all) => self.read(*all),
            Step::Lose(part, noticed) => self.lose(*part, *noticed),
            Step::Return => self.come_back(),
        }
    }

    fn publish(&mut self, events: &[(usize, bool)]) {
        let mut input = Vec::new();
        for (topic, good) in events {
            let name = TOPICS[*topic];
            let payload: &[u8] = if *good { b"7" } else { b"\"no number\"" };
            let retain = if name == "v" { flags::RETAIN } else { 0 };
            input.extend(emit_with(retain, Payload::Json, name, None, payload));
            for sub in &mut self.subs {
                let pattern = Pattern::new(PATTERNS[sub.kind.pattern]).unwrap();
                sub.matched += u64::from(pattern.matches(name));
            }
        }
        self.w.send(self.publisher, &input);
    }

    fn read(&mut self, all: bool) {
        let Some(id) = self.conn else { return };
        if !all {
            let got = self.w.take_once(id).unwrap_or_default();
            return self.heard(got);
        }
        loop {
            let got = self.w.take(id);
            self.heard(got);
            let unconfirmed = self.subs.iter_mut().filter(|s| s.unconfirmed > 0);
            let took: Vec<ClientOp> = unconfirmed
                .map(|sub| ClientOp::Took {
                    sub: sub.number,
                    count: std::mem::take(&mut sub.unconfirmed),
                })
                .collect();
            if took.is_empty() {
                return;
            }
            for op in took {
                self.w.ask(id, 0, op);
            }
        }
    }

    fn lose(&mut self, part: usize, noticed: bool) {
        let Some(id) = self.conn.take() else { return };
        let bytes = self.w.take_raw(id);
        let got = self.w.read(id, &bytes[..bytes.len() * part / 1000]);
        self.heard(got);
        match noticed {
            true => self.w.leave(id),
            false => self.stale.push(id),
        }
    }

    fn come_back(&mut self) {
        if self.conn.is_some() {
            return;
        }
        let id = self.w.join_instance(ME, self.setup.codec);
        for stale in std::mem::take(&mut self.stale) {
            assert!(self.w.core.is_closing(stale));
            self.w.leave(stale);
        }
        self.conn = Some(id);
        for at in 0..self.subs.len() {
            let sub = &mut self.subs[at];
            if sub.kind.renumbers && sub.known == Some(sub.number) {
                self.numbers += 1;
                sub.number = self.numbers;
            }
            sub.resumed = false;
            sub.unconfirmed = 0;
            let resume = sub.known.map(|known| Resume {
                sub: known,
                since: sub.since,
                taken: sub.taken,
            });
            if resume.is_none() {
                sub.before += sub.matched;
                (sub.taken, sub.got, sub.missed, sub.matched) = (0, 0, 0, 0);
                (sub.since, sub.last) = (0, [0; 2]);
            }
            let reader = TypeSchema::of::<u32>().encoded().to_vec();
            let op = ClientOp::Subscribe {
                sub: sub.number,
                pattern: PATTERNS[sub.kind.pattern].into(),
                reader: sub.kind.typed.then_some(reader),
                options: SubscribeOptions {
                    max_messages: sub.kind.max,
                    policy: sub.kind.policy,
                    window: sub.kind.window,
                    history: sub.kind.history,
                    resume,
                    ..SubscribeOptions::default()
                },
            };
            self.w.ask(id, u64::from(sub.number), op);
        }
    }

    fn heard(&mut self, got: Vec<Got>) {
        for got in got {
            match got {
                Got::Event(e) => self.sub(e.sub).event(e.seq, e.flags),
                Got::Object(FrameType::Run, flags, object) => {
                    let number = |name: &str| object[name].as_u64().unwrap();
                    self.sub(number("sub") as u32).event(number("seq"), flags);
                }
                Got::Control(0, HubOp::Resumed { sub, missed }) => {
                    let sub = self.sub(sub);
                    sub.lost(missed.expect("the hub knows it"));
                    sub.resumed = true;
                    sub.known = Some(sub.number);
                }
                Got::Control(
                    0,
                    HubOp::Lagged { sub, missed } | HubOp::Misfit { sub, missed, .. },
                ) => {
                    self.sub(sub).lost(missed);
                }
                Got::Control(number, HubOp::Done { .. }) => {
                    let sub = self.sub(number as u32);
                    if sub.known.is_none() {
                        sub.known = Some(sub.number);
                    }
                }
                Got::Control(
                    _,
                    HubOp::OriginIs { .. } | HubOp::TypeIs { .. } | HubOp::Forget { .. },
                ) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    fn sub(&mut self, number: u32) -> &mut Sub {
        let sub = self.subs.iter_mut().find(|s| s.number == number);
        sub.expect("nothing comes for a subscription that is gone")
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn got_and_missed_are_what_was_published(setup in setup(), steps in vec(step(), 1..60)) {
        let mut model = Model::new(setup);
        model.come_back();
        for step in &steps {
            model.play(step);
        }
        model.come_back();
        model.read(true);
        for sub in &model.subs {
            let told = sub.got + sub.missed;
            let most = sub.matched + sub.before;
            prop_assert!((sub.matched..=most).contains(&told), "{:?}", sub);
        }
    }
}
