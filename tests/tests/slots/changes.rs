//! Slots that come and go with connections waiting, and sockets that are broken, spread otherwise, or left.

use std::time::Duration;

use ostler_bus::vocab::update::ConnectionsLost;

use super::*;

/// The worker of slot 1 stands still with connections waiting, and then the app is made smaller: they are in no worker's hands.
pub(super) async fn left_over() -> (Fleet, Vec<JoinHandle<String>>) {
    // Any other signal would wake it.
    let app = web(2, "slot").set("kill_ladder", json!(["KILL"]));
    let fleet = ready(&app, 2).await;
    let address = fleet.address().await;
    let stopped = fleet.worker("web", 1).await;
    stop(&stopped).await;
    let mut answers = Vec::new();
    while waiting(&fleet.status().await, 1) < 2 {
        answers.push(knock(address).await);
    }
    (fleet, answers)
}

#[tokio::test]
async fn what_waits_for_a_slot_that_goes_is_served_if_it_comes_back() {
    let (fleet, answers) = left_over().await;
    fleet.ostler(["scale", "1"]).success().await;
    fleet.until_ready(1).await;
    let status = fleet.status().await;
    assert_eq!(sockets(&status).len(), 2, "it is kept for what waits");
    assert_eq!(left_out(&status, 1), Some("the app has fewer workers now"));
    let load = fleet.load_with(to(fleet.address().await, "/").requests(100));
    assert_eq!(load.await.finish().await.lost(), 0);
    fleet.ostler(["scale", "2"]).success().await;
    answered(answers).await;
}

#[tokio::test]
async fn what_nobody_comes_back_for_is_closed_counted_and_told() {
    let (fleet, answers) = left_over().await;
    let mut lost = fleet.hear::<ConnectionsLost>().await;
    let waited = waiting(&fleet.status().await, 1);
    fleet.ostler(["scale", "1"]).success().await;
    let told = lost.next().await.event;
    assert_eq!((told.app.as_str(), told.slot.0), ("web", 1));
    assert_eq!((told.socket.as_str(), told.connections), ("http", waited));
    fleet
        .logged("connections waited at its socket \"http\"")
        .await;
    let one = |status: &StatusReport| sockets(status).len() == 1;
    fleet.until("the socket to be gone", one).await;
    drop(answers);
}

/// Each from when it goes: the second has not used up its time when the first one's is over.
#[tokio::test]
async fn what_waits_for_a_slot_is_kept_for_ten_seconds_whoever_went_before() {
    // Any other signal would wake them.
    let app = web(3, "slot").set("kill_ladder", json!(["KILL"]));
    let fleet = ready(&app, 3).await;
    let mut lost = fleet.hear::<ConnectionsLost>().await;
    let address = fleet.address().await;
    for slot in [1, 2] {
        stop(&fleet.worker("web", slot).await).await;
    }
    let mut answers = Vec::new();
    let both = |status: &StatusReport| [1, 2].map(|slot| waiting(status, slot) > 0);
    while both(&fleet.status().await) != [true; 2] {
        answers.push(knock(address).await);
    }
    fleet.ostler(["scale", "2"]).success().await;
    let none = tokio::time::timeout(Duration::from_secs(5), lost.next()).await;
    assert!(none.is_err(), "it is kept");
    fleet.ostler(["scale", "1"]).success().await;
    assert_eq!(lost.next().await.event.slot.0, 2);
    let none = tokio::time::timeout(Duration::from_secs(3), lost.next()).await;
    assert!(none.is_err(), "the other is kept");
    assert_eq!(lost.next().await.event.slot.0, 1);
    drop(answers);
}

/// The first rung leaves no time for clients anywhere to be waited for to the end.
#[tokio::test]
async fn nobody_is_said_to_wait_for_a_slot_that_goes_if_nobody_does() {
    let socket = json!({"address": "0.0.0.0:0", "mode": "slot"});
    let app = web(2, "slot")
        .set("listen", json!({ "http": socket }))
        .set("kill_ladder", json!(["TERM:500ms", "KILL"]));
    let fleet = ready(&app, 2).await;
    fleet.ostler(["scale", "1"]).success().await;
    fleet.logged("its socket \"http\" is closed").await;
    let log = fleet.process.stderr.text();
    assert!(!log.contains("still wait"), "{log}");
}

#[tokio::test]
async fn what_waits_for_all_slots_of_an_app_that_goes_is_counted_and_told() {
    for left_out_of_the_file in [false, true] {
        // Any other signal would wake them.
        let app = web(3, "slot").set("kill_ladder", json!(["KILL"]));
        let fleet = ready(&app, 3).await;
        let mut lost = fleet.hear::<ConnectionsLost>().await;
        let address = fleet.address().await;
        for slot in 0..3 {
            stop(&fleet.worker("web", slot).await).await;
        }
        let mut answers = Vec::new();
        let waited = loop {
            answers.push(knock(address).await);
            let status = fleet.status().await;
            let waited = [0, 1, 2].map(|slot| waiting(&status, slot));
            if !waited.contains(&0) {
                break waited;
            }
        };
        assert_eq!(waited.iter().sum::<u32>(), answers.len() as u32);
        match left_out_of_the_file {
            false => fleet.ostler(["delete", "web"]).success().await,
            true => {
                fleet.rewrite(&[ostler_tests::habit!("other", "notify 0 http version")]);
                fleet.ostler(["reload", "--config"]).success().await
            }
        };
        let mut told = [0; 3];
        for _ in 0..3 {
            let event = lost.next().await.event;
            assert_eq!((event.app.as_str(), event.socket.as_str()), ("web", "http"));
            told[event.slot.0 as usize] += event.connections;
        }
        assert_eq!(told, waited);
        fleet
            .logged("connections waited at its socket \"http\"")
            .await;
    }
}

