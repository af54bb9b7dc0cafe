//! The table as it is seen.

use ostler_bus::{Generation, Slot, WorkerId, hub::Counts};

use super::*;
use crate::cli::traffic::tests::{client, stats, subscription};

/// Half a second of a bus with everything on it.
fn traffic() -> Traffic {
    let before = stats(
        186_900,
        vec![
            ConnectionStats {
                origin: Origin::Master,
                role: "master".into(),
                ..client(1, 7, &[])
            },
            client(12, 1_000, &[]),
        ],
    );
    let slow = SubscriptionStats {
        policy: "keep-latest".into(),
        group: Some("billing".into()),
        queued: 65_536,
        queued_bytes: 6_100_000,
        counts: Counts {
            delivered: 24_115,
            lagged: 1_204,
            misfits: 3,
            conflated: 12_000,
            expired: 7,
            redelivered: 2,
            held_us: 1_200_000,
            ..Counts::default()
        },
        ..subscription(4, "orders.>", 0)
    };
    let worker = ConnectionStats {
        origin: Origin::Worker {
            app: "web".into(),
            id: WorkerId(3),
            slot: Slot(0),
            generation: Generation(2),
            pid: 9,
        },
        role: "worker".into(),
        memory: 6_300_000,
        unread_answers: 2,
        ..client(9, 0, &[slow])
    };
    let answers = SubscriptionStats {
        serves: true,
        ..subscription(1, "orders.price", 4)
    };
    let evil = ConnectionStats {
        origin: Origin::Client {
            name: "\x1b[2Jnode".into(),
            conn: 12,
        },
        codec: "json".into(),
        ..client(12, 25_000, &[answers])
    };
    let master = before.peers[0].clone();
    let mut now = stats(187_400, vec![master, worker, evil]);
    now.totals.to_subscribers.lagged = 1_204;
    now.totals.to_subscribers.expired = 7;
    now.totals.refused = 2;
    (now.silent, now.memory, now.retained, now.retained_bytes) = (1, 6_300_000, 1, 412);
    now.totals.requests = 31;
    Traffic::between(Some(&before), now)
}

#[test]
fn the_bus_fits_80_columns() {
    let shown = bus(&traffic(), Whose::Others, Style::plain());
    let expected = "\
bus of house  up 3m 7s  3 connections, 1 silent  2 subscriptions
25.0k events in (48.0k/s)  24.1k delivered (48.2k/s)  31 requests (0 waiting)
memory 6.3 MB of 537 MB  1 retained (412 B)
1204 lagged  7 expired  2 refused

CONN  WHO, AND WHAT IT HEARS                OUT/S   IN/S  QUEUED   BYTES  LAGGED
   9  web.0 worker 3                            0  48.2k   65.5k  6.3 MB    1204
        orders.>  group billing, keep-lat…         48.2k   65.5k  6.1 MB    1204
  12  client \\x1b[2Jnode (json)             48.0k    8.0       0       0       0
        answers orders.price                         8.0       0       0       0
1 of the master's own left out; -a shows them
";
    assert_eq!(shown, expected);
    assert!(shown.lines().all(|line| line.chars().count() <= 80));
}

#[test]
fn where_there_is_room_nothing_is_cut() {
    let mut wide = Style::plain();
    wide.width = usize::MAX;
    let shown = bus(&traffic(), Whose::All, wide);
    assert!(
        shown.contains(
            "  orders.>  group billing, keep-latest, 3 misfits, 12.0k conflated, 7 expired, 2 redelivered, held 1.2s  "
        ),
        "{shown}"
    );
    assert!(shown.contains("\n   1  master "), "{shown}");
    assert!(!shown.contains("-a shows them"), "{shown}");
}

#[test]
fn an_empty_bus_is_three_lines() {
    let traffic = Traffic::between(None, stats(900, vec![]));
    assert_eq!(
        bus(&traffic, Whose::Others, Style::plain()),
        "bus of house  up 900ms  0 connections  0 subscriptions\n\
         0 events in (-)  0 delivered (-)  0 requests (0 waiting)\n\
         memory 0 B of 537 MB  0 retained (0 B)\n"
    );
}

#[test]
fn what_is_wrong_stands_out_in_colour() {
    let shown = bus(&traffic(), Whose::Others, Style::coloured());
    assert!(shown.contains("\x1b[31m1204\x1b[0m"), "{shown}");
    assert!(!shown.contains("\x1b[2Jnode"), "{shown}");
}
