//! Events from everyone reach everyone, as they were sent.

use super::*;

#[tokio::test]
async fn event_from_a_worker_reaches_workers_and_clients() {
    let fleet = Fleet::ready(PROGRAMS.sdk_pair(), 2).await;
    let mut typed = fleet.hear::<Note>().await;
    let mut tail = tail(&fleet, "tests.>", "tests.probe").await;
    // Two subscriptions in each of two workers, this one, and the tail.
    assert_eq!(fleet.get("left", "/note/hello").await["ok"], 6);
    assert_eq!(typed.next().await.event, Note::new("hello", 0));
    for app in ["left", "right"] {
        fleet
            .said(format!("{app}.0 | heard {{\"text\":\"hello\""))
            .await;
    }
    let shown = shown(&mut tail, "tests.note").await;
    assert_eq!(shown["payload"], json!(Note::new("hello", 0)));
    assert_eq!(shown["origin"]["Worker"]["app"], "left");
}

#[tokio::test]
async fn event_from_the_command_line_reaches_workers() {
    let fleet = Fleet::ready(PROGRAMS.sdk_pair(), 2).await;
    let payload = serde_json::to_string(&rich()).unwrap();
    fleet
        .ostler(["emit", "tests.note", &payload])
        .success()
        .await;
    for app in ["left", "right"] {
        let heard = fleet.said(format!("{app}.0 | heard")).await;
        assert!(
            heard.contains(&payload) && heard.contains("\"name\":\"cli\""),
            "{heard}"
        );
    }
}

#[tokio::test]
async fn json_from_the_command_line_reaches_a_typed_subscriber() {
    let fleet = quiet().await;
    let mut notes = fleet.hear::<Note>().await;
    let payload = serde_json::to_string(&rich()).unwrap();
    fleet
        .ostler(["emit", "tests.note", &payload])
        .success()
        .await;
    assert_eq!(notes.next().await.event, rich());
    // And back: what was written as a type is shown as the JSON that serde_json makes of it.
    let mut wait = fleet.ostler(["wait", "tests.note"]).start();
    let heard = async { while fleet.bus.emit_acked(&rich()).await != Ok(2) {} };
    deadline("two readers", PATIENCE, heard).await;
    let shown = shown(&mut wait, "tests.note").await;
    assert_eq!(shown["payload"].to_string(), json!(rich()).to_string());
}

#[tokio::test]
async fn json_typed_and_bytes_payloads_arrive_as_sent() {
    let fleet = quiet().await;
    let other = client(&fleet, "other").await;
    let mut heard = fleet.hear_raw(">").await;
    let json = "{ \"b\" : 1.50,\"a\":[ ] }";
    other.json_text("as.json", json).send().await.unwrap();
    other.emit(&rich()).await.unwrap();
    other
        .emit_bytes("as.bytes", vec![0, 255, b'\n'])
        .await
        .unwrap();
    let Payload::Json(text) = heard.next().await.event else {
        panic!("not JSON");
    };
    assert_eq!(text, json.as_bytes());
    let typed = heard.next().await.event;
    let Payload::Postcard { bytes, schema } = &typed else {
        panic!("not a type: {typed:?}");
    };
    assert_eq!(*schema, ostler_bus::TypeSchema::of::<Note>());
    assert_eq!(bytes[..6], b"\x12gr\xc3\xbc\xc3"[..6]);
    assert_eq!(
        typed.to_json().unwrap(),
        serde_json::to_string(&rich()).unwrap()
    );
    let bytes = heard.next().await.event;
    assert!(
        matches!(&bytes, Payload::Bytes(b) if b[..] == [0, 255, b'\n']),
        "{bytes:?}"
    );
}

#[tokio::test]
async fn lifecycle_events_reach_workers() {
    let fleet = Fleet::ready(PROGRAMS.sdk_pair(), 2).await;
    fleet.ostler(["scale", "right", "2"]).success().await;
    fleet.ostler(["reload", "right"]).success().await;
    fleet.ostler(["stop", "right"]).success().await;
    let topics = [
        "app.resized",
        "worker.spawned",
        "worker.online",
        "worker.ready",
        "update.started",
        "update.progress",
        "worker.draining",
        "worker.exited",
        "update.finished",
    ];
    for topic in topics {
        let star = format!("left.0 | star {topic}");
        fleet.said(move |line: &str| line == star).await;
    }
}
