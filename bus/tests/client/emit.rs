//! Emitting: what goes over the wire, what comes back, and what happens when nothing does.

use std::time::Duration;

use ostler_bus::{
    ConnectOptions, Event, TypeSchema,
    client::{Disconnected, EmitError, Problem},
    wire::{
        control::{ClientOp, CloseKind, HubOp, RefusalKind},
        data, flags,
    },
};

use crate::scripted::{Hub, Noted, OrderCreated, Said, order, within};

#[tokio::test]
async fn a_type_is_announced_once_before_its_first_use() {
    let (bus, mut hub) = Hub::start().await;
    for id in 0..3 {
        bus.emit(&order(id)).await.expect("emitted");
    }
    let (_, op) = hub.op().await;
    let schema = TypeSchema::of::<OrderCreated>().encoded().to_vec();
    let topic = OrderCreated::TOPIC.to_owned();
    assert_eq!(
        op,
        ClientOp::Announce {
            index: 0,
            topic,
            schema
        }
    );
    for id in 0..3 {
        let Some(Said::Emit {
            flags,
            topic,
            kind,
            ack,
            payload,
        }) = hub.heard().await
        else {
            panic!("an event");
        };
        // The first on a topic is acknowledged, to learn of a refusal.
        assert_eq!(ack.is_some(), id == 0);
        assert_eq!(flags & flags::ACK != 0, id == 0);
        assert_eq!((&*topic, kind), ("", data::Payload::Postcard(0)));
        assert_eq!(payload, postcard::to_stdvec(&order(id)).expect("encodes"));
    }
}

#[tokio::test]
async fn a_topic_chosen_at_run_time_is_named() {
    let (bus, mut hub) = Hub::start().await;
    bus.emit_to("orders.copy", &order(1))
        .await
        .expect("emitted");
    bus.emit_to("orders.other", &order(2))
        .await
        .expect("emitted");
    let (_, op) = hub.op().await;
    assert!(matches!(op, ClientOp::Announce { index: 0, topic, .. } if topic.is_empty()));
    for wanted in ["orders.copy", "orders.other"] {
        let heard = hub.heard().await;
        assert!(
            matches!(&heard, Some(Said::Emit { topic, kind: data::Payload::Postcard(0), .. }) if topic == wanted),
            "{heard:?}"
        );
    }
}

#[tokio::test]
async fn json_bytes_and_retained() {
    let (bus, mut hub) = Hub::start().await;
    bus.emit_json("a", &vec![1, 2]).await.expect("emitted");
    bus.emit_bytes("b", &b"\x00\xff"[..])
        .await
        .expect("emitted");
    bus.json_text("c", " {\"x\": 1} ")
        .retained()
        .send()
        .await
        .expect("emitted");
    bus.emit_retained(&Noted { text: "n".into() })
        .await
        .expect("emitted");
    let heard = hub.heard().await;
    assert!(
        matches!(&heard, Some(Said::Emit { topic, kind: data::Payload::Json, payload, .. })
        if topic == "a" && payload == "[1,2]"),
        "{heard:?}"
    );
    let heard = hub.heard().await;
    assert!(
        matches!(&heard, Some(Said::Emit { topic, kind: data::Payload::Bytes, payload, .. })
        if topic == "b" && payload == &b"\x00\xff"[..]),
        "{heard:?}"
    );
    let heard = hub.heard().await;
    assert!(
        matches!(&heard, Some(Said::Emit { flags, payload, .. })
        if flags & flags::RETAIN != 0 && payload == "{\"x\": 1}"),
        "{heard:?}"
    );
    let (_, op) = hub.op().await;
    assert!(matches!(op, ClientOp::Announce { .. }));
    let heard = hub.heard().await;
    assert!(matches!(heard, Some(Said::Emit { flags, .. }) if flags & flags::RETAIN != 0));
}

#[tokio::test]
async fn what_cant_be_sent_fails_before_it_is() {
    let (bus, mut hub) = Hub::start().await;
    let error = bus.emit_json("a..b", &1).await;
    assert!(matches!(error, Err(EmitError::BadTopic(_))));
    let error = bus.emit_bytes("a", vec![0; (1 << 20) + 1]).await;
    assert!(matches!(error, Err(EmitError::TooLarge { size, limit, .. }) if size == limit + 1));
    let error = bus.json_text("a", "{").send().await;
    assert!(matches!(error, Err(EmitError::Encoding { .. })));
    drop(bus);
    assert_eq!(within(hub.heard()).await, None, "nothing was sent");
}

