//! What a subscription hears: once, in order, from when it stands to when it is dropped.

use super::*;

#[tokio::test]
async fn star_hears_every_topic() {
    let fleet = Fleet::ready(PROGRAMS.sdk(1), 1).await;
    let mut star = fleet.hear_raw("*").await;
    let mut all = fleet.hear_raw(">").await;
    let other = client(&fleet, "other").await;
    for topic in ["a", "a.b", "a.b.c.d-e_f", "to.worker.99.hint"] {
        other.emit_json(topic, &topic).await.unwrap();
    }
    // A worker's `_sys` requests, and its drain, are among what happens now.
    fleet.ostler(["scale", "2"]).success().await;
    fleet.ostler(["scale", "1"]).success().await;
    other.emit_json("barrier", &()).await.unwrap();
    let heard = star.up_to("barrier").await;
    assert_eq!(heard, all.up_to("barrier").await);
    let count = |topic: &str| heard.iter().filter(|(heard, _)| heard == topic).count();
    for topic in [
        "a",
        "a.b",
        "a.b.c.d-e_f",
        "to.worker.99.hint",
        "worker.spawned",
        "worker.ready",
    ] {
        assert_eq!(count(topic), 1, "{topic}: {heard:?}");
    }
    assert!(
        heard.iter().all(|(topic, _)| !topic.starts_with('_')),
        "{heard:?}"
    );
}

#[tokio::test]
async fn named_and_star_subscription_each_get_it_once() {
    let fleet = quiet().await;
    let mut named = fleet.hear_raw("a.b").await;
    let mut star = fleet.hear_raw("*").await;
    let mut pattern = fleet.hear_raw("a.*").await;
    assert_eq!(
        client(&fleet, "other").await.json("a.b", &7).acked().await,
        Ok(3)
    );
    fleet.bus.emit_json("a.b", &8).await.unwrap();
    for heard in [&mut named, &mut star, &mut pattern] {
        for number in [7, 8] {
            assert_eq!(
                heard.next().await.event.to_json().unwrap(),
                number.to_string()
            );
        }
    }
}

#[tokio::test]
async fn emitter_hears_itself_once() {
    let fleet = Fleet::ready(PROGRAMS.sdk_pair(), 2).await;
    fleet.get("left", "/note/mine").await;
    fleet.get("right", "/note/theirs").await;
    fleet.bus.emit(&Note::new("last", 0)).await.unwrap();
    let said = |app: &str| {
        let lines = fleet.process.stdout.all();
        let prefix = format!("{app}.0 | heard ");
        let heard = lines.iter().filter_map(|line| line.strip_prefix(&prefix));
        let text = |line: &str| line.split('"').nth(3).map(str::to_owned);
        heard.filter_map(text).collect::<Vec<_>>()
    };
    for app in ["left", "right"] {
        fleet
            .said(format!("{app}.0 | heard {{\"text\":\"last\""))
            .await;
        assert_eq!(said(app), ["mine", "theirs", "last"]);
    }
}

#[tokio::test]
async fn every_subscriber_sees_one_order() {
    const EACH: u64 = 300;
    let fleet = quiet().await;
    let mut readers = Vec::new();
    for reader in 0..4 {
        let bus = client(&fleet, &format!("reader{reader}")).await;
        readers.push(Heard::raw(&bus, "order.>").await);
    }
    let mut writers = Vec::new();
    for writer in 0..4 {
        let bus = client(&fleet, &format!("writer{writer}")).await;
        writers.push(tokio::spawn(async move {
            for number in 0..EACH {
                bus.emit_json(&format!("order.w{writer}"), &number)
                    .await
                    .unwrap();
                if number % 50 == 0 {
                    tokio::task::yield_now().await;
                }
            }
            bus.drain(PATIENCE).await.unwrap();
        }));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    fleet.bus.emit_json("order.end", &()).await.unwrap();
    let first = readers[0].up_to("order.end").await;
    assert_eq!(first.len() as u64, 4 * EACH);
    for reader in &mut readers[1..] {
        assert_eq!(reader.up_to("order.end").await, first);
    }
}

#[tokio::test]
async fn subscription_is_active_when_subscribe_returns() {
    let fleet = quiet().await;
    let (reader, writer) = (
        client(&fleet, "reader").await,
        client(&fleet, "writer").await,
    );
    for round in 0..200_u64 {
        let mut heard = Heard::raw(&reader, "round").await;
        assert_eq!(
            writer.json("round", &round).acked().await,
            Ok(1),
            "round {round}"
        );
        assert_eq!(
            heard.next().await.event.to_json().unwrap(),
            round.to_string()
        );
        drop(heard);
        assert_eq!(
            reader.json("round", &round).acked().await,
            Ok(0),
            "round {round}"
        );
    }
}

#[tokio::test]
async fn dropped_subscription_hears_nothing_more() {
    let fleet = quiet().await;
    let kept = fleet.hear_raw("x").await;
    let dropped = fleet.hear_raw("x").await;
    assert_eq!(fleet.bus.json("x", &1).acked().await, Ok(2));
    drop(dropped);
    assert_eq!(fleet.bus.json("x", &2).acked().await, Ok(1));
    drop(kept);
    assert_eq!(fleet.bus.json("x", &3).acked().await, Ok(0));
}

/// Until an event on `topic` matches nothing: the hub hears of an end as soon as it looks.
async fn nobody_hears(fleet: &Fleet, topic: &str) {
    let nobody = async { while fleet.bus.json(topic, &()).acked().await != Ok(0) {} };
    deadline("the last subscription to go", PATIENCE, nobody).await;
}

#[tokio::test]
async fn dropped_client_leaves_no_subscription() {
    let fleet = quiet().await;
    let other = client(&fleet, "other").await;
    let heard = (Heard::raw(&other, "x").await, Heard::raw(&other, "x").await);
    assert_eq!(fleet.bus.json("x", &1).acked().await, Ok(2));
    drop((other, heard));
    nobody_hears(&fleet, "x").await;
    let tail = tail(&fleet, "y", "y").await;
    tail.signal(Signal::KILL);
    nobody_hears(&fleet, "y").await;
}

#[tokio::test]
async fn acked_emit_tells_how_many_matched() {
    let fleet = quiet().await;
    assert_eq!(fleet.bus.emit_acked(&rich()).await, Ok(0));
    let _one = fleet.hear::<Note>().await;
    assert_eq!(fleet.bus.emit_acked(&rich()).await, Ok(1));
    let other = client(&fleet, "other").await;
    let _two = (
        Heard::raw(&other, "tests.*").await,
        Heard::raw(&other, ">").await,
    );
    assert_eq!(fleet.bus.emit_acked(&rich()).await, Ok(3));
    let note = fleet.ostler(["emit", "nobody.hears", "1"]).success().await;
    assert!(
        !note.stderr.contains("nobody"),
        "the other's > does: {note:?}"
    );
}
