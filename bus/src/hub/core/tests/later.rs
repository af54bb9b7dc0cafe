//! Events that change their form only when they are written: beside readers that take them as they are, and within the time
//! that is left for it.

use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::{Value, json};

use super::support::*;
use crate::{
    Limits, Schema,
    hub::{
        Rules,
        core::{edge::Emit, output::Output},
    },
    wire::{
        FrameType,
        control::{ClientOp, CloseKind, HubOp, Resume, SubscribeOptions},
        data::Payload,
        hello::Codec,
    },
};

#[derive(serde::Serialize, serde::Deserialize, Schema)]
struct Price {
    cents: u32,
}

/// A publisher of prices, a reader that takes them as they are, and one that speaks JSON.
struct Scene {
    w: World,
    a: u64,
    typed: u64,
    json: u64,
}

impl Scene {
    fn new() -> Self {
        Self::with(SubscribeOptions::default())
    }

    /// The JSON reader has these options.
    fn with(json: SubscribeOptions) -> Self {
        let mut w = World::new();
        let a = w.join(client("a"));
        w.announce::<Price>(a, 0, "price");
        let typed = w.join(client("typed"));
        w.must(typed, subscribe_typed::<Price>(1, "price"));
        let j = w.join_as(client("json"), Codec::Json);
        w.must(j, subscribe_with(1, "price", json));
        Self {
            w,
            a,
            typed,
            json: j,
        }
    }

    fn send(&mut self, cents: impl IntoIterator<Item = u32>) {
        let frames: Vec<u8> = cents.into_iter().flat_map(|c| price(&[], c)).collect();
        self.w.send(self.a, &frames);
    }

    fn exhaust(&mut self) {
        self.w.core.workshop.thrift.exhaust();
    }

    /// What the JSON reader gets now.
    fn heard(&mut self) -> Vec<Heard> {
        let got = self.w.take(self.json);
        got.into_iter().map(Heard::from).collect()
    }

    fn waits(&self) -> bool {
        self.w.core.has_output(self.json)
    }

    /// Bytes in the queue of a subscription.
    fn bytes(&self, id: u64) -> usize {
        let queue = self.w.core.conns[&id].outbox.queue(1).unwrap();
        queue.bytes.0
    }
}

fn price(more: &[u8], cents: u32) -> Bytes {
    let payload = postcard::to_stdvec(&Price { cents }).unwrap();
    let payload = [&payload, more].concat();
    emit_price(&payload, None)
}

fn emit_price(payload: &[u8], ttl_ms: Option<u32>) -> Bytes {
    let emit = Emit {
        kind: Payload::Postcard(0),
        topic: "",
        ack: None,
        ttl_ms,
        headers: &[],
        payload,
    };
    emit.frame(0)
}

#[derive(Debug, PartialEq)]
enum Heard {
    Event(u64, Value),
    Lagged(u64),
    Misfit(u64),
    Other(HubOp),
}

impl From<Got> for Heard {
    fn from(got: Got) -> Self {
        match got {
            Got::Object(FrameType::Run, _, event) => {
                Self::Event(event["seq"].as_u64().unwrap(), event["payload"].clone())
            }
            Got::Control(0, HubOp::Lagged { sub: 1, missed }) => Self::Lagged(missed),
            Got::Control(0, HubOp::Misfit { sub: 1, missed, .. }) => Self::Misfit(missed),
            Got::Control(_, op) => Self::Other(op),
            other => panic!("{other:?}"),
        }
    }
}

/// Events by their numbers, which are their prices too.
fn events(numbers: impl IntoIterator<Item = u64>) -> Vec<Heard> {
    let event = |n| Heard::Event(n, json!({"cents": n}));
    numbers.into_iter().map(event).collect()
}

fn bounded(messages: u32) -> SubscribeOptions {
    SubscribeOptions {
        max_messages: Some(messages),
        ..SubscribeOptions::default()
    }
}

