//! What stands beside a payload: headers, a time to live, a trace, where it was kept.

use std::time::Duration;

use bytes::{BufMut, BytesMut};
use futures::StreamExt;
use ostler_bus::{
    Delivery, Event, Request, Slot, TypeSchema, WorkerId,
    client::{EmitError, Headers, RequestError, TraceContext},
    wire::{FrameType, data, flags, frame},
};

use crate::scripted::{Hub, Noted, OrderCreated, Price, PriceOf, order, within};

fn noted() -> Noted {
    Noted {
        text: "hello".into(),
    }
}

/// The next EMIT: its flags, topic, time to live, headers and payload.
async fn emitted(hub: &mut Hub) -> (u8, String, Option<u32>, Headers, Vec<u8>) {
    let frame = hub.raw().await;
    assert_eq!(frame.kind, FrameType::Emit as u8);
    let head = data::emit(&frame.body, frame.flags).expect("an EMIT");
    (
        frame.flags,
        String::from_utf8(head.topic.to_vec()).expect("text"),
        head.ttl_ms,
        Headers::parse(head.headers).expect("headers"),
        frame.body[head.payload_at..].to_vec(),
    )
}

#[tokio::test]
async fn headers_and_a_time_to_live_travel_with_an_event() {
    let (bus, mut hub) = Hub::start().await;
    let event = bus
        .event(&noted())
        .header("a", "1")
        .header("b", "ü")
        .header("a", "2")
        .ttl(Duration::from_millis(1500))
        .retained();
    event.send().await.expect("emitted");
    hub.op().await;
    let (flag, _, ttl, headers, payload) = emitted(&mut hub).await;
    let want = flags::HEADERS | flags::EXPIRES | flags::RETAIN;
    assert_eq!(flag & want, want);
    assert_eq!(ttl, Some(1500));
    assert_eq!(headers.iter().collect::<Vec<_>>(), [("b", "ü"), ("a", "2")]);
    assert_eq!(postcard::from_bytes(&payload), Ok(noted()));
    // Without any the frame is as it always was.
    bus.emit(&noted()).await.expect("emitted");
    let (flag, _, ttl, headers, _) = emitted(&mut hub).await;
    assert_eq!((flag, ttl, headers), (0, None, Headers::new()));
    let bad = bus.event(&noted()).header("Not A Name", "").send().await;
    assert!(
        matches!(&bad, Err(EmitError::BadHeader { reason, .. }) if reason.contains("Not A Name"))
    );
    let bad = bus.question(&PriceOf { id: 1 }).header("", "").ask().await;
    assert!(matches!(
        bad,
        Err(RequestError::NotSent(EmitError::BadHeader { .. }))
    ));
}

#[tokio::test]
async fn direct_messages_go_to_topics_of_their_own() {
    let (bus, mut hub) = Hub::start().await;
    bus.event(&noted())
        .to_worker(WorkerId(7))
        .send()
        .await
        .expect("emitted");
    hub.op().await;
    assert_eq!(emitted(&mut hub).await.1, "to.worker.7.orders.noted");
    let slot = Slot(2);
    bus.bytes("x", b"")
        .to_slot("web", slot)
        .send()
        .await
        .expect("emitted");
    assert_eq!(emitted(&mut hub).await.1, "to.slot.web.2.x");
    bus.json("x", &1)
        .to_app("web")
        .send()
        .await
        .expect("emitted");
    assert_eq!(emitted(&mut hub).await.1, "to.app.web.x");
    let bad = bus.json("x", &1).to_app("no app").send().await;
    assert!(matches!(bad, Err(EmitError::BadTopic(_))), "{bad:?}");
    let bad = bus
        .question(&PriceOf { id: 1 })
        .to_app("no app")
        .ask()
        .await;
    assert!(
        matches!(bad, Err(RequestError::NotSent(EmitError::BadTopic(_)))),
        "{bad:?}"
    );
}

#[tokio::test]
async fn forgetting_is_a_retained_nothing() {
    let (bus, mut hub) = Hub::start().await;
    bus.forget::<OrderCreated>().await.expect("emitted");
    let (flag, topic, _, _, payload) = emitted(&mut hub).await;
    assert!(flag & flags::RETAIN != 0);
    assert_eq!((&*topic, payload), (OrderCreated::TOPIC, vec![]));
}

