//! What is counted, exactly, and what a snapshot tells of queues.

use std::time::Duration;

use super::support::*;
use crate::{
    Limits, Topic,
    hub::{
        Action, Admission, Counts, HubStats, Principal, Rules, StatsPage, Topics,
        core::{Door, edge::Emit},
        rules::ControlTopics,
    },
    wire::{
        control::{ClientOp, OverflowPolicy, SubscribeOptions},
        data::{Payload, READERS_TYPE},
        flags,
        hello::Codec,
    },
};

fn stats(w: &World) -> HubStats {
    w.core.stats(w.now, StatsPage::default())
}

fn page(w: &World, after: u64, most: u32) -> (Vec<u64>, bool) {
    let stats = w.core.stats(w.now, StatsPage { after, most });
    (stats.peers.iter().map(|p| p.conn).collect(), stats.more)
}

fn with(sub: u32, pattern: &str, options: SubscribeOptions) -> ClientOp {
    ClientOp::Subscribe {
        sub,
        pattern: pattern.into(),
        reader: None,
        options,
    }
}

#[test]
fn an_empty_hub_has_counted_nothing() {
    let mut w = World::new();
    w.pass(Duration::from_millis(1_500));
    let told = stats(&w);
    assert_eq!((told.hub.as_str(), told.uptime_ms), ("test", 1_500));
    assert_eq!(told.totals, Default::default());
    assert_eq!(
        (told.connections, told.silent, told.subscriptions),
        (0, 0, 0)
    );
    assert_eq!(told.memory_limit, Limits::default().memory_bytes as u64);
    assert!(told.peers.is_empty() && !told.more);
}

#[test]
fn what_is_published_waits_and_is_delivered_is_counted_where_it_happens() {
    let mut w = World::new();
    let (a, b) = (w.join(client("a")), w.join_as(client("b"), Codec::Json));
    w.subscribe(b, 4, "t");
    w.subscribe(b, 5, "other");
    w.pass(Duration::from_secs(3));
    let run: Vec<u8> = (0..5_u8).flat_map(|n| emit("t", &[n])).collect();
    w.send(a, &run);
    // Nobody listens, and it counts as published all the same.
    w.send(a, &emit("unheard", b"x"));
    let size = (run.len() + emit("unheard", b"x").len()) as u64;
    let before = stats(&w);
    assert_eq!((before.totals.events, before.totals.event_bytes), (6, size));
    assert_eq!(before.totals.connected, 2);
    assert_eq!(before.subscriptions, 2);
    let [first, second] = before.peers.as_slice() else {
        panic!("{:?}", before.peers);
    };
    assert_eq!((first.conn, second.conn), (a, b));
    assert_eq!((first.published, first.published_bytes), (6, size));
    assert_eq!(
        (first.codec.as_str(), second.codec.as_str()),
        ("postcard", "json")
    );
    assert_eq!((first.role.as_str(), first.up_ms), ("client", 3_000));
    assert_eq!(first.origin, client("a").origin(a));
    let [t, other] = second.subscriptions.as_slice() else {
        panic!("{:?}", second.subscriptions);
    };
    assert_eq!((t.sub, t.pattern.as_str(), t.queued), (4, "t", 5));
    assert_eq!((t.queue_limit, t.queue_limit_bytes), (65_536, 8 << 20));
    assert_eq!(
        (other.sub, other.queued, other.counts),
        (5, 0, Counts::default())
    );
    let matched = Counts {
        matched: 5,
        ..Counts::default()
    };
    assert_eq!(t.counts, matched, "nothing was handed over yet");
    assert!(second.memory > t.queued_bytes && t.queued_bytes > 0);

    let waited = t.queued_bytes;
    w.take(b);
    let after = stats(&w);
    let t = &after.peers[1].subscriptions[0];
    assert_eq!((t.queued, t.queued_bytes), (0, 0));
    let counts = Counts {
        delivered: 5,
        delivered_bytes: waited,
        ..matched
    };
    assert_eq!(t.counts, counts);
    assert_eq!(after.totals.to_subscribers, counts);
    assert_eq!(after.peers[1].memory, 0);
}

#[test]
fn losses_and_misfits_are_counted_as_they_are_told() {
    let mut w = World::new();
    let (a, b) = (w.join(client("a")), w.join(client("b")));
    let small = SubscribeOptions {
        max_messages: Some(3),
        policy: OverflowPolicy::DropOldest,
        ..SubscribeOptions::default()
    };
    w.must(b, with(1, "t", small));
    w.must(b, subscribe_typed::<u32>(2, "typed"));
    let run: Vec<u8> = (0..8_u8).flat_map(|n| emit("t", &[n])).collect();
    w.send(a, &run);
    for _ in 0..2 {
        w.send(a, &emit("typed", b"no number"));
    }
    assert_eq!(stats(&w).peers[1].subscriptions[0].counts.lagged, 5);
    w.take(b);
    let told = stats(&w);
    let [t, typed] = told.peers[1].subscriptions.as_slice() else {
        panic!("{:?}", told.peers[1].subscriptions);
    };
    assert_eq!(
        (t.counts.lagged, t.counts.delivered, t.counts.misfits),
        (5, 3, 0)
    );
    assert_eq!((typed.counts.delivered, typed.counts.misfits), (0, 2));
    let all = told.totals.to_subscribers;
    assert_eq!((all.lagged, all.delivered, all.misfits), (5, 3, 2));
}

