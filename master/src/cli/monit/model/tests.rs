//! What is shown, drawn on a terminal in memory, and what keys do.

use ratatui::{Terminal, backend::TestBackend};

use super::{super::draw::draw, *};
use crate::cli::{
    render::tests::{report_of, worker},
    traffic::tests::stats,
};

fn line(slot: u32, stream: ostler_bus::vocab::log::LogStream, text: &str) -> LogLine {
    LogLine {
        app: "web".into(),
        slot: Slot(slot),
        worker: WorkerId(11),
        pid: 7,
        number: 1,
        time_ms: 0,
        stream,
        line: text.into(),
        cut: false,
    }
}

fn state(workers: Vec<WorkerStatus>, lines: Vec<LogLine>, uptime_ms: u64, events: u64) -> Seen {
    let mut peer = crate::cli::traffic::tests::client(3, events, &[]);
    peer.origin = Origin::Worker {
        app: "web".into(),
        id: WorkerId(11),
        slot: Slot(0),
        generation: ostler_bus::Generation(2),
        pid: 7,
    };
    Seen::State {
        report: Box::new(report_of(workers)),
        stats: Box::new(stats(uptime_ms, vec![peer])),
        lines,
    }
}

fn busy(cpu_ms: u64, age_ms: u64) -> WorkerStatus {
    WorkerStatus {
        cpu_ms: Some(cpu_ms),
        age_ms,
        ..worker("web", 0, Some(11), "ready")
    }
}

fn failing() -> WorkerStatus {
    WorkerStatus {
        restarts: 12,
        ..worker("web", 1, None, "backoff")
    }
}

/// Two looks, a second apart.
fn seen() -> View {
    use ostler_bus::vocab::log::LogStream::{Err, Out};
    let mut view = View::new(true);
    view.take(state(
        vec![busy(1_000, 60_000), failing()],
        vec![],
        1_000,
        100,
    ));
    let lines = vec![
        line(0, Out, "listening"),
        line(0, Err, "oh\x1b[2J no"),
        line(1, Out, "another's"),
    ];
    view.take(state(
        vec![busy(1_250, 61_000), failing()],
        lines,
        2_000,
        350,
    ));
    view
}

fn drawn(view: &View, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
    terminal.draw(|frame| draw(frame, view)).expect("drawn");
    terminal.backend().to_string()
}

fn press(view: &mut View, code: KeyCode) -> Option<Wish> {
    view.key(KeyEvent::new(code, KeyModifiers::NONE))
}

#[test]
fn everything_fits_on_80_columns_and_24_lines() {
    let shown = drawn(&seen(), 80, 24);
    for part in [
        "shop  pid 4194304  up 2d 4h  6.1 MB  3 of 8 cores  ostler 0.1.0",
        "box1  load 0.31 1.50 12.00  cpu 12%  mem 3.1 GB of 15.6 GB",
        "bus  1 connections  250/s in  0/s out",
        "web                    3/4    gen 2 updating",
        "  web:0                 11  4000011 ready              25%   41.2 MB     0   1m 1s   250/s",
        "  web:1                  -        - backoff              -         -    12       -       -",
        " web:0 ───",
        "listening",
        "oh\\x1b[2J no",
        "↑↓ choose  l lines  r reload the app  q quit",
    ] {
        let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            squeezed(&shown).contains(&squeezed(part)),
            "no {part:?} in\n{shown}"
        );
    }
    assert!(!shown.contains("another's"), "{shown}");
    assert_eq!(shown.lines().count(), 24);
}

#[test]
fn it_can_be_drawn_on_any_terminal() {
    for (width, height) in [(1, 1), (10, 3), (40, 8), (80, 11), (300, 100)] {
        for only_lines in [false, true] {
            let mut view = seen();
            view.only_lines = only_lines;
            drawn(&view, width, height);
        }
    }
    assert!(drawn(&View::new(false), 80, 24).contains("asking the master"));
}

#[test]
fn a_master_that_is_away_is_said_to_be_and_what_was_known_stays() {
    let mut view = seen();
    view.away(Some("the master is gone".into()));
    let shown = drawn(&view, 80, 24);
    assert!(
        shown.contains("away: the master is gone; waiting for it"),
        "{shown}"
    );
    assert!(shown.contains("web:0"), "{shown}");
    view.take(state(vec![busy(1_250, 62_000)], vec![], 3_000, 350));
    assert!(!drawn(&view, 80, 24).contains("away"), "it is back");
}

#[test]
fn keys_choose_and_ask() {
    let mut view = seen();
    assert_eq!(view.chosen(), Some(("web".into(), Slot(0))));
    assert_eq!(press(&mut view, KeyCode::Down), None);
    assert_eq!(view.chosen(), Some(("web".into(), Slot(1))));
    assert!(view.lines.is_empty(), "those were another's");
    press(&mut view, KeyCode::Down);
    assert_eq!(view.chosen_row(), Some(2), "it is the last");
    press(&mut view, KeyCode::Up);
    press(&mut view, KeyCode::Up);
    assert_eq!(view.chosen_row(), Some(1), "an app is no worker");
    assert_eq!(
        press(&mut view, KeyCode::Char('r')),
        Some(Wish::Reload("web".into()))
    );
    press(&mut view, KeyCode::Char('l'));
    let shown = drawn(&view, 80, 24);
    assert!(!shown.contains("APP, SLOT") && shown.contains("listening") || view.lines.is_empty());
    assert_eq!(press(&mut view, KeyCode::Esc), None, "back to all");
    assert_eq!(press(&mut view, KeyCode::Esc), Some(Wish::Quit));
    assert_eq!(press(&mut view, KeyCode::Char('q')), Some(Wish::Quit));
    let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert_eq!(view.key(interrupt), Some(Wish::Quit));
}

#[test]
fn the_choice_follows_the_slot_to_its_next_worker() {
    let mut view = seen();
    press(&mut view, KeyCode::Down);
    let recovered = worker("web", 1, Some(12), "starting");
    view.take(state(
        vec![busy(1_250, 62_000), recovered],
        vec![],
        3_000,
        350,
    ));
    assert_eq!(view.chosen(), Some(("web".into(), Slot(1))));
    assert_eq!(view.chosen_row(), Some(2));
    view.take(state(vec![busy(1_250, 63_000)], vec![], 4_000, 350));
    assert_eq!(
        view.chosen(),
        Some(("web".into(), Slot(0))),
        "there is no such slot any more"
    );
    view.take(state(vec![], vec![], 5_000, 350));
    assert_eq!(
        (view.chosen(), press(&mut view, KeyCode::Char('r'))),
        (None, None)
    );
    assert!(drawn(&view, 80, 24).contains("no worker"));
}

#[test]
fn without_colour_there_is_none() {
    let mut view = seen();
    view.colour = false;
    let mut terminal = Terminal::new(TestBackend::new(80, 24)).expect("a terminal");
    terminal.draw(|frame| draw(frame, &view)).expect("drawn");
    let cells = &terminal.backend().buffer().content;
    assert!(
        cells
            .iter()
            .all(|cell| cell.fg == ratatui::style::Color::Reset)
    );
}
