//! Mail for workers that are attached and have not subscribed yet.

use std::time::Duration;

use super::support::*;
use crate::{
    Generation, Limits, Slot, WorkerId,
    hub::{Action, Principal, Role, Rule, Rules, Topics, Verdict, core::Door},
    vocab::rules::fleet_rules,
    wire::{flags, hello::Codec},
};

pub(super) fn worker(id: u64) -> Principal {
    Principal::Worker {
        app: "web".into(),
        id: WorkerId(id),
        slot: Slot(0),
        generation: Generation(1),
        pid: 1,
    }
}

pub(super) fn fleet(limits: Limits) -> World {
    World::with(options(limits, fleet_rules()))
}

/// A worker's program looks at the bus at last.
pub(super) fn wake(w: &mut World, id: u64) {
    w.speaks(id, Codec::Postcard);
    w.send(id, &hello(Codec::Postcard));
    assert!(matches!(w.take(id)[..], [Got::Welcome(_)]));
}

fn topics(got: &[Event]) -> Vec<(u64, &str)> {
    got.iter().map(|e| (e.seq, e.topic.as_str())).collect()
}

#[test]
fn what_is_sent_before_a_worker_subscribes_arrives_before_what_is_new() {
    let mut w = fleet(Limits::default());
    let a = w.join(client("a"));
    let id = w.connect(Door::Known(worker(7)));
    w.announce::<u32>(a, 0, "to.worker.7.typed");
    // Several topics of one run, one of them by its type alone.
    let mut input = emit("to.worker.7.x", b"1");
    input.extend(emit_with(
        0,
        crate::wire::data::Payload::Postcard(0),
        "",
        None,
        &[5],
    ));
    input.extend(emit("to.slot.web.0.y", b"3"));
    input.extend(emit("to.worker.8.x", b"4"));
    input.extend(emit("to.app.web.z", b"5"));
    w.send(a, &input);
    wake(&mut w, id);
    w.send(a, &emit("to.worker.7.x", b"6"));
    w.ask(id, 1, subscribe(1, "to.worker.7.>"));
    w.send(a, &emit("to.worker.7.x", b"7"));
    let got = w.events(id);
    assert_eq!(
        topics(&got),
        [
            (1, "to.worker.7.x"),
            (2, "to.worker.7.typed"),
            (6, "to.worker.7.x"),
            (7, "to.worker.7.x")
        ]
    );
    assert!(got.iter().all(|e| e.flags == 0));
    // The rest is for another subscription; each gets it once.
    w.ask(id, 2, subscribe(2, "*"));
    assert_eq!(
        topics(&w.events(id)),
        [(3, "to.slot.web.0.y"), (5, "to.app.web.z")]
    );
    w.ask(id, 3, subscribe(3, "to.app.web.>"));
    assert_eq!(w.events(id), []);
}

#[test]
fn what_is_delivered_does_not_wait_and_what_is_covered_does_no_more() {
    let mut w = fleet(Limits::default());
    let a = w.join(client("a"));
    let id = w.connect(Door::Known(worker(7)));
    wake(&mut w, id);
    w.subscribe(id, 1, "to.worker.7.x");
    w.send(
        a,
        &[emit("to.worker.7.x", b"1"), emit("to.worker.7.y", b"2")].concat(),
    );
    assert_eq!(topics(&w.events(id)), [(1, "to.worker.7.x")]);
    w.must(id, crate::wire::control::ClientOp::Unsubscribe { sub: 1 });
    w.send(a, &emit("to.worker.7.x", b"3"));
    w.ask(id, 2, subscribe(2, "to.worker.7.>"));
    assert_eq!(topics(&w.events(id)), [(2, "to.worker.7.y")]);
}

#[test]
fn mail_waits_a_minute_and_only_for_whoever_has_an_address() {
    let mut w = fleet(Limits::default());
    let a = w.join(client("a"));
    let id = w.connect(Door::Known(worker(7)));
    w.send(a, &emit("to.worker.7.x", b""));
    w.pass(Duration::from_secs(60));
    w.send(a, &emit("to.worker.7.x", b""));
    wake(&mut w, id);
    w.ask(id, 1, subscribe(1, "to.worker.7.>"));
    assert_eq!(w.events(id), []);
    assert_eq!(w.core.next_deadline(), None);
    // Without rules for it there is none.
    let mut w = World::with(options(Limits::default(), Rules::allow_all()));
    w.connect(Door::Known(worker(7)));
    assert_eq!(w.core.next_deadline(), None);
}

#[test]
fn mail_that_is_retained_comes_once_and_late_mail_not_at_all() {
    let mut w = fleet(Limits::default());
    let a = w.join(client("a"));
    let id = w.connect(Door::Known(worker(7)));
    let value = emit_with(
        flags::RETAIN,
        crate::wire::data::Payload::Bytes,
        "to.worker.7.x",
        None,
        b"1",
    );
    w.send(a, &value);
    let short = crate::hub::core::edge::Emit {
        kind: crate::wire::data::Payload::Bytes,
        topic: "to.worker.7.y",
        ack: None,
        ttl_ms: Some(10),
        headers: &[],
        payload: b"2",
    };
    w.send(a, &short.frame(0));
    w.pass(Duration::from_millis(10));
    wake(&mut w, id);
    w.ask(id, 1, subscribe(1, "to.worker.7.>"));
    assert_eq!(topics(&w.events(id)), [(1, "to.worker.7.x")]);
}

