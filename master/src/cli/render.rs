//! The state of a master, for people: `ostler ls`.

pub(super) mod bus;

use std::time::Duration;

use ostler_bus::{
    Slot,
    vocab::status::{AppStatus, SocketStatus, StatusReport, WorkerStatus},
};

use super::{
    error::{CliError, Exit},
    held,
    style::Style,
    table::{self, Align, Cell, Row, Tone},
};
use crate::{
    config::units::{bytes, rough},
    escape,
};

/// A worker that has not said that it is ready for so long is shown with what it waits for.
const SLOW_MS: u64 = 5_000;

/// The whole state: master, machine, apps, workers. Every string is escaped: workers and clients chose some of them.
#[must_use]
pub fn status(report: &StatusReport, style: Style) -> String {
    let mut out = header(report, style);
    out.push('\n');
    for app in &report.apps {
        out.push_str(&app_line(app, style));
    }
    if !report.workers.is_empty() {
        out.push('\n');
        out.push_str(&workers(&report.workers, style));
    }
    out
}

/// What is printed for programs: JSON, indented, safe for a terminal.
///
/// # Errors
/// If a number in it has no JSON form; those of a master have.
pub fn json<T: serde::Serialize>(value: &T) -> Result<String, CliError> {
    let text = serde_json::to_string_pretty(value).map_err(|error| no_form(&error))?;
    // Line by line: the layout's own newlines stay.
    Ok(text.lines().map(json_line_of).collect())
}

/// The same in one line.
///
/// # Errors
/// As [`json`].
pub fn json_line<T: serde::Serialize>(value: &T) -> Result<String, CliError> {
    let text = serde_json::to_string(value).map_err(|error| no_form(&error))?;
    Ok(json_line_of(&text))
}

fn json_line_of(text: &str) -> String {
    format!("{}\n", escape::json(text))
}

fn no_form(error: &serde_json::Error) -> CliError {
    CliError::new(Exit::Failed, "what is to be printed has no JSON form").because(error)
}

fn header(report: &StatusReport, style: Style) -> String {
    let (master, machine) = (&report.master, &report.machine);
    let mut out = format!(
        "{}  pid {}  up {}  {}  {} cores  ostler {}\n",
        style.bold(&escape::line(&master.title)),
        master.pid,
        rough(Duration::from_secs(master.uptime)),
        bytes(master.memory),
        escape::line(&master.cores_used),
        escape::line(&master.version),
    );
    let [one, five, fifteen] = machine.load_average;
    let machine = format!(
        "{}  {}  load {one:.2} {five:.2} {fifteen:.2}  cpu {:.0}%  mem {} of {}",
        escape::line(&report.hostname),
        escape::line(&report.os),
        machine.cpu_percent,
        bytes(machine.memory_used),
        bytes(machine.memory_total),
    );
    out.push_str(&style.dim(&table::truncate(&machine, style.width)));
    out.push('\n');
    if master.restart_needed {
        let reason = match &master.restart_reason {
            Some(reason) => format!("system restart needed: {}", escape::line(reason)),
            None => "system restart needed".to_owned(),
        };
        out.push_str(&style.yellow(&table::truncate(&reason, style.width)));
        out.push('\n');
    }
    out
}

pub(super) fn app_line(app: &AppStatus, style: Style) -> String {
    let state = escape::line(&app.state);
    let state = match app.state.as_str() {
        "running" => style.green(&state),
        "failed" => style.red(&state),
        "stopped" => style.dim(&state),
        _ => style.yellow(&state),
    };
    let mut out = format!(
        "{}  {state}  {} of {} ready  generation {}  ready: {}",
        style.bold(&escape::line(&app.name)),
        app.ready,
        app.instances,
        app.generation,
        escape::line(&app.readiness),
    );
    if let Some(namespace) = &app.namespace {
        out.push_str(&format!("  namespace {}", escape::line(namespace)));
    }
    // Slots that have a socket each at one address are told of once.
    let is_group = |socket: &SocketStatus| ["slot", "sticky"].contains(&&*socket.mode);
    let told = |socket: &&SocketStatus| !is_group(socket) || socket.slot == Some(Slot(0));
    for socket in app.sockets.iter().filter(told) {
        let (name, address) = (escape::line(&socket.name), escape::line(&socket.address));
        let own = socket.slot.filter(|_| !is_group(socket));
        let slot = own.map_or_else(String::new, |slot| format!(".{slot}"));
        out.push_str(&format!(
            "\n  {name}{slot} on {address} ({})",
            escape::line(&socket.mode)
        ));
    }
    if let Some(next) = &app.next_cron {
        let line = format!("  next cron: {}", escape::line(next));
        out.push('\n');
        out.push_str(&style.dim(&table::truncate(&line, style.width)));
    }
    if let Some(update) = &app.last_update {
        let line = format!("  last update: {}", escape::line(update));
        out.push('\n');
        out.push_str(&style.dim(&table::truncate(&line, style.width)));
    }
    out.push('\n');
    out
}

