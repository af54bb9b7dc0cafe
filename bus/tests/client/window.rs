//! Flow: what the hub is told of a reader's progress, and what a publisher is told to hold back.

use std::time::Duration;

use futures::{FutureExt, StreamExt};
use ostler_bus::{
    Bus, Delivery, Event,
    client::{EmitError, OverflowPolicy, SubscribeBuilder, Subscription},
    wire::control::{ClientOp, HubOp, SubscribeOptions},
};

use crate::scripted::{Hub, LIVELY, OrderCreated, Said, eager, order, returning, within};

async fn subscribed(
    builder: SubscribeBuilder<'_>,
    hub: &mut Hub,
) -> (Subscription<OrderCreated>, u32, SubscribeOptions) {
    let accepting = async {
        let (r#ref, sub, _, options) = hub.subscription().await;
        hub.done(r#ref, 0).await;
        (sub, options)
    };
    let (orders, (sub, options)) =
        within(async { tokio::join!(builder.typed::<OrderCreated>(), accepting) }).await;
    hub.introduce_orders().await;
    (orders.expect("accepted"), sub, options)
}

async fn read(orders: &mut Subscription<OrderCreated>, ids: std::ops::Range<u64>) {
    for id in ids {
        match within(orders.next()).await {
            Some(Delivery::Event(received)) => assert_eq!(received.event.id, id),
            other => panic!("expected {id}, got {other:?}"),
        }
    }
}

/// The next thing the client says, which must be what it has taken of `of`.
async fn took(hub: &mut Hub, of: u32) -> u64 {
    match hub.op().await {
        (_, ClientOp::Took { sub, count }) if sub == of => count,
        other => panic!("expected what was taken, heard {other:?}"),
    }
}

fn builder(bus: &Bus) -> SubscribeBuilder<'_> {
    bus.subscription(OrderCreated::TOPIC)
}

#[tokio::test]
async fn what_is_asked_for_reaches_the_hub() {
    let (bus, mut hub, _door) = returning(eager()).await;
    let (_kept, _, options) = subscribed(builder(&bus), &mut hub).await;
    assert_eq!(options, SubscribeOptions::default());
    let policy = OverflowPolicy::KeepLatest;
    let asked = builder(&bus).policy(policy).history(7);
    let (_kept, _, options) = subscribed(asked, &mut hub).await;
    assert_eq!(
        (options.policy, options.history, options.window),
        (policy, 7, None)
    );
    let policy = OverflowPolicy::Backpressure { max_wait_ms: 100 };
    let (_kept, _, options) = subscribed(builder(&bus).policy(policy), &mut hub).await;
    assert_eq!((options.policy, options.window), (policy, Some(1024)));
    let asked = builder(&bus).group("mailers").window(0);
    let (_kept, _, options) = subscribed(asked, &mut hub).await;
    assert_eq!(
        (options.group.as_deref(), options.window),
        (Some("mailers"), Some(1))
    );
    let policy = OverflowPolicy::Disconnect;
    let (_kept, _, options) = subscribed(builder(&bus).policy(policy), &mut hub).await;
    assert_eq!((options.policy, options.window), (policy, Some(1024)));
}

#[tokio::test]
async fn an_event_is_taken_when_its_reader_asks_for_the_next() {
    let (bus, mut hub, _door) = returning(eager()).await;
    let (mut orders, sub, _) = subscribed(builder(&bus).window(8), &mut hub).await;
    hub.orders(sub, 0..8).await;
    read(&mut orders, 0..1).await;
    read(&mut orders, 1..5).await;
    assert_eq!(
        took(&mut hub, sub).await,
        4,
        "half the window, without the one in hand"
    );
    read(&mut orders, 5..8).await;
    // Nothing waits: what was taken is told, however little it is.
    assert!(orders.next().now_or_never().is_none());
    assert_eq!(took(&mut hub, sub).await, 4);
    hub.orders(sub, 8..10).await;
    read(&mut orders, 8..9).await;
    drop(orders);
    assert_eq!(
        took(&mut hub, sub).await,
        1,
        "the other was not given to it"
    );
    assert!(matches!(hub.op().await, (_, ClientOp::Unsubscribe { .. })));
}

#[tokio::test]
async fn what_came_by_a_lost_connection_is_not_told_to_the_next() {
    let (bus, mut hub, mut door) = returning(eager()).await;
    let (mut orders, sub, _) = subscribed(builder(&bus).group("g").window(4), &mut hub).await;
    hub.orders(sub, 0..3).await;
    read(&mut orders, 0..1).await;
    drop(hub);
    let (mut hub, _) = door.welcome(LIVELY).await;
    let (r#ref, again, _, options) = hub.subscription().await;
    assert_eq!((again, options.resume.map(|r| r.taken)), (sub, Some(3)));
    assert_eq!(
        (options.group.as_deref(), options.window),
        (Some("g"), Some(4))
    );
    hub.done(r#ref, 0).await;
    // Others have got what it missed.
    hub.say(0, HubOp::Resumed { sub, missed: None }).await;
    hub.introduce_orders().await;
    hub.orders(sub, 10..12).await;
    read(&mut orders, 1..3).await;
    let missed = within(orders.next()).await;
    assert_eq!(missed, Some(Delivery::Reconnected { missed: None }));
    read(&mut orders, 10..12).await;
    assert!(orders.next().now_or_never().is_none());
    assert_eq!(took(&mut hub, sub).await, 2);
}

#[tokio::test]
async fn a_reader_with_a_window_loses_nothing_here() {
    let mut options = eager();
    (options.queue_messages, options.queue_bytes) = (1, 1);
    let (bus, mut hub, _door) = returning(options).await;
    let (mut orders, sub, _) = subscribed(builder(&bus).window(100), &mut hub).await;
    for n in 0..50 {
        hub.orders(sub, n * 2..n * 2 + 2).await;
    }
    read(&mut orders, 0..100).await;
}

/// The client has heard everything said to it so far.
async fn settle(bus: &Bus, hub: &mut Hub) {
    let subscribing = bus.subscribe_raw("settle");
    let (settled, _) = within(async { tokio::join!(subscribing, hub.accept("settle")) }).await;
    drop(settled.expect("accepted"));
    assert!(matches!(hub.op().await, (_, ClientOp::Unsubscribe { .. })));
}

async fn hold(bus: &Bus, hub: &mut Hub, topic: &str) {
    let topic = topic.into();
    hub.say(0, HubOp::Hold { topic }).await;
    settle(bus, hub).await;
}

async fn release(hub: &mut Hub, topic: &str) {
    let topic = topic.into();
    hub.say(0, HubOp::Release { topic }).await;
}

#[tokio::test]
async fn a_held_topic_waits_and_others_do_not() {
    let (bus, mut hub, _door) = returning(eager()).await;
    hold(&bus, &mut hub, OrderCreated::TOPIC).await;
    let held = bus.try_emit(&order(1));
    assert!(
        matches!(&held, Err(EmitError::Held { topic, waited }) if topic == OrderCreated::TOPIC && waited.is_zero()),
        "{held:?}"
    );
    let mut waiting = Box::pin(async {
        for id in 1..4 {
            bus.emit(&order(id)).await?;
        }
        Ok::<_, EmitError>(())
    });
    assert!(waiting.as_mut().now_or_never().is_none());
    bus.emit_json("a.b", &1).await.expect("not held");
    assert!(matches!(hub.heard().await, Some(Said::Emit { topic, .. }) if topic == "a.b"));
    // Another topic's release lets nobody go.
    release(&mut hub, "a.b").await;
    settle(&bus, &mut hub).await;
    assert!(waiting.as_mut().now_or_never().is_none());
    release(&mut hub, OrderCreated::TOPIC).await;
    within(waiting).await.expect("emitted");
    assert!(matches!(hub.op().await, (_, ClientOp::Announce { .. })));
    for id in 1..4 {
        let Some(Said::Emit { payload, .. }) = hub.heard().await else {
            panic!("an event");
        };
        assert_eq!(postcard::from_bytes(&payload), Ok(order(id)), "in order");
    }
}

#[tokio::test]
async fn a_hold_ends_with_its_time_or_its_connection() {
    let mut options = eager();
    options.hold_timeout = Duration::from_millis(20);
    let (bus, mut hub, _door) = returning(options).await;
    hold(&bus, &mut hub, "a.b").await;
    let held = within(bus.emit_json("a.b", &1)).await;
    assert!(matches!(held, Err(EmitError::Held { waited, .. }) if !waited.is_zero()));
    let held = within(bus.json("a.b", &1).acked()).await;
    assert!(matches!(held, Err(EmitError::Held { .. })));

    let (bus, mut hub, mut door) = returning(eager()).await;
    hold(&bus, &mut hub, "a.b").await;
    let mut waiting = Box::pin(bus.emit_json("a.b", &1));
    assert!(waiting.as_mut().now_or_never().is_none());
    drop(hub);
    let (mut hub, _) = door.welcome(LIVELY).await;
    within(waiting).await.expect("the next one holds nothing");
    assert!(matches!(hub.heard().await, Some(Said::Emit { .. })));
}

#[tokio::test]
async fn who_would_wait_for_ever_has_no_deadline() {
    let mut options = eager();
    (options.hold_timeout, options.room_timeout) = (Duration::MAX, Duration::MAX);
    let (bus, mut hub, _door) = returning(options).await;
    hold(&bus, &mut hub, "a.b").await;
    let mut waiting = Box::pin(bus.emit_json("a.b", &1));
    assert!(waiting.as_mut().now_or_never().is_none());
    release(&mut hub, "a.b").await;
    within(waiting).await.expect("emitted");
    assert!(matches!(hub.heard().await, Some(Said::Emit { .. })));

    let drained = within(async {
        let (drained, ()) = tokio::join!(bus.drain(Duration::MAX), async {
            let (r#ref, op) = hub.op().await;
            assert_eq!(op, ClientOp::Drain);
            hub.say(r#ref, HubOp::Done { count: 0 }).await;
        });
        drained
    });
    assert_eq!(drained.await, Ok(()));
}
