//! One question to all who serve a topic.

use std::time::Duration;

use futures::{FutureExt, StreamExt};
use ostler_bus::{
    Bus,
    client::{Answers, Disconnected, RequestError},
    wire::{control::RefusalKind, data, flags},
};

use crate::scripted::{Hub, LIVELY, Price, PriceOf, eager, returning, within};

/// Asks all; the reference and limit the hub heard.
async fn asked(bus: &Bus, hub: &mut Hub, limit: u32) -> (Answers<PriceOf>, u64) {
    let question = bus
        .request_many(&PriceOf { id: 1 })
        .to_app("web")
        .limit(limit);
    let answers = within(question.timeout(Duration::from_secs(60)).ask()).await;
    let frame = loop {
        let frame = hub.raw().await;
        if frame.kind == ostler_bus::wire::FrameType::Request as u8 {
            break frame;
        }
    };
    assert_eq!(frame.flags & flags::MANY, flags::MANY);
    let head = data::request(&frame.body, frame.flags).expect("a REQUEST");
    assert_eq!(head.topic, b"to.app.web.orders.price");
    assert_eq!((head.limit, head.timeout_ms), (Some(limit), 60_000));
    (answers.expect("asked"), head.r#ref)
}

async fn answer(hub: &mut Hub, r#ref: u64, cents: u32) {
    let payload = postcard::to_stdvec(&Price { cents }).expect("encodes");
    let kind = data::Payload::Postcard(data::READERS_TYPE);
    hub.answer(r#ref, kind, &payload).await;
}

#[tokio::test]
async fn answers_come_one_by_one_until_there_are_no_more() {
    let (bus, mut hub) = Hub::start().await;
    let (mut answers, r#ref) = asked(&bus, &mut hub, 0).await;
    hub.introduce().await;
    assert!(answers.next().now_or_never().is_none());
    answer(&mut hub, r#ref, 1).await;
    let first = within(answers.next())
        .await
        .expect("one")
        .expect("an answer");
    assert_eq!(
        (first.reply.cents, &*first.origin),
        (1, &crate::scripted::publisher())
    );
    // One that can't be read is one answer's misfortune.
    hub.answer(r#ref, data::Payload::Json, br#"{"cents":"many"}"#)
        .await;
    answer(&mut hub, r#ref, 2).await;
    hub.done(r#ref, 3).await;
    assert!(matches!(
        within(answers.next()).await,
        Some(Err(RequestError::Misfit { .. }))
    ));
    assert!(matches!(within(answers.next()).await, Some(Ok(second)) if second.reply.cents == 2));
    assert!(within(answers.next()).await.is_none());
    assert!(within(StreamExt::next(&mut answers)).await.is_none());
    // Late ones are nobody's.
    answer(&mut hub, r#ref, 4).await;
    let (answers, r#ref) = asked(&bus, &mut hub, 2).await;
    answer(&mut hub, r#ref, 5).await;
    answer(&mut hub, r#ref, 6).await;
    hub.done(r#ref, 2).await;
    let all = within(answers.all()).await.expect("all of them");
    assert_eq!(
        all.iter().map(|a| a.reply.cents).collect::<Vec<_>>(),
        [5, 6]
    );
}

#[tokio::test]
async fn why_there_are_none_is_told() {
    let (bus, mut hub, _door) = returning(eager()).await;
    let (mut answers, r#ref) = asked(&bus, &mut hub, 0).await;
    hub.refuse(r#ref, RefusalKind::NoResponders, "nobody serves it")
        .await;
    let none = within(answers.next()).await;
    assert!(
        matches!(none, Some(Err(RequestError::NoResponders { .. }))),
        "{none:?}"
    );
    assert!(within(answers.next()).await.is_none());

    let (mut answers, r#ref) = asked(&bus, &mut hub, 0).await;
    hub.introduce().await;
    answer(&mut hub, r#ref, 1).await;
    drop(hub);
    assert!(matches!(within(answers.next()).await, Some(Ok(_))));
    let lost = within(answers.next()).await;
    assert!(
        matches!(
            lost,
            Some(Err(RequestError::Disconnected(Disconnected::Lost { .. })))
        ),
        "{lost:?}"
    );
    assert!(within(answers.next()).await.is_none());
}

#[tokio::test]
async fn a_hub_that_says_nothing_is_not_waited_for() {
    let (bus, _hub) = Hub::start().await;
    let question = bus.request_many(&PriceOf { id: 1 });
    let answers = question.timeout(Duration::from_millis(1)).ask().await;
    let late = within(answers.expect("asked").next()).await;
    assert!(
        matches!(late, Some(Err(RequestError::TimedOut { .. }))),
        "{late:?}"
    );
}

#[tokio::test]
async fn a_question_that_waits_is_asked_on_the_next_connection() {
    let (bus, hub, mut door) = returning(eager()).await;
    drop(hub);
    let mut state = bus.state();
    within(state.changed()).await.expect("a state");
    let answering = async {
        let (mut hub, _) = door.welcome(LIVELY).await;
        let (answers, r#ref) = asked(&bus, &mut hub, 0).await;
        hub.introduce().await;
        answer(&mut hub, r#ref, 1).await;
        hub.done(r#ref, 1).await;
        within(answers.all()).await.expect("all of them").len()
    };
    assert_eq!(answering.await, 1);
}

#[tokio::test]
async fn more_than_wait_at_once_are_counted() {
    let (bus, mut hub) = Hub::start().await;
    let (mut answers, r#ref) = asked(&bus, &mut hub, 0).await;
    hub.introduce().await;
    for cents in 0..4100 {
        answer(&mut hub, r#ref, cents).await;
    }
    hub.done(r#ref, 4100).await;
    // It has heard that once this is answered.
    let subscribing = bus.subscribe_raw("settle");
    let (settled, _) = within(async { tokio::join!(subscribing, hub.accept("settle")) }).await;
    settled.expect("accepted");
    for cents in 0..4096 {
        let next = within(answers.next()).await;
        assert!(matches!(next, Some(Ok(answer)) if answer.reply.cents == cents));
    }
    match within(answers.next()).await {
        Some(Err(RequestError::Refused { refusal, .. })) => {
            assert!(
                refusal.reason.starts_with("4 more answers"),
                "{}",
                refusal.reason
            );
        }
        other => panic!("{other:?}"),
    }
    assert!(within(answers.next()).await.is_none());
}
