//! Requests: asking and answering.

use std::time::Duration;

use ostler_bus::{
    Request, TypeSchema,
    client::{Calls, RequestError},
    wire::{
        control::{ClientOp, RefusalKind},
        data,
    },
};

use crate::scripted::{Hub, Price, PriceOf, Said, within};

/// Reads the announcements and the request that follows them: its reference and reply type.
async fn asked(hub: &mut Hub) -> (u64, u32) {
    loop {
        match hub.heard().await {
            Some(Said::Control(_, ClientOp::Announce { .. })) => {}
            Some(Said::Request {
                r#ref,
                topic,
                reply_type,
                ..
            }) => {
                assert_eq!(topic, PriceOf::TOPIC);
                return (r#ref, reply_type);
            }
            other => panic!("expected a request, heard {other:?}"),
        }
    }
}

async fn refused(kind: RefusalKind) -> RequestError {
    let (bus, mut hub) = Hub::start().await;
    let question = PriceOf { id: 1 };
    let (answer, ()) = within(async {
        tokio::join!(bus.request(&question), async {
            let (r#ref, _) = asked(&mut hub).await;
            hub.refuse(r#ref, kind, "because").await;
        })
    })
    .await;
    answer.expect_err("refused")
}

#[tokio::test]
async fn a_typed_answer() {
    let (bus, mut hub) = Hub::start().await;
    let question = PriceOf { id: 1 };
    let (answer, ()) = within(async {
        tokio::join!(
            bus.request_within(&question, Duration::from_secs(9)),
            async {
                let (_, first) = hub.op().await;
                let (_, second) = hub.op().await;
                let schemas = [TypeSchema::of::<PriceOf>(), TypeSchema::of::<Price>()];
                for (index, (op, wanted)) in (0..).zip([first, second].into_iter().zip(schemas)) {
                    let schema = wanted.encoded().to_vec();
                    assert_eq!(
                        op,
                        ClientOp::Announce {
                            index,
                            topic: String::new(),
                            schema
                        }
                    );
                }
                let heard = hub.heard().await;
                let Some(Said::Request {
                    r#ref,
                    topic,
                    kind,
                    reply_type,
                    timeout_ms,
                    payload,
                }) = heard
                else {
                    panic!("expected a request, heard {heard:?}");
                };
                assert_eq!(
                    (&*topic, kind),
                    ("orders.price", data::Payload::Postcard(0))
                );
                assert_eq!((reply_type, timeout_ms), (1, 9000));
                assert_eq!(payload, &b"\x01"[..]);
                hub.introduce().await;
                hub.type_is(4, "", &TypeSchema::of::<Price>()).await;
                hub.answer(r#ref, data::Payload::Postcard(4), &[0xac, 0x02])
                    .await;
            }
        )
    })
    .await;
    assert_eq!(answer, Ok(Price { cents: 300 }));
}

#[tokio::test]
async fn an_answer_the_hub_converted() {
    let (bus, mut hub) = Hub::start().await;
    let question = PriceOf { id: 1 };
    let (answer, ()) = within(async {
        tokio::join!(bus.request(&question), async {
            let (r#ref, _) = asked(&mut hub).await;
            hub.introduce().await;
            hub.answer(r#ref, data::Payload::Postcard(data::READERS_TYPE), &[5])
                .await;
        })
    })
    .await;
    assert_eq!(answer, Ok(Price { cents: 5 }));
}

#[tokio::test]
async fn json_asks_and_gets_json() {
    let (bus, mut hub) = Hub::start().await;
    let (answers, ()) = within(async {
        let second = Duration::from_secs(1);
        let ask = async || {
            bus.request_json("orders.price", r#"{"id":1}"#, second)
                .await
        };
        tokio::join!(async { [ask().await, ask().await] }, async {
            let (r#ref, reply_type) = asked(&mut hub).await;
            assert_eq!(reply_type, data::READERS_TYPE);
            hub.introduce().await;
            hub.type_is(4, "", &TypeSchema::of::<Price>()).await;
            hub.answer(r#ref, data::Payload::Postcard(4), &[5]).await;
            let (r#ref, _) = asked(&mut hub).await;
            hub.answer(r#ref, data::Payload::Json, br#"{"cents":6}"#)
                .await;
        })
    })
    .await;
    assert_eq!(
        answers,
        [Ok(r#"{"cents":5}"#.into()), Ok(r#"{"cents":6}"#.into())]
    );
}

#[tokio::test]
async fn every_refusal_has_its_error() {
    let error = refused(RefusalKind::NoResponders).await;
    assert!(matches!(&error, RequestError::NoResponders { topic, .. } if topic == "orders.price"));
    assert!(matches!(
        refused(RefusalKind::TimedOut).await,
        RequestError::TimedOut { .. }
    ));
    let error = refused(RefusalKind::Denied).await;
    assert!(matches!(&error, RequestError::Denied { reason, .. } if reason == "because"));
    assert!(matches!(
        refused(RefusalKind::Declined).await,
        RequestError::Declined { .. }
    ));
    assert!(matches!(
        refused(RefusalKind::Misfit).await,
        RequestError::Misfit { .. }
    ));
    assert!(matches!(
        refused(RefusalKind::Limit).await,
        RequestError::Refused { .. }
    ));
}

#[tokio::test]
async fn a_hub_that_does_not_answer() {
    let (bus, mut hub) = Hub::start().await;
    let question = PriceOf { id: 1 };
    let error = within(bus.request_within(&question, Duration::from_millis(10))).await;
    assert!(matches!(error, Err(RequestError::TimedOut { .. })));
    // Its late answer is nobody's, and harms nobody.
    let (r#ref, _) = asked(&mut hub).await;
    hub.introduce().await;
    hub.answer(r#ref, data::Payload::Json, b"1").await;
    let (error, ()) = within(async {
        tokio::join!(bus.request(&question), async {
            asked(&mut hub).await;
            drop(hub);
        })
    })
    .await;
    assert!(matches!(error, Err(RequestError::Disconnected(_))));
}

#[tokio::test]
async fn an_answer_of_another_type() {
    let (bus, mut hub) = Hub::start().await;
    let question = PriceOf { id: 1 };
    let (answer, ()) = within(async {
        tokio::join!(bus.request(&question), async {
            let (r#ref, _) = asked(&mut hub).await;
            hub.introduce().await;
            hub.type_is(4, "", &TypeSchema::of::<PriceOf>()).await;
            hub.answer(r#ref, data::Payload::Postcard(4), &[5]).await;
        })
    })
    .await;
    let error = answer.expect_err("another type").to_string();
    assert!(
        error.contains("PriceOf") && error.contains("Price "),
        "{error}"
    );
}

async fn serving(hub: &mut Hub, bus: &ostler_bus::Bus) -> (Calls<PriceOf>, u32) {
    let (calls, sub) = within(async {
        tokio::join!(bus.serve::<PriceOf>(), async {
            let (
                r#ref,
                ClientOp::Subscribe {
                    sub,
                    pattern,
                    reader,
                    options,
                },
            ) = hub.op().await
            else {
                panic!("a subscription");
            };
            assert_eq!((&*pattern, options.serve), ("orders.price", true));
            assert_eq!(
                reader.as_deref(),
                Some(TypeSchema::of::<PriceOf>().encoded())
            );
            hub.done(r#ref, 0).await;
            sub
        })
    })
    .await;
    hub.introduce().await;
    hub.type_is(2, "", &TypeSchema::of::<PriceOf>()).await;
    (calls.expect("accepted"), sub)
}

async fn declined(hub: &mut Hub) -> (u64, String) {
    match hub.op().await.1 {
        ClientOp::Decline { call, reason } => (call, reason),
        other => panic!("expected a declining, heard {other:?}"),
    }
}

#[tokio::test]
async fn answering() {
    let (bus, mut hub) = Hub::start().await;
    let (mut calls, sub) = serving(&mut hub, &bus).await;
    hub.call(11, sub, data::Payload::Postcard(2), &[7]).await;
    let call = within(calls.next()).await.expect("a call");
    assert_eq!(call.request(), &PriceOf { id: 7 });
    assert_eq!(call.origin(), &crate::scripted::publisher());
    assert_eq!(call.topic().as_str(), "orders.price");
    assert!(call.deadline() > std::time::Instant::now());
    call.reply(&Price { cents: 70 }).await.expect("sent");
    assert!(matches!(
        hub.op().await.1,
        ClientOp::Announce { index: 0, .. }
    ));
    let kind = data::Payload::Postcard(0);
    let payload = (&b"\x46"[..]).into();
    assert_eq!(
        hub.heard().await,
        Some(Said::Reply {
            call: 11,
            kind,
            payload
        })
    );
    // The type of the reply was announced.
    hub.call(12, sub, data::Payload::Postcard(data::READERS_TYPE), &[8])
        .await;
    let call = within(calls.next()).await.expect("a call");
    call.reply(&Price { cents: 1 }).await.expect("sent");
    assert!(matches!(
        hub.heard().await,
        Some(Said::Reply { call: 12, .. })
    ));
}

#[tokio::test]
async fn declining_and_forgetting() {
    let (bus, mut hub) = Hub::start().await;
    let (mut calls, sub) = serving(&mut hub, &bus).await;
    for call in 1..=4 {
        hub.call(call, sub, data::Payload::Postcard(2), &[7]).await;
    }
    within(calls.next())
        .await
        .expect("a call")
        .decline("sold out");
    assert_eq!(declined(&mut hub).await, (1, "sold out".into()));
    drop(within(calls.next()).await);
    assert_eq!(declined(&mut hub).await.0, 2);
    // The last two were never looked at.
    let looked_at = within(calls.next()).await.expect("a call");
    drop(calls);
    assert_eq!(declined(&mut hub).await.0, 4);
    assert_eq!(hub.op().await.1, ClientOp::Unsubscribe { sub });
    drop(bus);
    // An answer that is being worked out keeps the connection.
    looked_at.reply(&Price { cents: 1 }).await.expect("sent");
    hub.op().await;
    assert!(matches!(
        hub.heard().await,
        Some(Said::Reply { call: 3, .. })
    ));
    assert_eq!(hub.heard().await, None);
}

#[tokio::test]
async fn a_call_of_another_type_is_declined() {
    let (bus, mut hub) = Hub::start().await;
    let (mut calls, sub) = serving(&mut hub, &bus).await;
    hub.call(1, sub, data::Payload::Bytes, b"?").await;
    hub.call(2, sub, data::Payload::Json, br#"{"id":9}"#).await;
    let call = within(calls.next()).await.expect("a call");
    assert_eq!(call.request(), &PriceOf { id: 9 });
    let (declined_call, reason) = declined(&mut hub).await;
    assert!(declined_call == 1 && reason.contains("PriceOf"), "{reason}");
}

#[tokio::test]
async fn calls_nobody_takes_are_declined() {
    let (bus, mut hub) = Hub::start().await;
    let (mut calls, sub) = serving(&mut hub, &bus).await;
    for call in 0..1025 {
        hub.call(call, sub, data::Payload::Postcard(2), &[7]).await;
    }
    assert_eq!(declined(&mut hub).await.0, 1024);
    hub.call(2000, sub + 1, data::Payload::Postcard(2), &[7])
        .await;
    assert_eq!(declined(&mut hub).await.0, 2000);
    drop(hub);
    for _ in 0..1024 {
        assert!(within(calls.next()).await.is_some());
    }
    assert!(within(calls.next()).await.is_none());
}

#[tokio::test]
async fn draining_lets_answers_out_and_questions_not() {
    let (bus, mut hub) = Hub::start().await;
    let (mut calls, sub) = serving(&mut hub, &bus).await;
    hub.call(1, sub, data::Payload::Postcard(2), &[7]).await;
    let call = within(calls.next()).await.expect("a call");
    let (drained, ()) = within(async {
        tokio::join!(bus.drain(Duration::from_secs(20)), async {
            let (r#ref, op) = hub.op().await;
            assert_eq!(op, ClientOp::Drain);
            let asked = bus.request(&PriceOf { id: 1 }).await;
            assert!(matches!(asked, Err(RequestError::NotSent(_))));
            call.reply(&Price { cents: 1 }).await.expect("sent");
            hub.op().await;
            assert!(matches!(
                hub.heard().await,
                Some(Said::Reply { call: 1, .. })
            ));
            hub.done(r#ref, 0).await;
        })
    })
    .await;
    assert_eq!(drained, Ok(()));
    assert!(within(calls.next()).await.is_none());
}
