//! The fleet's rules at the hub's door: what each role may not do, it can't.

use super::support::*;
use crate::{
    Generation, Limits, Slot, TypeSchema, WorkerId,
    hub::{HubOptions, Principal, Role},
    vocab::{
        rules::{builtins, fleet_rules},
        status::MasterStatus,
        update::WorkerRestartNeeded,
        worker::{Drain, WorkerOnline, WorkerSpawned},
    },
    wire::{
        control::{ClientOp, RefusalKind},
        data::{Payload, READERS_TYPE},
        flags,
    },
};

fn fleet() -> World {
    World::with(HubOptions {
        builtins: builtins(),
        ..options(Limits::default(), fleet_rules())
    })
}

fn worker(id: u64) -> Principal {
    Principal::Worker {
        app: "web".into(),
        id: WorkerId(id),
        slot: Slot(0),
        generation: Generation(1),
        pid: 1,
    }
}

fn each_role() -> Vec<Principal> {
    let name = || "x".to_owned();
    vec![
        Principal::Observer { name: name() },
        Principal::Client { name: name() },
        worker(7),
        Principal::Operator { name: name() },
        Principal::Master,
    ]
}

/// Who may, of observer, client, worker, operator and master.
fn who(mut may: impl FnMut(&mut World, u64) -> bool) -> String {
    let letter = |role| match role {
        Role::Observer => 'b',
        Role::Client => 'c',
        Role::Worker => 'w',
        Role::Operator => 'o',
        Role::Master => 'm',
    };
    let mut w = fleet();
    let mut all = String::new();
    for principal in each_role() {
        let id = w.join(principal.clone());
        if may(&mut w, id) {
            all.push(letter(principal.role()));
        }
    }
    all
}

fn denied(refusal: &crate::wire::control::Refusal) -> bool {
    refusal.kind == RefusalKind::Denied
}

#[test]
fn who_may_publish_what() {
    for (topic, may) in [
        ("worker.exited", "m"),
        ("app.failed", "m"),
        ("bus.lagged", "m"),
        ("update.started", "m"),
        ("config.changed", "m"),
        ("bus.lagged", "m"),
        ("operation.finished", "m"),
        ("_log.web.0", "m"),
        ("masterStatus.report", "m"),
        ("to.worker.7.drain", "m"),
        ("workerRestartNeeded", "cwom"),
        ("masterStatus", "cwom"),
        ("systemRestartNeeded", "wom"),
        ("orders.created", "cwom"),
        ("to.worker.7.hello", "cwom"),
        ("to.app.web.hello", "cwom"),
    ] {
        let got = who(|w, id| {
            // With a payload that no built-in type takes: whoever may is refused for that instead.
            match w.emit_acked(id, Payload::Json, topic, b"12") {
                Ok(_) => true,
                Err(refusal) => !denied(&refusal),
            }
        });
        assert_eq!(got, may, "{topic}");
    }
}

#[test]
fn who_may_retain_what() {
    for (topic, may) in [
        ("worker.exited", "m"),
        ("app.failed", "m"),
        ("update.started", "m"),
        ("config.changed", "m"),
        ("bus.lagged", "m"),
        ("operation.finished", "m"),
        ("_log.web.0", "m"),
        ("masterStatus.report", "m"),
        ("to.worker.7.drain", "m"),
        // In the control lane nothing is retained.
        ("workerRestartNeeded", ""),
        ("masterStatus", ""),
        ("systemRestartNeeded", ""),
        ("orders.created", "cwom"),
        ("to.worker.7.hello", "cwom"),
        ("to.app.web.hello", "cwom"),
    ] {
        for payload in [&b"12"[..], b""] {
            let got = who(|w, id| {
                let flags = flags::ACK | flags::RETAIN;
                // With the topic's own type, so that nothing but the right decides.
                let builtin = builtins().into_iter().find(|(t, _)| t.as_str() == topic);
                let kind = match builtin {
                    Some((_, schema)) => {
                        let op = ClientOp::Announce {
                            index: 0,
                            topic: topic.into(),
                            schema: schema.encoded().to_vec(),
                        };
                        w.must(id, op);
                        Payload::Postcard(0)
                    }
                    None => Payload::Bytes,
                };
                w.send(id, &emit_with(flags, kind, topic, Some(5), payload));
                !w.take(id).iter().any(|g| g.refusal().is_some())
            });
            assert_eq!(got, may, "{topic}");
        }
    }
}

