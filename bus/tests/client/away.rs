//! While there is no hub: what waits, for how long, and what doesn't.

use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use ostler_bus::{
    Bus, Request,
    client::{ConnectionState, Disconnected, DrainError, EmitError, RequestError},
    wire::{control::ClientOp, data},
};

use crate::scripted::{
    Again, Door, Hub, LIVELY, OrderCreated, Price, PriceOf, Said, eager, order, returning, within,
};

/// A client whose hub has gone, and which knows it.
async fn deserted(options: ostler_bus::ConnectOptions) -> (Bus, Door) {
    let (bus, hub, door) = returning(options).await;
    drop(hub);
    away(&bus).await;
    (bus, door)
}

async fn away(bus: &Bus) {
    let mut state = bus.state();
    within(state.wait_for(|s| matches!(s, ConnectionState::Reconnecting { .. })))
        .await
        .expect("a state");
}

/// The next event that is bytes.
async fn bytes(hub: &mut Hub) -> Bytes {
    match hub.heard().await {
        Some(Said::Emit {
            kind: data::Payload::Bytes,
            payload,
            ..
        }) => payload,
        other => panic!("expected bytes, heard {other:?}"),
    }
}

#[tokio::test]
async fn events_wait_within_their_bound_and_senders_for_their_time() {
    let mut options = eager();
    options.outgoing_bytes = 1000;
    options.room_timeout = Duration::from_millis(20);
    let (bus, mut door) = deserted(options).await;
    for _ in 0..2 {
        bus.emit_bytes("a", vec![7; 600])
            .await
            .expect("there is room");
    }
    let full = bus.bytes("a", b"x").try_send();
    assert_eq!(
        full,
        Err(EmitError::Full {
            waited: Duration::ZERO
        })
    );
    let full = bus.emit_bytes("a", "x").await;
    assert!(matches!(full, Err(EmitError::Full { waited }) if !waited.is_zero()));
    let (mut hub, _) = door.welcome(LIVELY).await;
    for _ in 0..2 {
        assert_eq!(bytes(&mut hub).await.len(), 600);
    }
    within(bus.emit_bytes("a", "after"))
        .await
        .expect("there is room again");
    assert_eq!(bytes(&mut hub).await, "after");
}

#[tokio::test]
async fn a_frame_that_was_cut_is_sent_whole_and_those_before_it_not_again() {
    // The pipe holds less than one frame.
    let (way, mut door) = Again::way(64);
    let connecting = Bus::connect(way, eager());
    let (bus, (mut hub, _)) =
        within(async { tokio::join!(connecting, door.welcome(LIVELY)) }).await;
    let bus = bus.expect("welcome");
    bus.emit_bytes("a", vec![1; 100]).await.expect("emitted");
    bus.emit_bytes("a", vec![2; 200]).await.expect("emitted");
    bus.emit_bytes("a", vec![3; 100]).await.expect("emitted");
    assert_eq!(bytes(&mut hub).await, vec![1; 100]);
    drop(hub);
    let (mut hub, _) = door.welcome(LIVELY).await;
    assert_eq!(bytes(&mut hub).await, vec![2; 200]);
    assert_eq!(bytes(&mut hub).await, vec![3; 100]);
}

