//! What an app runs, with what, how many times, and after whom.

use super::super::{FROM_ONE, TEXT_OR_TEXTS, TEXTS, key};
use crate::config::{
    reference::{
        Key,
        Shape::{Any, Either, Flag, Map, Section as Of, Text, Whole, Words},
    },
    settings::MOST_INSTANCES,
};

pub(super) const PROGRAM: &[Key] = &[
    key(
        "command",
        TEXT_OR_TEXTS,
        "",
        "[\"node\", \"server.js\"]",
        "Program and arguments. A string is split at blanks, or given to `/bin/sh -c` if only a shell understands it.",
    ),
    key(
        "extends",
        Text,
        "(nothing)",
        "\"node\"",
        "A template or another app, whose settings hold where this one says nothing. Not `listen`.",
    ),
    key(
        "cwd",
        Text,
        "(the file's directory)",
        "\"web\"",
        "Working directory, relative to the file's.",
    ),
    key(
        "env",
        Map(&Any),
        "{}",
        "{ NODE_ENV = \"production\", PORT = \"810{slot}\" }",
        "Variables. Numbers and truth values are taken as text, tables and arrays as JSON. `{slot}`, `{id}`, `{port:NAME}` and `{fd:NAME}` are filled in for each worker, in those of `env_file` too; anything else in braces stays.",
    ),
    key(
        "env_file",
        TEXT_OR_TEXTS,
        "[]",
        "[]",
        "Files of variables, in dotenv syntax; later ones win, `env` over all. One that is missing is an error.",
    ),
    key(
        "env_clear",
        Flag,
        "false",
        "true",
        "Inherit nothing of the master's environment but what `env_allow` names.",
    ),
    key(
        "env_allow",
        TEXTS,
        "(everything)",
        "[\"PATH\", \"LC_*\"]",
        "Inherit only variables that match.",
    ),
    key(
        "env_deny",
        TEXTS,
        "[]",
        "[\"AWS_*\"]",
        "Don't inherit variables that match, whatever `env_allow` says.",
    ),
    key(
        "environment",
        Map(&Of("app")),
        "{}",
        "",
        "What holds instead in a named environment, chosen with `--env NAME`.",
    ),
    key(
        "instances",
        Either(&[
            Whole(-(MOST_INSTANCES as i64), MOST_INSTANCES as i64),
            Words(&["auto", "max"]),
            Text,
        ]),
        "\"auto\"",
        "4",
        "How many workers. `auto`: one per core; -1: one fewer, at least one; 0: a parked app.",
    ),
    key(
        "namespace",
        Text,
        "(none)",
        "\"shop\"",
        "What the app belongs to: commands take this word for all of its apps (`ostler restart shop`).",
    ),
    key(
        "autostart",
        Flag,
        "true",
        "false",
        "Start with the master; else by `ostler start`.",
    ),
    key(
        "start_parallel",
        FROM_ONE,
        "1",
        "4",
        "How many workers may start at once. With 1 each is ready before the next.",
    ),
    key(
        "priority",
        Whole(-1_000_000, 1_000_000),
        "0",
        "10",
        "Apps of a higher priority have started, or failed to, before those of a lower one begin.",
    ),
    key(
        "depends_on",
        TEXT_OR_TEXTS,
        "[]",
        "[]",
        "Apps that must be ready before this one begins. One that is stopped or has no instances is not waited for.",
    ),
    key(
        "listen",
        Either(&[TEXT_OR_TEXTS, Map(&Either(&[Text, Of("listen")]))]),
        "[]",
        "{ http = \":8080\" }",
        "Sockets that the master binds and all workers inherit, from descriptor 3 on: an address, several, or a table of names.",
    ),
];
