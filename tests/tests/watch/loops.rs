//! Workers that write what is watched for them.

use super::*;

#[tokio::test]
async fn worker_that_writes_into_its_own_folder_is_not_restarted_for_ever() {
    const WRITES: &str = "echo $OSTLER_GENERATION > src/state.log; exec \"$MISBEHAVE\" notify 0";
    let builder = prepared(&[web().instances(1), clock("900ms")]).with("worker.sh", WRITES);
    let (mut master, mut tail) = started(builder).await;
    edit(&master, "src/version", "2");
    let suspended = tail.next("update.suspended").await;
    let reason = suspended["reason"].as_str().expect("a reason");
    for words in [
        "state.log",
        "ignore = [\"state.log\"]",
        "`ostler reload web`",
    ] {
        assert!(reason.contains(words), "{words}: {reason}");
    }
    master.wait_for_log("ignore = [\"state.log\"]").await;
    master.settled("web", "running").await;
    tail.settle(&master).await;
    let updates = tail.all("update.started").len();
    tick(&master).await;
    tail.settle(&master).await;
    assert_eq!(tail.all("update.started").len(), updates, "it has ended");
    // A command lifts it.
    master.ostler(["reload", "web"]).success().await;
    tail.settle(&master).await;
    assert!(tail.all("update.started").len() > updates);
}
