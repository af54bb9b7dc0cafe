//! The state of a bus, for people: `ostler bus`.

use std::time::Duration;

use ostler_bus::{
    Origin,
    hub::{ConnectionStats, HubStats, SubscriptionStats},
};

use super::super::{
    event_line::origin,
    style::Style,
    table::{self, Align, Cell, Row, Tone},
    traffic::Traffic,
};
use crate::{
    config::units::{bytes, count, per_second, rough},
    escape,
};

const COLUMNS: [(&str, Align); 7] = [
    ("CONN", Align::Right),
    ("WHO, AND WHAT IT HEARS", Align::Left),
    ("OUT/S", Align::Right),
    ("IN/S", Align::Right),
    ("QUEUED", Align::Right),
    ("BYTES", Align::Right),
    ("LAGGED", Align::Right),
];

/// Which column says who: it gives way where the terminal is narrow.
const WHO: usize = 1;

/// A name's least width, however narrow the terminal.
const LEAST: usize = 12;

/// Which connections are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Whose {
    /// The master's own features too.
    All,
    /// Everybody else's.
    Others,
}

/// The whole state: the hub, its connections, their subscriptions. Every string is escaped.
pub(in crate::cli) fn bus(traffic: &Traffic, whose: Whose, style: Style) -> String {
    let stats = &traffic.now;
    let mut out = header(traffic, style);
    let shown = |peer: &&ConnectionStats| whose == Whose::All || peer.origin != Origin::Master;
    let hidden = stats.peers.len() - stats.peers.iter().filter(shown).count();
    let rows: Vec<[Cell; 7]> = stats
        .peers
        .iter()
        .filter(shown)
        .flat_map(|peer| connection(peer, traffic))
        .collect();
    if !rows.is_empty() {
        let rows: Vec<Row<7>> = fitted(rows, style.width)
            .into_iter()
            .map(Row::Cells)
            .collect();
        out.push('\n');
        out.push_str(&table::render(COLUMNS, &rows, style));
    }
    if hidden > 0 {
        let note = format!("{hidden} of the master's own left out; -a shows them");
        out.push_str(&style.dim(&table::truncate(&note, style.width)));
        out.push('\n');
    }
    out
}

fn header(traffic: &Traffic, style: Style) -> String {
    let HubStats { totals, .. } = &traffic.now;
    let stats = &traffic.now;
    let rates = traffic.totals();
    let silent = match stats.silent {
        0 => String::new(),
        silent => format!(", {silent} silent"),
    };
    let heard = &totals.to_subscribers;
    let mut lines = vec![
        format!(
            "up {}  {}{silent}  {}",
            rough(Duration::from_millis(stats.uptime_ms)),
            several(stats.connections, "connection"),
            several(stats.subscriptions, "subscription"),
        ),
        format!(
            "{} in ({})  {} delivered ({})  {} ({} waiting)",
            several(totals.events, "event"),
            per_second(rates.events),
            count(heard.delivered),
            per_second(rates.delivered),
            several(totals.requests, "request"),
            stats.pending_requests,
        ),
        format!(
            "memory {} of {}  {} retained ({})",
            bytes(stats.memory),
            bytes(stats.memory_limit),
            stats.retained,
            bytes(stats.retained_bytes),
        ),
    ];
    let lost = [
        (heard.lagged, "lagged"),
        (heard.misfits, "misfits"),
        (heard.conflated, "conflated"),
        (heard.expired, "expired"),
        (heard.redelivered, "redelivered"),
        (totals.refused, "refused"),
        (totals.turned_away, "turned away"),
        (totals.notices_missed, "notices missed"),
    ];
    let lost: Vec<String> = lost
        .iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, what)| format!("{} {what}", count(*n)))
        .collect();
    lines.extend((!lost.is_empty()).then(|| lost.join("  ")));
    let mut out = format!("bus of {}  ", style.bold(&escape::line(&stats.hub)));
    let before = "bus of   ".len() + escape::line(&stats.hub).chars().count();
    for (i, line) in lines.iter().enumerate() {
        let room = style.width.saturating_sub(if i == 0 { before } else { 0 });
        let line = table::truncate(line, room);
        out.push_str(&if i == 3 {
            style.yellow(&line)
        } else {
            style.dim(&line)
        });
        out.push('\n');
    }
    out
}