#[test]
fn readers_side_by_side_get_the_same_in_the_same_order() {
    let mut s = Scene::new();
    for from in [1, 301, 302] {
        s.send(from..from + 300);
    }
    let typed: Vec<(u64, Vec<u8>)> =
        s.w.events(s.typed)
            .into_iter()
            .map(|e| (e.seq, e.payload.to_vec()))
            .collect();
    let json = s.heard();
    assert_eq!(json.len(), 900);
    let same = typed.iter().zip(&json).all(|((seq, payload), heard)| {
        let price: Price = postcard::from_bytes(payload).unwrap();
        *heard == Heard::Event(*seq, json!({"cents": price.cents}))
    });
    assert!(same);
    let queue = &s.w.core.conns[&s.json].outbox;
    assert_eq!(queue.held(), 0);
    assert_eq!(queue.counts(1).unwrap().delivered, 900);
}

#[test]
fn nothing_is_converted_until_it_is_read() {
    let mut s = Scene::new();
    s.send(1..=100);
    assert_eq!(s.bytes(s.json), s.bytes(s.typed), "as it was published");
    let mut out = Output::default();
    assert!(!s.w.core.take_output(s.w.now, s.typed, &mut out));
    out = Output::default();
    assert!(s.w.core.take_output(s.w.now, s.json, &mut out), "only now");
}

#[test]
fn among_themselves_json_readers_have_it_converted_at_once() {
    let mut s = Scene::new();
    s.w.ask(s.typed, 1, ClientOp::Unsubscribe { sub: 1 });
    s.exhaust();
    s.send(1..=3);
    assert!(s.bytes(s.json) > 3 * 30, "objects wait");
    assert_eq!(s.heard(), events(1..=3));
}

#[test]
fn a_member_of_a_group_is_a_reader_beside_it_and_who_is_away_is_none() {
    let mut s = Scene::new();
    s.w.ask(s.typed, 1, ClientOp::Unsubscribe { sub: 1 });
    let group = SubscribeOptions {
        group: Some("g".into()),
        ..SubscribeOptions::default()
    };
    s.w.must(s.typed, subscribe_with(2, "price", group));
    s.exhaust();
    s.send([1]);
    assert_eq!(s.heard(), []);
    s.w.leave(s.typed);
    let away = s.w.join_instance(7, Codec::Postcard);
    s.w.must(away, subscribe_typed::<Price>(1, "price"));
    s.w.leave(away);
    s.send([2]);
    assert_eq!(s.heard(), [], "the first one holds up the second");
    s.w.pass(Duration::from_millis(1));
    assert_eq!(s.heard(), events(1..=2));
    s.exhaust();
    s.send([3]);
    assert_eq!(s.heard(), events(3..=3));
}

#[test]
fn without_time_the_oldest_is_lost_and_told_exactly() {
    let mut s = Scene::with(bounded(10));
    s.exhaust();
    for from in [1, 6, 11, 16, 21] {
        s.send(from..from + 5);
        assert_eq!(s.heard(), []);
    }
    s.send([26]);
    assert!(s.waits());
    assert_eq!(s.w.events(s.typed).len(), 26, "the other loses nothing");
    let due = s.w.core.next_deadline().unwrap();
    assert_eq!(due, s.w.now + Duration::from_millis(1));
    let mut dirty = Vec::new();
    s.w.core.take_dirty(&mut dirty);
    s.w.pass(Duration::from_millis(1));
    s.w.core.take_dirty(&mut dirty);
    assert_eq!(dirty, [s.json], "it may get on");
    let mut want = vec![Heard::Lagged(16)];
    want.extend(events(17..=26));
    assert_eq!(s.heard(), want);
    assert!(!s.waits());
    // The next notice of its losses, but nobody waits any more.
    let due = s.w.core.next_deadline().unwrap();
    assert!(due > s.w.now + Duration::from_secs(1));
}

#[test]
fn what_is_lost_while_some_is_left_is_told_before_the_rest() {
    let mut s = Scene::with(bounded(4_000));
    s.send(1..=4_000);
    // As much as one write takes; then there is no time for more.
    let first = s.w.take_once(s.json).unwrap().len() as u64;
    assert!((100..2_000).contains(&first), "{first}");
    s.exhaust();
    assert_eq!(s.heard(), []);
    s.send(4_001..=4_000 + first as u32 + 7);
    s.w.pass(Duration::from_millis(1));
    let mut want = vec![Heard::Lagged(7)];
    want.extend(events(first + 8..=4_000 + first + 7));
    assert_eq!(s.heard(), want);
    assert_eq!(s.w.core.conns[&s.json].outbox.held(), 0);
}

