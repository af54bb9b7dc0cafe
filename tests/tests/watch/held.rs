//! Changes that come at the wrong moment wait.

use super::*;

#[tokio::test]
async fn edit_mid_update_ends_on_the_last_version() {
    let (master, mut tail) = watched().await;
    edit(&master, "gated", "");
    edit(&master, "src/version", "2");
    tail.next_with("update.progress", "/step", "Starting").await;
    edit(&master, "src/version", "3");
    tail.next("workerRestartNeeded").await;
    edit(&master, "go", "");
    tail.next_with("update.finished", "/generation", 3).await;
    assert_eq!(served(&master).await, ["3"]);
    let workers = master.workers("web").await;
    assert!(
        workers.iter().all(|worker| worker["generation"] == 3),
        "{workers:#?}"
    );
}

#[tokio::test]
async fn git_operation_is_waited_for() {
    let builder = prepared(&[web(), clock("900ms")]);
    builder.dir().make(".git");
    let (master, mut tail) = started(builder).await;
    let lock = edit(&master, ".git/index.lock", "");
    edit(&master, "src/version", "2");
    tick(&master).await;
    tail.settle(&master).await;
    assert_eq!(tail.all("update.started"), Vec::<Value>::new());
    fs::remove_file(lock).expect("a lock");
    rolled(&mut tail).await;
    assert_eq!(served(&master).await, ["2"]);
}
