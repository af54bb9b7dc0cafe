//! How much mail may wait, who loses when there is too much, and who is told.

use std::time::Duration;

use super::{
    mailbox::{fleet, wake, worker},
    support::*,
};
use crate::{Limits, hub::core::Door, wire::control::HubOp};

#[test]
fn a_mailbox_is_bounded_and_tells_what_it_lost() {
    let limits = Limits {
        mailbox_messages: 2,
        ..Limits::default()
    };
    let mut w = fleet(limits);
    let a = w.join(client("a"));
    let id = w.connect(Door::Known(worker(7)));
    for _ in 0..3 {
        w.send(a, &emit("to.worker.7.x", b""));
    }
    w.send(a, &emit("to.worker.7.y", b""));
    wake(&mut w, id);
    w.ask(id, 1, subscribe(1, "to.worker.7.y"));
    let got = w.take(id);
    assert!(
        !got.iter()
            .any(|g| matches!(g, Got::Control(_, HubOp::Lagged { .. }))),
        "{got:?}"
    );
    w.ask(id, 2, subscribe(2, "to.worker.7.x"));
    let got = w.take(id);
    let lagged = got
        .iter()
        .position(|g| *g == Got::Control(0, HubOp::Lagged { sub: 2, missed: 2 }));
    let event = got
        .iter()
        .position(|g| matches!(g, Got::Event(e) if e.seq == 3));
    assert!(lagged.unwrap() < event.unwrap(), "{got:?}");
}

#[test]
fn all_mail_together_is_bounded_in_bytes_and_counted() {
    let limits = Limits {
        mailbox_bytes: 2000,
        ..Limits::default()
    };
    let mut w = fleet(limits);
    let a = w.join(client("a"));
    let before = w.core.tally.total();
    let ids = [
        w.connect(Door::Known(worker(7))),
        w.connect(Door::Known(worker(8))),
    ];
    for _ in 0..10 {
        w.send(a, &emit("to.app.web.x", &[0; 100]));
    }
    let held = w.core.tally.total() - before;
    assert!((1000..=2000).contains(&held), "{held}");
    for id in ids {
        w.leave(id);
    }
    assert_eq!(w.core.tally.total(), before);
}

fn lost(got: &[Got]) -> u64 {
    let missed = got.iter().map(|got| match got {
        Got::Control(0, HubOp::Lagged { missed, .. }) => *missed,
        _ => 0,
    });
    missed.sum()
}

/// What a worker gets that subscribes at last: its events' numbers, and how many it lost.
fn mail(w: &mut World, id: u64, pattern: &str) -> (Vec<u64>, u64) {
    wake(w, id);
    w.ask(id, 1, subscribe(1, pattern));
    let got = w.take(id);
    let seqs = got.iter().filter_map(|got| match got {
        Got::Event(event) => Some(event.seq),
        _ => None,
    });
    (seqs.collect(), lost(&got))
}

#[test]
fn the_largest_mailbox_pays_and_no_other() {
    let limits = Limits {
        mailbox_bytes: 10_000,
        ..Limits::default()
    };
    let mut w = fleet(limits);
    let a = w.join(client("a"));
    let ids: Vec<u64> = (7..10).map(|n| w.connect(Door::Known(worker(n)))).collect();
    for _ in 0..3 {
        w.send(a, &emit("to.worker.7.x", b"small"));
    }
    for _ in 0..20 {
        w.send(a, &emit("to.worker.8.x", &[0; 1000]));
    }
    // There is no room left, but not because of this one.
    w.send(a, &emit("to.worker.9.x", b"small"));
    // One that no mailbox could hold costs nobody anything but itself and what is in its own.
    w.send(a, &emit("to.worker.8.x", &[0; 20_000]));
    assert_eq!(mail(&mut w, ids[0], "to.worker.7.>"), (vec![1, 2, 3], 0));
    assert_eq!(mail(&mut w, ids[2], "to.worker.9.>"), (vec![24], 0));
    assert_eq!(mail(&mut w, ids[1], "to.worker.8.>"), (vec![], 21));
}

#[test]
fn equal_mailboxes_share_what_there_is() {
    let limits = Limits {
        mailbox_bytes: 30_000,
        ..Limits::default()
    };
    let mut w = fleet(limits);
    let a = w.join(client("a"));
    let ids: Vec<u64> = (7..10).map(|n| w.connect(Door::Known(worker(n)))).collect();
    // The first takes all there is, and gives it up as the others need their part.
    for n in 7..10 {
        for _ in 0..40 {
            w.send(a, &emit(&format!("to.worker.{n}.x"), &[0; 700]));
        }
    }
    for (id, n) in ids.into_iter().zip(7..10) {
        let (kept, lost) = mail(&mut w, id, &format!("to.worker.{n}.>"));
        assert_eq!(kept.len() as u64 + lost, 40);
        assert!((9..=11).contains(&kept.len()), "{n}: {}", kept.len());
        assert!(kept.is_sorted());
    }
}

#[test]
fn losses_belong_to_their_topics_or_at_least_to_their_address() {
    let limits = Limits {
        mailbox_messages: 1,
        ..Limits::default()
    };
    let mut w = fleet(limits);
    let a = w.join(client("a"));
    let id = w.connect(Door::Known(worker(7)));
    w.send(a, &emit("to.app.web.x", b""));
    // More topics than are counted each by itself.
    for n in 0..1000 {
        w.send(a, &emit(&format!("to.worker.7.n{n}"), b""));
    }
    assert_eq!(mail(&mut w, id, "to.app.web.>"), (vec![], 1));
    w.ask(id, 2, subscribe(2, "to.slot.web.0.>"));
    assert_eq!(lost(&w.take(id)), 0);
    w.ask(id, 3, subscribe(3, "to.worker.7.n0"));
    w.ask(id, 4, subscribe(4, "to.worker.7.>"));
    let got = w.take(id);
    assert_eq!(lost(&got), 999);
    let first = got.iter().find(|got| lost(std::slice::from_ref(*got)) > 0);
    assert!(matches!(
        first,
        Some(Got::Control(0, HubOp::Lagged { sub: 3, .. }))
    ));
}

#[test]
fn mail_that_nobody_wants_any_more_is_no_loss() {
    let limits = Limits {
        mailbox_messages: 1,
        ..Limits::default()
    };
    let mut w = fleet(limits);
    let a = w.join(client("a"));
    let id = w.connect(Door::Known(worker(7)));
    let short = crate::hub::core::edge::Emit {
        kind: crate::wire::data::Payload::Bytes,
        topic: "to.worker.7.x",
        ack: None,
        ttl_ms: Some(10),
        headers: &[],
        payload: b"1",
    };
    w.send(a, &short.frame(0));
    w.pass(Duration::from_millis(10));
    w.send(a, &emit("to.worker.7.x", b"2"));
    assert_eq!(mail(&mut w, id, "to.worker.7.>"), (vec![2], 0));
}