/// The one is mended in place and is served on; the kernel has it in another place then.
#[tokio::test]
async fn a_socket_that_a_worker_shuts_down_is_opened_again_and_chosen_from() {
    let shuts = "[ \"$OSTLER_SLOT\" = 0 ] && [ ! -e shut ] && touch shut && exec \"$MISBEHAVE\" notify 0 shut-listener\n\
                 exec \"$MISBEHAVE\" notify 0 http version";
    let app = web(3, "slot")
        .set("command", json!(["sh", "worker.sh"]))
        .set("env", json!({"MISBEHAVE": env!("CARGO_BIN_EXE_misbehave")}));
    let fleet = Fleet::ready(master(&app).with("worker.sh", shuts), 3).await;
    fleet.logged("it listens again").await;
    signal(&fleet.worker("web", 0).await, Signal::KILL);
    fleet.until_ready(3).await;
    // Whoever is left out is left out by its new place.
    for slot in 0..3 {
        fleet
            .ostler(["stop", &format!("web:{slot}")])
            .success()
            .await;
        let others = move |status: &StatusReport| {
            (0..3).all(|other| left_out(status, other).is_some() == (other == slot))
        };
        fleet.until("it to be left out", others).await;
        let plan = to(fleet.address().await, "/").by_field("slot").requests(60);
        let tally = fleet.load_with(plan).await.finish().await;
        assert_eq!(tally.lost(), 0, "{tally}");
        assert!(!tally.by.contains_key(&slot.to_string()), "{tally}");
        assert_eq!(tally.by.len(), 2, "{tally}");
        fleet
            .ostler(["start", &format!("web:{slot}")])
            .success()
            .await;
        fleet.until_ready(3).await;
    }
}

#[tokio::test]
async fn a_changed_file_has_clients_spread_otherwise() {
    let at = |mode: &str| {
        let socket = json!({"address": "127.0.0.1:0", "mode": mode});
        web(2, mode).set("listen", json!({ "http": socket }))
    };
    let fleet = ready(&at("slot"), 2).await;
    let address = fleet.address().await;
    for mode in ["sticky", "slot"] {
        fleet.rewrite(&[at(mode)]);
        fleet.ostler(["reload", "--config"]).success().await;
        let so = |status: &StatusReport| {
            let buckets = share(status, 0).and_then(|share| share.buckets);
            sockets(status)[0].mode == mode && buckets.is_some() == (mode == "sticky")
        };
        fleet.until("it to be spread so", so).await;
        let plan = to(address, "/").by_field("slot").requests(60);
        let tally = fleet.load_with(plan).await.finish().await;
        let slots = if mode == "sticky" { 1 } else { 2 };
        assert_eq!((tally.lost(), tally.by.len()), (0, slots), "{tally}");
    }
    // One socket can't become several.
    fleet.rewrite(&[at("shared")]);
    let refused = fleet.ostler(["reload", "--config"]).fails_with(1).await;
    assert!(refused.stderr.contains("bound"), "{}", refused.stderr);
}

#[tokio::test]
async fn workers_that_are_let_go_of_keep_their_sockets() {
    for mode in ["slot", "sticky"] {
        let fleet = ready(&web(2, mode), 2).await;
        let address = fleet.address().await;
        let workers = fleet.until_ready(2).await;
        fleet
            .ostler(["delete", "web", "--keep-running"])
            .success()
            .await;
        assert!(fleet.status().await.apps.is_empty());
        let tally = fleet.load_with(to(address, "/").requests(50)).await;
        assert_eq!(tally.finish().await.lost(), 0, "{mode}");
        for worker in &workers {
            signal(worker, Signal::KILL);
        }
    }
}

#[tokio::test]
async fn an_app_that_is_stopped_has_who_connects_wait_until_it_is_started() {
    for mode in ["slot", "sticky"] {
        let fleet = ready(&web(2, mode), 2).await;
        let address = fleet.address().await;
        fleet.ostler(["stop", "web"]).success().await;
        let mut answers = Vec::new();
        // The kernel hears of the last slot that went a moment after whoever said `stop`: until then all come to that one.
        let spread = async {
            for client in 0..=u8::MAX {
                answers.push(knock_from([127, 0, client, 9], address).await);
                let status = fleet.status().await;
                if client >= 20 && (0..2).all(|slot| waiting(&status, slot) > 0) {
                    break;
                }
            }
        };
        deadline("clients to wait at both slots", PATIENCE, spread).await;
        fleet.ostler(["start", "web"]).success().await;
        let mut slots = answered(answers).await;
        slots.sort_unstable();
        slots.dedup();
        assert_eq!(slots, [0, 1], "{mode}");
    }
}
