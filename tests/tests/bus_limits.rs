//! Bounds of the bus in time, as a process file sets them: each is far shorter here than its default, and has its effect
//! long before that.

use std::time::Duration;

use futures::StreamExt;
use ostler_bus::{
    Bus,
    client::{ConnectOptions, Delivery, EmitError},
    transport::UnixTransport,
    vocab::bus::BusStats,
    wire::control::OverflowPolicy,
};
use ostler_tests::harness::{Cut, Fleet, PATIENCE, Programs, deadline};

const PROGRAMS: Programs = ostler_tests::programs!();

/// A master of workers that know nothing of the bus, with these limits.
async fn limited(instances: u32, limits: &str) -> Fleet {
    let command = PROGRAMS.misbehave;
    let file = format!(
        "[bus.limits]\n{limits}\n[app.web]\ncommand = [{command:?}, \"trivial\"]\ninstances = {instances}\n"
    );
    Fleet::start(PROGRAMS.master().file(&file)).await
}

/// Looks at the hub's memory until it is as wanted.
async fn memory(fleet: &Fleet, what: &str, is: impl Fn(u64) -> bool) {
    let looks = async {
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        loop {
            tick.tick().await;
            let stats = fleet.bus.request(&BusStats::default()).await;
            if is(stats.expect("the master answers").memory) {
                return;
            }
        }
    };
    deadline(what, PATIENCE, looks).await;
}

async fn memory_now(fleet: &Fleet) -> u64 {
    let stats = fleet.bus.request(&BusStats::default()).await;
    stats.expect("the master answers").memory
}

#[tokio::test]
async fn a_client_is_waited_for_as_long_as_the_file_says() {
    const LARGE: u64 = 200_000;
    for (timeout, known) in [("3s", false), ("1h", true)] {
        let fleet = limited(0, &format!("session_timeout = {timeout:?}")).await;
        let cut = Cut::before(&fleet.socket());
        let options = ConnectOptions::client("away");
        let bus = Bus::connect(UnixTransport::new(cut.path()), options).await;
        let bus = bus.expect("welcome");
        let mut events = bus.subscribe_raw("news").await.expect("subscribed");
        // What is seen from outside is memory: that of patterns with tables for each of their tokens.
        let mut large = Vec::new();
        for n in 0..10 {
            let pattern = format!("{}n{n}", "*.".repeat(100));
            large.push(bus.subscribe_raw(&pattern).await.expect("subscribed"));
        }
        let before = memory_now(&fleet).await;
        cut.cut();
        memory(&fleet, "the client to be gone", |now| now > before + LARGE).await;
        fleet.bus.emit_json("news", &1).await.expect("taken");
        fleet.bus.emit_json("news", &2).await.expect("taken");
        if !known {
            memory(&fleet, "it to be forgotten", |now| now < before + LARGE).await;
        }
        cut.mend();
        let next = deadline("its way back", PATIENCE, events.next()).await;
        let Some(Delivery::Reconnected { missed }) = next else {
            panic!("{next:?}");
        };
        assert_eq!(missed, known.then_some(2), "after {timeout}");
    }
}

#[tokio::test]
async fn mail_waits_as_long_as_the_file_says() {
    const LARGE: u64 = 500_000;
    let fleet = limited(1, "mailbox_timeout = \"6s\"").await;
    let workers = fleet.until_ready(1).await;
    let topic = format!(
        "to.worker.{}.news",
        workers[0].id.expect("a worker on the bus").0
    );
    let before = memory_now(&fleet).await;
    let text = "x".repeat(LARGE as usize);
    fleet.bus.emit_json(&topic, &text).await.expect("taken");
    memory(&fleet, "the mail to wait", |now| now > before + LARGE / 2).await;
    memory(&fleet, "the mailbox to be closed", |now| {
        now < before + LARGE / 2
    })
    .await;
    // Nothing waits for this worker any more.
    fleet.bus.emit_json(&topic, &text).await.expect("taken");
    assert!(memory_now(&fleet).await < before + LARGE / 2);
}

#[tokio::test]
async fn publishers_are_held_as_long_as_the_file_says() {
    const EVENTS: u64 = 60;
    for (timeout, passes) in [("1s", true), ("60s", false)] {
        let fleet = limited(0, &format!("longest_hold = {timeout:?}")).await;
        let slow = fleet.connect(ConnectOptions::client("slow")).await;
        let policy = OverflowPolicy::Backpressure {
            max_wait_ms: u32::MAX,
        };
        let asked = slow.subscription("held").policy(policy);
        let asked = asked.max_messages(16).window(1).raw().await;
        let mut events = asked.expect("subscribed");
        let mut options = ConnectOptions::client("fast");
        // Far more than the one, far less than the other.
        options.hold_timeout = Duration::from_secs(if passes { 15 } else { 3 });
        let fast = fleet.connect(options).await;
        let emits = async {
            for n in 0..EVENTS {
                fast.json("held", &n).acked().await?;
            }
            Ok(())
        };
        let emitted: Result<(), EmitError> = deadline("the emits", PATIENCE, emits).await;
        if !passes {
            assert!(
                matches!(emitted, Err(EmitError::Held { .. })),
                "{emitted:?}"
            );
            continue;
        }
        emitted.expect("released in time");
        let (mut got, mut lost) = (0, 0);
        while got + lost < EVENTS {
            match deadline("an event", PATIENCE, events.next()).await {
                Some(Delivery::Event(_)) => got += 1,
                Some(Delivery::Lagged { missed }) => lost += missed,
                other => panic!("{other:?}"),
            }
        }
        assert!(got >= 16 && lost > 0, "{got} {lost}");
    }
}
