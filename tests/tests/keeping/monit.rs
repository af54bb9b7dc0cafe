//! `monit` on a terminal.

use ostler_tests::harness::{Exit, Fleet};
use rustix::process::Signal;

use super::*;

/// To the screen beside the usual one, and back.
const ENTERED: &str = "\x1b[?1049h";
const LEFT: &str = "\x1b[?1049l";

fn talking() -> App {
    App::new(
        "web",
        ["sh", "-c", "echo listening-$OSTLER_SLOT; exec sleep 600"],
    )
    .instances(2)
    .set("ready", "delay(0s)")
    .set("min_healthy", "0s")
}

#[tokio::test]
async fn workers_and_their_lines_are_shown_and_keys_do_what_they_say() {
    let fleet = Fleet::ready(PROGRAMS.master().apps(&[talking()]), 2).await;
    let mut terminal = fleet.ostler(["monit"]).on_terminal();
    terminal.shows(ENTERED, 0).await;
    for part in ["web:0", "web:1", "running", "2/2", "listening-0"] {
        terminal.shows(part, 0).await;
    }
    assert!(!terminal.is_as_it_was(), "keys come as they are pressed");
    let before = terminal.written();
    terminal.press("\x1b[B");
    terminal.shows("listening-1", before).await;
    let generation = fleet.status().await.apps[0].generation;
    terminal.press("r");
    terminal.shows("accepted", before).await;
    let newer = fleet.until("the reload", |status| {
        status.apps[0].generation > generation && status.apps[0].state == "running"
    });
    newer.await;
    terminal.press("q");
    assert_eq!(terminal.ended().await, Exit::Code(0));
    terminal.shows(LEFT, before).await;
    assert!(terminal.is_as_it_was(), "{}", terminal.text());
}

#[tokio::test]
async fn the_terminal_is_given_back_whatever_ends_it() {
    let fleet = Fleet::ready(PROGRAMS.master().apps(&[talking()]), 2).await;
    let signals = [Signal::INT, Signal::TERM, Signal::QUIT].map(Some);
    for signal in [None].into_iter().chain(signals) {
        let mut terminal = fleet.ostler(["monit"]).on_terminal();
        terminal.shows("web:0", 0).await;
        match signal {
            // Ctrl-C, as a key.
            None => terminal.press("\x03"),
            Some(signal) => terminal.signal(signal),
        }
        assert_eq!(terminal.ended().await, Exit::Code(0));
        terminal.shows(LEFT, 0).await;
        assert!(terminal.is_as_it_was(), "{}", terminal.text());
    }
}

#[tokio::test]
async fn the_terminal_is_given_back_while_it_is_stopped() {
    let fleet = Fleet::ready(PROGRAMS.master().apps(&[talking()]), 2).await;
    let mut terminal = fleet.ostler(["monit"]).on_terminal();
    terminal.shows("web:0", 0).await;
    terminal.signal(Signal::TSTP);
    terminal.shows(LEFT, 0).await;
    let before = terminal.written();
    assert!(terminal.is_as_it_was(), "{}", terminal.text());
    // Until it is heard: it may have been on its way to stop.
    ostler_tests::harness::eventually("the screen again", PATIENCE, || {
        terminal.signal(Signal::CONT);
        let entered = ENTERED.replace('\x1b', "␛");
        (terminal.text().matches(&entered).count() == 2).then_some(())
    })
    .await;
    terminal.shows("web:0", before).await;
    terminal.press("q");
    assert_eq!(terminal.ended().await, Exit::Code(0));
    assert!(terminal.is_as_it_was(), "{}", terminal.text());
}

#[tokio::test]
async fn a_master_that_goes_is_shown_as_away_until_it_is_back() {
    let mut fleet = Fleet::ready(PROGRAMS.master().apps(&[talking()]), 2).await;
    let mut terminal = fleet.ostler(["monit"]).on_terminal();
    terminal.shows("web:0", 0).await;
    fleet.end(Signal::TERM).await;
    terminal.shows("away:", 0).await;
    let before = terminal.written();
    fleet.start_again().await;
    // The line that said that it is away is written over, and what is asked is answered again.
    terminal.shows("  pid ", before).await;
    terminal.press("\x1b[B");
    terminal.shows("listening-1", before).await;
    terminal.press("q");
    assert_eq!(terminal.ended().await, Exit::Code(0));
}

#[tokio::test]
async fn without_a_terminal_it_says_what_to_use_instead() {
    let yard = PROGRAMS.yard();
    yard.ostler(&["monit"])
        .stdout("")
        .stderr_contains("monit draws on a terminal, and this is none")
        .stderr_contains("`ostler ls --json`")
        .fails_with(2)
        .await;
}
