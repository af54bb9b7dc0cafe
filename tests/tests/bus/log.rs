//! What the log tells of the bus.

use super::*;

#[tokio::test]
async fn every_broadcast_is_logged_at_debug() {
    let master = PROGRAMS.sdk(1).env("OSTLER_LOG", "info,ostler::bus=debug");
    let fleet = Fleet::ready(master, 1).await;
    fleet.get("web", "/note/logged").await;
    let line = fleet.logged("tests.note").await;
    assert!(
        line.contains("\"text\":\"logged\"") && line.contains("DEBUG"),
        "{line}"
    );
    assert!(line.contains("web"), "the origin: {line}");
    fleet.logged("worker.ready").await;
    fleet
        .bus
        .emit_json("just.json", &json!({ "a": [1] }))
        .await
        .unwrap();
    fleet.logged("{\"a\":[1]}").await;
}

#[tokio::test]
async fn log_tap_subscribes_only_while_enabled() {
    let fleet = quiet().await;
    assert_eq!(fleet.bus.json("fresh.topic", &1).acked().await, Ok(0));
    let master = PROGRAMS
        .habit(0, &["trivial"])
        .env("OSTLER_LOG", "ostler::bus=debug");
    let tapped = Fleet::start(master).await;
    assert_eq!(tapped.bus.json("fresh.topic", &1).acked().await, Ok(1));
    tapped.logged("fresh.topic").await;
    assert!(!fleet.process.stderr.text().contains("fresh.topic"));
}

#[tokio::test]
async fn log_tap_escapes_hostile_strings() {
    let hostile = "\u{1b}[2J\n2026 ERROR forged \u{202e}\u{9b}";
    for format in ["human", "json"] {
        let master = PROGRAMS
            .habit(0, &["trivial"])
            .arg(format!("--log-format={format}"));
        let fleet = Fleet::start(master.env("OSTLER_LOG", "ostler::bus=debug")).await;
        let other = client(&fleet, "na\u{1b}[1mme").await;
        other.emit_json("a.hostile.one", &hostile).await.unwrap();
        let line = fleet.logged("a.hostile.one").await;
        assert!(line.contains("ERROR forged"), "one line: {line:?}");
        assert!(!line.contains(['\u{1b}', '\u{202e}', '\u{9b}']), "{line:?}");
        let mut waits = fleet
            .ostler(["emit", "x", "--wait", "a.hostile.two"])
            .start();
        let heard = async { while other.json("a.hostile.two", &hostile).acked().await != Ok(2) {} };
        deadline("the waiting command", PATIENCE, heard).await;
        let event = shown(&mut waits, "\"topic\"").await;
        assert_eq!(event["payload"], hostile);
        assert!(
            !waits
                .stdout
                .text()
                .contains(['\u{1b}', '\u{202e}', '\u{9b}'])
        );
    }
}
