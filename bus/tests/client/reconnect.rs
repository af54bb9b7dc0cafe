//! A connection that is lost and made again: what is said on the next one, and what readers are told.

use std::time::Duration;

use futures::{FutureExt, StreamExt};
use ostler_bus::{
    Bus, ConnectOptions, Delivery, Event, Request, TypeSchema,
    client::{ConnectionState, Disconnected, ReconnectPolicy, SubscribeError, Subscription},
    wire::{
        control::{ClientOp, CloseKind, HubOp, RefusalKind, Resume},
        data, flags,
    },
};

use crate::scripted::{
    Again, Door, Hub, LIVELY, OrderCreated, PriceOf, Said, eager, order, order_frame, returning,
    within,
};

async fn orders(bus: &Bus, hub: &mut Hub) -> (Subscription<OrderCreated>, u32) {
    let subscribing = bus.subscribe::<OrderCreated>();
    let accepting = hub.accept(OrderCreated::TOPIC);
    let (orders, sub) = within(async { tokio::join!(subscribing, accepting) }).await;
    hub.introduce_orders().await;
    (orders.expect("accepted"), sub)
}

async fn ids(orders: &mut Subscription<OrderCreated>, count: usize) -> Vec<u64> {
    let mut ids = Vec::new();
    for _ in 0..count {
        match within(orders.next()).await {
            Some(Delivery::Event(received)) => ids.push(received.event.id),
            other => panic!("expected an event, got {other:?}"),
        }
    }
    ids
}

async fn told<T: std::fmt::Debug>(events: &mut Subscription<T>) -> Option<u64> {
    match within(events.next()).await {
        Some(Delivery::Reconnected { missed }) => missed,
        other => panic!("expected a new connection, got {other:?}"),
    }
}

