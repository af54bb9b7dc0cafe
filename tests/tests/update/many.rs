//! Many requests and commands at once.

use super::*;

#[tokio::test]
async fn request_during_an_update_becomes_the_one_pending() {
    let (master, mut tail) = running(web(2), GATED).await;
    let first = aside(&master, &["reload"]);
    tail.next_with("update.progress", "/step", "Starting").await;
    let second = aside(&master, &["reload"]);
    let third = master.ostler(["reload", "--no-wait"]).success().await;
    assert!(third.stderr.contains("accepted"), "{third:#?}");
    master.dir().write("go", "");
    for reload in [first, second] {
        let done = output(reload).await;
        assert_eq!(done.exit, Exit::Code(0), "{done:#?}");
    }
    master.settled("web", "running").await;
    tail.settle(&master).await;
    let generations: Vec<_> = tail
        .all("update.finished")
        .iter()
        .map(|f| f["generation"].clone())
        .collect();
    assert_eq!(generations.first(), Some(&json!(2)));
    assert_eq!(
        master.app("web").await["generation"],
        *generations.last().expect("one")
    );
    assert_eq!(tail.all("update.aborted"), Vec::<Value>::new());
}

#[tokio::test]
async fn many_requests_mid_update_make_one_more() {
    let (master, mut tail) = running(web(2), GATED).await;
    master.ostler(["reload", "--no-wait"]).success().await;
    tail.next_with("update.progress", "/step", "Starting").await;
    for _ in 0..3 {
        master.ostler(["reload", "--no-wait"]).success().await;
        master
            .ostler(["emit", "workerRestartNeeded", "{\"app\":\"web\"}"])
            .success()
            .await;
        master.process.signal(Signal::HUP);
    }
    tail.settle(&master).await;
    master.dir().write("go", "");
    tail.next_with("update.finished", "/generation", 3).await;
    tail.settle(&master).await;
    assert_eq!(tail.all("update.started").len(), 2);
    assert_eq!(master.app("web").await["generation"], 3);
    assert_eq!(master.app("web").await["state"], "running");
}

#[tokio::test]
async fn reload_now_supersedes_the_running_update() {
    let (mut master, mut tail) = running(web(2), &format!("{HELD}{GATED}")).await;
    let first = aside(&master, &["reload"]);
    // Its script has been read by then.
    master.process.wait_for_line("held", PATIENCE).await;
    master.dir().write("worker.sh", GOOD);
    master.ostler(["reload", "--now"]).success().await;
    let first = output(first).await;
    assert_eq!(first.exit, Exit::Code(1));
    assert!(first.stderr.contains("overtaken"), "{}", first.stderr);
    assert_eq!(tail.next("update.finished").await["generation"], 3);
    let workers = master.workers("web").await;
    assert!(
        workers.iter().all(|worker| worker["generation"] == 3),
        "{workers:#?}"
    );
}

#[tokio::test]
async fn stop_preempts_a_running_update() {
    let (master, mut tail) = running(web(3), GATED).await;
    let reload = aside(&master, &["reload"]);
    tail.next_with("update.progress", "/step", "Starting").await;
    master.ostler(["reload", "--no-wait"]).success().await;
    master.ostler(["stop"]).success().await;
    assert_eq!(output(reload).await.exit, Exit::Code(1));
    assert_eq!(tail.next("update.aborted").await["overtaken"], true);
    tail.settle(&master).await;
    let spawned = tail.story("web", &["spawned"]).len();
    master.dir().write("go", "");
    assert_eq!(master.pids("web").await.len(), 0);
    assert_eq!(master.app("web").await["state"], "stopped");
    tail.settle(&master).await;
    assert_eq!(tail.story("web", &["spawned"]).len(), spawned);
    master.ostler(["start"]).success().await;
    assert_eq!(master.pids("web").await.len(), 3);
}

#[tokio::test]
async fn scale_during_an_update_ends_at_the_new_size() {
    for (size, words) in [(5_usize, "5"), (1, "1")] {
        let (master, mut tail) = running(web(3), GATED).await;
        let reload = aside(&master, &["reload"]);
        tail.next_with("update.progress", "/step", "Starting").await;
        let scale = aside(&master, &["scale", words]);
        tail.next("app.resized").await;
        master.dir().write("go", "");
        for command in [reload, scale] {
            let done = output(command).await;
            assert_eq!(done.exit, Exit::Code(0), "{done:#?}");
        }
        let workers = master.workers("web").await;
        assert_eq!(workers.len(), size, "{workers:#?}");
        assert!(
            workers
                .iter()
                .all(|w| w["generation"] == 2 && w["state"] == "ready"),
            "{workers:#?}"
        );
    }
}
