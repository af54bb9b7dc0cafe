//! Disks that are full, directories that vanish, readers that don't read.

use super::*;

/// A master with a small disk of its own at `logs`; `None` where none may be mounted.
async fn with_a_small_disk(options: &str, apps: &[App]) -> Option<Master> {
    let builder = ostler!();
    let logs = builder.dir().make("logs");
    let unshare = match rustix::process::geteuid().is_root() {
        true => "-m",
        false => "-Urm",
    };
    let mount = format!("mount -t tmpfs -o {options} tmpfs {}", logs.display());
    let tried = Cli::new("unshare").args([unshare, "sh", "-c", &mount]);
    let tried = tried.run().await;
    if tried.exit != Exit::Code(0) {
        eprintln!("not run: no disk can be mounted here: {}", tried.stderr);
        return None;
    }
    let script = format!("{mount} && exec \"$@\"");
    let through = ["unshare", unshare, "sh", "-c", &script, "sh"];
    Some(builder.through(through).apps(apps).start().await)
}

/// A directory as the master sees it.
fn inside(master: &Master, name: &str) -> PathBuf {
    let path = master.dir().at(name);
    format!("/proc/{}/root{}", master.process.id(), path.display()).into()
}

#[tokio::test]
async fn a_full_disk_under_the_logs_costs_lines_and_nothing_else() {
    let log = json!({
        "out": "logs/{app}.log", "compress": true, "rotate": {"size": "16KiB", "keep_total": "64KiB"},
    });
    let apps = [
        script("web", "while :; do seq -f 'line %g' 100; sleep 0.02; done")
            .set("log", log)
            .unwatched(),
        web("api"),
    ];
    let Some(mut master) = with_a_small_disk("size=256k,mode=755", &apps).await else {
        return;
    };
    let logs = inside(&master, "logs");
    master.settled("api", "running").await;
    let put_aside = || {
        let mut names = fs::read_dir(&logs).ok()?.flatten().map(|e| e.file_name());
        names
            .any(|name| name.to_string_lossy().ends_with("Z.gz"))
            .then_some(())
    };
    eventually("a log to be put aside", PATIENCE, put_aside).await;
    let other = master.pids("api").await;
    let filler = logs.join("filler");
    let mut file = fs::File::create(&filler).expect("room");
    while std::io::Write::write_all(&mut file, &[0; 1024]).is_ok() {}
    drop(file);
    master
        .wait_for_log("web.log can't be written: No space left on device")
        .await;
    master.ostler(["reload"]).success().await;
    let status = master.status().await;
    assert!(
        status["workers"]
            .as_array()
            .is_some_and(|workers| workers.iter().all(|worker| worker["restarts"] == 0)),
        "{status:#}"
    );
    assert_ne!(master.pids("api").await, other, "updated");
    fs::remove_file(filler).expect("a file");
    let told = master.wait_for_log("can be written again").await;
    assert!(told.contains("lines were lost meanwhile"), "{told}");
    let parts = || {
        let names = fs::read_dir(&logs).ok()?.flatten().map(|e| e.file_name());
        let mut parts = names.filter(|name| name.to_string_lossy().ends_with(".part"));
        parts.next().is_none().then_some(())
    };
    eventually("no half compressed file", PATIENCE, parts).await;
    end(master).await;
}

#[tokio::test]
async fn a_master_whose_output_nobody_reads_goes_on() {
    let builder = ostler!();
    let fifo = builder.dir().at("fifo");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status();
    assert!(made.is_ok_and(|status| status.success()), "mkfifo");
    // Both ends, so that opening it waits for nobody.
    let both = fs::OpenOptions::new().read(true).write(true).open(&fifo);
    let _unread = both.expect("a pipe");
    let script = format!("exec \"$@\" > {0} 2> {0}", fifo.display());
    let apps = [
        App::new("flood", ["yes", "and so on"]).unwatched(),
        web("api"),
    ];
    let through = ["sh", "-c", &script, "sh"];
    let mut master = builder.through(through).apps(&apps).start().await;
    let mut tail = master.tail().await;
    master.settled("api", "running").await;
    tail.settle(&master).await;
    for _ in 0..3 {
        master.signal(master.pid("api", 0).await, Signal::KILL);
        tail.next_with("worker.ready", "/worker/app", "api").await;
    }
    master.ostler(["reload"]).success().await;
    let used = master.status().await["master"]["memory"].as_u64();
    assert!(used < Some(128 << 20), "{used:?}");
    // What can't be written is waited for, but not for ever.
    assert_eq!(master.end(Signal::TERM).await, Exit::Code(0));
    master.assert_nothing_left().await;
}

#[tokio::test]
async fn a_home_that_was_removed_is_told_and_the_workers_serve_on() {
    let (mut master, _tail) = started(&[web("web").instances(2)]).await;
    master.settled("web", "running").await;
    let pids = master.pids("web").await;
    fs::remove_dir_all(master.home()).expect("removed");
    master.ostler(["ls"]).fails_with(3).await;
    // No new worker can be had without it, and that is said; the other one stays.
    master.signal(pids[&0], Signal::KILL);
    master.wait_for_log("web.0 could not be started: ").await;
    assert!(Path::new(&format!("/proc/{}", pids[&1])).exists());
    end(master).await;
}

/// Its standard output closed before it began: the first descriptor opened must not be taken for it.
#[tokio::test]
async fn a_master_started_without_any_output_runs_and_ends() {
    let apps = [script("web", "while :; do echo words; sleep 0.01; done").unwatched()];
    let through = ["sh", "-c", "exec \"$@\" <&- >&- 2>&-", "sh"];
    let master = ostler!().through(through).apps(&apps).start().await;
    master.settled("web", "running").await;
    master.ostler(["reload"]).success().await;
    end(master).await;
}

#[tokio::test]
async fn a_process_file_that_became_something_else_is_told_and_holds_nobody_up() {
    let (mut master, _tail) = started(&[web("web")]).await;
    master.settled("web", "running").await;
    let pids = master.pids("web").await;
    let file = master.dir().at("ostler.toml");
    let text = fs::read_to_string(&file).expect("a file");
    fs::remove_file(&file).expect("a file");
    let told = master.ostler(["reload", "--config"]).run().await;
    assert!(
        told.stderr.contains("can't be read: No such file"),
        "{told:#?}"
    );
    // Nobody will ever write into it.
    let made = std::process::Command::new("mkfifo").arg(&file).status();
    assert!(made.is_ok_and(|status| status.success()), "mkfifo");
    let told = master.ostler(["plan"]).fails_with(78).await;
    assert!(
        told.stderr.contains("it is a pipe or a device"),
        "{told:#?}"
    );
    master.process.signal(Signal::HUP);
    master.wait_for_log("it is a pipe or a device").await;
    fs::remove_file(&file).expect("a pipe");
    fs::create_dir(&file).expect("a directory");
    master.ostler(["reload", "--config"]).fails_with(78).await;
    assert_eq!(master.pids("web").await, pids);
    fs::remove_dir(&file).expect("empty");
    fs::write(&file, text).expect("written");
    master
        .ostler(["plan"])
        .stdout("nothing would change\n")
        .success()
        .await;
    end(master).await;
}
