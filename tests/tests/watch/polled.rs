//! `poll`: files are looked at, for want of a kernel that tells.

use super::*;

fn polled() -> App {
    web().set(
        "auto_reload",
        json!({"paths": ["src"], "include": ["*.txt", "version"], "ignore": ["left_out.txt"], "poll": "100ms"}),
    )
}

#[tokio::test]
async fn what_a_look_finds_rolls_the_app() {
    let mut master = prepared(&[polled()]).start().await;
    let mut tail = master.tail().await;
    master.settled("web", "running").await;
    master
        .wait_for_log("web: looking at 2 files each 100ms")
        .await;
    tail.settle(&master).await;
    // What doesn't count comes before what does.
    edit(&master, "src/left_out.txt", "x");
    edit(&master, "src/other.log", "x");
    let path = edit(&master, "src/version", "2");
    assert!(names(&rolled(&mut tail).await, &path));
    assert_eq!(served(&master).await, ["2"]);
    master.dir().make("src/new/deep");
    let path = edit(&master, "src/new/deep/file.txt", "x");
    assert!(names(&rolled(&mut tail).await, &path));
    fs::remove_file(&path).expect("a file");
    assert!(names(&rolled(&mut tail).await, &path));
    tail.settle(&master).await;
    assert_eq!(tail.all("update.started").len(), 3);
}