#[test]
fn misfits_among_them_are_told_in_their_place() {
    let mut s = Scene::new();
    let broken = emit_price(&[0xff; 9], None);
    let run = [
        price(&[], 1),
        broken.clone(),
        broken.clone(),
        price(&[], 4),
        broken,
    ];
    s.w.send(s.a, &run.concat());
    let [first, Heard::Misfit(2), second, Heard::Misfit(1)] = &s.heard()[..] else {
        panic!()
    };
    assert_eq!([first, second], [&events([1])[0], &events([4])[0]]);
    let counts = s.w.core.conns[&s.json].outbox.counts(1).unwrap();
    assert_eq!((counts.delivered, counts.misfits), (2, 3));
}

#[test]
fn what_nobody_wants_any_more_is_not_converted() {
    let mut s = Scene::new();
    s.exhaust();
    let payload = postcard::to_stdvec(&Price { cents: 1 }).unwrap();
    let soon = emit_price(&payload, Some(1));
    s.w.send(s.a, &[&soon[..], &soon].concat());
    assert_eq!(s.heard(), []);
    s.w.pass(Duration::from_millis(1));
    let mut out = Output::default();
    assert!(!s.w.core.take_output(s.w.now, s.json, &mut out));
    assert!(out.is_empty() && !s.waits());
    let counts = s.w.core.conns[&s.json].outbox.counts(1).unwrap();
    assert_eq!((counts.expired, counts.delivered), (2, 0));
}

#[test]
fn answers_do_not_wait_and_neither_does_who_drains_or_is_closed() {
    let mut s = Scene::new();
    s.exhaust();
    s.send(1..=2);
    s.w.ask(s.json, 5, subscribe(2, "other"));
    let done = || Heard::Other(HubOp::Done { count: 0 });
    assert_eq!(s.heard(), [done()]);
    s.w.ask(s.json, 6, ClientOp::Drain);
    s.send([3]);
    let mut want = events(1..=2);
    want.push(done());
    assert_eq!(s.heard(), want);
    assert!(s.waits(), "what came later waits");
    s.w.core.stop();
    let heard = s.heard();
    assert_eq!(heard[0], events([3])[0]);
    let closing = |h: &Heard| {
        matches!(
            h,
            Heard::Other(HubOp::Closing {
                kind: CloseKind::Stopping,
                ..
            })
        )
    };
    assert!(closing(&heard[1]), "{heard:?}");
}

#[test]
fn they_go_with_their_subscription_and_with_their_connection() {
    let mut s = Scene::new();
    let empty = s.w.core.tally.total();
    s.exhaust();
    s.send(1..=5);
    assert_eq!(s.heard(), []);
    s.w.ask(s.json, 5, ClientOp::Unsubscribe { sub: 1 });
    assert_eq!(s.heard(), [Heard::Other(HubOp::Done { count: 0 })]);
    assert!(!s.waits());
    s.w.events(s.typed);
    assert_eq!(s.w.core.tally.total(), empty);
    s.w.must(s.json, subscribe(1, "price"));
    s.send(6..=9);
    assert_eq!(s.heard(), []);
    s.w.leave(s.json);
    s.w.events(s.typed);
    assert!(s.w.core.tally.total() <= empty);
    // Whoever is gone is not woken.
    s.w.pass(Duration::from_millis(1));
    assert_eq!(s.w.core.next_deadline(), None);
}

#[test]
fn who_comes_back_has_missed_what_waited() {
    let mut s = Scene::new();
    let me = s.w.join_instance(9, Codec::Json);
    s.w.must(me, subscribe(1, "price"));
    s.send(1..=2);
    assert_eq!(s.w.take(me).len(), 2);
    s.exhaust();
    s.send(3..=7);
    assert_eq!(s.w.take(me), []);
    s.w.leave(me);
    let me = s.w.join_instance(9, Codec::Json);
    let resume = SubscribeOptions {
        resume: Some(Resume {
            sub: 1,
            since: 2,
            taken: 2,
        }),
        ..SubscribeOptions::default()
    };
    s.w.ask(me, 3, subscribe_with(1, "price", resume));
    let got = s.w.take(me);
    let resumed = HubOp::Resumed {
        sub: 1,
        missed: Some(5),
    };
    assert!(got.contains(&Got::Control(0, resumed)), "{got:?}");
}

