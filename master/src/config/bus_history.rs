//! The file's `[[bus.history]]` tables: which topics keep their last events, for those who come later or come back.
//!
//! ```toml
//! [[bus.history]]
//! pattern = "orders.>"
//! messages = 1000       # of each topic
//! bytes = "1MiB"        # of each topic
//! max_age = "1h"        # as long as there is room, if left out
//! ```

use std::ops::Range;

use ostler_bus::{Pattern, hub::HistoryRule};

use super::{
    errors::Wrong,
    walk::{Node, Walker},
};

const KEYS: [&str; 4] = ["pattern", "messages", "bytes", "max_age"];

/// Bytes of each topic, if nothing is said.
const BYTES: usize = 1 << 20;

/// Reads the tables, in their order: of several that a topic matches the first holds.
pub(super) fn read(walker: &mut Walker<'_>, path: &str, node: &Node<'_>) -> Vec<HistoryRule> {
    let fix = "write [[bus.history]] before each: it is a list of tables";
    let Some(items) = node.get_ref().as_array() else {
        walker.mismatch(path, node, fix);
        return Vec::new();
    };
    let items = items.iter().enumerate();
    let rules = items.filter_map(|(i, item)| rule(walker, &format!("{path}[{i}]"), item));
    rules.collect()
}

fn rule(walker: &mut Walker<'_>, path: &str, node: &Node<'_>) -> Option<HistoryRule> {
    let table = walker.table(path, node, "write [[bus.history]] before it")?;
    let (mut pattern, mut messages, mut bytes, mut max_age) = (None, None, BYTES, None);
    for (key, node) in table {
        let name = key.get_ref().as_ref();
        let path = format!("{path}.{name}");
        match name {
            "pattern" => pattern = take_pattern(walker, &path, node),
            "messages" => messages = walker.integer(&path, node, 1, 1 << 24),
            "bytes" => {
                if let Some(said) = walker.bytes(&path, node, 1 << 10, 1 << 40) {
                    bytes = usize::try_from(said).unwrap_or(BYTES);
                }
            }
            "max_age" => max_age = walker.positive(&path, node),
            _ => walker.unknown_key(key.span(), &path, name, &KEYS, None),
        }
    }
    let has = |name: &str| table.keys().any(|key| key.get_ref().as_ref() == name);
    for name in ["pattern", "messages"] {
        if !has(name) {
            missing(walker, node.span(), path, name);
        }
    }
    Some(HistoryRule {
        pattern: pattern?,
        messages: usize::try_from(messages?).ok()?,
        bytes,
        max_age,
    })
}

fn take_pattern(walker: &mut Walker<'_>, path: &str, node: &Node<'_>) -> Option<Pattern> {
    let text = walker.string(path, node, "write a pattern: \"orders.>\"")?;
    let pattern = Pattern::new(text).map_err(|error| {
        Wrong::new(
            error.to_string(),
            "use tokens of A-Z a-z 0-9 _ -, separated by dots; * stands for one, a last > for the rest",
        )
    });
    walker.take(path, node, pattern)
}

fn missing(walker: &mut Walker<'_>, span: Range<usize>, path: &str, name: &str) {
    let fix = match name {
        "pattern" => "say which topics: pattern = \"orders.>\"",
        _ => "say how many events of each topic: messages = 1000",
    };
    let wrong = Wrong::new(format!("{name} is missing"), fix);
    walker.misfit(span, path, wrong);
}
