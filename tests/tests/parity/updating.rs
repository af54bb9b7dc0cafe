//! What an update promises.

use super::*;

#[tokio::test]
async fn once_a_reload_has_returned_only_the_new_version_answers() {
    let app = habit!("web", "notify 0 http version")
        .instances(2)
        .listening()
        .set("ready", "notify")
        .unwatched();
    let master = ostler!().with("version", "v0").apps(&[app]).start().await;
    master.settled("web", "running").await;
    let address = master.address("web").await;
    for round in 1..4 {
        let version = format!("v{round}");
        master.dir().write("version", &version);
        master.ostler(["reload"]).success().await;
        for _ in 0..10 {
            let answer = ostler_tests::harness::Web::get(address, "/").await;
            assert_eq!(answer["version"], version.as_str());
        }
    }
}

#[tokio::test]
async fn an_update_raises_the_generation_and_is_no_restart() {
    let apps = ["web", "api"].map(|name| habit!(name, "notify 0").instances(2).unwatched());
    let (master, _tail) = started(&apps).await;
    for name in ["web", "api"] {
        master.settled(name, "running").await;
    }
    let api = master.pids("api").await;
    for generation in 2..4 {
        master.ostler(["reload", "web"]).success().await;
        let workers = master.workers("web").await;
        assert_eq!(workers.len(), 2, "{workers:#?}");
        assert!(
            workers
                .iter()
                .all(|worker| worker["generation"] == generation && worker["restarts"] == 0),
            "{workers:#?}"
        );
    }
    assert_eq!(master.pids("api").await, api, "another app is another app");
}
