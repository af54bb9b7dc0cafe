//! What the master has handed to whom, of sockets whose connections it accepts.

use ostler_bus::vocab::status::{AppStatus, BalanceStatus, BalancedWorker, WorkerStatus};

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

/// A socket's counts, beside it.
pub(super) fn counts(balance: &BalanceStatus) -> Cell {
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
    match refused {
        None => Cell::plain(text),
        Some(0) => Cell::plain(text + " by PROXY header"),
        Some(refused) => {
            let text = format!("{text} by PROXY header, {refused} refused");
            Cell::new(text, Tone::Bad)
        }
    }
}

/// A table beneath the sockets, of each worker that takes connections; empty if there is none.
pub(super) fn in_words(apps: &[AppStatus], workers: &[WorkerStatus], style: Style) -> String {
    let sockets = all(apps).filter_map(|(app, socket)| {
        let balance = socket.balance.as_ref()?;
        Some((app, &socket.name, &balance.workers))
    });
    let rows: Vec<Row<9>> = sockets
        .flat_map(|(app, socket, taking)| {
            let row = move |worker| Row::Cells(cells(app, socket, worker, workers));
            taking.iter().map(row)
        })
        .collect();
    match rows.is_empty() {
        true => String::new(),
        false => format!("\n{}", table::render(COLUMNS, &rows, style)),
    }
}

fn cells(app: &str, socket: &str, worker: &BalancedWorker, workers: &[WorkerStatus]) -> [Cell; 9] {
    let text = |text: &str| Cell::plain(escape::line(text));
    let mut known = workers.iter();
    let itself = known.find(|known| known.id == Some(worker.id));
    let missing = |number: Option<String>| match number {
        Some(number) => Cell::plain(number),
        None => Cell::new("-", Tone::Dim),
    };
    [
        text(app),
        text(socket),
        Cell::plain(worker.id.to_string()),
        missing(itself.map(|itself| itself.slot.to_string())),
        Cell::plain(worker.taken.to_string()),
        missing(worker.refused.map(|refused| refused.to_string())),
        Cell::plain(worker.open.to_string()),
        missing(worker.max_connections.map(|most| most.to_string())),
        Cell::plain(worker.handed.to_string()),
    ]
}
