//! How it looks. Every string is escaped: workers and clients chose some of them.

use std::time::Duration;

use ostler_bus::vocab::{
    log::{LogLine, LogStream},
    status::{AppStatus, WorkerStatus},
};
use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::{Block, Borders, Cell, Paragraph, Row as TableRow, Table, TableState},
};

use super::model::{Row, View};
use crate::{
    config::units::{bytes, count, per_second, rough},
    escape,
};

/// A table below this many rows says too little; the lines give way first.
const TABLE: u16 = 6;

/// The lines' part of what is left, with their frame.
const LINES: u16 = 9;

const WIDTHS: [Constraint; 9] = [
    Constraint::Fill(1),
    Constraint::Length(5),
    Constraint::Length(7),
    Constraint::Length(15),
    Constraint::Length(5),
    Constraint::Length(8),
    Constraint::Length(4),
    Constraint::Length(7),
    Constraint::Length(7),
];

/// Colours, where they are wanted.
#[derive(Clone, Copy)]
struct Paint(bool);

impl Paint {
    fn with(self, colour: Color) -> Style {
        match self.0 {
            true => Style::new().fg(colour),
            false => Style::new(),
        }
    }

    fn dim(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    /// By the words that states have.
    fn state(self, state: &str) -> Style {
        match state {
            "ready" | "running" => self.with(Color::Green),
            "failed" => self.with(Color::Red),
            "stopped" => self.dim(),
            _ => self.with(Color::Yellow),
        }
    }
}

/// Draws all of it.
pub(super) fn draw(frame: &mut Frame<'_>, view: &View) {
    let paint = Paint(view.colour);
    let area = frame.area();
    let lines = match (view.only_lines, area.height.saturating_sub(4 + TABLE)) {
        (true, _) => area.height.saturating_sub(4),
        (false, room) => room.min(LINES.max(area.height / 3)),
    };
    let [head, table, log, keys] = Layout::vertical([
        Constraint::Length(3),
        Constraint::Fill(1),
        Constraint::Length(lines),
        Constraint::Length(1),
    ])
    .areas(area);
    frame.render_widget(Paragraph::new(header(view, paint)), head);
    if !view.only_lines {
        fleet(frame, view, table, paint);
    }
    if lines > 2 {
        last_lines(frame, view, log, paint);
    }
    frame.render_widget(Paragraph::new(footer(view, paint)), keys);
}

fn header(view: &View, paint: Paint) -> Vec<Line<'static>> {
    let Some(report) = &view.report else {
        let text = view
            .away
            .clone()
            .unwrap_or_else(|| "asking the master".into());
        return vec![Line::styled(escape::line(&text).into_owned(), paint.dim())];
    };
    let (master, machine) = (&report.master, &report.machine);
    let who = Span::styled(
        escape::line(&master.title).into_owned(),
        Style::new().add_modifier(Modifier::BOLD),
    );
    let of_it = format!(
        "  pid {}  up {}  {}  {} cores  ostler {}",
        master.pid,
        rough(Duration::from_secs(master.uptime)),
        bytes(master.memory),
        escape::line(&master.cores_used),
        escape::line(&master.version),
    );
    let first = match &view.away {
        None => Line::from(vec![who, Span::raw(of_it)]),
        Some(why) => {
            let text = format!("  away: {}; waiting for it", escape::line(why));
            Line::from(vec![who, Span::styled(text, paint.with(Color::Red))])
        }
    };
    let machine = format!(
        "{}  load {:.2} {:.2} {:.2}  cpu {:.0}%  mem {} of {}",
        escape::line(&report.hostname),
        machine.load_average[0],
        machine.load_average[1],
        machine.load_average[2],
        machine.cpu_percent,
        bytes(machine.memory_used),
        bytes(machine.memory_total),
    );
    vec![first, Line::styled(machine, paint.dim()), bus(view, paint)]
}

fn bus(view: &View, paint: Paint) -> Line<'static> {
    let Some(traffic) = &view.traffic else {
        return Line::default();
    };
    let (stats, rates) = (&traffic.now, traffic.totals());
    let heard = &stats.totals.to_subscribers;
    let figures = format!(
        "bus  {} connections  {} in  {} out  {} queued",
        stats.connections,
        per_second(rates.events),
        per_second(rates.delivered),
        bytes(stats.memory),
    );
    let mut spans = vec![Span::styled(figures, paint.dim())];
    if heard.lagged > 0 {
        let lost = format!("  {} lost by slow readers", count(heard.lagged));
        spans.push(Span::styled(lost, paint.with(Color::Yellow)));
    }
    Line::from(spans)
}

