//! What PM2 watches, and how.

use serde_json::{Map, Value};

use super::{
    draft::Draft,
    pm2::{path, text},
};
use crate::config::placeholders::verbatim;

/// `watch` and what goes with it become `auto_reload`.
pub(super) fn watch(draft: &mut Draft, value: &Value, all: &Map<String, Value>) {
    if value == &Value::Bool(false) {
        return;
    }
    let mut table = toml::Table::new();
    let paths = list(value);
    if !paths.is_empty() {
        let paths = paths.iter().map(|watched| path(watched, all).into());
        table.insert("paths".into(), paths.collect::<Vec<toml::Value>>().into());
    }
    let ignored = all.get("ignore_watch").map(list).unwrap_or_default();
    if !ignored.is_empty() {
        draft.note("ignore_watch: patterns are those of .gitignore");
        let ignored = ignored.iter().map(|pattern| verbatim(pattern).into());
        table.insert(
            "ignore".into(),
            ignored.collect::<Vec<toml::Value>>().into(),
        );
    }
    if let Some(every) = all.get("watch_options").and_then(polls) {
        table.insert("poll".into(), every.into());
    }
    match table.is_empty() {
        true => draft.set("auto_reload", true),
        false => draft.set("auto_reload", table),
    }
}

/// Texts in a list, or one alone.
fn list(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) => items.iter().map(text).collect(),
        Value::String(_) => vec![text(value)],
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Vec::new(),
    }
}

/// chokidar's options: how often it looks, if it has to.
pub(super) fn polls(options: &Value) -> Option<String> {
    let polls = options.get("usePolling") == Some(&Value::Bool(true));
    let every = options.get("interval").and_then(Value::as_u64);
    polls.then(|| format!("{}ms", every.unwrap_or(1000).max(100)))
}
