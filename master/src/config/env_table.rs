//! The variables of an app: `env`, `env_file`, and what its workers inherit (`env_clear`, `env_allow`, `env_deny`).

use std::{collections::BTreeMap, ops::Range, path::Path};

use glob::Pattern;
use toml::de::DeValue;

use super::{
    dotenv,
    errors::Wrong,
    load,
    walk::{Node, Walker},
};

/// Variables by name.
pub(super) type Env = BTreeMap<String, String>;

/// Variables that the master itself sets for each worker.
fn is_reserved(name: &str) -> bool {
    name.starts_with("OSTLER_")
        || [
            "LISTEN_FDS",
            "LISTEN_PID",
            "LISTEN_FDNAMES",
            "NOTIFY_SOCKET",
            "WATCHDOG_PID",
            "WATCHDOG_USEC",
        ]
        .contains(&name)
}

/// Whether a variable may be named so.
fn check_name(walker: &mut Walker<'_>, span: Range<usize>, path: &str, name: &str) {
    if name.is_empty() || name.contains(['=', '\0']) {
        let wrong = Wrong::new(
            format!("{name:?} is not the name of a variable"),
            "use a name without \"=\"",
        );
        walker.fault(span, path, wrong);
    } else if is_reserved(name) {
        let wrong = Wrong::new(
            "the master sets this variable itself, for each worker",
            "remove it, or use another name",
        );
        walker.fault(span, path, wrong);
    }
}

/// Reads `env`.
pub(super) fn env(walker: &mut Walker<'_>, path: &str, node: &Node<'_>) -> Env {
    let mut env = Env::new();
    let fix = "write a table: { NODE_ENV = \"production\" }";
    let Some(table) = walker.table(path, node, fix) else {
        return env;
    };
    for (key, value) in table {
        let name = key.get_ref().as_ref();
        let path = format!("{path}.{name}");
        check_name(walker, key.span(), &path, name);
        let text = match value.get_ref() {
            DeValue::Integer(number) => Some(number.to_string()),
            DeValue::Float(number) => Some(number.to_string()),
            DeValue::Boolean(truth) => Some(truth.to_string()),
            DeValue::Array(_) | DeValue::Table(_) => Some(json(value.get_ref()).to_string()),
            DeValue::String(_) | DeValue::Datetime(_) => walker
                .string(&path, value, "write the value in quotes")
                .map(str::to_owned),
        };
        if let Some(text) = text {
            env.insert(name.to_owned(), text);
        }
    }
    env
}

/// A structured value, as a variable holds it.
pub(super) fn json(value: &DeValue<'_>) -> serde_json::Value {
    use serde_json::Value;
    match value {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Boolean(truth) => Value::Bool(*truth),
        DeValue::Integer(number) => {
            let decimal = i64::from_str_radix(number.as_str(), number.radix());
            decimal.map_or_else(|_| Value::String(number.to_string()), Value::from)
        }
        DeValue::Float(number) => number
            .as_str()
            .parse::<f64>()
            .map_or(Value::Null, Value::from),
        DeValue::Datetime(date) => Value::String(date.to_string()),
        DeValue::Array(items) => items.iter().map(|item| json(item.get_ref())).collect(),
        DeValue::Table(table) => {
            let pair = |(key, value): (&serde_spanned::Spanned<_>, &Node<'_>)| {
                let name: &std::borrow::Cow<'_, str> = key.get_ref();
                (name.to_string(), json(value.get_ref()))
            };
            Value::Object(table.iter().map(pair).collect())
        }
    }
}

/// Reads `env_file`: one path or several, the later of which win.
pub(super) fn files(walker: &mut Walker<'_>, path: &str, node: &Node<'_>, base: &Path) -> Env {
    let fix = "write the path of a file, or an array of paths: [\".env\"]";
    let mut env = Env::new();
    match node.get_ref() {
        DeValue::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                let path = format!("{path}[{i}]");
                if let Some(file) = walker.string(&path, item, fix) {
                    env.extend(one_file(walker, &path, item.span(), &base.join(file)));
                }
            }
        }
        _ => {
            if let Some(file) = walker.string(path, node, fix) {
                env.extend(one_file(walker, path, node.span(), &base.join(file)));
            }
        }
    }
    env
}

fn one_file(walker: &mut Walker<'_>, key: &str, span: Range<usize>, file: &Path) -> Env {
    let text = match load::text(file) {
        Ok(text) => text,
        Err(unreadable) => {
            let problem = format!("{}: {}", file.display(), unreadable.wrong.problem);
            let fix = "create it, or correct the path: it starts at the process file's directory";
            walker.fault(span, key, Wrong::new(problem, fix));
            return Env::new();
        }
    };
    let (variables, faults) = dotenv::parse(&text);
    let start = walker.sources.add(file, walker.texts.keep(text));
    for (at, wrong) in faults {
        walker.syntax(start + at, wrong);
    }
    let mut env = Env::new();
    for ((name, at), value) in variables {
        let at = start + at;
        check_name(walker, at..at + name.len(), &name, &name);
        if value.contains('\0') {
            let problem = "a value with a NUL byte can't be passed to a process";
            walker.fault(at..at, &name, Wrong::new(problem, "remove the byte"));
        }
        env.insert(name, value);
    }
    env
}

/// Reads `env_allow` and `env_deny`.
pub(super) fn patterns(
    walker: &mut Walker<'_>,
    path: &str,
    node: &Node<'_>,
) -> Option<Vec<Pattern>> {
    let fix = "write an array of names, where * stands for anything: [\"AWS_*\"]";
    let texts = walker.strings(path, node, fix)?;
    let read: Vec<Option<Pattern>> = texts
        .iter()
        .map(|text| {
            let pattern = Pattern::new(text)
                .map_err(|error| Wrong::new(format!("{text:?} is no pattern: {error}"), fix));
            walker.take(path, node, pattern)
        })
        .collect();
    read.into_iter().collect()
}
