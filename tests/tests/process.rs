//! What a worker's process is: as whom it runs, what it is given, where its words go.

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use ostler_tests::{
    harness::{App, Exit, PATIENCE, copy_program, deadline, eventually},
    ostler,
};
use serde_json::json;

fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("skipped: only root can start a process as another user");
    }
    root
}

// ---- as another user

#[tokio::test]
async fn a_worker_of_another_user_reaches_its_sockets_and_no_more() {
    if !is_root() {
        return;
    }
    let builder = ostler!();
    let dir = builder.dir();
    // The way to its program and to its sockets.
    let public = PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(dir.path(), public).expect("a directory of one's own");
    let program = dir.at("worker");
    copy_program(env!("CARGO_BIN_EXE_misbehave"), &program);
    let app = App::new("web", [program.to_str().expect("text"), "notify", "0"])
        .set("user", "65534")
        .set("ready", "notify")
        .instances(1);
    let mut master = builder.apps(&[app]).start().await;
    master.wait_for_log("web.0 ready").await;
    let status = master.ostler(["ls", "--json"]).success().await.json();
    let pid = status["workers"][0]["pid"].as_u64().expect("a pid");
    let process = std::fs::metadata(format!("/proc/{pid}")).expect("it runs");
    assert_eq!((process.uid(), process.gid()), (65_534, 65_534));
    let environment = std::fs::read_to_string(format!("/proc/{pid}/environ")).expect("root may");
    assert!(
        environment
            .split('\0')
            .any(|pair| pair.starts_with("USER="))
    );
    // It may pass, and not look around; its socket is its own, the master's is not.
    let home = master.home();
    let mode = |path: std::path::PathBuf| {
        let metadata = std::fs::metadata(&path).unwrap_or_else(|e| panic!("{path:?}: {e}"));
        (metadata.mode() & 0o777, metadata.uid())
    };
    let master_dir = home.join("test");
    assert_eq!(mode(master_dir.clone()), (0o711, 0));
    assert_eq!(mode(master_dir.join("apps/web")), (0o711, 0));
    assert_eq!(mode(master_dir.join("apps/web/n1")), (0o600, 65_534));
    assert_eq!(mode(master_dir.join("lock")), (0o600, 0));
    assert_eq!(mode(master_dir.join("bus.sock")).1, 0);
}

#[tokio::test]
async fn limits_that_can_t_be_had_are_said_and_the_app_runs() {
    let app = App::new("web", [env!("CARGO_BIN_EXE_misbehave"), "notify", "0"])
        .set("cgroup", json!({"memory_max": "1GiB"}))
        .set("limits", json!({"nofile": 64}))
        .instances(1);
    let mut master = ostler!().apps(&[app]).start().await;
    master.wait_for_log("web.0 ready").await;
    let said = master.process.output();
    let status = master.ostler(["ls", "--json"]).success().await.json();
    let pid = status["workers"][0]["pid"].as_u64().expect("a pid");
    let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("it runs");
    let own = groups.lines().find_map(|line| line.strip_prefix("0::"));
    match own.filter(|group| group.contains("ostler-")) {
        Some(_) if !said.contains("memory_max does not hold") => {}
        Some(_) => assert!(
            said.contains("the memory controller is not available"),
            "{said}"
        ),
        None => assert!(
            said.contains("its workers run without control groups"),
            "{said}"
        ),
    }
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).expect("it runs");
    let files = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let words: Vec<&str> = files.expect("a line").split_whitespace().collect();
    assert_eq!(words[3..5], ["64", "64"]);
}

// ---- a command in one line

#[tokio::test]
async fn a_shell_that_stays_waits_for_those_it_started_and_one_that_need_not_is_gone() {
    let file = r#"
name = "test"
[app.line]
command = """sh -c 'trap "sleep 0.2; echo finished; exit 0" TERM; echo up >&2; while :; do sleep 0.05; done'; echo after"""
instances = 1
[app.both]
command = """sh -c 'trap "sleep 0.2; echo one finished; exit 0" TERM; echo one up >&2; while :; do sleep 0.05; done' & sleep 60"""
instances = 1
[app.simple]
command = "NAME='a b' sleep '600'"
instances = 1
"#;
    let mut master = ostler!().file(file).start().await;
    for _ in 0..3 {
        master.wait_for_log("taken to be ready").await;
    }
    let status = master.ostler(["ls", "--json"]).success().await.json();
    let workers = status["workers"].as_array().expect("workers");
    let simple = workers.iter().find(|worker| worker["app"] == "simple");
    let pid = simple.expect("one")["pid"].as_u64().expect("a pid");
    let program = std::fs::read_to_string(format!("/proc/{pid}/comm")).expect("it runs");
    assert_eq!(program, "sleep\n");
    master.ostler(["stop"]).success().await;
    let said = master.process.output();
    assert!(said.contains("line.0 | finished"), "{said}");
    assert!(said.contains("both.0 | one finished"), "{said}");
    assert!(!said.contains("| after"), "{said}");
}

// ---- descriptors beside sockets

