//! Subscriptions: what arrives, what doesn't and how that is told, and how one leaves the others alone.

use std::time::Duration;

use bytes::BytesMut;
use futures::{FutureExt, StreamExt};
use ostler_bus::{
    Bus, ConnectOptions, Delivery, Event, SchemaTrait, TypeSchema,
    client::{
        Disconnected, DrainError, EmitError, Payload, Received, SubscribeError, Subscription,
        ToJsonError,
    },
    wire::{
        control::{ClientOp, CloseKind, HubOp, RefusalKind},
        data, flags,
    },
};
use serde::de::DeserializeOwned;

use crate::scripted::{
    Hub, Noted, OrderCreated, Said, emit_frame, order, order_frame, publisher, within,
};

async fn subscribed<E>(bus: &Bus, hub: &mut Hub, pattern: &str) -> (Subscription<E>, u32)
where
    E: DeserializeOwned + SchemaTrait + 'static,
{
    let (subscription, sub) =
        within(async { tokio::join!(bus.subscription(pattern).typed::<E>(), hub.accept(pattern)) })
            .await;
    (subscription.expect("accepted"), sub)
}

async fn orders(bus: &Bus, hub: &mut Hub) -> (Subscription<OrderCreated>, u32) {
    let subscribed = subscribed(bus, hub, OrderCreated::TOPIC).await;
    hub.introduce_orders().await;
    subscribed
}

fn event<T: std::fmt::Debug>(delivery: Option<Delivery<T>>) -> Received<T> {
    match delivery {
        Some(Delivery::Event(event)) => event,
        other => panic!("expected an event, got {other:?}"),
    }
}

