//! The keys of an app that say how its workers are replaced by an update.

use toml::de::DeValue;

use super::{
    app::update::{Canary, OnFailure, Share, Strategy, UpdateSettings},
    errors::Wrong,
    walk::{Node, Walker},
};

const CANARY: [&str; 3] = ["instances", "max_errors", "min_requests"];

/// Reads one of these keys; false if it is another.
pub(super) fn take(
    walker: &mut Walker<'_>,
    name: &str,
    path: &str,
    node: &Node<'_>,
    update: &mut UpdateSettings,
) -> bool {
    match name {
        "strategy" => update.strategy = word(walker, path, node, &Strategy::WORDS),
        "max_surge" => update.max_surge = share(walker, path, node),
        "max_unavailable" => update.max_unavailable = share(walker, path, node),
        "canary" => update.canary = canary(walker, path, node),
        "on_failure" => update.on_failure = word(walker, path, node, &OnFailure::WORDS),
        _ => return false,
    }
    true
}

fn word<T: Copy>(
    walker: &mut Walker<'_>,
    path: &str,
    node: &Node<'_>,
    words: &[(&str, T)],
) -> Option<T> {
    let known: Vec<String> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
    let fix = format!("use one of {}", known.join(", "));
    let text = walker.string(path, node, &fix)?;
    let found = words.iter().find(|(word, _)| *word == text);
    let wrong = || Wrong::new(format!("{text:?} is not known here"), fix);
    walker.take(path, node, found.map(|(_, value)| *value).ok_or_else(wrong))
}

/// A number of workers, or "25%".
fn share(walker: &mut Walker<'_>, path: &str, node: &Node<'_>) -> Option<Share> {
    if let DeValue::Integer(_) = node.get_ref() {
        return walker.count(path, node, 0).map(Share::Count);
    }
    let fix = "use a number of workers, or a part of them from \"0%\" to \"100%\"";
    let text = walker.string(path, node, fix)?;
    let percent = text.strip_suffix('%').and_then(|text| text.parse().ok());
    let wrong = || Wrong::new(format!("{text:?} is no number of workers"), fix);
    let share = percent.filter(|percent| *percent <= 100);
    walker.take(path, node, share.map(Share::Percent).ok_or_else(wrong))
}

/// How many, or a table.
fn canary(walker: &mut Walker<'_>, path: &str, node: &Node<'_>) -> Option<Canary> {
    let mut canary = Canary::default();
    let Some(table) = node.get_ref().as_table() else {
        canary.instances = share(walker, path, node)?;
        return Some(canary);
    };
    for (key, value) in table {
        let name = key.get_ref().as_ref();
        let path = format!("{path}.{name}");
        match name {
            "instances" => canary.instances = share(walker, &path, value)?,
            "max_errors" => canary.max_errors = Some(percentage(walker, &path, value)?),
            "min_requests" => {
                canary.min_requests = u64::from(walker.count(&path, value, 1)?);
            }
            _ => walker.unknown_key(key.span(), &path, name, &CANARY, meant(name)),
        }
    }
    Some(canary)
}

fn meant(name: &str) -> Option<&'static str> {
    match name {
        "count" | "size" | "workers" => Some("instances"),
        "error_rate" | "errors" | "threshold" => Some("max_errors"),
        _ => None,
    }
}

/// "5%", "0.5%".
fn percentage(walker: &mut Walker<'_>, path: &str, node: &Node<'_>) -> Option<f64> {
    let fix = "write a percentage in quotes, from \"0%\" to \"100%\": \"0.5%\"";
    let text = walker.string(path, node, fix)?;
    let number: Option<f64> = text.strip_suffix('%').and_then(|text| text.parse().ok());
    let wrong = || Wrong::new(format!("{text:?} is no percentage"), fix);
    let percentage = number.filter(|number| (0.0..=100.0).contains(number));
    walker.take(path, node, percentage.ok_or_else(wrong))
}