#[test]
fn a_typed_reader_of_another_form_waits_as_well() {
    let mut s = Scene::new();
    let b = s.w.join(client("b"));
    s.w.must(b, subscribe_typed::<Price>(1, "raw"));
    s.w.subscribe(s.typed, 2, "raw");
    s.exhaust();
    let frame = emit_with(0, Payload::Json, "raw", None, b"{\"cents\": 3}");
    s.w.send(s.a, &[&frame[..], &frame].concat());
    assert_eq!(s.w.events(s.typed).len(), 2);
    assert_eq!(s.w.events(b), []);
    s.w.pass(Duration::from_millis(1));
    let payloads: Vec<Bytes> = s.w.events(b).into_iter().map(|e| e.payload).collect();
    assert_eq!(payloads, [&[3][..], &[3]]);
}

#[test]
fn level_readers_share_what_was_made_and_little_of_it_is_kept() {
    let mut s = Scene::new();
    s.send(1..=50);
    assert_eq!(s.heard().len(), 50);
    let made = |s: &Scene| s.w.core.workshop.recent.size();
    assert_eq!(made(&s), (0, 0), "nobody else wants it");
    let other = s.w.join_as(client("other"), Codec::Json);
    s.w.subscribe(other, 1, "price");
    s.send(1..=50);
    let first = s.heard();
    assert_eq!(made(&s).0, 50);
    let second: Vec<Heard> = s.w.take(other).into_iter().map(Heard::from).collect();
    assert_eq!((first, made(&s).0), (second, 50));
    for _ in 0..10 {
        s.send(1..=2_000);
        assert_eq!(s.heard().len(), 2_000);
    }
    let (number, bytes) = made(&s);
    assert!(number < 20_000 && bytes <= 1 << 20, "{number}, {bytes}");
}

#[test]
fn a_large_event_among_small_ones_keeps_its_place() {
    let mut w = World::with(options(Limits::default(), Rules::allow_all()));
    let a = w.join(client("a"));
    let (b, j) = (w.join(client("b")), w.join_as(client("j"), Codec::Json));
    w.subscribe(b, 1, "t");
    w.subscribe(j, 1, "t");
    let sizes = [1, 20_000, 3, 9_000, 9_001, 2];
    let run: Vec<u8> = sizes.iter().flat_map(|n| emit("t", &vec![0; *n])).collect();
    w.send(a, &run);
    let got = w.take(j).into_iter().map(|got| match got {
        Got::Object(_, _, event) => event["bytes"].as_str().unwrap().len(),
        other => panic!("{other:?}"),
    });
    let want = sizes.map(|n| n.div_ceil(3) * 4);
    assert_eq!(got.collect::<Vec<usize>>(), want);
}

/// Work goes on for a second of virtual time: each millisecond some events come, and the thread sleeps for a part of it that
/// others left. Gives how many events the JSON reader got.
fn second(each: u32, slept: Duration) -> u64 {
    const COST: Duration = Duration::from_nanos(1_300);
    let mut s = Scene::with(bounded(1_000));
    let (mut total, mut got) = (Duration::ZERO, 0);
    let mut spent = Duration::ZERO;
    for _ in 0..1_000 {
        total += slept.saturating_sub(spent);
        spent = Duration::ZERO;
        s.w.core.rested(total);
        s.w.pass(Duration::from_millis(1));
        s.send(0..each);
        s.w.events(s.typed);
        while let Some(more) = s.w.take_once(s.json) {
            let events = more.iter().filter(|g| matches!(g, Got::Object(..))).count() as u32;
            got += u64::from(events);
            s.w.core.spent(COST * events);
            spent += COST * events;
        }
    }
    got
}

#[test]
fn a_moderate_rate_is_never_limited_on_an_idle_hub_and_a_busy_one_gives_its_twentieth() {
    let began = Instant::now();
    assert_eq!(second(60, Duration::from_micros(900)), 60_000);
    // 38 a millisecond, and what was saved up.
    let busy = second(200, Duration::ZERO);
    assert!(
        (38_000..60_000).contains(&busy),
        "{busy} in {:?}",
        began.elapsed()
    );
}