const COLUMNS: [(&str, Align); 9] = [
    ("APP", Align::Left),
    ("SLOT", Align::Right),
    ("ID", Align::Right),
    ("PID", Align::Right),
    ("GEN", Align::Right),
    ("STATE", Align::Left),
    ("RESTARTS", Align::Right),
    ("AGE", Align::Right),
    ("MEMORY", Align::Right),
];

fn workers(workers: &[WorkerStatus], style: Style) -> String {
    let mut rows = Vec::with_capacity(workers.len());
    for worker in workers {
        rows.push(Row::Cells(cells(worker)));
        rows.extend(notes(worker).into_iter().map(Row::Note));
    }
    table::render(COLUMNS, &rows, style)
}

fn cells(worker: &WorkerStatus) -> [Cell; 9] {
    let dash = |value: Option<String>| value.map_or_else(|| Cell::new("-", Tone::Dim), Cell::plain);
    let restarts = match worker.restarts {
        0 => Cell::new("0", Tone::Dim),
        count => Cell::new(count.to_string(), Tone::Moving),
    };
    let age = worker
        .id
        .map(|_| rough(Duration::from_millis(worker.age_ms)));
    [
        Cell::plain(escape::line(&worker.app)),
        Cell::plain(worker.slot.to_string()),
        dash(worker.id.map(|id| id.to_string())),
        dash(worker.pid.map(|pid| pid.to_string())),
        Cell::plain(worker.generation.to_string()),
        state(worker),
        restarts,
        dash(age),
        dash(worker.memory.map(bytes)),
    ]
}

/// The state of a worker.
pub(super) fn state(worker: &WorkerStatus) -> Cell {
    let tone = match worker.state.as_str() {
        "ready" => Tone::Good,
        "failed" => Tone::Bad,
        "stopped" => Tone::Dim,
        _ => Tone::Moving,
    };
    Cell::new(state_words(worker), tone)
}

/// The same in words.
pub(super) fn state_words(worker: &WorkerStatus) -> String {
    // It was brought up beside the one that holds its slot.
    let trial = !worker.current && !worker.closing;
    let state = escape::line(&worker.state);
    match (worker.assumed_ready, worker.current) {
        (true, true) if worker.state == "ready" => "ready (assumed)".to_owned(),
        (_, true) => state.into_owned(),
        (_, false) if trial => format!("{state} (new)"),
        // It drains beside its successor.
        (_, false) => format!("{state} (old)"),
    }
}

fn notes(worker: &WorkerStatus) -> Vec<String> {
    let figures = format!(
        "failures {}, back-off {}",
        worker.failures,
        rough(Duration::from_millis(worker.backoff_ms))
    );
    let retry = match (worker.retry_in_ms, worker.state.as_str()) {
        (Some(ms), _) => {
            let wait = rough(Duration::from_millis(ms));
            Some(format!("tried again in {wait} ({figures})"))
        }
        (None, "failed") => Some(format!("tried again by `ostler start` ({figures})")),
        (None, _) => None,
    };
    let recycle = worker
        .recycle
        .as_ref()
        .map(|why| format!("to be replaced: {}", escape::line(why)));
    let exit = worker
        .last_exit
        .as_ref()
        .filter(|_| worker.state != "ready" || worker.restarts > 0)
        .map(|exit| format!("last exit: {}", escape::line(exit)));
    let said = worker
        .status_text
        .as_ref()
        .map(|text| format!("says: {}", escape::line(text)));
    let waits = worker
        .waits_for
        .as_ref()
        .filter(|_| worker.age_ms >= SLOW_MS)
        .map(|what| format!("waits for {}", escape::line(what)));
    let held = worker
        .held
        .map(|held| format!("holds {}", held::held(held, worker.held_requests)));
    [said, waits, held, recycle, exit, retry]
        .into_iter()
        .flatten()
        .collect()
}

#[cfg(test)]
pub(super) mod tests;
