//! Requests to many: every one who serves is asked once, every answer comes, and an end comes behind them, whatever
//! happens to whom.

use std::time::Duration;

use bytes::BytesMut;
use serde_json::json;

use super::support::*;
use crate::{
    Generation, Limits, Schema, Slot, WorkerId,
    hub::{ControlTopics, HubOptions, Principal, Rules, Topics},
    vocab::rules::{builtins, fleet_rules},
    wire::{
        FrameType,
        control::{ClientOp, HubOp, RefusalKind, SubscribeOptions},
        data::{self, Payload, READERS_TYPE},
        flags,
        hello::Codec,
    },
};

#[derive(serde::Serialize, serde::Deserialize, Schema)]
struct Price {
    cents: u32,
}

const SECOND: Duration = Duration::from_secs(1);

fn ask_many(r#ref: u64, topic: &str, limit: u32) -> Vec<u8> {
    ask_in(r#ref, Payload::Bytes, topic, limit, b"?")
}

fn ask_in(r#ref: u64, kind: Payload, topic: &str, limit: u32, payload: &[u8]) -> Vec<u8> {
    let mut body = BytesMut::new();
    data::put_request(&mut body, kind, topic, r#ref, READERS_TYPE, 1_000);
    body.extend_from_slice(&limit.to_be_bytes());
    body.extend_from_slice(payload);
    raw(FrameType::Request as u8, flags::MANY, &body)
}

/// An asker and so many who serve `q`.
fn gathering(n: usize) -> (World, u64, Vec<u64>) {
    let mut w = World::new();
    let asker = w.join(client("asker"));
    let responders: Vec<u64> = (0..n).map(|i| w.join(client(&i.to_string()))).collect();
    for responder in &responders {
        w.serve(*responder, 1, "q");
    }
    (w, asker, responders)
}

impl World {
    /// The one call that waits for a responder.
    fn call_for(&mut self, id: u64) -> u64 {
        let got = self.take(id);
        let calls: Vec<u64> = got
            .iter()
            .filter_map(|got| match got {
                Got::Call { call, .. } => Some(*call),
                _ => None,
            })
            .collect();
        match calls[..] {
            [call] => call,
            _ => panic!("{id}: {got:?}"),
        }
    }

    fn reply_to(&mut self, id: u64, call: u64) {
        self.send(id, &reply(call, Payload::Bytes, b"!"));
    }

    fn is_idle(&self) -> bool {
        self.core.next_deadline().is_none()
    }
}

/// Who answered `ref`, and how it ended; nothing may follow the end.
fn outcome(got: &[Got], r#ref: u64) -> (Vec<u64>, Option<HubOp>) {
    let (mut from, mut end) = (Vec::new(), None);
    for got in got {
        match got {
            Got::Answer { r#ref: r, conn, .. } if *r == r#ref => {
                assert_eq!(end, None, "an answer behind the end");
                from.push(*conn);
            }
            Got::Control(r, op) if *r == r#ref => {
                assert_eq!(end, None, "two ends");
                end = Some(op.clone());
            }
            _ => {}
        }
    }
    (from, end)
}

fn done(count: u64) -> Option<HubOp> {
    Some(HubOp::Done { count })
}

#[test]
fn everybody_is_asked_once_and_the_end_comes_behind_the_last_answer() {
    let (mut w, asker, r) = gathering(3);
    w.serve(r[0], 2, "*");
    w.subscribe(asker, 9, "*");
    w.send(asker, &ask_many(7, "q", 0));
    let calls: Vec<u64> = r.iter().map(|r| w.call_for(*r)).collect();
    for i in [2, 0] {
        w.reply_to(r[i], calls[i]);
    }
    assert_eq!(outcome(&w.take(asker), 7), (vec![r[2], r[0]], None));
    w.reply_to(r[1], calls[1]);
    assert_eq!(outcome(&w.take(asker), 7), (vec![r[1]], done(3)));
    assert!(w.is_idle());
    w.pass(10 * SECOND);
    assert_eq!(w.take(asker), []);
    w.reply_to(r[1], calls[1]);
    refused(
        &refusal_of(&w.take(r[1]), 0),
        RefusalKind::TimedOut,
        &["no reply"],
    );
}

#[test]
fn the_end_is_never_written_before_answers_that_wait() {
    let (mut w, asker, r) = gathering(2);
    w.send(asker, &ask_many(7, "q", 0));
    for r in r.clone() {
        let call = w.call_for(r);
        w.reply_to(r, call);
    }
    assert_eq!(outcome(&w.take(asker), 7), (r, done(2)));
}

#[test]
fn enough_answers_end_it_and_later_ones_are_not_sent() {
    let (mut w, asker, r) = gathering(3);
    w.send(asker, &ask_many(7, "q", 2));
    let calls: Vec<u64> = r.iter().map(|r| w.call_for(*r)).collect();
    for i in 0..3 {
        w.reply_to(r[i], calls[i]);
    }
    assert_eq!(outcome(&w.take(asker), 7), (vec![r[0], r[1]], done(2)));
    assert!(w.is_idle());
    // And whoever was not waited for any longer is as free as before.
    w.send(asker, &request(8, Payload::Bytes, "q", READERS_TYPE, b"?"));
    assert_eq!(r.iter().filter(|r| !w.take(**r).is_empty()).count(), 2);
}

#[test]
fn time_ends_it_with_what_came() {
    let (mut w, asker, r) = gathering(3);
    w.send(asker, &ask_many(7, "q", 0));
    let calls: Vec<u64> = r.iter().map(|r| w.call_for(*r)).collect();
    w.reply_to(r[1], calls[1]);
    w.pass(SECOND - Duration::from_millis(1));
    assert_eq!(outcome(&w.take(asker), 7), (vec![r[1]], None));
    w.pass(Duration::from_millis(1));
    assert_eq!(outcome(&w.take(asker), 7), (vec![], done(1)));
    assert!(w.is_idle());
    w.reply_to(r[0], calls[0]);
    assert_eq!(w.take(asker), [], "too late");
    w.send(asker, &ask_many(8, "q", 0));
    w.pass(SECOND);
    assert_eq!(outcome(&w.take(asker), 8), (vec![], done(0)));
}

#[test]
fn who_declines_leaves_or_dies_is_not_waited_for() {
    let (mut w, asker, r) = gathering(4);
    w.send(asker, &ask_many(7, "q", 0));
    let calls: Vec<u64> = r.iter().map(|r| w.call_for(*r)).collect();
    let (call, reason) = (calls[0], "busy".into());
    w.must(r[0], ClientOp::Decline { call, reason });
    w.leave(r[1]);
    w.reply_to(r[2], calls[2]);
    assert_eq!(outcome(&w.take(asker), 7), (vec![r[2]], None));
    w.leave(r[3]);
    assert_eq!(outcome(&w.take(asker), 7), (vec![], done(1)));
    assert!(w.is_idle());
    w.send(asker, &ask_many(8, "q", 0));
    w.must(r[0], ClientOp::Unsubscribe { sub: 1 });
    w.leave(r[2]);
    assert_eq!(outcome(&w.take(asker), 8), (vec![], done(0)));
    assert!(w.is_idle());
}

#[test]
fn when_nobody_serves_it_is_refused() {
    let (mut w, asker, _) = gathering(1);
    w.send(asker, &ask_many(7, "nobody", 0));
    let refusal = refusal_of(&w.take(asker), 7);
    refused(&refusal, RefusalKind::NoResponders, &["\"nobody\""]);
    assert!(w.is_idle());
}

#[test]
fn an_asker_that_goes_takes_its_question_with_it() {
    let (mut w, asker, r) = gathering(2);
    w.send(asker, &ask_many(7, "q", 0));
    let calls: Vec<u64> = r.iter().map(|r| w.call_for(*r)).collect();
    w.leave(asker);
    assert!(w.is_idle(), "no deadline is left");
    w.reply_to(r[0], calls[0]);
    refused(
        &refusal_of(&w.take(r[0]), 0),
        RefusalKind::TimedOut,
        &["gone"],
    );
}

#[test]
fn who_reads_another_type_is_not_asked_and_whose_answer_is_none_does_not_count() {
    let mut w = World::new();
    let j = w.join_as(client("j"), Codec::Json);
    let (typed, raw_one) = (w.join(client("typed")), w.join(client("raw")));
    w.must(typed, typed_server::<Price>(1, "q"));
    w.serve(raw_one, 1, "q");
    w.send(typed, &ask_many(7, "q", 0));
    assert_eq!(w.take(typed), [], "plain bytes are not of its type");
    let call = w.call_for(raw_one);
    w.reply_to(raw_one, call);
    assert_eq!(outcome(&w.take(typed), 7), (vec![raw_one], done(1)));
    // Plain bytes can't be told to an asker that speaks JSON.
    let body = json!({"ref": 3, "topic": "q", "payload": {"cents": 1}, "limit": 0});
    w.send(j, &object(FrameType::Request, &body));
    let calls = [w.call_for(typed), w.call_for(raw_one)];
    w.reply_to(raw_one, calls[1]);
    refused(
        &refusal_of(&w.take(raw_one), 0),
        RefusalKind::Misfit,
        &["plain bytes"],
    );
    w.send(typed, &reply(calls[0], Payload::Json, b"2"));
    let got = w.take(j);
    let [Got::Object(FrameType::Answer, _, answer), end] = &got[..] else {
        panic!("{got:?}")
    };
    assert_eq!((&answer["ref"], &answer["payload"]), (&json!(3), &json!(2)));
    assert_eq!(*end, Got::Control(3, HubOp::Done { count: 1 }));
}

#[test]
fn in_json_a_limit_or_the_flag_asks_many() {
    let (mut w, _, r) = gathering(2);
    let j = w.join_as(client("j"), Codec::Json);
    for (flags, body) in [
        (0, json!({"ref": 1, "topic": "q", "limit": 1})),
        (flags::MANY, json!({"ref": 2, "topic": "q"})),
    ] {
        w.send(
            j,
            &raw(FrameType::Request as u8, flags, body.to_string().as_bytes()),
        );
        let calls: Vec<u64> = r.iter().map(|r| w.call_for(*r)).collect();
        w.send(r[1], &reply(calls[1], Payload::Json, b"1"));
        w.send(r[0], &reply(calls[0], Payload::Json, b"0"));
        let got = w.take(j);
        let many = body.get("limit").map_or(2, |_| 1);
        assert_eq!(got.len(), many + 1, "{got:?}");
        w.take(r[0]);
    }
}

#[test]
fn each_one_asked_counts_as_a_request_that_waits() {
    let limits = Limits {
        requests: 3,
        ..Limits::default()
    };
    let mut w = World::with(options(limits, Rules::allow_all()));
    let asker = w.join(client("asker"));
    let r = [0, 1].map(|n| w.join(client(&n.to_string())));
    for r in r {
        w.serve(r, 1, "q");
    }
    w.send(asker, &ask_many(1, "q", 0));
    w.send(asker, &ask_many(2, "q", 0));
    refused(
        &refusal_of(&w.take(asker), 2),
        RefusalKind::Limit,
        &["2 requests", "over 3"],
    );
    let call = w.call_for(r[0]);
    w.reply_to(r[0], call);
    w.send(asker, &ask_many(3, "q", 0));
    assert_eq!(outcome(&w.take(asker), 3), (vec![], None));
    w.call_for(r[0]);
}

#[test]
fn who_has_no_room_for_the_call_is_passed_over() {
    let (mut w, asker, r) = gathering(1);
    let narrow = w.join(client("narrow"));
    let options = SubscribeOptions {
        serve: true,
        max_messages: Some(1),
        ..SubscribeOptions::default()
    };
    let (sub, pattern, reader) = (1, "*".into(), None);
    w.must(
        narrow,
        ClientOp::Subscribe {
            sub,
            pattern,
            reader,
            options,
        },
    );
    w.send(asker, &ask_many(1, "only.narrow", 0));
    w.send(asker, &ask_many(2, "only.narrow", 0));
    refused(
        &refusal_of(&w.take(asker), 2),
        RefusalKind::Limit,
        &["not read"],
    );
    w.send(asker, &ask_many(3, "q", 0));
    let call = w.call_for(r[0]);
    w.reply_to(r[0], call);
    assert_eq!(outcome(&w.take(asker), 3), (vec![r[0]], done(1)));
}

#[test]
fn an_asker_that_reads_no_answers_is_refused_behind_those_it_has() {
    let limits = Limits {
        queue_bytes: 3_000,
        ..Limits::default()
    };
    let mut w = World::with(options(limits, Rules::allow_all()));
    let asker = w.join(client("asker"));
    let r = [0, 1, 2].map(|n| w.join(client(&n.to_string())));
    for r in r {
        w.serve(r, 1, "q");
    }
    w.send(asker, &ask_many(7, "q", 0));
    for r in r {
        let call = w.call_for(r);
        w.send(r, &reply(call, Payload::Bytes, &[0; 1_400]));
    }
    let (from, end) = outcome(&w.take(asker), 7);
    assert_eq!(from, r[..2]);
    let Some(HubOp::Refused(refusal)) = end else {
        panic!("{end:?}")
    };
    refused(&refusal, RefusalKind::Limit, &["waiting to be read"]);
    assert!(w.is_idle());
}

#[test]
fn the_control_plane_is_asked_one_by_one() {
    let rules = Rules {
        control_lane: vec![ControlTopics {
            action: crate::hub::Action::Request,
            topics: vec![Topics::matching("urgent.>")],
        }],
        ..Rules::allow_all()
    };
    let mut w = World::with(options(Limits::default(), rules));
    let (asker, responder) = (w.join(client("asker")), w.join(client("responder")));
    w.serve(responder, 1, ">");
    w.send(asker, &ask_many(7, "urgent.stop", 0));
    refused(
        &refusal_of(&w.take(asker), 7),
        RefusalKind::Denied,
        &["urgent.stop", "MANY"],
    );
    assert_eq!(w.take(responder), []);
}

/// What a role may ask of one it may ask of many, and nothing more: with the fleet's own rules.
#[test]
fn each_role_may_ask_many_what_it_may_ask_one() {
    let mut w = World::with(HubOptions {
        builtins: builtins(),
        ..options(Limits::default(), fleet_rules())
    });
    let master = w.join(Principal::Master);
    w.serve(master, 1, "app.*");
    w.serve(master, 2, "masterStatus");
    w.serve(master, 3, "_sys.>");
    let server = w.join(client("server"));
    w.serve(server, 1, "price.*");
    let name = || "x".to_owned();
    let roles = [
        (Principal::Observer { name: name() }, false),
        (Principal::Client { name: name() }, true),
        (Principal::Operator { name: name() }, true),
        (
            Principal::Worker {
                app: "web".into(),
                id: WorkerId(1),
                slot: Slot(0),
                generation: Generation(1),
                pid: 9,
            },
            true,
        ),
        (Principal::Master, true),
    ];
    for (principal, may) in roles {
        let role = principal.role();
        let asker = w.join(principal);
        w.send(asker, &ask_many(1, "price.of", 0));
        match may {
            true => {
                let call = w.call_for(server);
                w.reply_to(server, call);
                assert_eq!(outcome(&w.take(asker), 1).1, done(1), "{role}");
            }
            false => refused(
                &refusal_of(&w.take(asker), 1),
                RefusalKind::Denied,
                &["observer"],
            ),
        }
        // The control plane: nobody, whatever it may ask of one.
        for (n, topic) in ["app.stop", "masterStatus", "_sys.worker.ready"]
            .iter()
            .enumerate()
        {
            let asked = ask_in(10 + n as u64, Payload::Json, topic, 0, b"{}");
            w.send(asker, &asked);
            let refusal = refusal_of(&w.take(asker), 10 + n as u64);
            assert!(
                matches!(refusal.kind, RefusalKind::Denied | RefusalKind::Misfit),
                "{role} {topic}: {refusal:?}"
            );
        }
    }
    assert_eq!(
        w.take(master)
            .iter()
            .filter(|g| matches!(g, Got::Call { .. }))
            .count(),
        0
    );
}
