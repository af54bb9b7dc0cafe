//! `ostler sockets`: where workers can be reached, what waits there, and what of it comes to whom.

mod taken;
#[cfg(test)]
mod tests;

use std::process::ExitCode;

use ostler_bus::vocab::status::{AppStatus, SocketStatus, StatusReport, WorkerStatus};

use super::{
    args::SocketsArgs,
    connect::{self, Wanted},
    describe,
    error::{CliError, Exit},
    output, render, state_verbs,
    style::Style,
    table::{self, Align, Cell, Row, Tone},
    values,
};
use crate::escape;

const COLUMNS: [(&str, Align); 9] = [
    ("APP", Align::Left),
    ("SOCKET", Align::Left),
    ("ADDRESS", Align::Left),
    ("MODE", Align::Left),
    ("SLOTS", Align::Left),
    ("WAITING", Align::Right),
    ("ROOM", Align::Right),
    ("DROPPED", Align::Right),
    ("SHARE", Align::Left),
];

/// `ostler sockets`
pub(super) fn sockets(args: &SocketsArgs, wanted: Wanted<'_>) -> Result<ExitCode, CliError> {
    connect::talk(wanted, async |session| {
        let StatusReport {
            mut apps, workers, ..
        } = state_verbs::ask(&session.bus).await?;
        if let Some(which) = values::joined(&args.which) {
            let named = describe::ask(&session.bus, Some(which)).await?;
            if named.iter().any(|its| its.slots.is_some()) {
                return Err(CliError::new(
                    Exit::Usage,
                    "sockets are told of whole apps: most are shared by all slots",
                )
                .hint("name the app; the column SLOTS tells whose each of them is"));
            }
            apps.retain(|app| named.iter().any(|its| its.name == app.name));
        }
        let text = match args.json {
            true => as_json(&apps)?,
            false => in_words(&apps, &workers, Style::of_stdout()),
        };
        output::print(&text)?;
        Ok(ExitCode::SUCCESS)
    })
}

/// One of an app's, with the app's name.
#[derive(serde::Serialize)]
struct Entry<'a> {
    app: &'a str,
    #[serde(flatten)]
    socket: &'a SocketStatus,
}

fn as_json(apps: &[AppStatus]) -> Result<String, CliError> {
    let all: Vec<Entry<'_>> = all(apps)
        .map(|(app, socket)| Entry { app, socket })
        .collect();
    render::json(&all)
}

fn all(apps: &[AppStatus]) -> impl Iterator<Item = (&str, &SocketStatus)> {
    apps.iter().flat_map(|app| {
        let name = app.name.as_str();
        app.sockets.iter().map(move |socket| (name, socket))
    })
}

fn in_words(apps: &[AppStatus], workers: &[WorkerStatus], style: Style) -> String {
    let mut rows: Vec<Row<9>> = Vec::new();
    for (app, socket) in all(apps) {
        rows.push(Row::Cells(cells(app, socket)));
        let why = socket.why.iter();
        rows.extend(why.map(|why| Row::Note(escape::line(why).into_owned())));
    }
    match rows.is_empty() {
        true => "no app has a socket\n".into(),
        false => table::render(COLUMNS, &rows, style) + &taken::in_words(apps, workers, style),
    }
}

fn cells(app: &str, socket: &SocketStatus) -> [Cell; 9] {
    let text = |text: &str| Cell::plain(escape::line(text));
    let address = match socket.passed_as {
        Some(number) => format!("{} (fd:{number})", socket.address),
        None => socket.address.clone(),
    };
    let number = |number: Option<u32>| match number {
        Some(number) => Cell::plain(number.to_string()),
        None => Cell::new("-", Tone::Dim),
    };
    let dropped = match socket.queue.map(|queue| queue.dropped) {
        Some(0) => Cell::new("0", Tone::Dim),
        Some(some) => Cell::new(some.to_string(), Tone::Bad),
        None => Cell::new("-", Tone::Dim),
    };
    let slots = slots(socket);
    [
        text(app),
        text(&socket.name),
        text(&address),
        text(&socket.mode),
        Cell::plain(slots),
        number(socket.queue.map(|queue| queue.waiting)),
        number(socket.queue.map(|queue| queue.room)),
        dropped,
        share(socket),
    ]
}

/// Whose it is.
fn slots(socket: &SocketStatus) -> String {
    match (&socket.asked_by, socket.slot) {
        (Some(workers), _) if workers.len() <= 4 => {
            let workers: Vec<String> = workers.iter().map(ToString::to_string).collect();
            format!("asked for by {}", workers.join(" "))
        }
        (Some(workers), _) => format!("asked for by {} workers", workers.len()),
        (None, Some(slot)) => slot.to_string(),
        (None, None) => "all".into(),
    }
}

/// What comes to its workers: of the master's hands, or of what the kernel spreads over slots; or why nothing. And what they have accepted,
/// where that is known.
fn share(socket: &SocketStatus) -> Cell {
    let accepts = socket.accepts.as_ref();
    let accepted = accepts.map(|its| format!("{} accepted", its.accepted));
    if let Some(balance) = &socket.balance {
        return taken::counts(balance, accepts.map(|its| its.accepted));
    }
    let Some(share) = &socket.share else {
        let nothing = || Cell::new("-", Tone::Dim);
        return accepted.map_or_else(nothing, Cell::plain);
    };
    if let Some(why) = &share.left_out {
        let accepted = accepted.map_or_else(String::new, |its| format!(", {its}"));
        return Cell::new(format!("none: {}{accepted}", escape::line(why)), Tone::Bad);
    }
    let mut text = match share.buckets {
        Some(buckets) => format!("{buckets} buckets"),
        None => "even".into(),
    };
    if let Some(accepted) = accepted {
        text += &format!(", {accepted}");
    }
    if share.times_long > 0 {
        let (times, longest) = (share.times_long, share.longest);
        text += &format!(", left out {times} times for its queue, {longest} at most");
    }
    Cell::plain(text)
}
