//! What a worker may, as whom, and where its output goes.

use super::super::{LIMIT_VALUE, NAME_OR_ID, key};
use crate::config::reference::{
    Key,
    Shape::{Either, List, Map, Section as Of, Text, Whole, Words},
};

pub(super) const RIGHTS: &[Key] = &[
    key(
        "bus",
        Of("rights"),
        "{}",
        "{ emit = { deny = [\"admin.>\"] } }",
        "What its workers may do on the bus.",
    ),
    key(
        "user",
        NAME_OR_ID,
        "(the master's)",
        "0",
        "Whose processes the workers are: a name or a number. Needs a master that is root.",
    ),
    key("group", NAME_OR_ID, "(the user's)", "0", "Their group."),
    key(
        "umask",
        Text,
        "(the master's)",
        "\"027\"",
        "Which rights new files don't get, in octal.",
    ),
    key(
        "nice",
        Whole(-20, 19),
        "(the master's)",
        "5",
        "How far they give way to others.",
    ),
    key(
        "limits",
        Map(&Either(&[LIMIT_VALUE, Of("limit")])),
        "{}",
        "{ nofile = 4096, core = 0, as = \"2GiB\" }",
        "Resource limits, by the names of `ulimit` and systemd: `as core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack`.",
    ),
    key(
        "cpu_affinity",
        Either(&[Words(&["per-slot"]), List(&Whole(0, 1023))]),
        "(the master's)",
        "[0]",
        "On which cores they run; \"per-slot\": each slot on one.",
    ),
    key(
        "cgroup",
        Of("cgroup"),
        "(none)",
        "{ memory_max = \"512MiB\" }",
        "Limits of each worker's control group.",
    ),
    key(
        "fds",
        Map(&Either(&[Text, Of("fd")])),
        "(none)",
        "{ data = { path = \"data.log\", mode = \"append\" } }",
        "Files that workers find open (`OSTLER_FD_NAME`, `{fd:NAME}`); a path alone is opened for reading.",
    ),
    key(
        "stdin",
        Either(&[Words(&["null", "lines"]), Of("stdin")]),
        "(\"null\")",
        "\"lines\"",
        "Standard input: nothing, what `ostler send` sends, or a socket.",
    ),
    key(
        "log",
        Either(&[Text, Of("log")]),
        "(\"master\")",
        "\"logs/{app}.log\"",
        "Where workers' lines go: a file for all, or a table.",
    ),
];