#[test]
fn what_the_gone_have_counted_stays_in_the_totals() {
    let mut w = World::new();
    let (a, b) = (w.join(client("a")), w.join(client("b")));
    w.subscribe(b, 1, "t");
    w.send(a, &emit("t", b"1"));
    w.take(b);
    w.must(b, ClientOp::Unsubscribe { sub: 1 });
    assert_eq!(stats(&w).totals.to_subscribers.delivered, 1);
    // The number is free again, and its count begins anew.
    w.subscribe(b, 1, "t");
    w.send(a, &emit("t", b"2"));
    w.take(b);
    let told = stats(&w);
    assert_eq!(told.peers[1].subscriptions[0].counts.delivered, 1);
    assert_eq!(told.totals.to_subscribers.delivered, 2);
    w.leave(b);
    w.leave(a);
    let told = stats(&w);
    assert_eq!(told.totals.to_subscribers.delivered, 2);
    assert_eq!((told.totals.events, told.totals.connected), (2, 2));
    assert_eq!((told.connections, told.subscriptions), (0, 0));
}

#[test]
fn requests_are_counted_while_they_wait_and_in_all() {
    let mut w = World::new();
    let (a, b) = (w.join(client("a")), w.join(client("b")));
    w.serve(b, 1, "ask");
    w.send(a, &request(7, Payload::Json, "ask", READERS_TYPE, b"1"));
    let told = stats(&w);
    assert_eq!((told.pending_requests, told.totals.requests), (1, 1));
    assert_eq!((told.peers[0].asking, told.peers[1].answering), (1, 1));
    assert!(told.peers[1].subscriptions[0].serves);
    let got = w.take(b);
    let Some(Got::Call { call, .. }) = got.iter().find(|g| matches!(g, Got::Call { .. })) else {
        panic!("{got:?}");
    };
    w.send(b, &reply(*call, Payload::Json, b"2"));
    let told = stats(&w);
    assert_eq!((told.pending_requests, told.totals.requests), (0, 1));
    assert_eq!(told.peers[0].unread_answers, 1);
    assert_eq!(told.peers[1].subscriptions[0].counts.delivered, 1);
    w.take(a);
    assert_eq!(stats(&w).peers[0].unread_answers, 0);
}

#[test]
fn refusals_are_counted_told_or_not() {
    let mut w = World::new();
    let a = w.join(client("a"));
    w.must_not(a, subscribe(1, "no..pattern"));
    assert!(w.emit_acked(a, Payload::Bytes, "no..topic", b"").is_err());
    for _ in 0..3 {
        // Told once.
        w.send(a, &emit("no..topic", b""));
    }
    let told = w.take(a).iter().filter_map(Got::refusal).count();
    assert_eq!((told, stats(&w).totals.refused), (1, 5));
    assert_eq!(stats(&w).totals.events, 0, "refused is not taken");
}

#[test]
fn strangers_and_the_silent_are_told_apart() {
    let mut w = World::new();
    let admission = Admission::default();
    w.connect(Door::Path(admission));
    w.connect(Door::Known(client("mute")));
    w.join(client("a"));
    let told = stats(&w);
    assert_eq!((told.connections, told.silent), (1, 2));
    w.pass(Limits::default().hello_timeout);
    let told = stats(&w);
    assert_eq!((told.silent, told.totals.turned_away), (1, 1));
    assert_eq!(told.totals.connected, 1);
}

#[test]
fn retained_values_are_counted_with_their_bytes() {
    let mut w = World::new();
    let a = w.join(client("a"));
    for payload in [b"first".as_slice(), b"2"] {
        w.send(
            a,
            &emit_with(flags::RETAIN, Payload::Bytes, "r", None, payload),
        );
    }
    let size = emit("r", b"2").len() as u64;
    let told = stats(&w);
    assert_eq!((told.retained, told.retained_bytes), (1, size));
}

