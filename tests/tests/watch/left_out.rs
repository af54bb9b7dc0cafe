//! What rolls nobody.

use super::*;

#[tokio::test]
async fn ignored_files_change_nothing() {
    let builder = prepared(&[web(), clock("700ms")]).with("src/.gitignore", "*.log\nbuild/\n");
    for folder in ["src/.git", "src/node_modules/x", "src/build"] {
        builder.dir().make(folder);
    }
    let (master, mut tail) = started(builder).await;
    for name in [
        ".git/HEAD",
        "node_modules/x/index.js",
        "build/out",
        "noise.log",
        ".version.swp",
        "version~",
        "4913",
        "scratch.tmp",
    ] {
        edit(&master, &format!("src/{name}"), "x");
    }
    // Reading is no change either.
    for entry in fs::read_dir(master.dir().at("src")).expect("a directory") {
        fs::read(entry.expect("an entry").path()).ok();
    }
    tick(&master).await;
    let path = edit(&master, "src/version", "2");
    let reason = rolled(&mut tail).await;
    assert!(names(&reason, &path), "{reason}");
    tail.settle(&master).await;
    assert_eq!(tail.all("update.started").len(), 1);
}

#[tokio::test]
async fn master_is_not_disturbed_by_its_own_files() {
    // Its home, and the sockets of its workers, are below the watched directory.
    let app = web().set("auto_reload", true);
    let (master, mut tail) = started(prepared(&[app, clock("900ms")])).await;
    tick(&master).await;
    let path = edit(&master, "src/version", "2");
    let reason = rolled(&mut tail).await;
    assert!(names(&reason, &path), "{reason}");
    tick(&master).await;
    tail.settle(&master).await;
    assert_eq!(tail.all("update.started").len(), 1);
}

#[tokio::test]
async fn edits_of_one_app_leave_the_other_alone() {
    let other = habit!("other", "notify 0")
        .set("auto_reload", json!(["lib"]))
        .unwatched();
    let builder = prepared(&[web(), other]);
    builder.dir().make("lib");
    let (mut master, mut tail) = started(builder).await;
    let begun = || {
        master
            .process
            .stderr
            .text()
            .contains("other: watching")
            .then_some(())
    };
    eventually("the other watch", PATIENCE, begun).await;
    master.settled("other", "running").await;
    tail.settle(&master).await;
    let before = master.pids("web").await;
    edit(&master, "lib/part", "x");
    assert_eq!(tail.next("update.finished").await["app"], "other");
    master.wait_for_log("lib/part").await;
    tail.settle(&master).await;
    assert_eq!(master.pids("web").await, before);
    assert_eq!(tail.all("update.started").len(), 1);
}

#[tokio::test]
async fn without_auto_reload_edits_change_nothing() {
    let app = web().set("auto_reload", false);
    let master = prepared(&[app, clock("700ms")]).start().await;
    let mut tail = master.tail().await;
    master.settled("web", "running").await;
    edit(&master, "src/version", "2");
    edit(&master, "worker.sh", GOOD);
    tick(&master).await;
    assert_eq!(served(&master).await, ["1"]);
    master
        .ostler(["reload", "web", "--reason", "barrier"])
        .success()
        .await;
    assert_eq!(rolled(&mut tail).await, "barrier");
    assert_eq!(served(&master).await, ["2"]);
    assert_eq!(tail.all("update.started").len(), 1);
}
