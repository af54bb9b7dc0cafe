//! What a worker's process may be and use, and what it finds open.

use super::{FROM_ONE, LIMIT_VALUE, key};
use crate::config::reference::{
    Key,
    Shape::{Number, Size, Text, Words},
};

pub(super) const LIMIT: &[Key] = &[
    key("soft", LIMIT_VALUE, "(the master's)", "1024", "What holds."),
    key(
        "hard",
        LIMIT_VALUE,
        "(the master's)",
        "\"unlimited\"",
        "How far the worker may raise it.",
    ),
];

pub(super) const CGROUP: &[Key] = &[
    key(
        "memory_max",
        Size,
        "(none)",
        "\"512MiB\"",
        "Memory of a worker with all that it starts.",
    ),
    key(
        "cpu_max",
        Number(0.01, 1024.0),
        "(none)",
        "1.5",
        "Processor time, in cores.",
    ),
    key(
        "pids_max",
        FROM_ONE,
        "(none)",
        "200",
        "Processes and threads.",
    ),
];

pub(super) const FD: &[Key] = &[
    key(
        "path",
        Text,
        "",
        "\"data.log\"",
        "The file, relative to the process file.",
    ),
    key(
        "mode",
        Words(&["read", "write", "append", "read-write"]),
        "\"read\"",
        "\"append\"",
        "How it is opened: to be read with the master's rights, otherwise with the worker's own, and made if there is none.",
    ),
];

pub(super) const STDIN: &[Key] = &[key(
    "socket",
    Text,
    "",
    "\"x\"",
    "The name of a socket in `listen`.",
)];
