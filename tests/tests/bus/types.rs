//! Types, JSON, and values that are retained.

use super::*;

#[tokio::test]
async fn late_subscriber_gets_the_retained_value() {
    let fleet = quiet().await;
    for number in [1, 2] {
        fleet
            .bus
            .event(&Note::new("kept", number))
            .retained()
            .acked()
            .await
            .unwrap();
    }
    let mut late = Heard::<Note>::on(&client(&fleet, "late").await).await;
    let kept = late.next().await;
    assert_eq!((kept.event.number, kept.is_retained()), (2, true));
    fleet.bus.emit(&Note::new("live", 3)).await.unwrap();
    let live = late.next().await;
    assert_eq!((live.event.number, live.is_retained()), (3, false));
}

/// Another type on the topic of [`Note`].
#[derive(Debug, Serialize, Deserialize, Event)]
#[event(topic = "tests.note")]
struct Stranger {
    number: String,
}

#[tokio::test]
async fn second_type_on_a_topic_is_told_with_both_spelled_out() {
    let fleet = quiet().await;
    let other = client(&fleet, "other").await;
    let mut reader = fleet.hear::<Note>().await;
    let mut raw = fleet.hear_raw("tests.note").await;
    fleet.bus.emit_acked(&rich()).await.unwrap();
    assert_eq!(reader.next().await.event, rich());
    let emitted = other
        .emit_acked(&Stranger {
            number: "one".into(),
        })
        .await;
    let told = match emitted {
        Err(error) => error.to_string(),
        Ok(_) => match reader.delivery().await {
            Delivery::Misfit { reason, missed, .. } => format!("{missed}: {reason}"),
            other => panic!("{other:?}"),
        },
    };
    assert!(told.contains("Stranger") && told.contains("Note"), "{told}");
    fleet.bus.emit(&Note::new("still there", 1)).await.unwrap();
    assert_eq!(reader.next().await.event.text, "still there");
    assert_eq!(
        raw.next().await.event.to_json().unwrap(),
        serde_json::to_string(&rich()).unwrap()
    );
}

#[tokio::test]
async fn json_client_exchanges_events_with_typed_ones() {
    let fleet = answering("answer", 1).await;
    let mut notes = fleet.hear::<Note>().await;
    let mut peer = Peer::client(fleet.socket()).await;
    let subscribe = json!({ "Subscribe": { "sub": 1, "pattern": "tests.note", "reader": null, "options": {} } });
    let done = peer.control(1, &subscribe).await;
    assert!(done.get("Done").is_some(), "{done}");
    fleet.bus.emit(&rich()).await.unwrap();
    let event = peer.next_of(kind::RUN).await;
    assert_eq!(
        (&event["payload"], &event["topic"]),
        (&json!(rich()), &json!("tests.note"))
    );
    assert_eq!(notes.next().await.event, rich());
    let emit = json!({ "topic": "tests.note", "payload": rich(), "ref": 2 });
    peer.send(kind::EMIT, 2, &emit).await;
    assert_eq!(notes.next().await.event, rich());
    let request = json!({ "ref": 3, "topic": "tests.double", "payload": { "number": 4 } });
    peer.send(kind::REQUEST, 0, &request).await;
    let answer = peer.next_of(kind::ANSWER).await;
    assert_eq!(
        (&answer["ref"], &answer["payload"]["number"]),
        (&json!(3), &json!(8))
    );
}
