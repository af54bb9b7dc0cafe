//! The real client and the real hub over connections that are cut at any byte, again and again.

mod cutting;
mod order;

use std::{collections::HashMap, os::unix::net::UnixListener, time::Duration};

use futures::{StreamExt, future::join_all};
use ostler_bus::{
    Bus, Delivery, Event,
    client::{ConnectionState, Disconnected, Subscription},
    hub::{Admission, Hub, HubOptions, Rules},
    transport::UnixTransport,
};
use serde::{Deserialize, Serialize};

use self::cutting::{Bench, Cutting, eager, settle, within};

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, Event)]
#[event(topic = "tests.counted")]
struct Counted {
    by: u32,
    n: u32,
}

/// What a subscription was told, to its end.
#[derive(Default, Debug)]
struct Heard {
    events: Vec<Counted>,
    /// Events told as missed.
    missed: u64,
    /// How often the connection was made again.
    again: u64,
}

async fn hear(mut events: Subscription<Counted>) -> Heard {
    let mut heard = Heard::default();
    loop {
        match within(events.next()).await.expect("an end is told") {
            Delivery::Event(received) => heard.events.push(received.event),
            Delivery::Lagged { missed } => heard.missed += missed,
            Delivery::Misfit { reason, .. } => panic!("{reason}"),
            Delivery::Reconnected { missed } => {
                heard.again += 1;
                heard.missed += missed.expect("the hub knows this client");
            }
            Delivery::Disconnected(why) => {
                assert_eq!(why, Disconnected::Drained);
                return heard;
            }
        }
    }
}

/// Emitters over a cut connection: everything that was acknowledged is there, in its order; once, if the hub knew its client again.
async fn acknowledged(seed: u64) {
    const EMITTERS: u32 = 3;
    const EACH: u32 = 300;
    let bench = Bench::new();
    let calm = bench.client().await;
    let all = calm.subscribe::<Counted>().await.expect("subscribed");
    let way = Cutting::new(bench.way(), seed, 4000);
    let frail = within(Bus::connect(way.clone(), eager()))
        .await
        .expect("welcome");
    let own = within(frail.subscribe::<Counted>())
        .await
        .expect("subscribed");
    let (own, all) = (tokio::spawn(hear(own)), tokio::spawn(hear(all)));
    let emit = async |by: u32| {
        for n in 0..EACH {
            let taken = within(frail.emit_acked(&Counted { by, n })).await;
            taken.unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        }
    };
    join_all((0..EMITTERS).map(emit)).await;
    assert!(
        way.connections() > 5,
        "seed {seed}: {} connections",
        way.connections()
    );
    way.mend();
    settle(&frail).await;
    within(frail.drain(Duration::from_secs(20)))
        .await
        .expect("drained");
    within(calm.drain(Duration::from_secs(20)))
        .await
        .expect("drained");
    let own = within(own).await.expect("no panic");
    let all = within(all).await.expect("no panic");
    assert_eq!((all.missed, all.again), (0, 0));
    let mut next: HashMap<u32, u32> = HashMap::new();
    let mut twice = 0;
    for Counted { by, n } in &all.events {
        let next = next.entry(*by).or_default();
        assert!(n <= next, "seed {seed}: {n} of {by} came before {next}");
        if n < next {
            twice += 1;
        } else {
            *next += 1;
        }
    }
    assert!(
        (0..EMITTERS).all(|by| next[&by] == EACH),
        "seed {seed}: {next:?}"
    );
    assert!(own.again > 0, "seed {seed}");
    assert_eq!(twice, 0, "seed {seed}");
    let total = own.events.len() as u64 + own.missed;
    assert_eq!(total, u64::from(EMITTERS * EACH), "seed {seed}: {own:?}");
}

/// A reader over a cut connection: what it got and what it was told to have missed is what was published.
async fn read(seed: u64) {
    const EVENTS: u32 = 4000;
    let bench = Bench::new();
    let calm = bench.client().await;
    let way = Cutting::new(bench.way(), seed, 20_000);
    let frail = within(Bus::connect(way.clone(), eager()))
        .await
        .expect("welcome");
    let events = within(frail.subscribe::<Counted>())
        .await
        .expect("subscribed");
    let heard = tokio::spawn(hear(events));
    for n in 0..EVENTS {
        // One is waited for now and then, so that there are connections to be cut.
        let event = calm.event(&Counted { by: 0, n });
        match n % 50 {
            0 => within(event.acked()).await.map(drop),
            _ => within(event.send()).await,
        }
        .expect("emitted");
        if n % 50 == 0 {
            tokio::task::yield_now().await;
        }
    }
    way.mend();
    settle(&frail).await;
    within(calm.emit_acked(&Counted { by: 0, n: EVENTS }))
        .await
        .expect("taken");
    within(frail.drain(Duration::from_secs(20)))
        .await
        .expect("drained");
    let heard = within(heard).await.expect("no panic");
    assert!(
        heard.events.is_sorted_by(|a, b| a.n < b.n),
        "seed {seed}: in order, nothing twice"
    );
    let total = heard.events.len() as u64 + heard.missed;
    assert_eq!(
        total,
        u64::from(EVENTS) + 1,
        "seed {seed}: {} times again",
        heard.again
    );
}

#[tokio::test]
async fn nothing_acknowledged_is_lost() {
    for seed in [3, 1_000_003, 0xC0FFEE] {
        acknowledged(seed).await;
    }
}

#[tokio::test]
async fn readers_know_what_they_missed() {
    for seed in [5, 1_000_033, 0xFACADE] {
        read(seed).await;
    }
}

#[tokio::test]
async fn a_hub_that_comes_back_finds_its_clients() {
    let home = tempfile::tempdir().expect("a directory");
    let path = home.path().join("bus");
    let start = || {
        let options = HubOptions {
            name: "bench".into(),
            limits: ostler_bus::Limits::default(),
            rules: Rules::allow_all(),
            history: Vec::new(),
            builtins: Vec::new(),
        };
        let (hub, notices) = Hub::start(options).expect("a thread");
        let listener = UnixListener::bind(&path).expect("binds");
        hub.listen(listener, Admission::default()).expect("listens");
        (hub, notices)
    };
    let (hub, _notices) = start();
    let connect = || async {
        within(Bus::connect(UnixTransport::new(&path), eager()))
            .await
            .expect("welcome")
    };
    let (shop, audit) = (connect().await, connect().await);
    let mut events = within(audit.subscribe::<Counted>())
        .await
        .expect("subscribed");
    shop.emit_acked(&Counted { by: 0, n: 0 })
        .await
        .expect("taken");
    within(hub.shutdown()).await;
    std::fs::remove_file(&path).expect("its socket");
    let mut state = audit.state();
    within(state.wait_for(|s| matches!(s, ConnectionState::Reconnecting { .. })))
        .await
        .expect("a state");
    let (_hub, _notices) = start();
    // The subscription is there again before anything newer of that client.
    within(audit.emit_acked(&Counted { by: 1, n: 1 }))
        .await
        .expect("taken");
    within(shop.emit_acked(&Counted { by: 0, n: 1 }))
        .await
        .expect("taken");
    let mut seen = Vec::new();
    while seen.len() < 4 {
        match within(events.next()).await {
            Some(Delivery::Event(received)) => seen.push((received.event.by, received.event.n)),
            // Another hub: it can't know.
            Some(Delivery::Reconnected { missed: None }) => seen.push((9, 9)),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(seen, [(0, 0), (9, 9), (1, 1), (0, 1)]);
}
