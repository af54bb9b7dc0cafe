//! The log: its form, its levels.

use super::*;

#[tokio::test]
async fn log_is_human_or_json() {
    let human = Fleet::ready(trivial(1), 1).await;
    let line = human.logged("web.0 started").await;
    assert!(
        serde_json::from_str::<Value>(&line).is_err() && !line.contains('\u{1b}'),
        "{line:?}"
    );
    human.said("web.0 | ready").await;
    let mut json = Fleet::ready(trivial(1).arg("--log-format=json"), 1).await;
    json.said("\"line\":\"ready\"").await;
    json.end(Signal::TERM).await;
    for line in [json.process.stdout.all(), json.process.stderr.all()].concat() {
        let value = serde_json::from_str::<Value>(&line);
        assert!(value.is_ok_and(|value| value.is_object()), "{line}");
    }
}

#[tokio::test]
async fn log_level_is_chosen_by_the_filter() {
    let off = trivial(1).env("OSTLER_LOG", "off");
    let file = off.dir().at("given.json");
    let words = [
        PROGRAMS.misbehave.as_ref(),
        "print-env".as_ref(),
        file.as_os_str(),
    ];
    let off = Fleet::ready(off.command(words), 1).await;
    assert_eq!(off.process.stderr.text(), "");
    off.said("web.0 | ready").await;
    let given: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    assert!(
        given["env"].get("OSTLER_LOG").is_none(),
        "the master's own: {given}"
    );
    let debug = Fleet::start(trivial(0).env("OSTLER_LOG", "debug")).await;
    debug.logged("DEBUG").await;
    let info = Fleet::start(trivial(0)).await;
    info.logged("INFO").await;
    assert!(!info.process.stderr.text().contains("DEBUG"));
}

#[tokio::test]
async fn a_filter_that_is_none_is_told_and_the_usual_one_holds() {
    let fleet = Fleet::start(trivial(0).env("OSTLER_LOG", "warning")).await;
    let told = fleet.logged("WARN OSTLER_LOG=").await;
    for words in [
        "\"warning\" is no level",
        "info holds",
        "OSTLER_LOG=info,ostler::bus=debug",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
    fleet.logged("INFO").await;
}

#[tokio::test]
async fn reasons_of_others_stay_on_one_line_of_the_log() {
    let fleet = Fleet::ready(PROGRAMS.sdk(1), 1).await;
    let hostile = "tidy\u{1b}[2J\n2026 ERROR forged \u{202e}";
    fleet
        .ostler(["reload", "--reason", hostile])
        .success()
        .await;
    let wish = json!({ "reason": hostile }).to_string();
    fleet
        .ostler(["emit", "systemRestartNeeded", &wish])
        .success()
        .await;
    for begin in ["began: ", "needs a restart: "] {
        let line = fleet.logged(begin).await;
        assert!(
            line.contains("tidy") && line.contains("ERROR forged"),
            "{line:?}"
        );
        assert!(!line.contains(['\u{1b}', '\u{202e}']), "{line:?}");
    }
    let shown = fleet.ostler(["ls"]).success().await.stdout;
    assert!(
        shown.contains("tidy") || shown.contains("system restart needed"),
        "{shown}"
    );
    assert!(!shown.contains(['\u{1b}', '\u{202e}']), "{shown:?}");
}