#[tokio::test]
async fn acknowledged_with_matches() {
    let (bus, mut hub) = Hub::start().await;
    let event = order(1);
    let (matches, ()) = within(async {
        tokio::join!(bus.emit_acked(&event), async {
            hub.op().await;
            let Some(Said::Emit {
                ack: Some(r#ref), ..
            }) = hub.heard().await
            else {
                panic!("an event with a reference");
            };
            hub.done(r#ref, 3).await;
        })
    })
    .await;
    assert_eq!(matches, Ok(3));
}

#[tokio::test]
async fn an_acknowledgement_that_never_comes() {
    let mut options = ConnectOptions::client("test");
    options.answer_timeout = Duration::from_millis(20);
    let (bus, _silent) = Hub::with(options).await;
    let error = within(bus.emit_acked(&order(1))).await;
    assert!(matches!(error, Err(EmitError::Unanswered { .. })));
}

#[tokio::test]
async fn a_refused_topic_is_told_once_and_then_fails_at_once() {
    let (bus, mut hub) = Hub::start().await;
    let mut problems = bus.problems();
    bus.emit(&order(1)).await.expect("nothing is known yet");
    bus.emit_json("masterly", &1)
        .await
        .expect("nothing is known yet");
    hub.op().await;
    for _ in 0..2 {
        let Some(Said::Emit {
            ack: Some(r#ref), ..
        }) = hub.heard().await
        else {
            panic!("the first event on a topic, with a reference");
        };
        hub.refuse(r#ref, RefusalKind::Denied, "only the master publishes here")
            .await;
    }
    for wanted in [OrderCreated::TOPIC, "masterly"] {
        let problem = within(problems.next()).await;
        assert!(
            matches!(&problem, Some(Problem::Refused { topic: Some(t), refusal })
                if t == wanted && refusal.kind == RefusalKind::Denied),
            "{problem:?}"
        );
    }
    let error = bus.emit(&order(2)).await.expect_err("known to be refused");
    assert!(error.to_string().contains("only the master"), "{error}");
    assert!(matches!(
        bus.try_emit(&order(2)),
        Err(EmitError::Refused { .. })
    ));
    assert!(matches!(
        bus.emit_json("masterly", &1).await,
        Err(EmitError::Refused { .. })
    ));
    bus.emit_json("others", &1).await.expect("another topic");
}

#[tokio::test]
async fn a_refused_type_fails_its_events() {
    let (bus, mut hub) = Hub::start().await;
    let mut problems = bus.problems();
    bus.emit(&order(1)).await.expect("nothing is known yet");
    let (r#ref, _) = hub.op().await;
    hub.refuse(r#ref, RefusalKind::BadType, "too deep").await;
    within(problems.next()).await.expect("a problem");
    assert!(matches!(
        bus.emit(&order(2)).await,
        Err(EmitError::Refused { .. })
    ));
}

#[tokio::test]
async fn a_passing_refusal_does_not_stick() {
    let (bus, mut hub) = Hub::start().await;
    let mut problems = bus.problems();
    bus.emit(&order(1)).await.expect("emitted");
    hub.op().await;
    let Some(Said::Emit {
        ack: Some(r#ref), ..
    }) = hub.heard().await
    else {
        panic!("an event");
    };
    hub.refuse(r#ref, RefusalKind::Limit, "busy").await;
    // A plain event's refusal names no reference.
    hub.refuse(0, RefusalKind::Limit, "busy again").await;
    within(problems.next()).await.expect("a problem");
    let second = within(problems.next()).await;
    assert!(matches!(second, Some(Problem::Refused { topic: None, .. })));
    bus.emit(&order(2)).await.expect("may be tried again");
}

#[tokio::test]
async fn unread_problems_are_counted() {
    let (bus, mut hub) = Hub::start().await;
    let mut problems = bus.problems();
    for _ in 0..100 {
        hub.refuse(0, RefusalKind::Limit, "busy").await;
    }
    // What is answered after them shows that they were taken.
    let (_, ()) = within(async {
        tokio::join!(bus.drain(Duration::from_secs(20)), async {
            let (r#ref, _) = hub.op().await;
            hub.done(r#ref, 0).await;
        })
    })
    .await;
    assert_eq!(within(problems.next()).await, Some(Problem::Missed(36)));
}

#[tokio::test]
async fn a_full_buffer_waits_or_says_so() {
    let mut options = ConnectOptions::client("test");
    options.outgoing_bytes = 4 << 10;
    options.room_timeout = Duration::from_millis(50);
    let (bus, mut hub) = Hub::with(options).await;
    let chunk = vec![7_u8; 1000];
    // The pipe takes 64 KiB, the write under way and the buffer some more; then there is no room.
    let mut taken = 0_u64;
    let error = loop {
        match bus.emit_bytes("b", chunk.clone()).await {
            Ok(()) => taken += 1,
            Err(error) => break error,
        }
        assert!(taken < 200, "the buffer has no bound");
    };
    assert!(
        matches!(error, EmitError::Full { waited } if !waited.is_zero()),
        "{error}"
    );
    assert!(
        matches!(bus.bytes("b", &chunk).try_send(), Err(EmitError::Full { waited }) if waited.is_zero())
    );
    // The hub reads again: whoever waits gets room, and nothing was lost or torn.
    let (sent, heard) = within(async {
        tokio::join!(bus.emit_bytes("b", chunk.clone()), async {
            let mut heard = 0;
            while heard < taken + 1 {
                let Some(Said::Emit { payload, .. }) = hub.heard().await else {
                    panic!("an event");
                };
                assert_eq!(payload, chunk);
                heard += 1;
            }
            heard
        })
    })
    .await;
    assert_eq!((sent, heard), (Ok(()), taken + 1));
}

#[tokio::test]
async fn what_was_emitted_is_written_when_the_last_handle_goes() {
    let (bus, mut hub) = Hub::start().await;
    let clone = bus.clone();
    for id in 0..5000 {
        clone.emit(&order(id)).await.expect("emitted");
    }
    drop((bus, clone));
    hub.op().await;
    for id in 0..5000 {
        let heard = hub.heard().await;
        assert!(
            matches!(&heard, Some(Said::Emit { payload, .. })
                if *payload == postcard::to_stdvec(&order(id)).expect("encodes")),
            "{id}: {heard:?}"
        );
    }
    assert_eq!(hub.heard().await, None);
}

#[tokio::test]
async fn the_hubs_reason_reaches_every_wait() {
    let (bus, mut hub) = Hub::start().await;
    let event = order(1);
    let reason = "upgrade in progress";
    let (acked, ()) = within(async {
        tokio::join!(bus.emit_acked(&event), async {
            hub.op().await;
            hub.heard().await;
            let kind = CloseKind::Stopping;
            hub.say(
                0,
                HubOp::Closing {
                    kind,
                    reason: reason.into(),
                },
            )
            .await;
        })
    })
    .await;
    let why = Disconnected::Closed {
        kind: CloseKind::Stopping,
        reason: reason.into(),
    };
    assert_eq!(acked, Err(EmitError::Disconnected(why.clone())));
    assert_eq!(
        bus.emit(&event).await,
        Err(EmitError::Disconnected(why.clone()))
    );
    assert_eq!(bus.try_emit(&event), Err(EmitError::Disconnected(why)));
}

#[tokio::test]
async fn emitting_while_encoding_does_not_lock_up() {
    use ostler_bus::wire::data::Payload;
    struct Echo<'a>(&'a ostler_bus::Bus);
    impl serde::Serialize for Echo<'_> {
        fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
            self.0
                .bytes("inner", b"1")
                .try_send()
                .map_err(serde::ser::Error::custom)?;
            s.serialize_u8(2)
        }
    }
    let (bus, mut hub) = Hub::start().await;
    within(bus.emit_json("outer", &Echo(&bus)))
        .await
        .expect("emitted");
    for (wanted, kind) in [("inner", Payload::Bytes), ("outer", Payload::Json)] {
        let heard = hub.heard().await;
        assert!(
            matches!(&heard, Some(Said::Emit { topic, kind: k, .. }) if topic == wanted && *k == kind)
        );
    }
}
