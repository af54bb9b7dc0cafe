//! When a worker counts as ready, and how new ones take the place of old ones.

use super::super::{COUNT, FROM_ONE, SHARE, key};
use crate::config::reference::{
    Key,
    Shape::{Duration, Either, Section as Of, Text, Words},
};

pub(super) const UPDATES: &[Key] = &[
    key(
        "ready",
        Either(&[Text, Of("probe")]),
        "\"auto\"",
        "\"notify\"",
        "How a worker is found ready: `auto`, `notify`, `sdk`, `delay(2s)`, `http(ADDRESS PATH)`, `tcp(ADDRESS)`, or a table.",
    ),
    key(
        "start_timeout",
        Duration,
        "\"30s\"",
        "\"1m\"",
        "A worker that is not ready after this long has failed to start.",
    ),
    key(
        "min_healthy",
        Duration,
        "(1 s, or 5 s if readiness is assumed)",
        "\"2s\"",
        "How long a new worker must stay up before its predecessor drains.",
    ),
    key(
        "canary_healthy",
        Duration,
        "(twice `min_healthy`)",
        "\"10s\"",
        "The same for the first new worker of an update.",
    ),
    key(
        "min_uptime",
        Duration,
        "\"5s\"",
        "\"10s\"",
        "A worker that was up for this long has not crashed early.",
    ),
    key(
        "max_draining",
        FROM_ONE,
        "(2, or a quarter)",
        "1",
        "How many replaced workers may drain at once.",
    ),
    key(
        "strategy",
        Words(&["surge", "replace", "all_at_once"]),
        "\"surge\"",
        "\"replace\"",
        "How an update replaces workers. `surge`: the new one comes beside the old one. `replace`: a slot's old one is gone before its new one starts. \
         `all_at_once`: all old ones are gone before the first new one starts.",
    ),
    key(
        "max_surge",
        SHARE,
        "1",
        "\"25%\"",
        "With `surge`: how many workers there may be beyond `instances`, those that drain aside. A percentage is rounded up.",
    ),
    key(
        "max_unavailable",
        SHARE,
        "(0, or 1 with `replace`)",
        "\"25%\"",
        "How many instances may be missing during an update. A percentage is rounded down.",
    ),
    key(
        "canary",
        Either(&[COUNT, Text, Of("canary")]),
        "1",
        "\"10%\"",
        "How many new workers an update watches for `canary_healthy` before it goes on to the others; a table says what they must prove.",
    ),
    key(
        "on_failure",
        Words(&["keep_old", "rollback"]),
        "\"keep_old\"",
        "\"rollback\"",
        "What becomes of slots that were replaced before an update failed: they stay new, or go back to what they were.",
    ),
];
