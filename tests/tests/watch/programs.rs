//! Compiled programs are watched themselves.

use super::*;

/// An app that is a compiled program in a folder that git ignores, beside its sources.
async fn compiled() -> (Master, Tail, Vec<u8>) {
    let program = fs::read(env!("CARGO_BIN_EXE_misbehave")).expect("a program");
    let app = App::new(
        "web",
        ["target/worker", "notify", "0", "http", "src/version"],
    )
    .listening()
    .set("auto_reload", true)
    .unwatched();
    let builder = prepared(&[app, clock("1s")]).with(".gitignore", "target/\n");
    builder.dir().make("target");
    put_program(builder.dir().path(), &program);
    let (master, tail) = started(builder).await;
    (master, tail, program)
}

fn put_program(dir: &Path, program: &[u8]) {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = fs::OpenOptions::new();
    let options = options.write(true).create_new(true).mode(0o755);
    let mut file = options
        .open(dir.join("target/worker.new"))
        .expect("a new file");
    file.write_all(program).expect("written");
    drop(file);
    fs::rename(dir.join("target/worker.new"), dir.join("target/worker")).expect("renamed");
}

#[tokio::test]
async fn compiled_command_is_watched_in_an_ignored_folder_and_its_sources_are_not() {
    let (master, mut tail, program) = compiled().await;
    edit(&master, "src/main.rs", "fn main() {}");
    tick(&master).await;
    put_program(master.dir().path(), &program);
    let reason = rolled(&mut tail).await;
    assert!(
        names(&reason, &master.dir().at("target/worker")),
        "{reason}"
    );
    tail.settle(&master).await;
    assert_eq!(tail.all("update.started").len(), 1);
}

#[tokio::test]
async fn half_written_command_is_waited_for() {
    let (master, mut tail, program) = compiled().await;
    let (head, rest) = program.split_at(program.len() / 2);
    put_program(master.dir().path(), head);
    tick(&master).await;
    tail.settle(&master).await;
    assert_eq!(tail.all("update.started"), Vec::<Value>::new());
    let path = master.dir().at("target/worker");
    let mut file = fs::OpenOptions::new()
        .append(true)
        .open(path)
        .expect("the head");
    file.write_all(rest).expect("written");
    drop(file);
    rolled(&mut tail).await;
    assert_eq!(served(&master).await, ["1"]);
}