#[test]
fn what_stands_for_the_same_is_counted_as_conflated() {
    fn one(_: &Topic, _: &crate::Origin, _: Payload, _: &[u8]) -> Option<Vec<u8>> {
        Some(Vec::new())
    }
    let rules = Rules {
        control_lane: vec![ControlTopics {
            action: Action::Emit,
            topics: vec![Topics::matching("now")],
        }],
        conflate: Some(one),
        ..Rules::allow_all()
    };
    let mut w = World::with(options(Limits::default(), rules));
    let (a, b) = (w.join(client("a")), w.join(Principal::Master));
    w.subscribe(b, 1, "now");
    for n in 0..4 {
        w.send(a, &emit("now", &[n]));
    }
    w.take(b);
    let counts = stats(&w).peers[1].subscriptions[0].counts;
    assert_eq!(
        (counts.conflated, counts.delivered, counts.lagged),
        (3, 1, 0)
    );
}

#[test]
fn a_page_holds_what_was_asked_for_and_says_that_there_is_more() {
    let mut w = World::new();
    let ids: Vec<u64> = (0..5).map(|_| w.join(client("c"))).collect();
    for sub in 0..10 {
        w.subscribe(ids[2], sub, "t");
    }
    assert_eq!(page(&w, 0, 2), (ids[..2].to_vec(), true));
    // The third takes eleven of twelve.
    assert_eq!(page(&w, ids[1], 12), (ids[2..4].to_vec(), true));
    assert_eq!(
        page(&w, ids[1], 1),
        (vec![ids[2]], true),
        "one always comes"
    );
    assert_eq!(page(&w, ids[3], 1_000), (vec![ids[4]], false));
    assert_eq!(page(&w, ids[4], 1_000), (vec![], false));
    // More than the hub gives.
    assert_eq!(page(&w, 0, u32::MAX), (ids, false));
}

#[test]
fn how_a_subscription_is_served_is_told_by_name() {
    let mut w = World::new();
    let a = w.join(client("a"));
    let policies = [
        (OverflowPolicy::DropOldest, "drop-oldest"),
        (OverflowPolicy::DropNewest, "drop-newest"),
        (OverflowPolicy::KeepLatest, "keep-latest"),
        (
            OverflowPolicy::Backpressure { max_wait_ms: 9 },
            "backpressure",
        ),
        (OverflowPolicy::Disconnect, "disconnect"),
    ];
    for (sub, (policy, _)) in (0..).zip(policies) {
        let options = SubscribeOptions {
            policy,
            group: (sub == 0).then(|| "g".to_owned()),
            window: (sub == 0).then_some(8),
            ..SubscribeOptions::default()
        };
        w.must(a, with(sub, "t", options));
    }
    let told = stats(&w);
    let named = told.peers[0].subscriptions.iter();
    let named: Vec<&str> = named.map(|s| s.policy.as_str()).collect();
    assert_eq!(named, policies.map(|(_, name)| name));
    assert_eq!(told.peers[0].subscriptions[0].group.as_deref(), Some("g"));
}

#[test]
fn what_expires_is_redelivered_or_holds_publishers_is_told_and_adds_up() {
    let mut w = World::new();
    let (a, b, c) = (
        w.join(client("a")),
        w.join(client("b")),
        w.join(client("c")),
    );
    let member = SubscribeOptions {
        group: Some("g".into()),
        ..SubscribeOptions::default()
    };
    w.must(b, with(1, "t", member.clone()));
    for _ in 0..3 {
        w.send(a, &emit("t", b"1"));
    }
    w.take(b);
    let told = &stats(&w).peers[1];
    assert_eq!((told.subscriptions[0].queued, told.unread_answers), (0, 0));
    assert!(
        told.memory > 0,
        "what it has read and not confirmed is kept"
    );
    w.must(c, with(2, "t", member));
    w.leave(b);
    w.take(c);
    let slow = SubscribeOptions {
        policy: OverflowPolicy::Backpressure { max_wait_ms: 500 },
        max_messages: Some(4),
        ..SubscribeOptions::default()
    };
    w.must(c, with(3, "slow", slow));
    let hasty = Emit {
        kind: Payload::Bytes,
        topic: "slow",
        ack: None,
        ttl_ms: Some(100),
        headers: &[],
        payload: b"1",
    };
    for _ in 0..3 {
        w.send(a, &hasty.frame(0));
    }
    w.pass(Duration::from_millis(200));
    w.take(c);
    let told = stats(&w);
    let subscriptions = &told.peers[1].subscriptions;
    let (member, slow) = (subscriptions[0].counts, subscriptions[1].counts);
    assert_eq!(
        (member.redelivered, member.delivered, member.matched),
        (3, 3, 3)
    );
    let of_slow = (slow.expired, slow.delivered, slow.matched, slow.held_us);
    assert_eq!(of_slow, (3, 0, 3, 200_000));
    // Those of the member that left are in it, too.
    let all = told.totals.to_subscribers;
    assert_eq!((all.matched, all.delivered, all.expired), (9, 6, 3));
    assert_eq!((all.redelivered, all.held_us), (3, 200_000));
}
