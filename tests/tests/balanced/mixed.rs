//! Workers that take connections from the master beside others that accept for themselves.

use ostler_tests::load::LoadHandle;

use super::*;

const SDK: &str = "exec \"$SDK_WORKER\" version";
const OWN: &str = "exec \"$MISBEHAVE\" notify 0 http version";

/// Three workers of one kind, and an update to another that is rolled back because the last of them fails. Which kind a worker is of depends on its
/// generation alone, also if it comes again.
async fn rolled_back(socket: Value, from: &str, to: &str) -> (Fleet, LoadHandle) {
    let app = sdk(3, socket)
        .set("command", json!(["sh", "worker.sh"]))
        .set("min_healthy", "100ms")
        .set("on_failure", "rollback")
        .set(
            "env",
            json!({
                "MISBEHAVE": env!("CARGO_BIN_EXE_misbehave"),
                "SDK_WORKER": env!("CARGO_BIN_EXE_sdk_worker"),
            }),
        );
    let script =
        format!("case $OSTLER_GENERATION$OSTLER_SLOT in 22) exit 7;; 2?) {to};; esac\n{from}");
    let fleet = Fleet::ready(master(&app).with("worker.sh", &script), 3).await;
    let plan = super::to(fleet.address().await, "/");
    let load = fleet.load_with(plan).await;
    load.answers(40, PATIENCE).await.expect("answers");
    let reload = fleet.ostler(["reload"]).fails_with(1).await;
    assert!(reload.stderr.contains("rolled back"), "{}", reload.stderr);
    load.answers(40, PATIENCE).await.expect("answers");
    (fleet, load)
}

/// The status, of a moment after this was called.
async fn later(fleet: &Fleet) -> StatusReport {
    let now = fleet.status().await.master.uptime;
    let later = move |status: &StatusReport| status.master.uptime > now;
    fleet.until("a later status", later).await
}

async fn nothing_is_lost(load: LoadHandle) {
    let tally = load.stop().await;
    assert_eq!(tally.lost(), 0, "{tally}");
}

#[tokio::test]
async fn an_update_to_workers_that_accept_for_themselves_that_is_rolled_back_loses_nothing() {
    for socket in [
        json!({"address": "127.0.0.1:0", "mode": "balanced"}),
        json!({"address": "127.0.0.1:0"}),
    ] {
        let (fleet, load) = rolled_back(socket, SDK, OWN).await;
        taking(&fleet, 3).await;
        nothing_is_lost(load).await;
        let before = later(&fleet).await;
        assert_eq!(super::socket(&before).mode, "balanced");
        // None but the master accepts.
        let accepted = balance(&before).accepted;
        let plan = to(fleet.address().await, "/").by_field("slot").requests(90);
        let tally = fleet.load_with(plan).await.finish().await;
        assert_eq!((tally.lost(), tally.by.len()), (0, 3), "{tally}");
        let counted = move |status: &StatusReport| balance(status).accepted == accepted + 90;
        fleet.until("all to be counted", counted).await;
    }
}

#[tokio::test]
async fn an_update_to_workers_that_take_connections_that_is_rolled_back_loses_nothing() {
    let socket = json!({"address": "127.0.0.1:0"});
    let (fleet, load) = rolled_back(socket, OWN, SDK).await;
    taking(&fleet, 0).await;
    nothing_is_lost(load).await;
    let before = later(&fleet).await;
    assert_eq!(super::socket(&before).mode, "shared");
    let plan = to(fleet.address().await, "/").requests(90);
    let tally = fleet.load_with(plan).await.finish().await;
    assert_eq!(tally.lost(), 0, "{tally}");
    let after = later(&fleet).await;
    assert_eq!(balance(&after).accepted, balance(&before).accepted);
    assert_eq!(balance(&after).waiting, 0);
}