/// "1 event", "12.0k events".
fn several(n: u64, what: &str) -> String {
    match n {
        1 => format!("1 {what}"),
        n => format!("{} {what}s", count(n)),
    }
}

/// A connection's row, and one for each of its subscriptions.
fn connection(peer: &ConnectionStats, traffic: &Traffic) -> Vec<[Cell; 7]> {
    let rates = traffic.of(peer);
    let all = |of: fn(&SubscriptionStats) -> u64| peer.subscriptions.iter().map(of).sum::<u64>();
    let who = match &peer.origin {
        Origin::Client { name, .. } => format!("{} {}", peer.role, escape::line(name)),
        Origin::Master | Origin::Worker { .. } => origin(&peer.origin),
    };
    let codec = match peer.codec.as_str() {
        "postcard" => String::new(),
        other => format!(" ({})", escape::line(other)),
    };
    let mut rows = vec![[
        Cell::plain(peer.conn.to_string()),
        Cell::plain(format!("{who}{codec}")),
        rate(rates.published),
        rate(rates.delivered),
        number(all(|sub| sub.queued) + peer.unread_answers, Tone::Plain),
        size(peer.memory),
        number(all(|sub| sub.counts.lagged), Tone::Bad),
    ]];
    rows.extend(peer.subscriptions.iter().map(|sub| {
        [
            Cell::plain(""),
            Cell::new(subscription(sub), Tone::Dim),
            Cell::plain(""),
            rate(traffic.of_sub(peer.conn, sub)),
            number(sub.queued, Tone::Moving),
            size(sub.queued_bytes),
            number(sub.counts.lagged, Tone::Bad),
        ]
    }));
    rows
}

/// "  orders.>  group billing, keep-latest, 3 misfits, held 1.2s"
fn subscription(sub: &SubscriptionStats) -> String {
    let mut said = Vec::new();
    if let Some(group) = &sub.group {
        said.push(format!("group {}", escape::line(group)));
    }
    if !sub.serves && sub.policy != "drop-oldest" {
        said.push(escape::line(&sub.policy).into_owned());
    }
    for (n, what) in [
        (sub.counts.misfits, "misfits"),
        (sub.counts.conflated, "conflated"),
        (sub.counts.expired, "expired"),
        (sub.counts.redelivered, "redelivered"),
    ] {
        if n > 0 {
            said.push(format!("{} {what}", count(n)));
        }
    }
    if sub.counts.held_us > 0 {
        let held = Duration::from_micros(sub.counts.held_us);
        said.push(format!("held {}", rough(held)));
    }
    let answers = if sub.serves { "answers " } else { "" };
    let said = match said.as_slice() {
        [] => String::new(),
        said => format!("  {}", said.join(", ")),
    };
    format!("  {answers}{}{said}", escape::line(&sub.pattern))
}

fn rate(rate: Option<f64>) -> Cell {
    match rate {
        None => Cell::new("-", Tone::Dim),
        Some(rate) if rate < 0.05 => Cell::new("0", Tone::Dim),
        Some(rate) => Cell::plain(units_of(rate)),
    }
}

fn units_of(rate: f64) -> String {
    let text = per_second(Some(rate));
    text.trim_end_matches("/s").to_owned()
}

fn number(n: u64, tone: Tone) -> Cell {
    match n {
        0 => Cell::new("0", Tone::Dim),
        n => Cell::new(count(n), tone),
    }
}

fn size(n: u64) -> Cell {
    match n {
        0 => Cell::new("0", Tone::Dim),
        n => Cell::plain(bytes(n)),
    }
}

/// The rows, with the names cut so that a line ends at `width`.
fn fitted(rows: Vec<[Cell; 7]>, width: usize) -> Vec<[Cell; 7]> {
    let widest = |column: usize| {
        let cells = rows.iter().map(|row| row[column].width());
        cells.chain([COLUMNS[column].0.len()]).max().unwrap_or(0)
    };
    let others: usize = (0..COLUMNS.len()).filter(|c| *c != WHO).map(widest).sum();
    let gaps = 2 * (COLUMNS.len() - 1);
    let room = width.saturating_sub(others + gaps).max(LEAST);
    let mut rows = rows;
    for row in &mut rows {
        row[WHO].cut(room);
    }
    rows
}

#[cfg(test)]
mod tests;