fn fleet(frame: &mut Frame<'_>, view: &View, area: Rect, paint: Paint) {
    let rows = view.rows();
    let rows = rows.iter().map(|row| match row {
        Row::App(app) => app_row(app, paint),
        Row::Worker(worker) => worker_row(view, worker, paint),
    });
    let names = [
        "APP, SLOT",
        "ID",
        "PID",
        "STATE",
        "CPU",
        "MEMORY",
        "RST",
        "AGE",
        "EV/S",
    ];
    let header = names
        .iter()
        .enumerate()
        .map(|(i, name)| aligned(i, (*name).to_owned()));
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let table = Table::new(rows, WIDTHS)
        .header(TableRow::new(header).style(bold))
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
    let mut state = TableState::new().with_selected(view.chosen_row());
    frame.render_stateful_widget(table, area, &mut state);
}

/// Numbers stand to the right, words to the left.
fn aligned(column: usize, text: String) -> Cell<'static> {
    match column {
        0 | 3 => Cell::from(text),
        _ => Cell::from(Line::from(text).right_aligned()),
    }
}

fn app_row(app: &AppStatus, paint: Paint) -> TableRow<'static> {
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let name = Cell::from(escape::line(&app.name).into_owned()).style(bold);
    let state = Cell::from(escape::line(&app.state).into_owned()).style(paint.state(&app.state));
    let ready = format!("{}/{}", app.ready, app.instances);
    let generation = format!("gen {}", app.generation);
    TableRow::new([name, aligned(1, ready), aligned(2, generation), state])
}

fn worker_row(view: &View, worker: &WorkerStatus, paint: Paint) -> TableRow<'static> {
    let dash = |text: Option<String>| text.unwrap_or_else(|| "-".into());
    let state = crate::cli::render::state_words(worker);
    let age = worker
        .id
        .map(|_| rough(Duration::from_millis(worker.age_ms)));
    let cells = [
        format!("  {}:{}", escape::line(&worker.app), worker.slot),
        dash(worker.id.map(|id| id.to_string())),
        dash(worker.pid.map(|pid| pid.to_string())),
        state,
        dash(view.cpu(worker).map(|share| format!("{share:.0}%"))),
        dash(worker.memory.map(bytes)),
        worker.restarts.to_string(),
        dash(age),
        dash(view.events(worker).map(|rate| per_second(Some(rate)))),
    ];
    let cells = cells.into_iter().enumerate().map(|(i, text)| match i {
        3 => aligned(i, text).style(paint.state(&worker.state)),
        6 if worker.restarts > 0 => aligned(i, text).style(paint.with(Color::Yellow)),
        _ => aligned(i, text),
    });
    TableRow::new(cells)
}

fn last_lines(frame: &mut Frame<'_>, view: &View, area: Rect, paint: Paint) {
    let title = match view.chosen() {
        Some((app, slot)) => format!(" {}:{slot} ", escape::line(&app)),
        None => " no worker ".to_owned(),
    };
    let block = Block::new().borders(Borders::TOP).title(title);
    let room = usize::from(block.inner(area).height);
    let last = &view.lines[view.lines.len().saturating_sub(room)..];
    let lines: Vec<Line<'_>> = match last {
        [] => vec![Line::styled("nothing printed lately", paint.dim())],
        last => last.iter().map(|line| line_of(line, paint)).collect(),
    };
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

fn line_of(line: &LogLine, paint: Paint) -> Line<'static> {
    let text = escape::line(&line.line).into_owned();
    match line.stream {
        LogStream::Out => Line::raw(text),
        LogStream::Err => Line::styled(text, paint.with(Color::Red)),
    }
}

fn footer(view: &View, paint: Paint) -> Line<'static> {
    if let Some(notice) = &view.notice {
        return Line::styled(escape::line(notice).into_owned(), paint.with(Color::Yellow));
    }
    let lines = match view.only_lines {
        true => "l all",
        false => "l lines",
    };
    let text = format!("↑↓ choose  {lines}  r reload the app  q quit");
    Line::styled(text, paint.dim())
}
