//! The process file and the master's own program.

use super::*;

#[tokio::test]
async fn changed_process_file_is_told_and_restarts_nothing() {
    let (master, mut tail) = watched().await;
    let before = master.pids("web").await;
    master.rewrite(&[web().instances(5)]);
    let changed = tail.next("config.changed").await;
    assert_eq!(
        changed["path"],
        master.dir().at("ostler.toml").to_str().expect("UTF-8")
    );
    let pid = master.process.id().to_string();
    assert!(
        changed["hint"]
            .as_str()
            .is_some_and(|hint| hint.contains(&pid)),
        "{changed:#}"
    );
    tail.settle(&master).await;
    assert_eq!(master.pids("web").await, before);
    assert_eq!(tail.all("update.started"), Vec::<Value>::new());
}

#[tokio::test]
async fn changed_ostler_binary_marks_a_system_restart() {
    let own = ostler_tests::harness::PrivateDir::new();
    let binary = own.at("ostler");
    let original = env!("CARGO_BIN_EXE_ostler-under-test");
    ostler_tests::harness::copy_program(original, &binary);
    let builder = Master::builder(&binary).with("worker.sh", GOOD);
    builder.dir().make("src");
    let (master, mut tail) = started(builder.with("src/version", "1").apps(&[web()])).await;
    let before = master.pids("web").await;
    assert_eq!(master.status().await["master"]["restart_needed"], false);
    fs::copy(original, own.at("ostler.new")).expect("a copy");
    fs::rename(own.at("ostler.new"), &binary).expect("renamed");
    let needed = tail.next("systemRestartNeeded").await;
    let reason = needed["reason"].as_str().expect("a reason");
    assert!(reason.contains(binary.to_str().expect("UTF-8")), "{reason}");
    tail.settle(&master).await;
    let status = master.status().await;
    assert_eq!(status["master"]["restart_needed"], true);
    assert_eq!(status["master"]["restart_reason"], reason);
    assert_eq!(master.pids("web").await, before);
}

/// The file is below the watched folder, and saved by renaming another one that is there for a moment.
#[tokio::test]
async fn process_file_in_a_watched_folder_rolls_nobody() {
    let app = web().set("auto_reload", true);
    let (master, mut tail) = started(prepared(&[app.clone(), clock("900ms")])).await;
    master.rewrite(&[app.instances(5), clock("900ms")]);
    tail.next("config.changed").await;
    tick(&master).await;
    tail.settle(&master).await;
    assert_eq!(tail.all("update.started"), Vec::<Value>::new());
    let path = edit(&master, "src/version", "2");
    assert!(names(&rolled(&mut tail).await, &path));
}