#[tokio::test]
async fn files_are_opened_for_each_worker_and_found_by_name() {
    let builder = ostler!();
    let dir = builder.dir();
    dir.write("words", "one\ntwo\n");
    dir.write("data", "before\n");
    let script =
        "read word <&$OSTLER_FD_WORDS; echo \"$word $1\" >&$OSTLER_FD_OUT_FILE; exec sleep 600";
    let app = App::new("web", ["sh", "-c", script, "sh", "{fd:words}"])
        .set(
            "fds",
            json!({
                "words": dir.at("words").to_str(),
                "out-file": {"path": dir.at("data").to_str(), "mode": "append"},
            }),
        )
        .instances(1);
    let bad = App::new("bad", ["true"])
        .set("fds", json!({"gone": "no/such/file"}))
        .instances(1);
    let data = dir.at("data");
    let mut master = builder.apps(&[app, bad]).start().await;
    master.wait_for_log("could not be started: open \"").await;
    let words = eventually("the worker to write", PATIENCE, || {
        let text = std::fs::read_to_string(&data).ok()?;
        (text.lines().count() == 2).then_some(text)
    });
    // No socket, so the bus has 3, and the channel for descriptors 4; the order in the file is that of the descriptors.
    let text = words.await;
    assert!(
        text == "before\none 5\n" || text == "before\none 6\n",
        "{text}"
    );
}

/// The directory is the user's: it could put a link there at any time.
#[tokio::test]
async fn what_another_user_s_worker_writes_is_opened_with_that_user_s_rights() {
    if !is_root() {
        return;
    }
    let builder = ostler!();
    let dir = builder.dir();
    let public = PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(dir.path(), public).expect("a directory of one's own");
    let secret = dir.write("secret", "precious");
    let private = PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&secret, private).expect("root's own");
    let theirs = dir.make("theirs");
    std::os::unix::fs::chown(&theirs, Some(65_534), Some(65_534)).expect("given away");
    std::os::unix::fs::symlink(&secret, theirs.join("link")).expect("a link");
    let file = |name: &str, mode: &str| {
        let path = theirs.join(name);
        json!({"path": path.to_str().expect("text"), "mode": mode})
    };
    let app = |name: &str, script: &str, fds: serde_json::Value| {
        App::new(name, ["sh", "-c", script])
            .set("user", "65534")
            .set("limits", json!({"nofile": 16}))
            .set("umask", "077")
            .set("fds", fds)
            .instances(1)
    };
    let read = "read word <&$OSTLER_FD_KEY; echo \"$word\" >&$OSTLER_FD_OUT; exec sleep 600";
    let good = json!({"out": file("out", "append"), "key": secret.to_str().expect("text")});
    let apps = [
        app("good", read, good),
        app(
            "bad",
            "exec sleep 600",
            json!({"out": file("link", "write")}),
        ),
    ];
    let mut master = builder.apps(&apps).start().await;
    let line = master.wait_for_log("bad.0 could not be started").await;
    assert!(
        line.contains("link\" for writing") && line.contains("rights of the app's own user"),
        "{line}"
    );
    let out = theirs.join("out");
    eventually("the worker to write", PATIENCE, || {
        let text = std::fs::read_to_string(&out).ok()?;
        (text == "precious\n").then_some(())
    })
    .await;
    let out = std::fs::metadata(&out).expect("made");
    assert_eq!((out.uid(), out.mode() & 0o777), (65_534, 0o600));
    assert_eq!(
        std::fs::read_to_string(&secret).expect("there"),
        "precious",
        "nothing was emptied"
    );
}

#[tokio::test]
async fn lines_reach_standard_input_and_who_takes_none_is_told() {
    let script =
        "while read -r line; do echo \"heard $line\" >&2; done; echo over >&2; exec sleep 600";
    let app = App::new("console", ["sh", "-c", script])
        .set("stdin", "lines")
        .instances(2);
    let deaf = App::new("deaf", ["sleep", "600"]).instances(1);
    let closed = App::new(
        "closed",
        ["sh", "-c", "exec <&-; echo shut >&2; exec sleep 600"],
    )
    .set("stdin", "lines")
    .instances(1);
    let mut master = ostler!().apps(&[app, deaf, closed]).start().await;
    for _ in 0..4 {
        master.wait_for_log("taken to be ready").await;
    }
    let sent = master
        .ostler(["send", "console", "all of you"])
        .success()
        .await;
    assert_eq!(sent.stdout, "sent to 2\n");
    master
        .ostler(["send", "console:1", "-- it's $you"])
        .success()
        .await;
    master.wait_for_log("console.1 ! heard -- it's $you").await;
    let said = master.process.output();
    for slot in 0..2 {
        let line = format!("console.{slot} ! heard all of you");
        assert_eq!(said.matches(&line).count(), 1, "{said}");
    }
    let told = master.ostler(["send", "deaf", "x"]).fails_with(1).await;
    assert!(told.stderr.contains("stdin = \"lines\""), "{}", told.stderr);
    master.ostler(["send", "nobody", "x"]).fails_with(4).await;
    master
        .ostler(["send", "console:7", "x"])
        .fails_with(4)
        .await;
    master
        .ostler(["send", "console:x", "x"])
        .fails_with(4)
        .await;
    // The first line finds the pipe broken, the next one is told so.
    let told = async {
        loop {
            let output = master.ostler(["send", "closed", "x"]).run().await;
            if output.exit == Exit::Code(1) {
                return output;
            }
        }
    };
    let told = deadline("a closed input to be told", PATIENCE, told).await;
    assert!(
        told.stderr.contains("has closed its standard input"),
        "{}",
        told.stderr
    );
}

#[tokio::test]
async fn standard_input_can_be_a_declared_socket() {
    // As inetd has it: the listener is descriptor 0, and 3 as well.
    let script = "[ $(readlink /proc/self/fd/0) = $(readlink /proc/self/fd/3) ] && echo same >&2; exec sleep 600";
    let app = App::new("web", ["sh", "-c", script])
        .set("listen", "127.0.0.1:0")
        .set("stdin", json!({"socket": "http"}))
        .instances(1);
    let mut master = ostler!().apps(&[app]).start().await;
    master.wait_for_log("web.0 ! same").await;
}