/// The next client, whose subscriptions must be one, which is accepted: how it goes on.
async fn resumed(door: &mut Door, welcome: &str) -> (Hub, u32, Option<Resume>) {
    let (mut hub, _) = door.welcome(welcome).await;
    let (r#ref, sub, _, options) = hub.subscription().await;
    hub.done(r#ref, 0).await;
    (hub, sub, options.resume)
}

#[tokio::test]
async fn the_next_connection_begins_with_all_that_the_hub_must_know() {
    let (way, mut door) = Again::way(64 << 10);
    let connecting = Bus::connect(way, eager());
    let (bus, (mut hub, first)) =
        within(async { tokio::join!(connecting, door.welcome(LIVELY)) }).await;
    let bus = bus.expect("welcome");
    let (_orders, sub) = orders(&bus, &mut hub).await;
    bus.emit(&order(1)).await.expect("emitted");
    let (_, announce) = hub.op().await;
    let Some(Said::Emit { payload, .. }) = hub.heard().await else {
        panic!("an event");
    };
    drop(hub);
    let mut state = bus.state();
    within(state.wait_for(|s| matches!(s, ConnectionState::Reconnecting { .. })))
        .await
        .expect("a state");
    // While there is none:
    bus.emit(&order(2)).await.expect("it waits");
    bus.emit_json("a.b", &3).await.expect("it waits");

    let (mut hub, again) = door.welcome(LIVELY).await;
    assert_eq!(again.instance, first.instance);
    assert_eq!((again.kind, &again.name), (first.kind, &first.name));
    let (announced, op) = hub.op().await;
    assert_eq!(op, announce, "under the same index");
    let (asked, again, pattern, options) = hub.subscription().await;
    assert_eq!((again, &*pattern), (sub, OrderCreated::TOPIC));
    let nothing_yet = Resume {
        sub,
        since: 0,
        taken: 0,
    };
    assert_eq!(options.resume, Some(nothing_yet));
    assert!(announced > 3 && asked > announced, "references go on");
    match hub.heard().await {
        Some(Said::Emit {
            kind: data::Payload::Postcard(_),
            topic,
            payload: second,
            ..
        }) => {
            assert_eq!(topic, "");
            assert_ne!(second, payload, "what was written is not sent again");
        }
        other => panic!("the event that waited, not {other:?}"),
    }
    assert!(matches!(hub.heard().await, Some(Said::Emit { topic, .. }) if topic == "a.b"));
    within(state.wait_for(|s| *s == ConnectionState::Connected))
        .await
        .expect("a state");
    // The first event on a topic of a new connection asks for its refusal again.
    bus.emit(&order(4)).await.expect("emitted");
    assert!(matches!(
        hub.heard().await,
        Some(Said::Emit { ack: Some(_), .. })
    ));
}

#[tokio::test]
async fn readers_are_told_what_is_missing_and_the_hub_what_was_had() {
    let (bus, mut hub, mut door) = returning(eager()).await;
    let (mut orders, sub) = orders(&bus, &mut hub).await;
    hub.run(sub, 5, flags::RETAINED, &[order_frame(5)]).await;
    hub.orders(sub, 40..43).await;
    hub.say(0, HubOp::Lagged { sub, missed: 10 }).await;
    let misfit = HubOp::Misfit {
        sub,
        missed: 2,
        topic: "orders.created".into(),
        reason: "no".into(),
    };
    hub.say(0, misfit).await;
    hub.run(sub, 3, flags::CONTROL_LANE, &[order_frame(3)])
        .await;
    assert_eq!(ids(&mut orders, 4).await, [5, 40, 41, 42]);
    assert!(matches!(
        within(orders.next()).await,
        Some(Delivery::Lagged { missed: 10 })
    ));
    assert!(matches!(
        within(orders.next()).await,
        Some(Delivery::Misfit { missed: 2, .. })
    ));
    assert_eq!(ids(&mut orders, 1).await, [3]);
    drop(hub);

    // 3 events, 10 and 2 told, 1 of the control lane; what was retained doesn't count.
    let (mut hub, again, resume) = resumed(&mut door, LIVELY).await;
    let (since, taken) = (42, 16);
    assert_eq!((again, resume), (sub, Some(Resume { sub, since, taken })));
    hub.say(
        0,
        HubOp::Resumed {
            sub,
            missed: Some(7),
        },
    )
    .await;
    hub.introduce_orders().await;
    let kept: Vec<_> = (50..52).map(order_frame).collect();
    hub.run(sub, 50, flags::HISTORY, &kept).await;
    hub.orders(sub, 52..53).await;
    assert_eq!(told(&mut orders).await, Some(7));
    match within(orders.next()).await {
        Some(Delivery::Event(first)) => assert!(first.is_history() && first.event == order(50)),
        other => panic!("{other:?}"),
    }
    assert_eq!(ids(&mut orders, 2).await, [51, 52]);
    drop(hub);

    // What was missed and what came of the history counts: the hub had counted it before.
    let (mut hub, _, resume) = resumed(&mut door, LIVELY).await;
    let (since, taken) = (52, 16 + 7 + 2 + 1);
    assert_eq!(resume, Some(Resume { sub, since, taken }));
    hub.say(0, HubOp::Resumed { sub, missed: None }).await;
    assert_eq!(told(&mut orders).await, None);
    hub.introduce_orders().await;
    hub.run(sub, 60, flags::HISTORY, &[order_frame(60)]).await;
    hub.orders(sub, 61..62).await;
    assert_eq!(ids(&mut orders, 2).await, [60, 61]);
    drop(hub);

    // A hub that knew nothing has begun to count anew, with its history.
    let (_hub, _, resume) = resumed(&mut door, LIVELY).await;
    let (since, taken) = (61, 2);
    assert_eq!(resume, Some(Resume { sub, since, taken }));
}

#[tokio::test]
async fn another_life_of_the_hub_has_other_numbers() {
    let (bus, mut hub, mut door) = returning(eager()).await;
    let (mut orders, sub) = orders(&bus, &mut hub).await;
    hub.orders(sub, 40..43).await;
    assert_eq!(ids(&mut orders, 3).await, [40, 41, 42]);
    drop(hub);
    let reborn = LIVELY.replace(r#""life":"aa""#, r#""life":"bb""#);
    let (mut hub, _, resume) = resumed(&mut door, &reborn).await;
    assert_eq!(resume.map(|r| r.since), Some(0));
    // A hub that says nothing of it knows nothing of it.
    hub.introduce_orders().await;
    hub.orders(sub, 1..2).await;
    assert_eq!(told(&mut orders).await, None);
    assert_eq!(ids(&mut orders, 1).await, [1]);
}

#[tokio::test]
async fn losing_it_twice_before_anybody_reads_is_told_once() {
    let (bus, mut hub, mut door) = returning(eager()).await;
    let (mut orders, sub) = orders(&bus, &mut hub).await;
    for missed in [3, 4] {
        drop(hub);
        let next = resumed(&mut door, LIVELY).await;
        hub = next.0;
        let missed = Some(missed);
        hub.say(0, HubOp::Resumed { sub, missed }).await;
        // It has been read once something after it is answered.
        let draining = bus.request_json("a", "1", Duration::from_secs(5));
        let answering = async {
            match hub.heard().await {
                Some(Said::Request { r#ref, .. }) => {
                    hub.refuse(r#ref, RefusalKind::NoResponders, "nobody").await;
                }
                other => panic!("{other:?}"),
            }
        };
        let (refused, ()) = within(async { tokio::join!(draining, answering) }).await;
        refused.expect_err("nobody answers");
    }
    assert_eq!(told(&mut orders).await, Some(7));
    assert!(orders.next().now_or_never().is_none());
}

#[tokio::test]
async fn a_subscription_under_way_is_asked_for_again() {
    let (bus, mut hub, mut door) = returning(eager()).await;
    let mut subscribing = Box::pin(bus.subscribe::<OrderCreated>());
    assert!(subscribing.as_mut().now_or_never().is_none());
    let (_, sub, ..) = hub.subscription().await;
    drop(hub);
    let (mut hub, again, resume) = resumed(&mut door, LIVELY).await;
    assert_eq!((again, resume), (sub, None), "it was never there");
    let mut orders = within(subscribing).await.expect("accepted");
    hub.introduce_orders().await;
    hub.orders(sub, 1..2).await;
    assert_eq!(ids(&mut orders, 1).await, [1]);
}

#[tokio::test]
async fn what_ended_meanwhile_is_not_asked_for_again() {
    let (bus, mut hub, mut door) = returning(eager()).await;
    let (first, _) = orders(&bus, &mut hub).await;
    let (second, sub) = orders(&bus, &mut hub).await;
    drop(first);
    assert!(matches!(hub.op().await, (_, ClientOp::Unsubscribe { .. })));
    // Not answered.
    drop(hub);
    let (mut hub, left, _) = resumed(&mut door, LIVELY).await;
    assert_eq!(left, sub);
    bus.emit_bytes("a", &b"x"[..]).await.expect("emitted");
    let next = hub.heard().await;
    assert!(matches!(next, Some(Said::Emit { .. })), "{next:?}");
    drop(second);
}

#[tokio::test]
async fn a_subscription_that_is_refused_then_has_ended() {
    let (bus, mut hub, mut door) = returning(eager()).await;
    let (mut orders, _) = orders(&bus, &mut hub).await;
    let mut problems = bus.problems();
    drop(hub);
    let (mut hub, _) = door.welcome(LIVELY).await;
    let (r#ref, ..) = hub.subscription().await;
    hub.refuse(r#ref, RefusalKind::Denied, "the rules have changed")
        .await;
    match within(orders.next()).await {
        Some(Delivery::Disconnected(why @ Disconnected::NotResumed { .. })) => {
            assert!(why.to_string().contains("the rules have changed"), "{why}");
        }
        other => panic!("{other:?}"),
    }
    assert!(within(orders.next()).await.is_none());
    assert!(within(problems.next()).await.is_some());
    assert_eq!(*bus.state().borrow(), ConnectionState::Connected);
}

#[tokio::test]
async fn what_would_end_in_the_same_way_is_not_tried_again() {
    for kind in [
        CloseKind::Denied,
        CloseKind::Hello,
        CloseKind::Replaced,
        CloseKind::Framing,
    ] {
        let (bus, mut hub, mut door) = returning(eager()).await;
        let (mut orders, _) = orders(&bus, &mut hub).await;
        let reason = "so it is".to_owned();
        hub.say(0, HubOp::Closing { kind, reason }).await;
        let end = within(orders.next()).await;
        let closed = |k: CloseKind| k == kind;
        assert!(
            matches!(end, Some(Delivery::Disconnected(Disconnected::Closed { kind, .. })) if closed(kind)),
            "{end:?}"
        );
        within(bus.closed()).await;
        assert!(!door.is_knocked_at());
    }
    for kind in [CloseKind::Limit, CloseKind::Stopping, CloseKind::Fault] {
        let (_bus, mut hub, mut door) = returning(eager()).await;
        let reason = "for now".to_owned();
        hub.say(0, HubOp::Closing { kind, reason }).await;
        door.welcome(LIVELY).await;
    }
    // The same words, before there is a WELCOME.
    let (bus, hub, mut door) = returning(eager()).await;
    drop(hub);
    let mut hub = door.arrival().await;
    hub.hello().await;
    let denied = br#"{"ref":0,"op":{"Closing":{"kind":"Denied","reason":"not any more"}}}"#;
    hub.frame(ostler_bus::wire::FrameType::Control, 0, denied)
        .await;
    let why = within(bus.closed()).await;
    assert!(
        matches!(
            why,
            Disconnected::Closed {
                kind: CloseKind::Denied,
                ..
            }
        ),
        "{why}"
    );
}

#[tokio::test]
async fn it_can_be_given_up_or_not_tried_at_all() {
    let mut options = eager();
    let give_up_after = Some(Duration::from_millis(30));
    options.reconnect = options.reconnect.map(|policy| ReconnectPolicy {
        give_up_after,
        ..policy
    });
    let (bus, mut hub, door) = returning(options).await;
    let (mut orders, _) = orders(&bus, &mut hub).await;
    drop((hub, door));
    match within(orders.next()).await {
        Some(Delivery::Disconnected(Disconnected::GaveUp { after, error, .. })) => {
            assert_eq!(Some(after), give_up_after);
            assert!(error.contains("no hub is running at again"), "{error}");
        }
        other => panic!("{other:?}"),
    }
    let refused = bus.subscribe::<OrderCreated>().await;
    assert!(matches!(
        refused,
        Err(SubscribeError::Disconnected(Disconnected::GaveUp { .. }))
    ));

    let (bus, hub, mut door) = returning(ConnectOptions::client("test").once()).await;
    drop(hub);
    assert!(matches!(
        within(bus.closed()).await,
        Disconnected::Lost { .. }
    ));
    assert!(!door.is_knocked_at());
}

#[tokio::test]
async fn the_state_counts_attempts() {
    let (bus, hub, door) = returning(eager()).await;
    let mut state = bus.state();
    drop((hub, door));
    let tenth = |s: &ConnectionState| match s {
        ConnectionState::Reconnecting { attempt, why, .. } => {
            assert!(matches!(why, Disconnected::Lost { .. }));
            *attempt >= 10
        }
        ConnectionState::Connected => false,
        ConnectionState::Draining | ConnectionState::Closed(_) => panic!("{s:?}"),
    };
    within(state.wait_for(tenth)).await.expect("a state");
}

#[tokio::test]
async fn a_token_of_the_hub_is_shown_to_it() {
    let (way, mut door) = Again::way(64 << 10);
    let given = LIVELY.replace(r#""conn":7"#, r#""conn":7,"token":"abc""#);
    let connecting = Bus::connect(way, eager().token("own"));
    let (bus, (hub, hello)) =
        within(async { tokio::join!(connecting, door.welcome(&given)) }).await;
    let _bus = bus.expect("welcome");
    assert_eq!(hello.token.as_deref(), Some("own"));
    drop(hub);
    for _ in 0..2 {
        let (_hub, hello) = door.welcome(LIVELY).await;
        assert_eq!(hello.token.as_deref(), Some("abc"));
    }
}

#[tokio::test]
async fn services_go_on_and_calls_of_a_lost_connection_are_nobodys() {
    let (bus, mut hub, mut door) = returning(eager()).await;
    let serving = bus.serve::<PriceOf>();
    let (calls, sub) = within(async { tokio::join!(serving, hub.accept(PriceOf::TOPIC)) }).await;
    let mut calls = calls.expect("serving");
    hub.introduce().await;
    hub.type_is(2, "", &TypeSchema::of::<PriceOf>()).await;
    let ask = |id| postcard::to_stdvec(&PriceOf { id }).expect("encodes");
    for id in [1, 2] {
        hub.call(id, sub, data::Payload::Postcard(2), &ask(id))
            .await;
    }
    let first = within(calls.next()).await.expect("a call");
    drop(hub);
    let (mut hub, again, resume) = resumed(&mut door, LIVELY).await;
    assert_eq!((again, resume), (sub, None));
    let late = first.reply(&crate::scripted::Price { cents: 1 }).await;
    assert!(late.is_err(), "{late:?}");
    hub.introduce().await;
    hub.type_is(2, "", &TypeSchema::of::<PriceOf>()).await;
    hub.call(1, sub, data::Payload::Postcard(2), &ask(3)).await;
    let call = within(calls.next()).await.expect("a call");
    assert_eq!(call.request().id, 3, "2 came by the lost connection");
    call.reply(&crate::scripted::Price { cents: 3 })
        .await
        .expect("answered");
    assert!(matches!(hub.op().await, (_, ClientOp::Announce { .. })));
    let said = hub.heard().await;
    assert!(
        matches!(said, Some(Said::Reply { call: 1, .. })),
        "{said:?}"
    );
}