#[test]
fn whoever_may_publish_may_not_always_retain() {
    use crate::hub::{Action, Rule, Rules, Topics, Verdict};
    let mut rules = Rules::allow_all();
    let rule = Rule {
        name: "gauges are set by operators".into(),
        roles: vec![Role::Client],
        apps: None,
        actions: vec![Action::Retain],
        topics: vec![Topics::matching("gauge.>")],
        verdict: Verdict::Deny,
    };
    rules.access.insert(0, rule);
    let mut w = World::with(options(Limits::default(), rules));
    let c = w.join(client("c"));
    w.subscribe(c, 1, "gauge.a");
    for payload in [&b"1"[..], b""] {
        let flags = flags::ACK | flags::RETAIN;
        w.send(
            c,
            &emit_with(flags, Payload::Bytes, "gauge.a", Some(5), payload),
        );
        let refusal = refusal_of(&w.take(c), 5);
        let words = [
            "client may not retain values on",
            "gauge.a",
            "gauges are set by operators",
        ];
        refused(&refusal, RefusalKind::Denied, &words);
    }
    assert_eq!(w.emit_acked(c, Payload::Bytes, "gauge.a", b"1"), Ok(1));
}

#[test]
fn who_may_ask_what() {
    for (topic, may) in [
        ("app.reload", "om"),
        ("master.kill", "om"),
        ("masterStatus", "bcwom"),
        ("bus.stats", "bcwom"),
        ("bus.other", "cwom"),
        ("_sys.worker.ready", "wm"),
        ("_sys.other.thing", "m"),
        ("orders.price", "cwom"),
    ] {
        let got = who(|w, id| {
            w.send(id, &request(1, Payload::Json, topic, READERS_TYPE, b"12"));
            !denied(&refusal_of(&w.take(id), 1))
        });
        assert_eq!(got, may, "{topic}");
    }
}

#[test]
fn who_may_answer_and_hear_what() {
    for (op, may) in [
        (serve(1, "app.reload"), "m"),
        (serve(1, "app.*"), "m"),
        (serve(1, "master.kill"), "m"),
        (serve(1, "masterStatus"), "m"),
        (serve(1, "bus.stats"), "m"),
        (serve(1, "_sys.worker.*"), "m"),
        (serve(1, "orders.price"), "cwom"),
        (serve(1, "*"), "cwom"),
        (subscribe(1, "*"), "bcwom"),
        (subscribe(1, "worker.*"), "bcwom"),
        (subscribe(1, "_log.>"), "bcwom"),
        (subscribe(1, "to.worker.7.>"), "bcwom"),
        (subscribe(1, "to.worker.7.drain"), "bcwom"),
        (subscribe(1, "to.worker.8.>"), "bcom"),
        (subscribe(1, "to.worker.*.drain"), "bcom"),
        (subscribe(1, "to.slot.web.0.>"), "bcwom"),
        (subscribe(1, "to.slot.web.1.>"), "bcom"),
        (subscribe(1, "to.app.web.x"), "bcwom"),
        (subscribe(1, "to.app.other.x"), "bcom"),
    ] {
        let got = who(|w, id| {
            w.ask(id, 1, op.clone());
            !w.take(id).iter().any(|g| g.refusal().is_some())
        });
        assert_eq!(got, may, "{op:?}");
    }
}

#[test]
fn a_refusal_names_the_rule_and_the_topic() {
    let mut w = fleet();
    let id = w.join(client("x"));
    let refusal = w
        .emit_acked(id, Payload::Json, "worker.exited", b"1")
        .unwrap_err();
    refused(
        &refusal,
        RefusalKind::Denied,
        &["client", "worker.exited", "only the master publishes"],
    );
    // Without a reference it is told as well.
    w.send(id, &emit("update.started", b""));
    refused(
        &refusal_of(&w.take(id), 0),
        RefusalKind::Denied,
        &["update.started"],
    );
}

