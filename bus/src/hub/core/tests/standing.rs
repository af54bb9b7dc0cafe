//! Answers that stand: given by the hub as long as they hold, and not a moment longer.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::support::*;
use crate::{
    Limits,
    hub::Rules,
    wire::{
        control::{ClientOp, RefusalKind},
        data::{Payload, READERS_TYPE},
    },
};

fn question(r#ref: u64, payload: &[u8]) -> Vec<u8> {
    request(r#ref, Payload::Bytes, "q", READERS_TYPE, payload)
}

/// The calls that came.
fn calls(w: &mut World, responder: u64) -> Vec<u64> {
    let call = |got: &Got| match got {
        Got::Call { call, .. } => Some(*call),
        _ => None,
    };
    w.take(responder).iter().filter_map(call).collect()
}

/// The answers that came: to what, from whom, and what.
fn answers(w: &mut World, asker: u64) -> Vec<(u64, u64, Vec<u8>)> {
    let answer = |got: Got| match got {
        Got::Answer {
            r#ref,
            conn,
            payload,
            ..
        } => Some((r#ref, conn, payload.to_vec())),
        _ => None,
    };
    w.take(asker).into_iter().filter_map(answer).collect()
}

/// An asker, and a responder whose answer to "?" holds for so long.
fn answered(w: &mut World, ttl_ms: u32) -> (u64, u64) {
    let (asker, responder) = (w.join(client("asker")), w.join(client("responder")));
    w.serve(responder, 1, "q");
    w.send(asker, &question(1, b"?"));
    let [call] = calls(w, responder)[..] else {
        panic!("one call")
    };
    w.send(responder, &reply_for(call, b"!", ttl_ms));
    assert_eq!(answers(w, asker), [(1, responder, b"!".to_vec())]);
    (asker, responder)
}

#[test]
fn the_same_question_is_answered_without_a_call_while_the_answer_holds() {
    let mut w = World::new();
    let (asker, responder) = answered(&mut w, 100);
    let other = w.join(client("other"));
    for (who, r#ref) in [(asker, 2), (other, 2), (other, 3)] {
        w.send(who, &question(r#ref, b"?"));
        assert_eq!(answers(&mut w, who), [(r#ref, responder, b"!".to_vec())]);
    }
    assert_eq!(calls(&mut w, responder), [0_u64; 0]);
    w.send(other, &question(4, b"another?"));
    assert_eq!(calls(&mut w, responder).len(), 1, "another question");
    w.pass(Duration::from_millis(100));
    w.send(other, &question(5, b"?"));
    assert_eq!(calls(&mut w, responder).len(), 1, "it holds no longer");
    assert!(answers(&mut w, other).is_empty());
}

#[test]
fn a_reply_without_a_time_is_for_its_asker_alone() {
    let mut w = World::new();
    let (asker, responder) = (w.join(client("asker")), w.join(client("responder")));
    w.serve(responder, 1, "q");
    for n in 1..4 {
        w.send(asker, &question(n, b"?"));
        let [call] = calls(&mut w, responder)[..] else {
            panic!("one call")
        };
        w.send(responder, &reply(call, Payload::Bytes, b"!"));
        assert_eq!(answers(&mut w, asker).len(), 1);
    }
}

#[test]
fn it_goes_with_whoever_gave_it() {
    let mut w = World::new();
    let (asker, responder) = answered(&mut w, 100_000);
    let next = w.join(client("next"));
    w.serve(next, 1, "q");
    w.must(responder, ClientOp::Unsubscribe { sub: 1 });
    w.send(asker, &question(2, b"?"));
    assert_eq!(calls(&mut w, next).len(), 1, "it serves no longer");
    let mut w = World::new();
    let (asker, responder) = answered(&mut w, 100_000);
    w.leave(responder);
    w.send(asker, &question(2, b"?"));
    refused(
        &refusal_of(&w.take(asker), 2),
        RefusalKind::NoResponders,
        &["\"q\""],
    );
    assert_eq!(w.core.held(), World::new().core.held(), "nothing is left");
}

#[test]
fn it_stands_no_longer_than_what_it_was_made_of() {
    let mut w = World::new();
    let revision = Arc::new(AtomicU64::new(0));
    w.core.follow(Arc::clone(&revision));
    let (asker, responder) = answered(&mut w, 100_000);
    revision.fetch_add(1, Ordering::Release);
    w.send(asker, &question(2, b"?"));
    let [call] = calls(&mut w, responder)[..] else {
        panic!("asked anew")
    };
    // What changes between call and reply may not be in the reply.
    revision.fetch_add(1, Ordering::Release);
    w.send(responder, &reply_for(call, b"!", 100_000));
    assert_eq!(answers(&mut w, asker).len(), 1);
    w.send(asker, &question(3, b"?"));
    assert_eq!(calls(&mut w, responder).len(), 1);
}

#[test]
fn a_long_question_is_asked_each_time() {
    let mut w = World::new();
    let (asker, responder) = (w.join(client("asker")), w.join(client("responder")));
    w.serve(responder, 1, "q");
    let long = vec![b'?'; 257];
    for n in 1..3 {
        w.send(asker, &question(n, &long));
        let [call] = calls(&mut w, responder)[..] else {
            panic!("asked anew")
        };
        w.send(responder, &reply_for(call, b"!", 100_000));
    }
}

#[test]
fn so_many_stand_at_once_and_no_more() {
    let mut w = World::new();
    let (asker, responder) = (w.join(client("asker")), w.join(client("responder")));
    w.serve(responder, 1, "q");
    let ask = |w: &mut World, n: u32| {
        w.send(asker, &question(n.into(), &n.to_be_bytes()));
        let calls = calls(w, responder);
        for call in &calls {
            w.send(responder, &reply_for(*call, b"!", 1000));
        }
        assert_eq!(answers(w, asker).len(), 1);
        calls.len()
    };
    for n in 0..257 {
        assert_eq!(ask(&mut w, n), 1);
    }
    assert_eq!(ask(&mut w, 255), 0, "it stands");
    assert_eq!(ask(&mut w, 256), 1, "there was no place for it");
    w.pass(Duration::from_secs(1));
    assert_eq!((ask(&mut w, 256), ask(&mut w, 256)), (1, 0));
}

#[test]
fn what_stands_is_bounded_in_bytes_and_the_first_to_go() {
    let limits = Limits {
        memory_bytes: 48 << 20,
        retained_bytes: 4 << 20,
        history_bytes: 4 << 20,
        mailbox_bytes: 4 << 20,
        ..Limits::default()
    };
    let mut w = World::with(options(limits, Rules::allow_all()));
    let (asker, responder) = (w.join(client("asker")), w.join(client("responder")));
    w.serve(responder, 1, "q");
    let empty = w.core.held();
    let ask = |w: &mut World, n: u32, answer: &[u8]| {
        w.send(asker, &question(n.into(), &n.to_be_bytes()));
        let calls = calls(w, responder);
        for call in &calls {
            w.send(responder, &reply_for(*call, answer, 1000));
        }
        assert_eq!(answers(w, asker).len(), 1);
        calls.len()
    };
    let large = vec![b'!'; (64 << 10) + 1];
    assert_eq!(
        (ask(&mut w, 1, &large), ask(&mut w, 1, &large)),
        (1, 1),
        "too large to stand"
    );
    for n in 2..100 {
        ask(&mut w, n, &large[..64 << 10]);
    }
    let held = w.core.held() - empty;
    assert!((512 << 10..=768 << 10).contains(&held), "{held} bytes");
    w.pass(Duration::from_secs(1));
    ask(&mut w, 100, b"!");
    let held = w.core.held() - empty;
    assert!(held < 4096, "what is over holds nothing: {held} bytes");
}
