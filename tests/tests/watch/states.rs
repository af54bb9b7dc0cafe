//! Whether files are watched follows what the app does.

use super::*;

#[tokio::test]
async fn a_stopped_app_is_not_watched_and_a_started_one_is_again() {
    let (mut master, mut tail) = watched().await;
    master.ostler(["stop", "web"]).success().await;
    master
        .wait_for_log("web: its files are watched no longer")
        .await;
    edit(&master, "src/version", "2");
    master.ostler(["start", "web"]).success().await;
    master.wait_for_log("web: watching").await;
    let path = edit(&master, "src/version", "3");
    let wish = tail.next("workerRestartNeeded").await;
    assert!(names(wish["reason"].as_str().expect("a reason"), &path));
    tail.next("update.finished").await;
    tail.settle(&master).await;
    assert_eq!(tail.all("workerRestartNeeded").len(), 1);
    assert_eq!(served(&master).await, ["3"]);
}

#[tokio::test]
async fn an_app_that_never_came_up_is_watched_and_its_mending_brings_it_up() {
    let app = web()
        .set("max_restarts", 1)
        .set("auto_reload", json!({"paths": ["src", "worker.sh"]}));
    let builder = prepared(&[app]).with("worker.sh", "syntax error (");
    let mut master = builder.start().await;
    let mut tail = master.tail().await;
    master.wait_for_log("web: watching").await;
    master.settled("web", "failed").await;
    tail.settle(&master).await;
    let path = edit(&master, "worker.sh", GOOD);
    let spawned = tail.next("worker.spawned").await;
    let trigger = spawned["trigger"].as_str().expect("what for");
    assert!(
        trigger.ends_with(&format!("file changed: {}", path.display())),
        "{trigger}"
    );
    tail.next("update.finished").await;
    assert_eq!(served(&master).await, ["1"]);
}