#[test]
fn mail_that_a_worker_may_not_have_is_not_brought() {
    let mut rules = fleet_rules();
    let secret = Rule {
        name: "not for the web".into(),
        roles: vec![Role::Worker],
        apps: None,
        actions: vec![Action::Subscribe],
        topics: vec![Topics::matching("to.app.web.secret")],
        verdict: Verdict::Deny,
    };
    rules.access.insert(0, secret);
    let mut w = World::with(options(Limits::default(), rules));
    let a = w.join(client("a"));
    let id = w.connect(Door::Known(worker(7)));
    let both = [emit("to.app.web.secret", b"1"), emit("to.app.web.x", b"2")].concat();
    w.send(a, &both);
    wake(&mut w, id);
    w.ask(id, 1, subscribe(1, "to.app.web.>"));
    w.send(a, &both);
    let got = w.events(id);
    assert_eq!(
        topics(&got),
        [(2, "to.app.web.x"), (4, "to.app.web.x")],
        "neither before nor after it subscribed"
    );
}

/// A fleet whose workers' topics keep a history, and some of which travel in the control lane.
fn remembering() -> World {
    let mut rules = fleet_rules();
    rules.control_lane.push(crate::hub::ControlTopics {
        action: Action::Emit,
        topics: vec![Topics::matching("to.app.web.urgent")],
    });
    World::with(crate::hub::HubOptions {
        history: vec![
            crate::hub::HistoryRule::last("to.app.*.h", 100),
            crate::hub::HistoryRule::last("news", 100),
        ],
        ..options(Limits::default(), rules)
    })
}

fn last(policy: crate::wire::control::OverflowPolicy) -> crate::wire::control::SubscribeOptions {
    crate::wire::control::SubscribeOptions {
        history: 100,
        policy,
        ..Default::default()
    }
}

#[test]
fn mail_values_and_history_come_in_one_order() {
    use crate::wire::{control::OverflowPolicy, data::Payload};
    for policy in [OverflowPolicy::DropOldest, OverflowPolicy::KeepLatest] {
        let mut w = remembering();
        let a = w.join(client("a"));
        let value =
            |text: &[u8]| emit_with(flags::RETAIN, Payload::Bytes, "to.app.web.v", None, text);
        // Before the worker is there, while it loads, and both.
        w.send(a, &[emit("to.app.web.h", b"1"), value(b"2")].concat());
        let id = w.connect(Door::Known(worker(7)));
        let mut input = emit("to.app.web.x", b"3");
        input.extend(emit("to.app.web.urgent", b"u1"));
        input.extend(emit("to.app.web.h", b"4"));
        input.extend(emit("to.app.web.urgent", b"u2"));
        input.extend(value(b"5"));
        // No mail, and between two that are.
        input.extend(emit("news", b"6"));
        input.extend(emit("to.app.web.x", b"7"));
        input.extend(value(b"8"));
        w.send(a, &input);
        wake(&mut w, id);
        w.ask(id, 1, subscribe_with(1, "*", last(policy)));
        let got = w.events(id);
        let got: Vec<(u64, u8)> = got.iter().map(|e| (e.seq, e.flags)).collect();
        let urgent = [(1, flags::CONTROL_LANE), (2, flags::CONTROL_LANE)];
        let data: &[(u64, u8)] = match policy {
            OverflowPolicy::KeepLatest => &[(4, 0), (6, flags::HISTORY), (7, 0), (8, 0)],
            _ => &[
                (1, flags::HISTORY),
                (3, 0),
                (4, 0),
                (5, 0),
                (6, flags::HISTORY),
                (7, 0),
                (8, 0),
            ],
        };
        assert_eq!(got, [&urgent[..], data].concat());
    }
}

#[test]
fn mail_of_one_who_goes_on_comes_once_and_in_order() {
    let mut w = remembering();
    let a = w.join(client("a"));
    let id = w.connect(Door::Known(worker(7)));
    for topic in ["to.app.web.h", "to.app.web.x", "to.app.web.h"] {
        w.send(a, &emit(topic, b""));
    }
    wake(&mut w, id);
    let resume = crate::wire::control::SubscribeOptions {
        resume: Some(crate::wire::control::Resume {
            sub: 1,
            since: 0,
            taken: 0,
        }),
        ..Default::default()
    };
    w.ask(id, 1, subscribe_with(1, "to.app.web.>", resume));
    let seqs: Vec<u64> = w.events(id).iter().map(|e| e.seq).collect();
    assert_eq!(seqs, [1, 2, 3]);
}
