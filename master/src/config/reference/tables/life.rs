//! The tables of how workers are looked after: probes, the bounds beyond which one is replaced, and what a canary proves.

use super::{FROM_ONE, TEXT_OR_TEXTS, key};
use crate::config::reference::{
    Key,
    Shape::{self, Duration, Either, Flag, List, Number, Size, Text, Whole},
};

const STATUS: Shape = Whole(100, 599);

const HTTP: Key = key(
    "http",
    Text,
    "(one of the three)",
    "\"/ready\"",
    "The path of a `GET`.",
);
const TCP: Key = key(
    "tcp",
    Flag,
    "(one of the three)",
    "true",
    "A connection that can be made is answer enough.",
);
const COMMAND: Key = key(
    "command",
    TEXT_OR_TEXTS,
    "(one of the three)",
    "[\"bin/check\", \"{slot}\"]",
    "A program that exits with 0. It runs as the worker does, with its pid in `OSTLER_PID`.",
);
const ADDRESS: Key = key(
    "address",
    Text,
    "(one of both)",
    "\"unix:run/web-{id}.sock\"",
    "Where the worker listens by itself, with `{slot}` or `{id}` in it if there are several. `ready` needs `{id}`, unless the old worker goes first (`strategy`).",
);
const PORT: Key = key(
    "port",
    Whole(1, 65_535),
    "(one of both)",
    "8100",
    "On 127.0.0.1, this port plus the slot. For `ready` the old worker of the slot must go first: `strategy = \"replace\"`.",
);
const GOOD: Key = key(
    "status",
    Either(&[STATUS, List(&STATUS)]),
    "(200 to 399)",
    "[200, 204]",
    "Which statuses are good.",
);
const TIMEOUT: Key = key(
    "timeout",
    Duration,
    "\"2s\"",
    "\"500ms\"",
    "No answer after this long is a failure.",
);

const fn interval(default: &'static str) -> Key {
    let doc = "From one answer to the next question.";
    key("interval", Duration, default, "\"1s\"", doc)
}

pub(super) const PROBE: &[Key] = &[
    HTTP,
    TCP,
    COMMAND,
    ADDRESS,
    PORT,
    GOOD,
    interval("\"200ms\""),
    TIMEOUT,
];

pub(super) const HEALTH: &[Key] = &[
    HTTP,
    TCP,
    COMMAND,
    ADDRESS,
    PORT,
    GOOD,
    interval("\"10s\""),
    TIMEOUT,
    key(
        "failures",
        FROM_ONE,
        "3",
        "5",
        "After so many failures in a row a worker is hung.",
    ),
];

pub(super) const HOOK: &[Key] = &[
    key(
        "command",
        TEXT_OR_TEXTS,
        "",
        "[\"bin/migrate\", \"{slot}\"]",
        "Program and arguments, or one line for a shell. It runs as the worker does, without its sockets.",
    ),
    key(
        "timeout",
        Duration,
        "\"30s\"",
        "\"2m\"",
        "After this long it is killed, with its process group, and has failed.",
    ),
];

pub(super) const MEMORY: &[Key] = &[
    key(
        "soft",
        Size,
        "(as `hard`)",
        "\"300MiB\"",
        "Above it a worker is replaced like in an update.",
    ),
    key(
        "hard",
        Size,
        "(none)",
        "\"500MiB\"",
        "Above it a worker is killed, also on its way out.",
    ),
];

pub(super) const CRON: &[Key] = &[
    key(
        "at",
        Text,
        "",
        "\"0 4 * * *\"",
        "When: minute, hour, day of the month, month, day of the week.",
    ),
    key(
        "timezone",
        Text,
        "(the machine's)",
        "\"UTC\"",
        "Whose clock: a name of the IANA database.",
    ),
];

pub(super) const CANARY: &[Key] = &[
    key(
        "instances",
        Either(&[FROM_ONE, Text]),
        "1",
        "\"10%\"",
        "How many they are, at least one. A percentage is rounded up.",
    ),
    key(
        "max_errors",
        Text,
        "(any)",
        "\"5%\"",
        "The most of its requests that a new worker may fail while the update runs, by what it tells in `app.errors`.",
    ),
    key(
        "min_requests",
        FROM_ONE,
        "20",
        "100",
        "That counts from so many requests on.",
    ),
];

pub(super) const BACKOFF: &[Key] = &[
    key("first", Duration, "\"100ms\"", "\"1s\"", "The first delay."),
    key("max", Duration, "\"30s\"", "\"5m\"", "The longest."),
    key(
        "factor",
        Number(1.0, 10.0),
        "1.5",
        "2",
        "Each is this many times the one before, with jitter.",
    ),
];
