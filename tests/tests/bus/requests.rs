//! Requests and their answers.

use super::*;

#[tokio::test]
async fn request_is_answered_to_its_asker() {
    let fleet = answering("answer", 1).await;
    let mut heard = fleet.hear_raw(">").await;
    let asker = client(&fleet, "asker").await;
    let answer = asker.request(&Double { number: 21 }).await.unwrap();
    assert_eq!((answer.number, answer.slot), (42, 0));
    fleet
        .said(format!(
            "asked by {{\"Client\":{{\"name\":\"asker\",\"conn\":{}}}}}",
            asker.conn()
        ))
        .await;
    let request = fleet.ostler(["request", "tests.double", "{\"number\":4294967295}"]);
    let reply = request.success().await;
    assert_eq!(
        reply.json(),
        json!({ "number": 8_589_934_590_u64, "slot": 0 })
    );
    fleet.bus.emit_json("barrier", &()).await.unwrap();
    assert_eq!(heard.up_to("barrier").await, []);
}

#[tokio::test]
async fn request_without_responder_says_so() {
    let fleet = quiet().await;
    let asked = fleet.bus.request(&Double { number: 1 }).await;
    assert!(
        matches!(asked, Err(RequestError::NoResponders { .. })),
        "{asked:?}"
    );
    let request = fleet.ostler(["request", "tests.double", "{\"number\":1}"]);
    request
        .stderr_contains("nobody answers")
        .fails_with(4)
        .await;
}

#[tokio::test]
async fn request_times_out_and_leaves_nothing() {
    let fleet = answering("silent", 1).await;
    let wait = Duration::from_millis(300);
    for _ in 0..3 {
        let asked = fleet.bus.request_within(&Double { number: 1 }, wait).await;
        assert!(
            matches!(asked, Err(RequestError::TimedOut { .. })),
            "{asked:?}"
        );
    }
    // Whoever should have answered goes: what it owes is told as declined, what timed out before is not told twice.
    let asked = fleet.bus.request_within(&Double { number: 2 }, PATIENCE);
    let (asked, stopped) = tokio::join!(asked, async {
        let four = || (fleet.process.stdout.text().matches("asked by").count() == 4).then_some(());
        eventually("the fourth question", PATIENCE, four).await;
        fleet.ostler(["stop"]).success().await
    });
    assert!(
        matches!(asked, Err(RequestError::Declined { .. })),
        "{asked:?} {stopped:?}"
    );
    assert!(fleet.bus.request(&MasterStatus::default()).await.is_ok());
}
