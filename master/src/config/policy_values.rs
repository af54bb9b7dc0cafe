//! How an app's workers are ended and tried again: `kill_ladder`, `backoff`, `stop_exit_codes`.

use toml::de::DeValue;

use super::{
    app::{Backoff, Rung},
    errors::Wrong,
    settings::default_backoff,
    signal,
    walk::{Node, Walker},
};

/// Signals and waits, checked as a whole.
pub(super) fn kill_ladder(
    walker: &mut Walker<'_>,
    path: &str,
    node: &Node<'_>,
) -> Option<Vec<Rung>> {
    let fix = "write an array of signals: [\"TERM:30s\", \"KILL\"]";
    let Some(items) = node.get_ref().as_array() else {
        walker.mismatch(path, node, fix);
        return None;
    };
    let rungs: Vec<Option<Rung>> = items
        .iter()
        .enumerate()
        .map(|(i, item)| {
            let path = format!("{path}[{i}]");
            let text = walker.string(&path, item, fix)?;
            walker.take(&path, item, signal::rung(text))
        })
        .collect();
    let rungs: Vec<Rung> = rungs.into_iter().collect::<Option<_>>()?;
    walker.take(path, node, signal::check_ladder(&rungs))?;
    Some(rungs)
}

/// A table; what it leaves out is the default.
pub(super) fn backoff(walker: &mut Walker<'_>, path: &str, node: &Node<'_>) -> Option<Backoff> {
    let fix = "write a table: { first = \"100ms\", max = \"30s\", factor = 1.5 }";
    let table = walker.table(path, node, fix)?;
    let Backoff { first, max, factor } = default_backoff();
    let (mut first, mut max, mut factor) = (Some(first), Some(max), Some(factor));
    for (key, value) in table {
        let name = key.get_ref().as_ref();
        let path = format!("{path}.{name}");
        match name {
            "first" => first = walker.positive(&path, value),
            "max" => max = walker.positive(&path, value),
            "factor" => factor = factor_of(walker, &path, value),
            _ => walker.unknown_key(key.span(), &path, name, &["first", "max", "factor"], None),
        }
    }
    let backoff = Backoff {
        first: first?,
        max: max?,
        factor: factor?,
    };
    if backoff.first > backoff.max {
        let wrong = Wrong::new(
            "`first` is longer than `max`",
            "make `max` at least as long",
        );
        walker.fault(node.span(), path, wrong);
        return None;
    }
    Some(backoff)
}

fn factor_of(walker: &mut Walker<'_>, path: &str, node: &Node<'_>) -> Option<f64> {
    let fix = "use a number from 1 to 10, such as 1.5";
    let number = match node.get_ref() {
        DeValue::Integer(number) => number.to_string().parse::<f64>().ok(),
        DeValue::Float(number) => number.as_str().parse::<f64>().ok(),
        _ if walker.filled_in(node).is_some() => {
            walker.filled_in(node).and_then(|text| text.parse().ok())
        }
        _ => {
            walker.mismatch(path, node, fix);
            return None;
        }
    };
    let in_range = number.filter(|value| (1.0..=10.0).contains(value));
    if in_range.is_none() {
        walker.fault(
            node.span(),
            path,
            Wrong::new("the factor is out of range", fix),
        );
    }
    in_range
}

/// Exit codes as the kernel knows them: 0 to 255.
pub(super) fn exit_codes(walker: &mut Walker<'_>, path: &str, node: &Node<'_>) -> Option<Vec<i32>> {
    let Some(items) = node.get_ref().as_array() else {
        walker.mismatch(path, node, "write an array of exit codes: [0, 3]");
        return None;
    };
    let codes: Vec<Option<i32>> = items
        .iter()
        .enumerate()
        .map(|(i, item)| {
            let code = walker.integer(&format!("{path}[{i}]"), item, 0, 255)?;
            i32::try_from(code).ok()
        })
        .collect();
    codes.into_iter().collect()
}
