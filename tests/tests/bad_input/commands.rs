//! Commands that do not exist, cannot be run, or end at once.

use super::*;

#[tokio::test]
async fn unknown_command_is_named_with_its_neighbour() {
    let output = Alone::new()
        .ostler(&["relaod"])
        .stdout("")
        .fails_with(2)
        .await;
    assert!(
        output.stderr.contains("relaod") && output.stderr.contains("'reload'"),
        "{output:#?}"
    );
    let output = Alone::new()
        .ostler(&["run", "--instance", "2"])
        .fails_with(2)
        .await;
    assert!(output.stderr.contains("--instances"), "{output:#?}");
}

#[tokio::test]
async fn command_that_does_not_exist_is_reported() {
    let alone = Alone::new();
    alone
        .fails(
            &["run", "--", "no-such-program"],
            2,
            &["no-such-program", "hint: check its spelling"],
        )
        .await;
    alone
        .fails(&["run", "--", "./no/such"], 2, &["no/such", "hint: "])
        .await;
    alone
        .fails(
            &["run", "node", "server.js"],
            2,
            &["hint: to run a command, put `--` before it"],
        )
        .await;
    alone
        .fails(
            &["run", "--"],
            78,
            &["there is no ostler.toml here", "ostler run -- COMMAND"],
        )
        .await;
}

#[tokio::test]
async fn command_beside_a_worker_that_does_not_exist_is_reported() {
    let alone = Alone::new();
    for (key, setting) in [
        (
            "before_start",
            "before_start = [\"no-such-hook\", \"{slot}\"]",
        ),
        (
            "after_exit",
            "after_exit = { command = [\"no-such-hook\"] }",
        ),
        ("ready", "ready = { command = [\"no-such-hook\"] }"),
        ("health", "health = { command = [\"no-such-hook\"] }"),
    ] {
        let file = format!("[app.web]\ncommand = \"sleep 600\"\n{setting}\n");
        alone.dir.write("ostler.toml", &file);
        let told = format!("web: {key}: there is no program \"no-such-hook\"");
        alone.fails(&["run"], 78, &[&told, "hint: "]).await;
    }
}

#[tokio::test]
async fn command_that_cannot_be_run_is_reported() {
    let alone = Alone::new();
    alone.dir.write("text", "just text");
    alone.dir.make("folder");
    alone
        .fails(&["run", "--", "./text"], 2, &["text", "hint: ", "chmod +x"])
        .await;
    alone
        .fails(
            &["run", "--", "./folder"],
            2,
            &["folder", "directory", "hint: "],
        )
        .await;
    let script = alone.dir.write("script", "#!/no/such/interpreter\n");
    std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
    alone
        .fails(
            &["run", "--", "./script"],
            2,
            &["/no/such/interpreter", "hint: "],
        )
        .await;
}

#[tokio::test]
async fn command_that_vanishes_later_aborts_the_update() {
    let master = PROGRAMS.master().name("web").instances(2);
    let program = master.dir().at("worker");
    ostler_tests::harness::copy_program(PROGRAMS.misbehave, &program);
    let fleet = Fleet::ready(master.command([program.as_os_str(), "trivial".as_ref()]), 2).await;
    let before = fleet.until_ready(2).await;
    std::fs::remove_file(&program).unwrap();
    let reload = fleet.ostler(["reload"]).stderr_contains("No such file");
    reload
        .stderr_contains(program.to_str().unwrap())
        .fails_with(1)
        .await;
    let after = fleet.until_ready(2).await;
    assert_eq!((after[0].pid, after[1].pid), (before[0].pid, before[1].pid));
}

#[tokio::test]
async fn working_directory_that_is_missing_is_reported() {
    let alone = Alone::new();
    alone.dir.write(
        "ostler.toml",
        "[app.web]\ncommand = \"sleep 60\"\ncwd = \"gone\"\n",
    );
    alone
        .fails(&["run"], 78, &["gone", "does not exist", "hint: create it"])
        .await;
}

#[tokio::test]
async fn worker_that_exits_before_ready_is_told_with_its_last_lines() {
    let file = format!(
        "[app.web]\ncommand = [{:?}, \"readers\"]\ninstances = 1\nready = \"notify\"\n\
         backoff = {{ first = \"20s\", max = \"20s\" }}\n",
        PROGRAMS.misbehave
    );
    let fleet = Fleet::start(PROGRAMS.master().file(&file)).await;
    fleet.logged("web.0 exited with code 3").await;
    fleet.logged("web.0 ! can't open the book").await;
    let mut exits = fleet.hear::<WorkerExited>().await;
    fleet.ostler(["start"]).run().await;
    fleet.ostler(["reload"]).run().await;
    let exit = exits.next().await.event;
    assert_eq!(
        (exit.status, exit.was_ready, exit.voluntary),
        (ExitStatus::Code(3), false, false)
    );
    assert_eq!(exit.stderr_tail, ["can't open the book", "giving up"]);
    let told = |s: &StatusReport| {
        s.workers
            .iter()
            .any(|w| w.last_exit.as_ref().is_some_and(|e| e.contains("code 3")))
    };
    fleet.until("the last exit in the status", told).await;
}
