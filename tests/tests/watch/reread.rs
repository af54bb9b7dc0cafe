//! Apps that the process file gains, loses or changes at SIGHUP.

use rustix::process::Signal;

use super::*;

fn late(folder: &str) -> App {
    habit!("late", "notify 0")
        .set("auto_reload", json!([folder]))
        .set("cron", "0 4 * * *")
        .unwatched()
}

/// Has the file read again, which rolls the apps it knew.
async fn reread(master: &mut Master, tail: &mut Tail, apps: &[App], rolled: &str) {
    master.rewrite(apps);
    master.process.signal(Signal::HUP);
    tail.next_with("update.finished", "/app", rolled).await;
}

#[tokio::test]
async fn files_of_an_app_are_watched_as_the_file_says_now() {
    let parked = habit!("parked", "notify 0").unwatched();
    let builder = ostler!().apps(std::slice::from_ref(&parked));
    for folder in ["one", "two"] {
        builder.dir().make(folder);
    }
    let mut master = builder.start().await;
    let mut tail = master.tail().await;
    master.settled("parked", "running").await;

    // Nothing was watched before.
    let apps = [parked.clone(), late("one")];
    reread(&mut master, &mut tail, &apps, "parked").await;
    master.wait_for_log("late: watching").await;
    master.settled("late", "running").await;
    let path = edit(&master, "one/file", "1");
    let update = tail.next_with("update.started", "/app", "late").await;
    assert!(names(update["reason"].as_str().unwrap(), &path), "{update}");
    tail.next_with("update.finished", "/app", "late").await;

    // Another folder instead.
    let apps = [parked.clone(), late("two")];
    reread(&mut master, &mut tail, &apps, "late").await;
    master.wait_for_log("late: watching").await;
    edit(&master, "one/file", "2");
    let path = edit(&master, "two/file", "1");
    let wish = tail.next("workerRestartNeeded").await;
    assert!(names(wish["reason"].as_str().unwrap(), &path), "{wish}");
    tail.next_with("update.finished", "/app", "late").await;

    // None. It runs on all the same, and so its hour comes.
    reread(&mut master, &mut tail, &[parked], "late").await;
    master
        .wait_for_log("late: its files are watched no longer")
        .await;
    assert!(
        master.app("late").await["next_cron"].is_string(),
        "it runs on as it was"
    );
}
