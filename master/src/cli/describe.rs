//! `ostler describe`: everything that is known of an app and its workers.

use std::{collections::BTreeSet, process::ExitCode, time::Duration};

use ostler_bus::{
    WorkerId,
    client::Bus,
    vocab::{
        describe::{AppDescribe, AppDescription, DescribeAnswer},
        status::{AppStatus, StatusReport, WorkerStatus},
    },
};
use serde::Serialize;

use super::{
    args::DescribeArgs,
    bus_errors::of_master,
    carry_out::refused,
    connect::{self, Wanted},
    error::CliError,
    held, output, render, state_verbs,
    style::Style,
    table::{self, Align, Cell, Row, Tone},
    values,
};
use crate::{
    config::units::{bytes, rough},
    escape,
};

/// How wide the names of a block's lines are.
const LABEL: usize = 14;

/// A value longer than this is cut on a terminal: the process file has it whole.
const COLUMNS: [(&str, Align); 3] = [
    ("SETTING", Align::Left),
    ("SAID IN", Align::Left),
    ("VALUE", Align::Left),
];

/// An app, as JSON has it.
#[derive(Debug, Serialize)]
struct Whole<'a> {
    #[serde(flatten)]
    status: &'a AppStatus,
    definition: &'a AppDescription,
    workers: Vec<&'a WorkerStatus>,
}

/// `ostler describe`
pub(super) fn describe(args: &DescribeArgs, wanted: Wanted<'_>) -> Result<ExitCode, CliError> {
    connect::talk(wanted, async |session| {
        let described = ask(&session.bus, values::joined(&args.which)).await?;
        let report = state_verbs::ask(&session.bus).await?;
        let apps = together(&described, &report);
        let text = match args.json {
            true => render::json(&apps)?,
            false => in_words(&apps, Style::of_stdout()),
        };
        output::print(&text)?;
        Ok(ExitCode::SUCCESS)
    })
}

/// What the master tells of the apps and slots that a selector means; `None` is all.
pub(super) async fn ask(bus: &Bus, app: Option<String>) -> Result<Vec<AppDescription>, CliError> {
    let answer = bus.request(&AppDescribe { app }).await.map_err(of_master)?;
    match answer {
        DescribeAnswer::Described(apps) => Ok(apps),
        DescribeAnswer::Refused { kind, reason } => Err(refused(kind, &reason)),
    }
}

/// Definition and state, app by app. One that went between the two questions is left out.
fn together<'a>(described: &'a [AppDescription], report: &'a StatusReport) -> Vec<Whole<'a>> {
    let apps = described.iter().filter_map(|definition| {
        let status = report.apps.iter().find(|app| app.name == definition.name)?;
        let asked = |worker: &&WorkerStatus| {
            let slots = definition.slots.as_ref();
            worker.app == definition.name && slots.is_none_or(|slots| slots.contains(&worker.slot))
        };
        Some(Whole {
            status,
            definition,
            workers: report.workers.iter().filter(asked).collect(),
        })
    });
    apps.collect()
}

fn in_words(apps: &[Whole<'_>], style: Style) -> String {
    let blocks: Vec<String> = apps.iter().map(|app| one(app, style)).collect();
    blocks.join("\n")
}

fn one(app: &Whole<'_>, style: Style) -> String {
    let mut out = render::app_line(app.status, style);
    let definition = app.definition;
    if let Some(release) = &definition.release {
        let words = crate::config::shell_line::shown(&release.command);
        let place = release.cwd.as_ref();
        let place = place.map_or_else(String::new, |cwd| format!(" in {cwd}"));
        let generation = definition.generation;
        let line = format!("generation {generation} runs {words}{place}");
        note(&mut out, &line, style);
    }
    if app.definition.slots.is_none() {
        out.push('\n');
        out.push_str(&settings(definition, style));
    }
    let mut shown = BTreeSet::new();
    for worker in &app.workers {
        out.push('\n');
        out.push_str(&of_worker(worker, definition, style));
        shown.extend(worker.id);
    }
    out.push('\n');
    out.push_str(&style.dim(&hint(app, &shown)));
    out.push('\n');
    out
}

fn note(out: &mut String, text: &str, style: Style) {
    let line = table::truncate(&format!("  {}", escape::line(text)), style.width);
    out.push_str(&style.dim(&line));
    out.push('\n');
}

fn settings(definition: &AppDescription, style: Style) -> String {
    let rows: Vec<[Cell; 3]> = definition
        .settings
        .iter()
        .map(|said| {
            let tone = match said.source.as_str() {
                "default" => Tone::Dim,
                _ => Tone::Plain,
            };
            let value = match said.key.as_str() {
                "env" => format!("{} (values are not shown)", said.value),
                _ => said.value.clone(),
            };
            [
                Cell::new(escape::line(&said.key), tone),
                Cell::new(escape::line(&said.source), Tone::Dim),
                Cell::new(escape::line(&value), tone),
            ]
        })
        .collect();
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].width())
            .max()
            .unwrap_or(0)
    };
    let before = width(0).max("SETTING".len()) + width(1).max("SAID IN".len()) + 4;
    let room = style.width.saturating_sub(before).max(20);
    let rows = rows.into_iter().map(|mut row| {
        row[2].cut(room);
        Row::Cells(row)
    });
    table::render(COLUMNS, &rows.collect::<Vec<_>>(), style)
}

