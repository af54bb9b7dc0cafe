//! What a person reads.

use ostler_bus::{
    Generation, Slot,
    vocab::describe::{Release, Setting, SlotLogs},
};

use super::*;
use crate::cli::render::tests::{report_of, worker};

fn definition(slots: Option<Vec<Slot>>) -> AppDescription {
    let setting = |key: &str, value: &str, source: &str| Setting {
        key: key.into(),
        value: value.into(),
        source: source.into(),
    };
    AppDescription {
        name: "web".into(),
        generation: Generation(1),
        slots,
        release: Some(Release {
            command: vec!["node".into(), "a b.js\u{1b}".into()],
            cwd: Some("/srv/releases/7".into()),
        }),
        settings: vec![
            setting("command", "[\"node\", \"a b.js\"]", "/srv/ostler.toml:3"),
            setting("env", "A, TOKEN", "/srv/ostler.toml:4"),
            setting("ready", "\"auto\"", "default"),
        ],
        logs: vec![SlotLogs {
            slot: Slot(0),
            out: Some("/log/web.0".into()),
            err: Some("/log/web.0".into()),
        }],
    }
}

#[test]
fn an_app_is_told_with_its_settings_and_its_workers() {
    let failing = WorkerStatus {
        restarts: 3,
        failures: 3,
        backoff_ms: 400,
        retry_in_ms: Some(300),
        last_exit: Some("exited with code 1".into()),
        ..worker("web", 1, None, "backoff")
    };
    let ready = WorkerStatus {
        cpu_ms: Some(3_600),
        check_in_ms: Some(1_000),
        ..worker("web", 0, Some(4), "ready")
    };
    let report = report_of(vec![ready, failing, worker("api", 0, Some(5), "ready")]);
    let described = [definition(None)];
    let told = in_words(&together(&described, &report), Style::plain());
    for line in [
        "  generation 1 runs node a b.js\\x1b in /srv/releases/7",
        "SETTING  SAID IN             VALUE",
        "env      /srv/ostler.toml:4  A, TOKEN (values are not shown)",
        "ready    default             \"auto\"",
        "  log           /log/web.0",
        "  next try      in 300ms",
        "  restarts      3 (failures 3, back-off 400ms)",
        "  last exit     exited with code 1",
        "  check-in      1.0s ago",
    ] {
        assert!(
            told.lines().any(|known| known == line),
            "no {line:?} in\n{told}"
        );
    }
    assert!(told.contains("`ostler why web`"), "{told}");
    assert!(told.contains("3.6s ("), "{told}");
    assert!(!told.contains("error log"), "one file is told once\n{told}");
    assert!(!told.contains("api"), "{told}");
    assert!(
        told.lines().all(|line| line.chars().count() <= 100),
        "{told}"
    );
}

#[test]
fn a_slot_is_told_alone() {
    let report = report_of(vec![
        worker("web", 0, Some(4), "ready"),
        worker("web", 1, Some(5), "ready"),
    ]);
    let described = [definition(Some(vec![Slot(1)]))];
    let apps = together(&described, &report);
    let told = in_words(&apps, Style::plain());
    assert!(told.contains("web:1  ready  worker 5"), "{told}");
    assert!(told.contains("`ostler logs web:1`"), "{told}");
    assert!(
        !told.contains("worker 4") && !told.contains("SETTING"),
        "{told}"
    );
    let json: serde_json::Value =
        serde_json::from_str(&render::json(&apps).expect("JSON")).expect("JSON");
    assert_eq!(json[0]["workers"][0]["id"], 5);
    assert_eq!(json[0]["name"], "web");
    assert_eq!(json[0]["definition"]["settings"][1]["value"], "A, TOKEN");
}
