//! `auto_reload`: what a changed file does, and what it doesn't.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use ostler_tests::{
    habit,
    harness::{App, Master, MasterBuilder, PATIENCE, Tail, eventually},
    ostler,
};
use serde_json::{Value, json};

/// Serves the content of `src/version`; from the second generation on only once there is a file `go`, if `gated`.
const GOOD: &str = "[ ! -e gated ] || [ $OSTLER_GENERATION = 1 ] || until [ -e go ]; do sleep 0.02; done; \
                    exec \"$MISBEHAVE\" notify 0 http src/version";

/// Runs `worker.sh`, and watches `src`.
fn web() -> App {
    App::new("web", ["sh", "worker.sh"])
        .instances(2)
        .listening()
        .set("ready", "notify")
        .set("env", json!({"MISBEHAVE": env!("CARGO_BIN_EXE_misbehave")}))
        .set(
            "auto_reload",
            json!({"paths": ["src"], "ignore": ["*.tmp"]}),
        )
        .unwatched()
}

/// Lets an amount of time pass that the master measures.
fn clock(time: &str) -> App {
    habit!("clock", "trivial")
        .instances(0)
        .set("ready", format!("delay({time})"))
}

async fn tick(master: &Master) {
    master.ostler(["scale", "clock", "+1"]).success().await;
}

fn prepared(apps: &[App]) -> MasterBuilder {
    let builder = ostler!();
    builder.dir().make("src");
    builder
        .with("worker.sh", GOOD)
        .with("src/version", "1")
        .apps(apps)
}

/// A master of these apps, `web` among them ready and watched.
async fn started(builder: MasterBuilder) -> (Master, Tail) {
    let mut master = builder.start().await;
    let mut tail = master.tail().await;
    master.settled("web", "running").await;
    master.wait_for_log("web: watching").await;
    tail.settle(&master).await;
    (master, tail)
}

async fn watched() -> (Master, Tail) {
    started(prepared(&[web()])).await
}

/// Writes a file as most programs do: in place.
fn edit(master: &Master, name: &str, content: &str) -> PathBuf {
    let path = master.dir().at(name);
    fs::write(&path, content).expect("a file of the test's own");
    path
}

/// The reason of the next update, when it has finished.
async fn rolled(tail: &mut Tail) -> String {
    let started = tail.next("update.started").await;
    tail.next_with(
        "update.finished",
        "/generation",
        started["generation"].clone(),
    )
    .await;
    started["reason"].as_str().expect("a reason").to_owned()
}

fn names(reason: &str, path: &Path) -> bool {
    reason == format!("file changed: {}", path.display())
}

/// Who answers, by version.
async fn served(master: &Master) -> Vec<String> {
    let tally = master.load("web").await.stop().await;
    assert_eq!(tally.lost(), 0, "{tally}");
    tally.by.into_keys().collect()
}

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
