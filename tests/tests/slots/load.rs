//! Under load, with accidents.

use ostler_tests::{
    harness::kills_lose_only_what_is_in_service,
    load::{Load, LoadHandle},
};

use super::*;

/// Two loads at once: new connections, and kept ones, if workers end those well.
async fn both(fleet: &Fleet, kept: bool) -> [LoadHandle; 2] {
    let new = to(fleet.address().await, "/").by_field("version");
    let other = if kept {
        new.clone().keep_alive()
    } else {
        new.clone()
    };
    let loads = [new, other].map(|plan| Load::start(plan).expect("a plan that can be run"));
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

async fn updates_lose_nothing(app: &App, kept: bool) {
    let fleet = ready(app, 3).await;
    let loads = both(&fleet, kept).await;
    for version in 2..=4 {
        fleet.dir().write("version", &version.to_string());
        fleet.ostler(["reload"]).success().await;
        go_on(&loads).await;
    }
    stop(loads).await;
}

#[tokio::test]
async fn updates_of_workers_that_know_nothing_lose_nothing() {
    updates_lose_nothing(&web(3, "slot"), false).await;
}

#[tokio::test]
async fn updates_of_sdk_workers_lose_nothing() {
    updates_lose_nothing(&sdk(3, "slot"), true).await;
}

/// Each slot has no worker for a moment: its socket waits.
#[tokio::test]
async fn updates_that_stop_each_worker_first_lose_nothing() {
    updates_lose_nothing(&web(3, "slot").set("strategy", "replace"), false).await;
}

#[tokio::test]
async fn updates_of_sticky_apps_lose_nothing() {
    updates_lose_nothing(&sdk(3, "sticky"), true).await;
}

async fn resizing_loses_nothing(app: &App, kept: bool) {
    let fleet = ready(app, 2).await;
    let loads = both(&fleet, kept).await;
    for size in [4_usize, 2, 5, 1, 3] {
        fleet.ostler(["scale", &size.to_string()]).success().await;
        go_on(&loads).await;
        // What was closed is not there any more, and the rest serves.
        let so = move |status: &StatusReport| sockets(status).len() == size;
        fleet.until("as many sockets as workers", so).await;
    }
    stop(loads).await;
}

#[tokio::test]
async fn resizing_apps_whose_workers_know_nothing_loses_nothing() {
    resizing_loses_nothing(&web(2, "slot"), false).await;
}

#[tokio::test]
async fn resizing_apps_of_the_sdk_loses_nothing() {
    resizing_loses_nothing(&sdk(2, "slot"), true).await;
}

#[tokio::test]
async fn resizing_sticky_apps_loses_nothing() {
    resizing_loses_nothing(&web(2, "sticky"), false).await;
}

/// The app keeps the slot, and nobody in it.
#[tokio::test]
async fn stopping_one_slot_loses_nothing() {
    for mode in ["slot", "sticky"] {
        let fleet = ready(&web(3, mode), 3).await;
        let loads = both(&fleet, false).await;
        for slot in [1, 0, 2] {
            let which = format!("web:{slot}");
            fleet.ostler(["stop", &which]).success().await;
            go_on(&loads).await;
            fleet.ostler(["start", &which]).success().await;
        }
        stop(loads).await;
    }
}

#[tokio::test]
async fn twenty_kills_lose_only_what_was_being_served() {
    let fleet = ready(&web(4, "slot"), 4).await;
    let plan = to(fleet.address().await, "/").connections(8);
    kills_lose_only_what_is_in_service(&fleet, plan, |kill| (kill * 7 % 4) as u32).await;
}

/// All clients are at home in one slot, whose worker is killed each time.
#[tokio::test]
async fn twenty_kills_lose_only_what_was_being_served_where_clients_wait_for_the_successor() {
    let fleet = ready(&web(4, "sticky"), 4).await;
    let address = fleet.address().await;
    let home = answered(vec![knock(address).await]).await[0] as u32;
    let plan = to(address, "/").connections(8).by_field("slot");
    kills_lose_only_what_is_in_service(&fleet, plan, |_| home).await;
}
