//! Under load, with accidents.

use ostler_tests::{
    harness::kills_lose_only_what_is_in_service,
    load::{Load, LoadHandle},
};

use super::*;

/// Both kinds of load at once: new connections, and kept ones.
async fn both(fleet: &Fleet) -> [LoadHandle; 2] {
    let plan = to(fleet.address().await, "/").by_field("version");
    let kept = Load::start(plan.clone().keep_alive()).expect("a plan that can be run");
    let new = Load::start(plan).expect("a plan that can be run");
    let loads = [new, kept];
    go_on(&loads).await;
    loads
}

/// Until each had some more answers.
async fn go_on(loads: &[LoadHandle; 2]) {
    for load in loads {
        load.answers(40, PATIENCE).await.expect("answers");
    }
}

async fn stop(loads: [LoadHandle; 2]) {
    go_on(&loads).await;
    for load in loads {
        let tally = load.stop().await;
        assert_eq!(tally.lost(), 0, "{tally}");
        assert_eq!(tally.fault, None, "{tally}");
    }
}

#[tokio::test]
async fn updates_lose_nothing() {
    let fleet = ready(&web(4), 4).await;
    let loads = both(&fleet).await;
    for version in 2..=5 {
        fleet.dir().write("version", &version.to_string());
        fleet.ostler(["reload"]).success().await;
        go_on(&loads).await;
    }
    stop(loads).await;
    let status = fleet.status().await;
    assert_eq!(socket(&status).mode, "balanced");
}

#[tokio::test]
async fn an_update_from_workers_that_accept_for_themselves_to_ones_that_do_not_loses_nothing() {
    let app = web(3).set("command", json!(["sh", "worker.sh"])).set(
        "env",
        json!({
            "MISBEHAVE": env!("CARGO_BIN_EXE_misbehave"),
            "SDK_WORKER": env!("CARGO_BIN_EXE_sdk_worker"),
        }),
    );
    let own = "exec \"$MISBEHAVE\" notify 0 http version";
    let fleet = Fleet::ready(master(&app).with("worker.sh", own), 3).await;
    let plan = to(fleet.address().await, "/");
    let load = fleet.load_with(plan).await;
    for script in ["exec \"$SDK_WORKER\" version", own] {
        fleet.dir().write("worker.sh", script);
        fleet.ostler(["reload"]).success().await;
        load.answers(40, PATIENCE).await.expect("answers");
    }
    let tally = load.stop().await;
    assert_eq!(tally.lost(), 0, "{tally}");
}

#[tokio::test]
async fn resizing_loses_nothing() {
    let fleet = ready(&web(1), 1).await;
    let loads = both(&fleet).await;
    for size in [4_usize, 2, 5, 1, 3] {
        fleet.ostler(["scale", &size.to_string()]).success().await;
        go_on(&loads).await;
    }
    stop(loads).await;
}

#[tokio::test]
async fn twenty_kills_lose_only_what_was_being_served() {
    let fleet = ready(&web(4), 4).await;
    let plan = to(fleet.address().await, "/").connections(8);
    kills_lose_only_what_is_in_service(&fleet, plan, |kill| (kill * 7 % 4) as u32).await;
}
