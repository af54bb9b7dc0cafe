//! What is lost under load.

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
async fn killed_worker_loses_at_most_what_it_served() {
    let (master, mut tail) = running(web(4), GOOD).await;
    let load = master.load("web").await;
    master.signal(master.pid("web", 1).await, Signal::KILL);
    tail.next_with("worker.ready", "/worker/slot", 1).await;
    load.answers(50, PATIENCE).await.expect("answers");
    let tally = load.stop().await;
    assert!(tally.lost() <= 4, "no more than was in flight: {tally}");
    assert_eq!(tally.refused + tally.timed_out + tally.wrong, 0, "{tally}");
}