#[test]
fn a_wildcard_brings_no_topic_that_the_subscriber_may_not_have() {
    let mut w = fleet();
    let (seven, eight) = (w.join(worker(7)), w.join(worker(8)));
    let master = w.join(Principal::Master);
    w.subscribe(seven, 1, "*");
    w.subscribe(seven, 2, "to.>");
    w.announce::<Drain>(master, 0, "");
    let drain = postcard::to_stdvec(&Drain {
        reason: "stop".into(),
        deadline_ms: 1,
    })
    .unwrap();
    for id in [7, 8] {
        let topic = Drain::topic(WorkerId(id));
        let ack = w.emit_acked(master, Payload::Postcard(0), &topic, &drain);
        assert_eq!(ack, Ok(if id == 7 { 2 } else { 0 }));
    }
    w.send(eight, &emit("to.worker.8.note", b""));
    let heard: Vec<String> = w.events(seven).into_iter().map(|e| e.topic).collect();
    assert_eq!(heard, ["to.worker.7.drain", "to.worker.7.drain"]);
    // Nor may a client answer the master's requests by answering all.
    let thief = w.join(client("thief"));
    w.serve(thief, 1, "*");
    w.send(
        thief,
        &request(5, Payload::Json, "masterStatus", READERS_TYPE, b"{}"),
    );
    refused(
        &refusal_of(&w.take(thief), 5),
        RefusalKind::NoResponders,
        &[],
    );
}

#[test]
fn a_refusal_is_told_for_each_announced_topic() {
    let mut w = fleet();
    let c = w.join(client("c"));
    w.announce::<WorkerSpawned>(c, 0, "worker.spawned");
    w.announce::<WorkerOnline>(c, 1, "worker.online");
    for index in [0, 1, 0, 1] {
        w.send(c, &emit_with(0, Payload::Postcard(index), "", None, b""));
    }
    let got = w.take(c);
    let refusals: Vec<_> = got.iter().filter_map(Got::refusal).collect();
    let [(0, spawned), (0, online)] = refusals[..] else {
        panic!("{got:?}")
    };
    refused(spawned, RefusalKind::Denied, &["worker.spawned"]);
    refused(online, RefusalKind::Denied, &["worker.online"]);
}

#[test]
fn triggers_are_conflated_per_app_and_asker_in_either_form() {
    let mut w = fleet();
    let master = w.join(Principal::Master);
    let (c, worker) = (w.join(client("c")), w.join(worker(7)));
    w.subscribe(master, 1, "workerRestartNeeded");
    w.subscribe(master, 2, "systemRestartNeeded");
    w.announce::<WorkerRestartNeeded>(c, 0, "workerRestartNeeded");
    w.announce::<WorkerRestartNeeded>(worker, 0, "workerRestartNeeded");
    let mut trigger = |id: u64, app: Option<&str>, reason: &str| {
        let event = WorkerRestartNeeded {
            app: app.map(str::to_owned),
            reason: Some(reason.into()),
        };
        let payload = postcard::to_stdvec(&event).unwrap();
        w.send(id, &emit_with(0, Payload::Postcard(0), "", None, &payload));
    };
    trigger(c, Some("web"), "1");
    trigger(c, None, "2");
    trigger(c, Some("api"), "3");
    trigger(worker, None, "4");
    trigger(c, None, "5");
    let json = br#"{"app": "api", "reason": "6"}"#;
    w.send(
        c,
        &emit_with(0, Payload::Json, "workerRestartNeeded", None, json),
    );
    for reason in ["7", "8"] {
        let json = format!(r#"{{"reason": "{reason}"}}"#);
        let topic = "systemRestartNeeded";
        w.send(
            worker,
            &emit_with(0, Payload::Json, topic, None, json.as_bytes()),
        );
    }
    let heard: Vec<u8> = w
        .events(master)
        .iter()
        .map(|e| *e.payload.iter().rfind(|b| b.is_ascii_digit()).unwrap())
        .collect();
    assert_eq!(heard, b"14568");
}

#[test]
fn the_status_may_be_asked_with_the_type_that_is_built_in() {
    let mut w = fleet();
    let (master, observer) = (
        w.join(Principal::Master),
        w.join(Principal::Observer { name: "o".into() }),
    );
    w.serve(master, 1, "masterStatus");
    w.announce::<MasterStatus>(observer, 0, "");
    let question = postcard::to_stdvec(&MasterStatus::default()).unwrap();
    w.send(
        observer,
        &request(
            1,
            Payload::Postcard(0),
            "masterStatus",
            READERS_TYPE,
            &question,
        ),
    );
    let got = w.take(master);
    assert!(got.iter().any(|g| matches!(g, Got::Call { .. })), "{got:?}");
    w.announce::<u32>(observer, 1, "");
    w.send(
        observer,
        &request(2, Payload::Postcard(1), "masterStatus", READERS_TYPE, &[1]),
    );
    let fixed = TypeSchema::of::<MasterStatus>().to_string();
    refused(
        &refusal_of(&w.take(observer), 2),
        RefusalKind::BadType,
        &[&fixed, "u32"],
    );
}
