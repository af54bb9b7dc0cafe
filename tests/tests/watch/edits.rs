//! What is edited, saved, made or deleted rolls the app.

use super::*;

#[tokio::test]
async fn edit_rolls_the_app() {
    let (master, mut tail) = watched().await;
    assert_eq!(served(&master).await, ["1"]);
    edit(&master, "src/version", "2");
    rolled(&mut tail).await;
    assert_eq!(served(&master).await, ["2"]);
    tail.settle(&master).await;
    assert_eq!(tail.all("update.started").len(), 1);
}

#[tokio::test]
async fn reason_names_the_file() {
    let (mut master, mut tail) = watched().await;
    let path = edit(&master, "src/other.txt", "x");
    let wish = tail.next("workerRestartNeeded").await;
    assert!(
        names(wish["reason"].as_str().expect("a reason"), &path),
        "{wish:#}"
    );
    assert_eq!(wish["app"], "web");
    assert!(names(&rolled(&mut tail).await, &path));
    master.wait_for_log("src/other.txt").await;
}

#[tokio::test]
async fn burst_of_edits_makes_one_update() {
    let (master, mut tail) = watched().await;
    for n in 0..50 {
        edit(&master, &format!("src/{n}.txt"), "x");
    }
    rolled(&mut tail).await;
    // Whatever came of the burst came before what comes of this.
    let last = edit(&master, "src/last.txt", "x");
    assert!(names(&rolled(&mut tail).await, &last));
    tail.settle(&master).await;
    assert_eq!(tail.all("update.started").len(), 2);
}

#[tokio::test]
async fn writing_that_never_pauses_is_not_waited_out() {
    let (master, mut tail) = watched().await;
    let path = master.dir().at("src/growing");
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let writer = tokio::spawn(async move {
        let mut tick = tokio::time::interval(std::time::Duration::from_millis(30));
        let mut stopped = stopped;
        while stopped.try_recv().is_err() {
            tick.tick().await;
            fs::write(&path, "more").expect("a file of the test's own");
        }
    });
    rolled(&mut tail).await;
    assert!(!writer.is_finished(), "it still writes");
    stop.send(()).expect("a writer");
    writer.await.expect("an end");
}

#[tokio::test]
async fn atomic_save_is_noticed_every_time() {
    let (master, mut tail) = watched().await;
    for version in ["2", "3", "4"] {
        let path = master.dir().write("src/version", version);
        let reason = rolled(&mut tail).await;
        assert!(names(&reason, &path), "{reason}");
        assert_eq!(served(&master).await, [version]);
    }
}

#[tokio::test]
async fn deletion_rolls_the_app() {
    let builder = prepared(&[web()]).with("src/extra.txt", "x");
    let folder = builder.dir().make("src/folder");
    let (master, mut tail) = started(builder).await;
    let path = master.dir().at("src/extra.txt");
    fs::remove_file(&path).expect("a file");
    let reason = rolled(&mut tail).await;
    assert!(names(&reason, &path), "{reason}");
    fs::remove_dir(&folder).expect("a directory");
    let reason = rolled(&mut tail).await;
    assert!(names(&reason, &folder), "{reason}");
}

#[tokio::test]
async fn new_directory_is_watched_too() {
    let (master, mut tail) = watched().await;
    master.dir().make("src/new/deep");
    edit(&master, "src/new/deep/file", "x");
    rolled(&mut tail).await;
    let path = edit(&master, "src/new/deep/file", "y");
    assert!(names(&rolled(&mut tail).await, &path));
}

#[tokio::test]
async fn broken_edit_aborts_and_the_fix_brings_it_back() {
    let (master, mut tail) = watched().await;
    let before = master.pids("web").await;
    let load = master.load("web").await;
    edit(&master, "worker.sh", "syntax error (");
    assert_eq!(tail.next("update.aborted").await["replaced"], 0);
    assert_eq!(master.pids("web").await, before);
    edit(&master, "worker.sh", GOOD);
    rolled_after_abort(&mut tail).await;
    load.answers(20, PATIENCE).await.expect("answers");
    let tally = load.stop().await;
    assert_eq!(tally.lost(), 0, "{tally}");
    assert!(
        master
            .pids("web")
            .await
            .iter()
            .all(|(slot, pid)| before[slot] != *pid)
    );
}

async fn rolled_after_abort(tail: &mut Tail) {
    tail.next("update.finished").await;
}
