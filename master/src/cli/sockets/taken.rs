//! Which worker has taken how many connections: of the master's hands, or by accepting itself.

use std::collections::BTreeMap;

use ostler_bus::{
    WorkerId,
    vocab::status::{AppStatus, BalanceStatus, BalancedWorker, SocketStatus, WorkerStatus},
};

use super::{
    super::{
        style::Style,
        table::{self, Align, Cell, Row, Tone},
    },
    all,
};
use crate::escape;

const COLUMNS: [(&str, Align); 9] = [
    ("APP", Align::Left),
    ("SOCKET", Align::Left),
    ("WORKER", Align::Right),
    ("SLOT", Align::Right),
    ("TAKEN", Align::Right),
    ("REFUSED", Align::Right),
    ("OPEN", Align::Right),
    ("MOST", Align::Right),
    ("HANDED", Align::Right),
];

/// A socket's counts, beside it; and how many its workers have accepted themselves, where any does.
pub(super) fn counts(balance: &BalanceStatus, themselves: Option<u64>) -> Cell {
    let mut text = format!("{} accepted", balance.accepted);
    if balance.given_again > 0 {
        text += &format!(", {} given again", balance.given_again);
        if let Some(refused @ 1..) = balance.refused {
            text += &format!(" ({refused} refused)");
        }
    }
    if balance.waiting > 0 {
        text += &format!(", {} wait for a worker", balance.waiting);
    }
    let refused = balance.proxied.as_ref().map(|it| it.malformed + it.late);
    let tone = match refused {
        None => Tone::Plain,
        Some(0) => {
            text += " by PROXY header";
            Tone::Plain
        }
        Some(refused) => {
            text += &format!(" by PROXY header, {refused} refused");
            Tone::Bad
        }
    };
    if let Some(themselves) = themselves {
        text += &format!(", {themselves} by workers themselves");
    }
    Cell::new(text, tone)
}

/// What is known of one worker at one socket: what the master has handed to it, and what it has accepted itself.
#[derive(Default)]
struct Taken<'a> {
    handed: Option<&'a BalancedWorker>,
    accepted: Option<u64>,
}

/// Those of a socket of which anything is known, by their ids.
fn of(socket: &SocketStatus) -> BTreeMap<WorkerId, Taken<'_>> {
    let mut known: BTreeMap<WorkerId, Taken<'_>> = BTreeMap::new();
    for worker in socket.balance.iter().flat_map(|its| &its.workers) {
        known.entry(worker.id).or_default().handed = Some(worker);
    }
    for worker in socket.accepts.iter().flat_map(|its| &its.workers) {
        known.entry(worker.id).or_default().accepted = Some(worker.accepted);
    }
    known
}

/// A table beneath the sockets, of each worker that takes connections and of which that is known; empty if there is none.
pub(super) fn in_words(apps: &[AppStatus], workers: &[WorkerStatus], style: Style) -> String {
    let rows: Vec<Row<9>> = all(apps)
        .flat_map(|(app, socket)| {
            let row = move |(id, taken)| Row::Cells(cells(app, &socket.name, id, &taken, workers));
            of(socket).into_iter().map(row)
        })
        .collect();
    match rows.is_empty() {
        true => String::new(),
        false => format!("\n{}", table::render(COLUMNS, &rows, style)),
    }
}

fn cells(
    app: &str,
    socket: &str,
    id: WorkerId,
    taken: &Taken<'_>,
    workers: &[WorkerStatus],
) -> [Cell; 9] {
    fn number(number: Option<impl ToString>) -> Cell {
        match number {
            Some(number) => Cell::plain(number.to_string()),
            None => Cell::new("-", Tone::Dim),
        }
    }
    let text = |text: &str| Cell::plain(escape::line(text));
    let itself = workers.iter().find(|known| known.id == Some(id));
    let handed = taken.handed;
    let handed_over = handed.map_or(0, |its| its.taken);
    let all = handed_over.saturating_add(taken.accepted.unwrap_or(0));
    [
        text(app),
        text(socket),
        Cell::plain(id.to_string()),
        number(itself.map(|itself| itself.slot)),
        Cell::plain(all.to_string()),
        number(handed.and_then(|its| its.refused)),
        number(handed.map(|its| its.open)),
        number(handed.and_then(|its| its.max_connections)),
        number(handed.map(|its| its.handed)),
    ]
}
