//! Peers that show a token: what the core asks, and what it does with the answer.

use std::time::Duration;

use serde_json::json;

use super::support::*;
use crate::{
    Generation, Limits, Slot, WorkerId,
    hub::{
        Admission, HubNotice, Principal, Rules,
        core::{Door, PeerClaim},
    },
    wire::{
        control::{CloseKind, HubOp},
        hello::{Codec, Kind},
    },
};

fn worker() -> Principal {
    Principal::Worker {
        app: "web".into(),
        id: WorkerId(7),
        slot: Slot(0),
        generation: Generation(1),
        pid: 9,
    }
}

fn shows(kind: &str, token: Option<&str>) -> Vec<u8> {
    let mut body = json!({
        "magic": "ostler", "proto": [1, 1], "codecs": ["postcard"], "kind": kind, "name": "x"
    });
    if let Some(token) = token {
        body["token"] = token.into();
    }
    hello_with(&body)
}

fn token_in(got: &[Got]) -> Option<String> {
    match got {
        [Got::Welcome(welcome)] => welcome.token.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_claim_waits_for_its_answer_and_nothing_is_heard_meanwhile() {
    let mut w = World::new();
    let reader = w.join(client("reader"));
    w.subscribe(reader, 1, "x");
    let id = w.connect(Door::Network);
    let hello = shows("client", Some("t"));
    let early = emit("x", b"1");
    let sent = [hello.clone(), early.clone()].concat();
    assert_eq!(w.send_some(id, &sent), hello.len());
    assert!(w.core.is_clogged(id));
    assert_eq!(w.take(id), []);
    let claim = PeerClaim {
        conn: id,
        kind: Kind::Client,
        name: "x".into(),
        token: "t".into(),
    };
    assert_eq!(w.core.take_claims(), [claim]);
    assert_eq!(w.core.take_claims(), []);
    let now = w.now;
    w.core.vouched(now, id, Ok((client("ours"), None)));
    assert!(!w.core.is_clogged(id));
    assert_eq!(token_in(&w.take(id)), None);
    w.send(id, &early);
    assert_eq!(w.events(reader).len(), 1);
    // A second answer changes nothing.
    w.core.vouched(now, id, Err("no".into()));
    assert!(!w.core.is_closing(id));
    w.pass(Duration::from_secs(3600));
    assert!(!w.core.is_closing(id), "it said HELLO in time");
}

#[test]
fn who_is_not_believed_or_too_late_has_to_go() {
    let mut w = World::new();
    let wrong = w.connect(Door::Network);
    w.send(wrong, &shows("client", Some("t")));
    let now = w.now;
    w.core.vouched(now, wrong, Err("no such token".into()));
    let closing = w.closing(wrong).expect("it is closed");
    assert_eq!(closing, (CloseKind::Denied, "no such token".into()));
    let late = w.connect(Door::Network);
    w.send(late, &shows("client", Some("t")));
    w.pass(Limits::default().hello_timeout);
    assert_eq!(w.closing(late).expect("it is closed").0, CloseKind::Hello);
    let now = w.now;
    w.core.vouched(now, late, Ok((client("x"), None)));
    assert!(w.core.is_closing(late));
    let silent = w.connect(Door::Network);
    w.send(silent, &shows("client", None));
    let (kind, reason) = w.closing(silent).expect("it is closed");
    assert_eq!(kind, CloseKind::Denied);
    assert!(reason.contains("token"), "{reason}");
    let by_path = w.connect(Door::Path(Admission::default()));
    w.send(by_path, &shows("client", Some("t")));
    assert_eq!(
        token_in(&w.take(by_path)),
        None,
        "by path it proves nothing more"
    );
    assert_eq!(
        w.core.take_claims().len(),
        2,
        "of those who showed one over a network"
    );
}

#[test]
fn a_worker_has_one_connection() {
    let mut w = World::new();
    let inherited = w.connect(Door::Inherited(worker(), "secret".into()));
    w.send(inherited, &hello(Codec::Postcard));
    assert_eq!(token_in(&w.take(inherited)).as_deref(), Some("secret"));
    let other = w.join(client("other"));
    w.notices();
    let back = w.connect(Door::Path(Admission::default()));
    w.send(back, &shows("worker", Some("secret")));
    assert_eq!(w.core.take_claims().len(), 1);
    assert!(!w.core.is_closing(inherited), "nothing is known yet");
    let now = w.now;
    w.core
        .vouched(now, back, Ok((worker(), Some("secret".into()))));
    let got = w.take(inherited);
    let [Got::Control(0, HubOp::Closing { kind, .. })] = &got[..] else {
        panic!("{got:?}")
    };
    assert_eq!(*kind, CloseKind::Replaced);
    assert_eq!(token_in(&w.take(back)).as_deref(), Some("secret"));
    let notices = w.notices();
    assert!(
        matches!(
            &notices[..],
            [HubNotice::Disconnected { .. }, HubNotice::Connected { .. }]
        ),
        "{notices:?}"
    );
    assert!(!w.core.is_closing(other));
}

#[test]
fn schemas_are_bounded_as_the_limits_say_but_for_built_in_types() {
    let bounded = |schema_bytes, schema_nodes| {
        let limits = Limits {
            schema_bytes,
            schema_nodes,
            ..Limits::default()
        };
        World::with(options(limits, Rules::allow_all()))
    };
    let size = crate::TypeSchema::of::<(u8, u16)>().encoded().len();
    let fits = |mut w: World| {
        let id = w.join(client("a"));
        w.ask(id, 1, announce::<(u8, u16)>(0, "n"));
        !w.take(id).iter().any(|got| got.refusal().is_some())
    };
    assert!(fits(bounded(size, 3)));
    assert!(!fits(bounded(size - 1, 3)));
    assert!(!fits(bounded(size, 2)));
    let builtin = crate::hub::HubOptions {
        builtins: vec![(topic("n"), crate::TypeSchema::of::<(u8, u16)>())],
        ..options(
            Limits {
                schema_bytes: 1,
                ..Limits::default()
            },
            Rules::allow_all(),
        )
    };
    assert!(fits(World::with(builtin)));
}

#[test]
fn a_queue_holds_what_the_limits_say() {
    for limits in [
        Limits {
            queue_messages: 3,
            ..Limits::default()
        },
        Limits {
            queue_bytes: 3 << 10,
            ..Limits::default()
        },
    ] {
        let by_bytes = limits.queue_bytes == 3 << 10;
        let mut w = World::with(options(limits, Rules::allow_all()));
        let (slow, fast) = (w.join(client("slow")), w.join(client("fast")));
        w.subscribe(slow, 1, "x");
        for _ in 0..10 {
            w.send(fast, &emit("x", &[0; 1000]));
        }
        let got = w.take(slow);
        let events = got.iter().filter(|g| matches!(g, Got::Event(_))).count();
        let missed = got.iter().find_map(|g| match g {
            Got::Control(_, HubOp::Lagged { missed, .. }) => Some(*missed),
            _ => None,
        });
        assert_eq!(missed, Some(10 - events as u64), "{got:?}");
        assert!(
            if by_bytes {
                (1..=3).contains(&events)
            } else {
                events == 3
            },
            "{events}"
        );
    }
}
