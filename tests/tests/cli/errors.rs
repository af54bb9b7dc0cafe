//! How commands fail: exit codes, causes, hints.

use super::*;

#[tokio::test]
async fn without_a_master_commands_exit_3() {
    let dir = PrivateDir::new();
    for verb in VERBS.iter().chain(&[&["request", "a"] as &[&str]]) {
        let output = alone(&dir, verb).stdout("").fails_with(3).await;
        assert!(
            output.stderr.contains("no master is running"),
            "{verb:?}: {output:#?}"
        );
        assert!(
            output.stderr.contains("hint: start one with `ostler run`"),
            "{output:#?}"
        );
    }
    assert!(!dir.at("home").exists(), "asking makes nothing");
}

#[tokio::test]
async fn unknown_app_exits_4() {
    let fleet = Fleet::start(trivial(0)).await;
    for verb in [
        &["reload", "nobody"] as &[&str],
        &["scale", "nobody", "2"],
        &["stop", "nobody"],
        &["start", "nobody"],
    ] {
        let output = fleet.ostler(verb).stdout("").fails_with(4).await;
        assert!(
            output.stderr.contains("nobody") && output.stderr.contains("web"),
            "{output:#?}"
        );
    }
}

#[tokio::test]
async fn exit_codes_are_as_documented() {
    let dir = PrivateDir::new();
    dir.write("bad.toml", "[app.web]\ncolour = 1\n");
    let fleet = Fleet::start(trivial(0)).await;
    let bad = dir.at("bad.toml");
    alone(&dir, &["run", bad.to_str().unwrap()])
        .fails_with(78)
        .await;
    alone(&dir, &["scale"]).fails_with(2).await;
    alone(&dir, &["nonsense"]).fails_with(2).await;
    alone(&dir, &["ping"]).fails_with(3).await;
    fleet.ostler(["ping"]).success().await;
    fleet
        .ostler(["wait", "x", "--timeout", "10ms"])
        .fails_with(1)
        .await;
    fleet.ostler(["stop", "nobody"]).fails_with(4).await;
    let second = fleet.ostler(["run", "-n", "web", "--", "true"]);
    second
        .stderr_contains("already running")
        .fails_with(75)
        .await;
    let help = alone(&dir, &["--help"]).success().await.stdout;
    for code in [
        "0 done",
        "1 failed",
        "2 usage",
        "3 not running",
        "4 unknown name",
        "75 busy",
        "78 bad",
    ] {
        assert!(help.contains(code), "{code}: {help}");
    }
}

fn told(output: &Output) {
    let lines: Vec<_> = output.stderr.lines().collect();
    assert!(lines[0].starts_with("error: "), "{output:#?}");
    let hint = lines
        .iter()
        .position(|line| line.starts_with("hint: "))
        .expect(&output.stderr);
    assert_eq!(lines[hint - 1], "", "{output:#?}");
    assert_eq!(output.stdout, "");
}

#[tokio::test]
async fn errors_have_cause_and_hint() {
    let dir = PrivateDir::new();
    told(&alone(&dir, &["ls"]).run().await);
    told(
        &alone(&dir, &["run", "--", "no-such-program-here"])
            .run()
            .await,
    );
    dir.write("home", "a file");
    let output = alone(&dir, &["run", "--", "true"]).run().await;
    told(&output);
    let fleet = Fleet::start(trivial(0)).await;
    fleet.process.signal(Signal::STOP);
    let output = fleet.ostler(["ls"]).run().await;
    fleet.process.signal(Signal::CONT);
    told(&output);
}