#[tokio::test]
async fn subscribing_waits_for_the_hub() {
    let (bus, mut hub) = Hub::start().await;
    let mut subscribing = Box::pin(
        bus.subscription("orders.*")
            .max_messages(9)
            .max_bytes(10)
            .typed::<OrderCreated>(),
    );
    assert!(subscribing.as_mut().now_or_never().is_none());
    let (r#ref, op) = hub.op().await;
    let ClientOp::Subscribe {
        pattern,
        reader,
        options,
        ..
    } = op
    else {
        panic!("a subscription");
    };
    assert_eq!((&*pattern, options.serve), ("orders.*", false));
    assert_eq!(
        (options.max_messages, options.max_bytes),
        (Some(9), Some(10))
    );
    assert_eq!(
        reader.as_deref(),
        Some(TypeSchema::of::<OrderCreated>().encoded())
    );
    assert!(
        subscribing.as_mut().now_or_never().is_none(),
        "the hub has not answered"
    );
    hub.done(r#ref, 0).await;
    assert_eq!(
        within(subscribing).await.expect("accepted").pattern(),
        "orders.*"
    );
}

#[tokio::test]
async fn events_with_all_that_the_hub_knows() {
    let (bus, mut hub) = Hub::start().await;
    let (mut orders, sub) = orders(&bus, &mut hub).await;
    hub.run(sub, 41, flags::RETAINED, &[order_frame(1)]).await;
    let payload = postcard::to_stdvec(&order(3)).expect("encodes");
    let named = emit_frame(data::Payload::Postcard(1), "orders.copy", &payload);
    let converted = emit_frame(
        data::Payload::Postcard(data::READERS_TYPE),
        "orders.json",
        &payload,
    );
    hub.run(sub, 50, 0, &[order_frame(2), named, converted])
        .await;
    let first = event(within(orders.next()).await);
    assert_eq!(first.event, order(1));
    assert_eq!(*first.origin, publisher());
    assert_eq!(
        (first.topic.as_str(), first.seq, first.is_retained()),
        (OrderCreated::TOPIC, 41, true)
    );
    let second = event(within(orders.next()).await);
    assert_eq!(
        (second.is_retained(), second.event, second.seq),
        (false, order(2), 50)
    );
    let third = event(within(orders.next()).await);
    assert_eq!(
        (third.event, third.topic.as_str(), third.seq),
        (order(3), "orders.copy", 51)
    );
    let fourth = event(within(orders.next()).await);
    assert_eq!(
        (fourth.event, fourth.topic.as_str(), fourth.seq),
        (order(3), "orders.json", 52)
    );
}

#[tokio::test]
async fn a_retained_value_may_come_before_the_answer() {
    let (bus, mut hub) = Hub::start().await;
    let (subscription, ()) = within(async {
        tokio::join!(bus.subscribe::<OrderCreated>(), async {
            let (r#ref, ClientOp::Subscribe { sub, .. }) = hub.op().await else {
                panic!("a subscription");
            };
            hub.introduce_orders().await;
            hub.run(sub, 1, flags::RETAINED, &[order_frame(1)]).await;
            hub.done(r#ref, 0).await;
        })
    })
    .await;
    let mut subscription = subscription.expect("accepted");
    assert_eq!(event(within(subscription.next()).await).event, order(1));
}

#[tokio::test]
async fn losses_and_the_end_are_told_in_band_and_in_order() {
    let (bus, mut hub) = Hub::start().await;
    let (mut orders, sub) = orders(&bus, &mut hub).await;
    hub.orders(sub, 1..2).await;
    hub.say(0, HubOp::Lagged { sub, missed: 5 }).await;
    hub.orders(sub, 7..8).await;
    let (topic, reason) = (
        "orders.created".to_owned(),
        "total: f64, not String".to_owned(),
    );
    let misfit = HubOp::Misfit {
        sub,
        missed: 2,
        topic: topic.clone(),
        reason: reason.clone(),
    };
    hub.say(0, misfit).await;
    hub.orders(sub, 10..11).await;
    let kind = CloseKind::Stopping;
    let closing = HubOp::Closing {
        kind,
        reason: "stopped".into(),
    };
    hub.say(0, closing).await;
    assert_eq!(event(within(orders.next()).await).seq, 1);
    assert_eq!(
        within(orders.next()).await,
        Some(Delivery::Lagged { missed: 5 })
    );
    assert_eq!(event(within(orders.next()).await).seq, 7);
    assert_eq!(
        within(orders.next()).await,
        Some(Delivery::Misfit {
            missed: 2,
            topic,
            reason
        })
    );
    assert_eq!(event(within(orders.next()).await).seq, 10);
    let why = Disconnected::Closed {
        kind,
        reason: "stopped".into(),
    };
    assert_eq!(
        within(orders.next()).await,
        Some(Delivery::Disconnected(why))
    );
    assert_eq!(within(orders.next()).await, None);
    assert_eq!(within(orders.next()).await, None);
}

#[tokio::test]
async fn the_short_way_skips_losses() {
    let (bus, mut hub) = Hub::start().await;
    let (mut orders, sub) = orders(&bus, &mut hub).await;
    hub.say(0, HubOp::Lagged { sub, missed: 5 }).await;
    hub.orders(sub, 7..8).await;
    drop(hub);
    assert_eq!(
        within(orders.next_event()).await.map(|e| e.event),
        Some(order(7))
    );
    assert_eq!(within(orders.next_event()).await, None);
}

#[tokio::test]
async fn what_does_not_fit_is_a_misfit_and_never_garbage() {
    let (bus, mut hub) = Hub::start().await;
    let (mut orders, sub) = orders(&bus, &mut hub).await;
    hub.type_is(2, "orders.created", &TypeSchema::of::<Noted>())
        .await;
    let noted = postcard::to_stdvec(&Noted {
        text: "twelve bytes".into(),
    })
    .expect("encodes");
    let mut long = postcard::to_stdvec(&order(1)).expect("encodes");
    long.push(0);
    let frames = [
        emit_frame(data::Payload::Postcard(2), "", &noted),
        emit_frame(data::Payload::Postcard(9), "orders.created", &noted),
        emit_frame(data::Payload::Postcard(1), "", b"\x01"),
        emit_frame(data::Payload::Postcard(1), "", &long),
        emit_frame(data::Payload::Bytes, "orders.created", b"x"),
        emit_frame(data::Payload::Json, "orders.created", br#"{"id":"one"}"#),
        emit_frame(
            data::Payload::Json,
            "orders.created",
            br#"{"id":1,"total":0.5}"#,
        ),
        order_frame(8),
    ];
    hub.run(sub, 1, 0, &frames).await;
    let expected = ["Noted", "never told", "", "too many", "plain bytes", "id"];
    for wanted in expected {
        let delivery = within(orders.next()).await;
        assert!(
            matches!(&delivery, Some(Delivery::Misfit { missed: 1, topic, reason })
                if topic == "orders.created" && reason.contains(wanted)),
            "{wanted}: {delivery:?}"
        );
    }
    let json = event(within(orders.next()).await);
    assert_eq!((json.event, json.seq), (order(1), 7));
    assert_eq!(event(within(orders.next()).await).seq, 8);
}

#[tokio::test]
async fn raw_readers_get_everything_as_it_came_and_as_json() {
    let (bus, mut hub) = Hub::start().await;
    let (subscription, sub) =
        within(async { tokio::join!(bus.subscribe_raw("*"), hub.accept(">")) }).await;
    let mut all = subscription.expect("accepted");
    hub.introduce_orders().await;
    let frames = [
        order_frame(1),
        emit_frame(data::Payload::Json, "a", b"[1, 2]"),
        emit_frame(data::Payload::Bytes, "b", b"\x00\x01"),
        emit_frame(data::Payload::Json, "a", b"[1,"),
    ];
    hub.run(sub, 1, 0, &frames).await;
    let typed = event(within(all.next()).await);
    let Payload::Postcard { schema, bytes } = &typed.event else {
        panic!("postcard");
    };
    assert_eq!(*schema, TypeSchema::of::<OrderCreated>());
    assert_eq!(*bytes, postcard::to_stdvec(&order(1)).expect("encodes"));
    assert_eq!(
        typed.event.to_json().as_deref(),
        Ok(r#"{"id":1,"total":0.5}"#)
    );
    let json = event(within(all.next()).await);
    assert_eq!(
        (json.topic.as_str(), json.event.to_json().as_deref()),
        ("a", Ok("[1, 2]"))
    );
    let bytes = event(within(all.next()).await);
    assert_eq!(bytes.event.to_json(), Err(ToJsonError::PlainBytes(2)));
    let torn = event(within(all.next()).await);
    assert!(matches!(
        torn.event.to_json(),
        Err(ToJsonError::Malformed(_))
    ));
}

#[tokio::test]
async fn a_publishers_types_are_its_own_and_of_its_time() {
    let (bus, mut hub) = Hub::start().await;
    let (mut orders, sub) = orders(&bus, &mut hub).await;
    hub.orders(sub, 1..2).await;
    hub.say(0, HubOp::Forget { conn: 3 }).await;
    // The number is used again by somebody else, whose first type is another.
    hub.introduce().await;
    hub.type_is(1, "orders.created", &TypeSchema::of::<Noted>())
        .await;
    hub.orders(sub, 2..3).await;
    assert_eq!(event(within(orders.next()).await).event, order(1));
    assert!(matches!(
        within(orders.next()).await,
        Some(Delivery::Misfit { .. })
    ));
}

#[tokio::test]
async fn a_refused_subscription() {
    let (bus, mut hub) = Hub::start().await;
    let (subscription, ()) = within(async {
        tokio::join!(bus.subscribe::<OrderCreated>(), async {
            let (r#ref, _) = hub.op().await;
            hub.refuse(r#ref, RefusalKind::Denied, "operators only")
                .await;
        })
    })
    .await;
    let error = subscription.expect_err("refused");
    assert!(
        matches!(&error, SubscribeError::Refused { pattern, .. } if pattern == "orders.created")
    );
    assert!(error.to_string().contains("operators only"), "{error}");
    drop(bus);
    assert_eq!(
        hub.heard().await,
        None,
        "there is nothing to unsubscribe from"
    );
}

#[tokio::test]
async fn subscribing_fails_for_a_bad_pattern_and_without_a_hub() {
    let mut options = ConnectOptions::client("test");
    options.answer_timeout = Duration::from_millis(20);
    let (bus, hub) = Hub::with(options).await;
    assert!(matches!(
        bus.subscribe_raw("a..b").await,
        Err(SubscribeError::BadPattern(_))
    ));
    let error = within(bus.subscribe_raw("a")).await;
    assert!(matches!(error, Err(SubscribeError::Unanswered { .. })));
    drop(hub);
    within(bus.closed()).await;
    assert!(matches!(
        bus.subscribe_raw("a").await,
        Err(SubscribeError::Disconnected(_))
    ));
}

#[tokio::test]
async fn dropping_a_subscription_unsubscribes() {
    let (bus, mut hub) = Hub::start().await;
    let (kept, _) = orders(&bus, &mut hub).await;
    let (dropped, sub) = subscribed::<Noted>(&bus, &mut hub, "orders.noted").await;
    drop(dropped);
    let (r#ref, op) = hub.op().await;
    assert_eq!(op, ClientOp::Unsubscribe { sub });
    // What was already sent is passed over, before and after the answer.
    hub.orders(sub, 1..2).await;
    hub.done(r#ref, 0).await;
    hub.orders(sub, 2..3).await;
    // So does giving up while the hub hasn't answered.
    let mut giving_up = Box::pin(bus.subscribe::<Noted>());
    assert!(giving_up.as_mut().now_or_never().is_none());
    drop(giving_up);
    let (_, op) = hub.op().await;
    let ClientOp::Subscribe { sub, .. } = op else {
        panic!("a subscription");
    };
    assert_eq!(hub.op().await.1, ClientOp::Unsubscribe { sub });
    drop((bus, kept));
    within(hub.hung_up()).await;
}

#[tokio::test]
async fn a_subscription_keeps_the_connection() {
    let (bus, mut hub) = Hub::start().await;
    let (mut orders, sub) = orders(&bus, &mut hub).await;
    drop(bus);
    hub.orders(sub, 1..2).await;
    assert_eq!(event(within(orders.next()).await).event, order(1));
    drop(orders);
    within(hub.hung_up()).await;
}

#[tokio::test]
async fn a_slow_reader_loses_its_oldest_and_stalls_nobody() {
    let mut options = ConnectOptions::client("test");
    options.queue_messages = 95;
    let (bus, mut hub) = Hub::with(options).await;
    let (mut slow, slow_sub) = orders(&bus, &mut hub).await;
    let (mut quick, quick_sub) =
        subscribed::<OrderCreated>(&bus, &mut hub, OrderCreated::TOPIC).await;
    for i in 0..100 {
        hub.orders(slow_sub, i * 10..(i + 1) * 10).await;
    }
    hub.orders(quick_sub, 1000..1001).await;
    assert_eq!(event(within(quick.next()).await).seq, 1000);
    assert_eq!(
        within(slow.next()).await,
        Some(Delivery::Lagged { missed: 905 })
    );
    for seq in 905..1000 {
        let next = event(within(slow.next()).await);
        assert_eq!((next.seq, next.event), (seq, order(seq)));
    }
    // It has caught up: nothing more is lost.
    hub.orders(slow_sub, 1001..1002).await;
    assert_eq!(event(within(slow.next()).await).seq, 1001);
}

#[tokio::test]
async fn a_queue_is_bounded_in_bytes_and_counts_the_hubs_losses_too() {
    let mut options = ConnectOptions::client("test");
    options.queue_bytes = 64 << 10;
    let (bus, mut hub) = Hub::with(options).await;
    let (mut orders, sub) = orders(&bus, &mut hub).await;
    let (mut quick, quick_sub) =
        subscribed::<OrderCreated>(&bus, &mut hub, OrderCreated::TOPIC).await;
    hub.say(0, HubOp::Lagged { sub, missed: 7 }).await;
    let big = vec![b'x'; 40 << 10];
    for seq in 0..3 {
        hub.run(sub, seq, 0, &[emit_frame(data::Payload::Bytes, "b", &big)])
            .await;
    }
    hub.orders(quick_sub, 0..1).await;
    event(within(quick.next()).await);
    assert_eq!(
        within(orders.next()).await,
        Some(Delivery::Lagged { missed: 9 })
    );
    assert!(matches!(
        within(orders.next()).await,
        Some(Delivery::Misfit { missed: 1, .. })
    ));
}

/// The hub writes a lot and reads nothing meanwhile, while the reader emits for each event it gets: neither waits for the other.
#[tokio::test]
async fn a_reader_may_emit_from_its_loop() {
    const EVENTS: u64 = 20_000;
    let mut options = ConnectOptions::client("test");
    options.outgoing_bytes = 4 << 10;
    let (bus, mut hub) = Hub::with(options).await;
    let (mut orders, sub) = orders(&bus, &mut hub).await;
    let echo = bus.clone();
    let reader = tokio::spawn(async move {
        let (mut seen, mut missed) = (0, 0);
        while seen + missed < EVENTS {
            match orders.next().await {
                Some(Delivery::Event(order)) => {
                    seen += 1;
                    echo.emit_to("orders.echo", &order.event)
                        .await
                        .expect("emitted");
                }
                Some(Delivery::Lagged { missed: n }) => missed += n,
                other => panic!("{other:?}"),
            }
        }
        seen
    });
    for i in 0..EVENTS / 100 {
        hub.orders(sub, i * 100..(i + 1) * 100).await;
    }
    assert!(matches!(hub.op().await.1, ClientOp::Announce { .. }));
    let mut heard = 0;
    drop(bus);
    let (seen, ()) = within(async {
        tokio::join!(reader, async {
            while let Some(said) = hub.heard().await {
                heard += u64::from(matches!(said, Said::Emit { .. }));
            }
        })
    })
    .await;
    assert_eq!(heard, seen.expect("the reader ends"));
    assert!(heard > 0);
}

#[tokio::test]
async fn draining_ends_in_good_order() {
    let (bus, mut hub) = Hub::start().await;
    let (mut orders, sub) = orders(&bus, &mut hub).await;
    bus.emit(&order(1)).await.expect("emitted");
    let (drained, ()) = within(async {
        tokio::join!(bus.drain(Duration::from_secs(20)), async {
            hub.op().await;
            assert!(
                matches!(hub.heard().await, Some(Said::Emit { .. })),
                "before the drain"
            );
            let (r#ref, op) = hub.op().await;
            assert_eq!(op, ClientOp::Drain);
            assert_eq!(bus.try_emit(&order(2)), Err(EmitError::Draining));
            hub.orders(sub, 5..6).await;
            hub.done(r#ref, 0).await;
        })
    })
    .await;
    assert_eq!(drained, Ok(()));
    assert_eq!(event(within(orders.next()).await).seq, 5);
    assert_eq!(
        within(orders.next()).await,
        Some(Delivery::Disconnected(Disconnected::Drained))
    );
    assert_eq!(hub.heard().await, None);
    assert_eq!(
        bus.emit(&order(2)).await,
        Err(EmitError::Disconnected(Disconnected::Drained))
    );
    assert_eq!(
        bus.drain(Duration::from_secs(1)).await,
        Err(DrainError::Disconnected(Disconnected::Drained))
    );
}

#[tokio::test]
async fn draining_gives_up_in_time_and_closes_all_the_same() {
    let (bus, mut hub) = Hub::start().await;
    let after = Duration::from_millis(30);
    assert_eq!(
        within(bus.drain(after)).await,
        Err(DrainError::TimedOut { after })
    );
    assert_eq!(within(bus.closed()).await, Disconnected::Drained);
    within(hub.hung_up()).await;
}

#[tokio::test]
async fn frames_of_the_future_are_skipped_if_they_may_be() {
    let (bus, mut hub) = Hub::start().await;
    let (mut orders, sub) = orders(&bus, &mut hub).await;
    hub.bytes(&[0, 0, 0, 4, 0x7e, flags::IGNORABLE, 1, 2]).await;
    hub.orders(sub, 1..2).await;
    event(within(orders.next()).await);
    hub.bytes(&[0, 0, 0, 4, 0x7e, 0, 1, 2]).await;
    let end = within(orders.next()).await;
    assert!(
        matches!(
            end,
            Some(Delivery::Disconnected(Disconnected::Protocol { .. }))
        ),
        "{end:?}"
    );
}

#[tokio::test]
async fn a_torn_run_is_told() {
    let (bus, mut hub) = Hub::start().await;
    let (mut orders, sub) = orders(&bus, &mut hub).await;
    let mut torn = order_frame(2);
    torn.truncate(torn.len() - 1);
    hub.run(sub, 1, 0, &[order_frame(1), torn]).await;
    hub.run(
        sub,
        3,
        0,
        &[
            emit_frame(data::Payload::Bytes, "no topic", b""),
            BytesMut::from(&[0; 9][..]),
        ],
    )
    .await;
    hub.orders(sub, 5..6).await;
    assert_eq!(event(within(orders.next()).await).seq, 1);
    assert!(matches!(
        within(orders.next()).await,
        Some(Delivery::Misfit { missed: 1, .. })
    ));
    assert!(matches!(
        within(orders.next()).await,
        Some(Delivery::Misfit { missed: 2, .. })
    ));
    assert_eq!(event(within(orders.next()).await).seq, 5);
}
