//! Where lines go: PM2 has a file for each stream of each worker, and one for both.

use std::path::Path;

use serde_json::{Map, Value};

use super::{
    draft::Draft,
    pm2::{path, text},
};

const OUT: [&str; 3] = ["out_file", "output", "out"];
const ERR: [&str; 3] = ["error_file", "err_file", "error"];
const BOTH: [&str; 2] = ["log_file", "log"];

/// Every option that is read here.
pub(super) const KEYS: [&str; 14] = [
    OUT[0],
    OUT[1],
    OUT[2],
    ERR[0],
    ERR[1],
    ERR[2],
    BOTH[0],
    BOTH[1],
    "merge_logs",
    "combine_logs",
    "log_type",
    "log_date_format",
    "time",
    "disable_logs",
];

/// What is said of logs becomes `log`.
pub(super) fn log(draft: &mut Draft, options: &Map<String, Value>) {
    if is_set(options, "disable_logs") {
        draft.set("log", "null");
        return;
    }
    let target = |keys: &[&str]| {
        let path = keys.iter().find_map(|key| options.get(*key)?.as_str())?;
        Some(target(path, options))
    };
    let (out, err, both) = (target(&OUT), target(&ERR), target(&BOTH));
    let mut log = toml::Table::new();
    if both.is_some() && (out.is_some() || err.is_some()) {
        draft.note("log_file: lines go to one place each, which out_file and error_file say");
    }
    let out = match err {
        Some(_) => out,
        None => out.or(both),
    };
    log.extend(out.map(|out| ("out".to_owned(), out.into())));
    log.extend(err.map(|err| ("err".to_owned(), err.into())));
    if options.get("log_type").and_then(Value::as_str) == Some("json") {
        log.insert("format".into(), "json".into());
    } else if is_set(options, "time") || is_set(options, "log_date_format") {
        log.insert("prefix".into(), vec![toml::Value::from("time")].into());
    }
    if !log.is_empty() {
        draft.set("log", log);
    }
}

fn is_set(options: &Map<String, Value>, key: &str) -> bool {
    options.get(key).is_some_and(|value| match value {
        Value::Bool(set) => *set,
        Value::String(text) => !text.is_empty(),
        Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_) => false,
    })
}

/// A file, relative to the app's directory, and one for each worker unless they share it.
fn target(path_there: &str, options: &Map<String, Value>) -> String {
    if matches!(path_there, "/dev/null" | "NULL") {
        return "null".into();
    }
    let file = Path::new(path_there);
    let shared = is_set(options, "merge_logs") || is_set(options, "combine_logs");
    let one = options
        .get("instances")
        .is_none_or(|count| text(count) == "1");
    let own = file.file_stem().filter(|_| !shared && !one).map(|stem| {
        let extension = file
            .extension()
            .map(|extension| format!(".{}", extension.display()));
        let name = format!(
            "{}-{{slot}}{}",
            stem.display(),
            extension.unwrap_or_default()
        );
        file.with_file_name(name).display().to_string()
    });
    path(own.as_deref().unwrap_or(path_there), options)
}
