//! Where an app's lines go.

use super::key;
use crate::config::reference::{
    Key,
    Shape::{Duration, Either, Flag, List, Section as Of, Size, Text, Words},
};

pub(super) const LOG: &[Key] = &[
    key(
        "out",
        Text,
        "(\"master\")",
        "\"logs/{app}-{slot}.out\"",
        "Standard output: a path, \"master\" (the master's log), \"journal\" (systemd's), \"bus\" (only `ostler logs` and listeners) or \"null\".",
    ),
    key(
        "err",
        Text,
        "(where `out` goes)",
        "\"logs/{app}-{slot}.err\"",
        "Standard error.",
    ),
    key(
        "format",
        Words(&["plain", "json"]),
        "(\"plain\")",
        "\"json\"",
        "Lines as they are, or one JSON object each with time, app, slot, pid and stream.",
    ),
    key(
        "prefix",
        List(&Words(&["time", "slot", "pid", "stream"])),
        "(none)",
        "[\"time\", \"slot\"]",
        "What stands before a plain line.",
    ),
    key(
        "rotate",
        Either(&[Flag, Of("rotate")]),
        "(by size)",
        "{ age = \"1d\" }",
        "When files are put aside; false: something else does it, and sends SIGUSR1.",
    ),
    key(
        "compress",
        Flag,
        "(false)",
        "true",
        "Compress what was put aside (gzip).",
    ),
];

pub(super) const ROTATE: &[Key] = &[
    key("size", Size, "\"10MiB\"", "\"1MiB\"", "At this size."),
    key("age", Duration, "(never)", "\"1d\"", "At this age."),
    key(
        "keep_total",
        Size,
        "\"100MiB\"",
        "\"1GiB\"",
        "All files of the app together: the oldest go when there are more.",
    ),
];
