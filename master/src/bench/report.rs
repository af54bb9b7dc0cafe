//! What was measured, and how it is shown.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{PACE, SIZES, SUBSCRIBERS};
use crate::{
    cli::{
        style::Style,
        table::{self, Align, Cell, Row},
    },
    config::units::{fine, per_second},
};

/// Everything that was measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Figures {
    /// How long it was to take.
    pub(super) seconds: u64,
    pub(super) deliveries: Vec<Deliveries>,
    /// From before an event is emitted to after it was read by another process.
    pub(super) one_way_ns: Percentiles,
    /// From before a request to after its reply, one at a time.
    pub(super) request_ns: Percentiles,
    /// Handshakes one after the other.
    pub(super) connects_per_second: f64,
}

/// One publisher, so many subscribers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Deliveries {
    pub(super) subscribers: usize,
    /// Bytes of an event's payload.
    pub(super) bytes: usize,
    /// Events read a second, all subscribers taken together.
    pub(super) per_second: f64,
}

/// Nanoseconds that half, nine tenths, 99 of 100 stayed below.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Percentiles {
    pub(super) samples: u64,
    pub(super) p50: u64,
    pub(super) p90: u64,
    pub(super) p99: u64,
}

impl Percentiles {
    /// Of samples in any order; `None` if there are none.
    pub(super) fn of(mut samples: Vec<u64>) -> Option<Self> {
        samples.sort_unstable();
        let at = |share: usize| samples.get((samples.len() * share / 100).min(samples.len() - 1));
        samples.first()?;
        Some(Self {
            samples: samples.len() as u64,
            p50: *at(50)?,
            p90: *at(90)?,
            p99: *at(99)?,
        })
    }
}

/// All of it for people.
pub(super) fn table(figures: &Figures, style: Style) -> String {
    let columns = [
        ("DELIVERIES", Align::Left),
        ("64 BYTES", Align::Right),
        ("1 KIB", Align::Right),
    ];
    let rate = |subscribers: usize, size: usize| {
        let found = figures.deliveries.iter();
        let found = found
            .filter(|d| (d.subscribers, d.bytes) == (subscribers, size))
            .map(|d| per_second(Some(d.per_second)))
            .next();
        Cell::plain(found.unwrap_or_else(|| "-".into()))
    };
    let rows = SUBSCRIBERS.map(|subscribers| {
        let [small, large] = SIZES.map(|size| rate(subscribers, size));
        Row::Cells([Cell::plain(format!("1 → {subscribers}")), small, large])
    });
    let mut out = table::render(columns, &rows, style);
    let times = |p: Percentiles| {
        let [p50, p90, p99] = [p.p50, p.p90, p.p99].map(|ns| fine(Duration::from_nanos(ns)));
        [p50, p90, p99].map(Cell::plain)
    };
    let rows = [
        (format!("one way, {PACE} events/s"), figures.one_way_ns),
        ("request and reply".to_owned(), figures.request_ns),
    ];
    let rows = rows.map(|(what, p)| {
        let [p50, p90, p99] = times(p);
        Row::Cells([Cell::plain(what), p50, p90, p99])
    });
    let columns = [
        ("LATENCY", Align::Left),
        ("P50", Align::Right),
        ("P90", Align::Right),
        ("P99", Align::Right),
    ];
    out.push('\n');
    out.push_str(&table::render(columns, &rows, style));
    out.push_str(&format!(
        "\n{} {}\n",
        style.bold("CONNECTIONS"),
        per_second(Some(figures.connects_per_second))
    ));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures() -> Figures {
        let deliveries = |subscribers, bytes, per_second| Deliveries {
            subscribers,
            bytes,
            per_second,
        };
        Figures {
            seconds: 10,
            deliveries: vec![
                deliveries(1, 64, 1_234_567.0),
                deliveries(4, 64, 4_000_000.0),
                deliveries(16, 64, 9_100_000.0),
                deliveries(1, 1024, 310_000.0),
                deliveries(4, 1024, 9_000.0),
                deliveries(16, 1024, 2_000_000.0),
            ],
            one_way_ns: Percentiles {
                samples: 2_000,
                p50: 41_200,
                p90: 52_900,
                p99: 1_240_000,
            },
            request_ns: Percentiles {
                samples: 9_000,
                p50: 61_000,
                p90: 70_000,
                p99: 81_000,
            },
            connects_per_second: 8_123.4,
        }
    }

    #[test]
    fn the_table_has_everything() {
        assert_eq!(
            table(&figures(), Style::plain()),
            "\
DELIVERIES  64 BYTES     1 KIB
1 → 1         1.2M/s  310.0k/s
1 → 4         4.0M/s    9000/s
1 → 16        9.1M/s    2.0M/s

LATENCY                  P50   P90    P99
one way, 1000 events/s  41µs  52µs  1.2ms
request and reply       61µs  70µs   81µs

CONNECTIONS 8123/s
"
        );
    }

    #[test]
    fn percentiles_are_of_the_sorted_samples() {
        assert_eq!(Percentiles::of(vec![]), None);
        let one = Percentiles::of(vec![7]).unwrap();
        assert_eq!((one.samples, one.p50, one.p99), (1, 7, 7));
        let many = Percentiles::of((0..1_000).rev().collect()).unwrap();
        assert_eq!((many.p50, many.p90, many.p99), (500, 900, 990));
    }
}