#[tokio::test]
async fn readers_see_headers_and_where_an_event_comes_from() {
    let (bus, mut hub) = Hub::start().await;
    let subscribing = bus.subscribe::<OrderCreated>();
    let accepting = hub.accept(OrderCreated::TOPIC);
    let (orders, sub) = within(async { tokio::join!(subscribing, accepting) }).await;
    let mut orders = orders.expect("accepted");
    hub.introduce_orders().await;
    let mut headers = Headers::new();
    headers.insert("who", "me").expect("a header");
    let mut whole = BytesMut::new();
    let at = frame::begin(&mut whole, FrameType::Emit, flags::HEADERS | flags::EXPIRES);
    data::put_emit(&mut whole, data::Payload::Postcard(1), "", None);
    whole.put_u32(9);
    headers.put(&mut whole);
    whole.put_slice(&postcard::to_stdvec(&order(1)).expect("encodes"));
    frame::end(&mut whole, at);
    let kinds = [0, flags::RETAINED, flags::HISTORY, flags::REDELIVERED];
    for kind in kinds {
        hub.run(sub, 1, kind, &[whole.clone()]).await;
        let Some(Delivery::Event(event)) = within(orders.next()).await else {
            panic!("an event");
        };
        assert_eq!(
            (&event.event, event.headers()),
            (&order(1), headers.clone())
        );
        let is = [
            event.is_retained(),
            event.is_history(),
            event.is_redelivered(),
        ];
        assert_eq!(is, [1, 2, 3].map(|n| kinds[n] == kind));
        assert_eq!(event.trace(), None);
    }
}

#[tokio::test]
async fn a_trace_goes_from_event_to_question_to_answer() {
    let (bus, mut hub) = Hub::start().await;
    let trace = TraceContext::start();
    let emitting = async { bus.event(&noted()).send().await };
    trace.scope(emitting).await.expect("emitted");
    hub.op().await;
    let (.., headers, _) = emitted(&mut hub).await;
    assert_eq!(headers.get("traceparent"), Some(&*trace.to_string()));

    // Whoever handles a call with that header is the next step, and so is what it answers.
    let serving = bus.serve::<PriceOf>();
    let (calls, sub) = within(async { tokio::join!(serving, hub.accept(PriceOf::TOPIC)) }).await;
    let mut calls = calls.expect("serving");
    hub.introduce().await;
    hub.type_is(2, "", &TypeSchema::of::<PriceOf>()).await;
    let mut body = BytesMut::new();
    let kind = data::Payload::Postcard(2);
    data::put_call(&mut body, 5, 3, sub, 1000, kind, PriceOf::TOPIC);
    headers.put(&mut body);
    body.put_slice(&postcard::to_stdvec(&PriceOf { id: 1 }).expect("encodes"));
    hub.frame(FrameType::Call, flags::HEADERS, &body).await;
    let call = within(calls.next()).await.expect("a call");
    assert_eq!(call.request().id, 1);
    let step = call.trace().expect("a trace");
    assert_eq!(step.trace_id(), trace.trace_id());
    assert_ne!(step.span_id(), trace.span_id());
    let mut own = Headers::new();
    own.insert("cached", "no").expect("a header");
    let answering = call.reply_with(&Price { cents: 3 }, own);
    within(step.scope(answering)).await.expect("answered");
    hub.op().await;
    let reply = hub.raw().await;
    assert_eq!(
        (reply.kind, reply.flags),
        (FrameType::Reply as u8, flags::HEADERS)
    );
    let head = data::reply(&reply.body, reply.flags).expect("a REPLY");
    let headers = Headers::parse(head.headers).expect("headers");
    assert_eq!(headers.get("cached"), Some("no"));
    assert_eq!(headers.get("traceparent"), Some(&*step.to_string()));
}

#[tokio::test]
async fn a_question_and_its_answer_have_headers() {
    let (bus, mut hub) = Hub::start().await;
    let asking = async {
        let question = bus.question(&PriceOf { id: 1 }).header("a", "1");
        question.to_worker(WorkerId(3)).ask().await
    };
    let answering = async {
        hub.op().await;
        hub.op().await;
        let frame = hub.raw().await;
        let head = data::request(&frame.body, frame.flags).expect("a REQUEST");
        assert_eq!(head.topic, b"to.worker.3.orders.price");
        assert_eq!(head.limit, None);
        let headers = Headers::parse(head.headers).expect("headers");
        assert_eq!(headers.get("a"), Some("1"));
        hub.introduce().await;
        let mut body = BytesMut::new();
        let kind = data::Payload::Postcard(data::READERS_TYPE);
        data::put_answer(&mut body, head.r#ref, 3, kind);
        headers.put(&mut body);
        body.put_slice(&postcard::to_stdvec(&Price { cents: 3 }).expect("encodes"));
        hub.frame(FrameType::Answer, flags::HEADERS, &body).await;
    };
    let (answer, ()) = within(async { tokio::join!(asking, answering) }).await;
    let answer = answer.expect("an answer");
    assert_eq!(answer.reply, Price { cents: 3 });
    assert_eq!(answer.headers().get("a"), Some("1"));
    assert_eq!(*answer.origin, crate::scripted::publisher());
}
