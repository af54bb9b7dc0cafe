//! Programs that were fine when the file was read, and are not when a worker is to be started.

use super::*;

/// How a program is spoiled, and what must then be said of it.
#[derive(Clone, Copy, Debug)]
struct Spoil {
    app: &'static str,
    said: &'static str,
}

const SPOILS: [Spoil; 6] = [
    Spoil {
        app: "interpreter",
        said: "No such file or directory",
    },
    Spoil {
        app: "content",
        said: "Exec format error",
    },
    Spoil {
        app: "rights",
        said: "Permission denied",
    },
    Spoil {
        app: "folder",
        said: "Permission denied",
    },
    Spoil {
        app: "gone",
        said: "No such file or directory",
    },
    Spoil {
        app: "busy",
        said: "Text file busy",
    },
];

fn executable(path: &Path, text: &str) {
    fs::write(path, text).expect("a file of one's own");
    fs::set_permissions(path, PermissionsExt::from_mode(0o755)).expect("a file of one's own");
}

/// The script of an app, whose interpreter is a link beside it.
fn mend(dir: &Path, app: &str) {
    let program = dir.join(app);
    fs::remove_dir(&program).ok();
    let interpreter = dir.join(format!("{app}.sh"));
    if !interpreter.exists() {
        std::os::unix::fs::symlink("/bin/sh", &interpreter).expect("a link");
    }
    // By renaming, so that whoever has the spoiled one open keeps that.
    let new = dir.join(format!("{app}.new"));
    executable(
        &new,
        &format!("#!{}\nexec sleep 600\n", interpreter.display()),
    );
    fs::rename(new, program).expect("renamed");
}

/// Spoils it; what must be kept for it to stay so.
fn spoil(dir: &Path, app: &str) -> Option<fs::File> {
    let program = dir.join(app);
    match app {
        "interpreter" => fs::remove_file(dir.join("interpreter.sh")).expect("a link"),
        "content" => fs::write(&program, "just text\n").expect("written"),
        "rights" => {
            fs::set_permissions(&program, PermissionsExt::from_mode(0o644)).expect("a file");
        }
        "folder" => {
            fs::remove_file(&program).expect("a file");
            fs::create_dir(&program).expect("a directory");
        }
        "gone" => fs::remove_file(&program).expect("a file"),
        "busy" => {
            let open = fs::OpenOptions::new().append(true).open(&program);
            return Some(open.expect("opened for writing"));
        }
        other => panic!("no such way: {other}"),
    }
    None
}

/// Some kernels (6.11, 6.12) run a file that is open for writing.
fn refuses_busy_files(dir: &Path) -> bool {
    let program = dir.join("busy");
    let _open = spoil(dir, "busy");
    match std::process::Command::new(program).spawn() {
        Ok(mut child) => {
            child.kill().and_then(|()| child.wait()).expect("a child");
            eprintln!("not run: this kernel runs a file that is open for writing");
            false
        }
        Err(_) => true,
    }
}

#[tokio::test]
async fn a_program_that_spoils_is_told_with_the_reason_and_runs_once_it_is_mended() {
    let builder = ostler!();
    let dir = builder.dir().path().to_owned();
    let apps = SPOILS.map(|Spoil { app, .. }| {
        mend(&dir, app);
        let path = dir.join(app);
        App::new(app, [path.to_str().expect("text")])
            .set("max_restarts", 1)
            .instances(0)
    });
    let refuses = refuses_busy_files(&dir);
    let master = builder.apps(&apps).start().await;
    let mut tail = master.tail().await;
    for Spoil { app, said } in SPOILS {
        if app == "busy" && !refuses {
            continue;
        }
        let kept = spoil(&dir, app);
        let told = master.ostler(["scale", app, "1"]).fails_with(1).await;
        let path = dir.join(app);
        let exited = tail.next_with("worker.exited", "/worker/app", app).await;
        let why = why(&exited);
        assert!(
            why.contains(said) && why.contains(path.to_str().expect("text")),
            "{app}: {why}"
        );
        assert!(told.stderr.contains(said), "{app}: {}", told.stderr);
        let shown = master.workers(app).await.remove(0);
        assert_eq!(shown["state"], "failed", "{shown:#}");
        assert!(
            shown["last_exit"]
                .as_str()
                .is_some_and(|last| last.contains(said)),
            "{shown:#}"
        );
        mend(&dir, app);
        drop(kept);
        master.ostler(["start", app]).success().await;
        assert_eq!(master.workers(app).await[0]["state"], "ready");
    }
    end(master).await;
}

#[tokio::test]
async fn a_working_directory_that_went_is_told_and_awaited() {
    let app = web("web")
        .set("cwd", "here")
        .set("backoff", json!({"first": "50ms", "max": "50ms"}))
        .set("max_restarts", 1000);
    let builder = ostler!();
    let here = builder.dir().make("here");
    let master = builder.apps(&[app]).start().await;
    let mut tail = master.tail().await;
    master.settled("web", "running").await;
    fs::remove_dir(&here).expect("empty");
    master.signal(master.pid("web", 0).await, Signal::KILL);
    let failed = tail
        .wait_for("worker.exited", PATIENCE, |event| {
            event["payload"]["status"]["NotStarted"].is_string()
        })
        .await;
    let why = why(&failed["payload"]);
    assert!(
        why.contains("here") && why.contains("No such file or directory"),
        "{why}"
    );
    fs::create_dir(here).expect("made again");
    tail.next("worker.ready").await;
    end(master).await;
}

#[tokio::test]
async fn a_master_whose_own_file_was_removed_starts_workers_as_before() {
    let dir = ostler_tests::harness::PrivateDir::new();
    let own = dir.at("ostler");
    copy_program(env!("CARGO_BIN_EXE_ostler-under-test"), &own);
    let app = web("web").instances(2);
    let builder = Master::builder(&own).apps(&[app]);
    let master = builder.start().await;
    let mut tail = master.tail().await;
    master.settled("web", "running").await;
    tail.settle(&master).await;
    let pids = master.pids("web").await;
    fs::remove_file(&own).expect("a copy");
    for slot in 0..2 {
        // The first zygote was started from the file, the next one is not.
        master.signal(master.zygote().await, Signal::KILL);
        master.signal(pids[&slot], Signal::KILL);
        tail.next_with("worker.ready", "/worker/slot", slot).await;
    }
    end(master).await;
}
