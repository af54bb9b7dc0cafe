//! The keys of an app that say how its workers are looked after.

use std::{path::Path, time::Duration};

use toml::de::DeValue;

use super::{
    app::life::{Checks, Health, LifeSettings, Restart},
    policy_values, probe_table, signal,
    walk::{Node, Walker},
};

/// From one answer to the next question about a worker's health, where nothing else is said.
const HEALTH_INTERVAL: Duration = Duration::from_secs(10);

/// So many failures in a row, where nothing else is said.
const HEALTH_FAILURES: u32 = 3;

/// Reads one of these keys; false if it is another.
pub(super) fn take(
    walker: &mut Walker<'_>,
    name: &str,
    path: &str,
    node: &Node<'_>,
    base: &Path,
    life: &mut LifeSettings,
) -> bool {
    match name {
        "watchdog" => life.watchdog = walker.duration(path, node),
        "health" => life.health = health(walker, path, node, base),
        "hang_signal" => life.hang_signal = signal_of(walker, path, node),
        "hang_grace" => life.hang_grace = walker.positive(path, node),
        "restart" => life.restart = restart(walker, path, node),
        "fatal_exit_codes" => {
            life.fatal_exit_codes = policy_values::exit_codes(walker, path, node);
        }
        "retry_failed" => life.retry_failed = retry_failed(walker, path, node),
        "oneshot" => life.oneshot = walker.boolean(path, node),
        _ => return false,
    }
    true
}

fn health(walker: &mut Walker<'_>, path: &str, node: &Node<'_>, base: &Path) -> Option<Checks> {
    if let DeValue::Boolean(false) = node.get_ref() {
        return Some(Checks::Off);
    }
    let fix = "write false, or a table: { http = \"/health\", port = 8100, interval = \"10s\", failures = 3 }";
    let table = walker.table(path, node, fix)?;
    let mut failures = Some(HEALTH_FAILURES);
    let known: Vec<&'static str> = probe_table::KEYS.into_iter().chain(["failures"]).collect();
    for (key, value) in table {
        let name = key.get_ref().as_ref();
        let path = format!("{path}.{name}");
        if name == "failures" {
            failures = walker.count(&path, value, 1);
        } else if !known.contains(&name) {
            let meant = (name == "retries" || name == "threshold").then_some("failures");
            walker.unknown_key(key.span(), &path, name, &known, meant);
        }
    }
    let probe = probe_table::probe(walker, path, node, table, base, HEALTH_INTERVAL)?;
    Some(Checks::On(Health {
        probe,
        failures: failures?,
    }))
}

fn restart(walker: &mut Walker<'_>, path: &str, node: &Node<'_>) -> Option<Restart> {
    let text = walker.string(path, node, "use \"always\", \"on_crash\" or \"never\"")?;
    walker.take(path, node, text.parse())
}

/// A duration, or "never".
fn retry_failed(walker: &mut Walker<'_>, path: &str, node: &Node<'_>) -> Option<Duration> {
    match node.get_ref().as_str() {
        Some("never") => Some(Duration::ZERO),
        _ => walker.positive(path, node),
    }
}

pub(super) fn signal_of(walker: &mut Walker<'_>, path: &str, node: &Node<'_>) -> Option<i32> {
    let text = walker.string(path, node, "write a signal's name: \"ABRT\"")?;
    walker.take(path, node, signal::number(text))
}