/// A worker, or a slot that has none: what it is in one line, and below it what is known, each by its name.
fn of_worker(worker: &WorkerStatus, definition: &AppDescription, style: Style) -> String {
    let who = format!("{}:{}", escape::line(&worker.app), worker.slot);
    let state = render::state(worker).painted(style);
    let mut out = format!("{}  {state}", style.bold(&who));
    if let Some(id) = worker.id {
        out.push_str(&format!("  worker {id}"));
    }
    if let Some(pid) = worker.pid {
        out.push_str(&format!("  pid {pid}"));
    }
    out.push_str(&format!("  generation {}\n", worker.generation));
    for (label, value) in facts(worker, definition) {
        let line = format!("  {label:LABEL$}{}", escape::line(&value));
        out.push_str(&table::truncate(&line, style.width));
        out.push('\n');
    }
    out
}

fn facts(worker: &WorkerStatus, definition: &AppDescription) -> Vec<(&'static str, String)> {
    let ms = |ms: u64| rough(Duration::from_millis(ms));
    let logs = definition.logs.iter().find(|logs| logs.slot == worker.slot);
    let (out, err) = logs.map_or((None, None), |logs| (logs.out.clone(), logs.err.clone()));
    let err = err.filter(|err| out.as_ref() != Some(err));
    let back_off = format!(
        "failures {}, back-off {}",
        worker.failures,
        ms(worker.backoff_ms)
    );
    let all = [
        (
            "started",
            worker.id.map(|_| format!("{} ago", ms(worker.age_ms))),
        ),
        (
            "restarts",
            Some(format!("{} ({back_off})", worker.restarts)),
        ),
        (
            "next try",
            worker.retry_in_ms.map(|wait| format!("in {}", ms(wait))),
        ),
        ("memory", worker.memory.map(bytes)),
        ("cpu", worker.cpu_ms.map(|cpu| busy(cpu, worker.age_ms))),
        (
            "bus",
            worker.id.map(|_| {
                (if worker.connected {
                    "connected"
                } else {
                    "not connected"
                })
                .to_owned()
            }),
        ),
        ("requests", worker.requests.map(|served| served.to_string())),
        (
            "check-in",
            worker.check_in_ms.map(|ago| format!("{} ago", ms(ago))),
        ),
        ("says", worker.status_text.clone()),
        ("waits for", worker.waits_for.clone()),
        (
            "holds",
            worker
                .held
                .map(|held| held::held(held, worker.held_requests)),
        ),
        ("to be replaced", worker.recycle.clone()),
        ("last exit", worker.last_exit.clone()),
        ("log", out),
        ("error log", err),
    ];
    let known = all.into_iter();
    known
        .filter_map(|(label, value)| Some((label, value?)))
        .collect()
}

/// "3.2s (4% of a core since it began)".
fn busy(cpu_ms: u64, age_ms: u64) -> String {
    let share = cpu_ms as f64 * 100.0 / age_ms.max(1) as f64;
    let used = rough(Duration::from_millis(cpu_ms));
    format!("{used} ({share:.0}% of a core since it began)")
}

fn hint(app: &Whole<'_>, shown: &BTreeSet<WorkerId>) -> String {
    let name = escape::line(&app.status.name);
    let which = match (app.definition.slots.as_deref(), shown.len()) {
        (Some([slot]), _) => format!("{name}:{slot}"),
        _ => name.into_owned(),
    };
    format!(
        "`ostler why {which}` tells how it came to this, `ostler logs {which}` shows what was printed"
    )
}

#[cfg(test)]
mod tests;