#[tokio::test]
async fn a_question_under_way_fails_and_one_that_waits_is_asked() {
    let (bus, mut hub, mut door) = returning(eager()).await;
    let asked = tokio::spawn({
        let bus = bus.clone();
        async move { bus.request(&PriceOf { id: 1 }).await }
    });
    for _ in 0..2 {
        assert!(matches!(hub.op().await, (_, ClientOp::Announce { .. })));
    }
    assert!(matches!(hub.heard().await, Some(Said::Request { .. })));
    drop(hub);
    let lost = within(asked).await.expect("no panic");
    assert!(
        matches!(
            lost,
            Err(RequestError::Disconnected(Disconnected::Lost { .. }))
        ),
        "{lost:?}"
    );
    away(&bus).await;
    let asking = bus.request(&PriceOf { id: 2 });
    let answering = async {
        let (mut hub, _) = door.welcome(LIVELY).await;
        let (r#ref, reply_index) = loop {
            match hub.heard().await {
                Some(Said::Control(_, ClientOp::Announce { .. })) => {}
                Some(Said::Request {
                    r#ref,
                    topic,
                    reply_type,
                    ..
                }) => {
                    assert_eq!(topic, PriceOf::TOPIC);
                    break (r#ref, reply_type);
                }
                other => panic!("{other:?}"),
            }
        };
        assert_ne!(reply_index, data::READERS_TYPE);
        hub.introduce().await;
        let payload = postcard::to_stdvec(&Price { cents: 9 }).expect("encodes");
        hub.answer(r#ref, data::Payload::Postcard(data::READERS_TYPE), &payload)
            .await;
        hub
    };
    let (answer, _hub) = within(async { tokio::join!(asking, answering) }).await;
    assert_eq!(answer, Ok(Price { cents: 9 }));
}

#[tokio::test]
async fn draining_without_a_hub_ends_at_once_unless_something_waits() {
    let (bus, _door) = deserted(eager()).await;
    let began = std::time::Instant::now();
    let drained = within(bus.drain(Duration::from_secs(30))).await;
    assert!(
        matches!(drained, Err(DrainError::Disconnected(_))),
        "{drained:?}"
    );
    assert!(began.elapsed() < Duration::from_secs(10));

    let (bus, mut door) = deserted(eager()).await;
    bus.emit_bytes("a", "last").await.expect("it waits");
    let draining = bus.drain(Duration::from_secs(30));
    let hub = async {
        let (mut hub, _) = door.welcome(LIVELY).await;
        assert_eq!(bytes(&mut hub).await, "last");
        match hub.op().await {
            (r#ref, ClientOp::Drain) => hub.done(r#ref, 0).await,
            other => panic!("{other:?}"),
        }
        hub.hung_up().await;
    };
    let (drained, ()) = within(async { tokio::join!(draining, hub) }).await;
    assert_eq!(drained, Ok(()));
    assert!(!door.is_knocked_at());

    // And no longer than it may take.
    let (bus, _door) = deserted(eager()).await;
    bus.emit_bytes("a", "last").await.expect("it waits");
    let drained = within(bus.drain(Duration::from_millis(30))).await;
    assert!(
        matches!(drained, Err(DrainError::TimedOut { .. })),
        "{drained:?}"
    );
}

#[tokio::test]
async fn the_last_handle_leaves_what_waits_to_the_next_connection() {
    let (bus, mut door) = deserted(eager()).await;
    bus.emit_bytes("a", "last").await.expect("it waits");
    drop(bus);
    let (mut hub, _) = door.welcome(LIVELY).await;
    assert_eq!(bytes(&mut hub).await, "last");
    hub.hung_up().await;
    // Without anything to leave it doesn't come back.
    let (bus, mut door) = deserted(eager()).await;
    let mut state = bus.state();
    drop(bus);
    within(state.wait_for(|s| matches!(s, ConnectionState::Closed(_))))
        .await
        .expect("a state");
    while door.is_knocked_at() {}
    assert!(door.is_shut());
}

#[tokio::test]
async fn a_hub_that_refuses_a_topic_may_have_changed_its_mind_when_it_is_back() {
    let (bus, mut hub, mut door) = returning(eager()).await;
    bus.emit(&order(1)).await.expect("emitted");
    hub.op().await;
    let Some(Said::Emit {
        ack: Some(probe), ..
    }) = hub.heard().await
    else {
        panic!("the first on its topic");
    };
    let denied = ostler_bus::wire::control::RefusalKind::Denied;
    hub.refuse(probe, denied, "not yours").await;
    within(async {
        while bus.try_emit(&order(2)).is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    drop(hub);
    away(&bus).await;
    let (mut hub, _) = door.welcome(LIVELY).await;
    hub.op().await;
    within(async {
        while bus.try_emit(&OrderCreated { id: 3, total: 1.0 }).is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let probed = async {
        loop {
            if let Some(Said::Emit { ack: Some(_), .. }) = hub.heard().await {
                return;
            }
        }
    };
    within(probed).await;
    assert!(bus.subscribe_raw("x").now_or_never().is_none());
}
