//! What is lost under load.

use ostler_tests::harness::{
    Fleet, kills_lose_only_what_is_in_service, while_all_are_dead_clients_wait,
};

use super::*;

/// Five updates, each to a version of its own, under this load.
async fn five_updates(master: &Master, plan: impl Future<Output = Plan>) {
    let load = master.load_with(plan.await.timeout(PATIENCE)).await;
    for version in 2..=6 {
        master.dir().write("version", &version.to_string());
        master.ostler(["reload"]).success().await;
        load.answers(20, PATIENCE).await.expect("answers");
    }
    let tally = load.stop().await;
    assert_eq!(tally.lost(), 0, "{tally}");
    assert!(tally.by.len() >= 6, "all versions have answered: {tally}");
}

#[tokio::test]
async fn updates_lose_no_request_on_new_connections() {
    let (master, _tail) = running(web(4), GOOD).await;
    five_updates(&master, async {
        Plan::to(master.address("web").await).by_field("version")
    })
    .await;
}

#[tokio::test]
async fn updates_lose_no_request_on_keep_alive() {
    let app = talker("web", "serve")
        .instances(4)
        .set("listen", json!({"http": "127.0.0.1:0"}));
    let (master, _tail) = running(app, "").await;
    let plan = async {
        Plan::to(master.address("web").await)
            .keep_alive()
            .by_field("generation")
    };
    five_updates(&master, plan).await;
}

#[tokio::test]
async fn twenty_kills_lose_only_what_was_being_served() {
    let backoff = json!({"first": "10ms", "max": "50ms"});
    let app = web(4).set("backoff", backoff).set("max_restarts", 1000);
    let fleet = Fleet::ready(master(app, GOOD), 4).await;
    let plan = Plan::to(fleet.address().await).connections(8);
    let plan = plan.timeout(PATIENCE);
    kills_lose_only_what_is_in_service(&fleet, plan, |kill| (kill * 7 % 4) as u32).await;
}

#[tokio::test]
async fn while_every_worker_is_down_connections_wait() {
    let app = web(4).set("backoff", json!({"first": "2s", "max": "2s"}));
    let fleet = Fleet::ready(master(app, GOOD), 4).await;
    let plan = Plan::to(fleet.address().await).timeout(PATIENCE);
    while_all_are_dead_clients_wait(&fleet, plan).await;
}
