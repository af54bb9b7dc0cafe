//! Limits that are reached: processes, descriptors, memory, the size of files.

use super::*;

/// A master that is started with limits, in the words of `ulimit`.
fn limited(limits: &str, apps: &[App]) -> ostler_tests::harness::MasterBuilder {
    let script = format!("{limits}; exec \"$@\"");
    ostler!().through(["sh", "-c", &script, "sh"]).apps(apps)
}

#[tokio::test]
async fn without_descriptors_no_worker_starts_and_with_some_the_next_one_does() {
    let app = web("web")
        .set("backoff", json!({"first": "100ms", "max": "100ms"}))
        .set("max_restarts", 1000)
        .set("start_parallel", 20);
    let mut master = limited("ulimit -n 64", &[app]).start().await;
    master.settled("web", "running").await;
    master.ostler(["scale", "20", "--no-wait"]).success().await;
    master
        .wait_for_log("the limit on open files is reached (ulimit -n: 64): start the master with a higher one")
        .await;
    // The commands' own connections need descriptors, too, and those of the dead are free a moment later.
    for command in [&["scale", "2"][..], &["ls"]] {
        let done = async {
            while master.ostler(command).run().await.exit != Exit::Code(0) {
                assert_eq!(master.process.exit(), None, "{}", master.process.output());
            }
        };
        deadline("a master with descriptors", PATIENCE * 2, done).await;
    }
    master.settled("web", "running").await;
    assert_eq!(master.pids("web").await.len(), 2);
    master.ostler(["reload"]).success().await;
    end(master).await;
}

/// Nobody else has processes as this user: their number is what the limit counts.
fn lonely_user() -> u32 {
    60_000 + std::process::id() % 4_000
}

#[tokio::test]
async fn a_full_process_table_is_told_and_recovered_from() {
    if !rustix::process::geteuid().is_root() {
        return eprintln!("not run: the limit counts all processes of this user");
    }
    let guest = Guest::of(env!("CARGO_BIN_EXE_ostler-under-test"), lonely_user());
    let sleeper = "[app.web]\ncommand = \"sleep 600\"\ninstances = 1\nready = \"delay(0s)\"\nstart_parallel = 30\n\
                   backoff = { first = \"100ms\", max = \"100ms\" }\nmax_restarts = 1000\nmin_healthy = \"0s\"\n";
    let file = guest.dir().write("ostler.toml", sleeper);
    guest.own(file);
    let mark = Mark::new(guest.dir().path());
    let own = guest.dir().at("ostler");
    let shell = guest
        .program("/bin/bash", &["-c", "ulimit -u 16; exec \"$0\" run"])
        .arg(&own);
    let mut master = shell.env(Mark::VARIABLE, mark.value()).start();
    master
        .stderr
        .wait_for_line("web.0 ready after", PATIENCE)
        .await;
    guest.ostler(&["scale", "30", "--no-wait"]).success().await;
    master
        .stderr
        .wait_for_line("the limit on processes is reached (ulimit -u", PATIENCE)
        .await;
    guest.ostler(&["ping"]).success().await;
    guest.ostler(&["scale", "2"]).success().await;
    let status = guest.ostler(&["ls", "--json"]).success().await.json();
    assert_eq!(status["apps"][0]["ready"], 2, "{status:#}");
    guest.ostler(&["reload"]).success().await;
    guest.ostler(&["kill"]).success().await;
    assert_eq!(master.wait(PATIENCE).await, Exit::Code(0));
    assert_eq!(mark.processes(), [0; 0]);
}

#[tokio::test]
async fn a_worker_without_memory_ends_alone() {
    let app = habit!("greedy", "grow 4000")
        .set("limits", json!({"as": "400MiB"}))
        .set("ready", "notify")
        .set("backoff", json!({"first": "20ms", "max": "20ms"}));
    let (master, mut tail) = started(&[app.instances(0), web("api")]).await;
    master.settled("api", "running").await;
    let other = master.pids("api").await;
    master.ostler(["scale", "greedy", "1"]).success().await;
    for _ in 0..2 {
        let exited = tail
            .next_with("worker.exited", "/worker/app", "greedy")
            .await;
        assert_eq!(exited["status"], json!({"Signal": "SIGABRT"}));
        let said = exited["stderr_tail"].to_string();
        assert!(said.contains("memory allocation"), "{said}");
    }
    assert_eq!(master.pids("api").await, other);
    let used = master.status().await["master"]["memory"].as_u64();
    assert!(used < Some(64 << 20), "{used:?}");
    end(master).await;
}

#[tokio::test]
async fn a_log_at_the_largest_size_that_files_may_have_stops_nobody() {
    let app = script(
        "web",
        "while :; do echo a line of the log; sleep 0.001; done",
    )
    .set("log", json!({"out": "web.log", "rotate": false}))
    .unwatched()
    .set("limits", json!({"fsize": "unlimited"}));
    let apps = [app, web("api")];
    // In units of 512 or 1024 bytes, as the shell has it.
    let mut master = limited("ulimit -S -f 16", &apps).start().await;
    master
        .wait_for_log("web.log can't be written: File too large")
        .await;
    master.settled("api", "running").await;
    master.ostler(["reload"]).success().await;
    fs::remove_file(master.dir().at("web.log")).expect("a log");
    master.wait_for_log("can be written again").await;
    end(master).await;
}
