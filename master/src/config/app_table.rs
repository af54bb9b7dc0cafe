//! An app's table (`[app.NAME]`, `[defaults]`): each key is read by one arm, into [`Settings`].

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use toml::de::{DeTable, DeValue};

use super::{
    app::{Backoff, Readiness, Rung, Watch},
    errors::Wrong,
    listen_table, program,
    settings::{Instances, MOST_INSTANCES, Reload, Settings, default_backoff},
    signal,
    walk::{Node, Walker},
};

/// Every key of an app's table.
pub(super) const KEYS: [&str; 18] = [
    "command",
    "cwd",
    "env",
    "instances",
    "listen",
    "ready",
    "start_timeout",
    "min_healthy",
    "canary_healthy",
    "min_uptime",
    "max_draining",
    "kill_ladder",
    "backoff",
    "max_restarts",
    "restart_window",
    "stop_exit_codes",
    "listen_pid",
    "auto_reload",
];

/// What other tools call the same thing.
pub(super) fn meant(key: &str) -> Option<&'static str> {
    Some(match key {
        "script" | "args" | "cmd" | "exec" | "exec_start" | "run" | "program" | "interpreter" => {
            "command"
        }
        "workers" | "processes" | "numprocs" | "replicas" | "exec_mode" => "instances",
        "directory" | "workdir" | "working_directory" | "chdir" => "cwd",
        "environment" | "vars" => "env",
        "bind" | "port" | "socket" | "sockets" | "address" => "listen",
        "watch" | "reload" => "auto_reload",
        "wait_ready" | "readiness" => "ready",
        "listen_timeout" => "start_timeout",
        "kill_timeout" | "stop_signal" | "kill_signal" | "stop_timeout" | "graceful_timeout" => {
            "kill_ladder"
        }
        "restart_delay" | "exp_backoff_restart_delay" => "backoff",
        _ => return None,
    })
}

/// Reads an app's table. Relative paths start at `base`, the file's directory.
pub(super) fn read(
    walker: &mut Walker<'_>,
    path: &str,
    table: &DeTable<'_>,
    base: &Path,
) -> Settings {
    let mut settings = Settings::default();
    for (key, node) in table {
        let name = key.get_ref().as_ref();
        let path = format!("{path}.{name}");
        let w = &mut *walker;
        match name {
            "command" => settings.command = command(w, &path, node),
            "cwd" => settings.cwd = directory(w, &path, node, base),
            "env" => settings.env = env(w, &path, node),
            "instances" => settings.instances = instances(w, &path, node),
            "listen" => settings.listen = listen_table::read(w, &path, node, base),
            "ready" => settings.ready = ready(w, &path, node),
            "start_timeout" => settings.start_timeout = w.positive(&path, node),
            "min_healthy" => settings.min_healthy = w.duration(&path, node),
            "canary_healthy" => settings.canary_healthy = w.duration(&path, node),
            "min_uptime" => settings.min_uptime = w.duration(&path, node),
            "max_draining" => settings.max_draining = w.count(&path, node, 1),
            "kill_ladder" => settings.kill_ladder = kill_ladder(w, &path, node),
            "backoff" => settings.backoff = backoff(w, &path, node),
            "max_restarts" => settings.max_restarts = w.count(&path, node, 0),
            "restart_window" => settings.restart_window = w.positive(&path, node),
            "stop_exit_codes" => settings.stop_exit_codes = exit_codes(w, &path, node),
            "listen_pid" => settings.listen_pid = w.boolean(&path, node),
            "auto_reload" => settings.auto_reload = auto_reload(w, &path, node, base),
            _ => w.unknown_key(key.span(), &path, name, &KEYS, meant(name)),
        }
    }
    settings
}

fn command(walker: &mut Walker<'_>, path: &str, node: &Node<'_>) -> Option<Vec<String>> {
    let fix = "write the program and its arguments: [\"node\", \"server.js\"]";
    let words = match node.get_ref() {
        DeValue::String(_) => program::words(walker.string(path, node, fix)?),
        _ => walker.strings(path, node, fix)?,
    };
    match words.first().map(String::as_str) {
        None | Some("") => {
            walker.fault(node.span(), path, Wrong::new("the command is empty", fix));
            None
        }
        Some(_) => Some(words),
    }
}

fn directory(walker: &mut Walker<'_>, path: &str, node: &Node<'_>, base: &Path) -> Option<PathBuf> {
    let text = walker.string(path, node, "write a directory, in quotes")?;
    if text.is_empty() {
        let wrong = Wrong::new(
            "the directory is empty",
            "leave the key out for the file's own directory",
        );
        walker.fault(node.span(), path, wrong);
        return None;
    }
    Some(base.join(text))
}

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

fn env(walker: &mut Walker<'_>, path: &str, node: &Node<'_>) -> BTreeMap<String, String> {
    let mut env = BTreeMap::new();
    let fix = "write a table: { NODE_ENV = \"production\" }";
    let Some(table) = walker.table(path, node, fix) else {
        return env;
    };
    for (key, value) in table {
        let name = key.get_ref().as_ref();
        let path = format!("{path}.{name}");
        if name.is_empty() || name.contains(['=', '\0']) {
            let wrong = Wrong::new(
                format!("{name:?} is not the name of a variable"),
                "use a name without \"=\"",
            );
            walker.fault(key.span(), &path, wrong);
        } else if is_reserved(name) {
            let wrong = Wrong::new(
                "the master sets this variable itself, for each worker",
                "remove it, or use another name",
            );
            walker.fault(key.span(), &path, wrong);
        }
        let text = match value.get_ref() {
            DeValue::Integer(number) => Some(number.to_string()),
            DeValue::Float(number) => Some(number.to_string()),
            DeValue::Boolean(truth) => Some(truth.to_string()),
            _ => walker
                .string(&path, value, "write the value in quotes")
                .map(str::to_owned),
        };
        if let Some(text) = text {
            env.insert(name.to_owned(), text);
        }
    }
    env
}

fn instances(walker: &mut Walker<'_>, path: &str, node: &Node<'_>) -> Option<Instances> {
    match node.get_ref() {
        DeValue::Integer(_) => {
            let count = walker.integer(path, node, 0, i64::from(MOST_INSTANCES))?;
            u32::try_from(count).ok().map(Instances::Exactly)
        }
        _ => {
            let text = walker.string(path, node, "use a number, or \"auto\" for one per core")?;
            walker.take(path, node, text.parse())
        }
    }
}

fn ready(walker: &mut Walker<'_>, path: &str, node: &Node<'_>) -> Option<Readiness> {
    let text = walker.string(
        path,
        node,
        "use \"auto\", \"notify\", \"sdk\" or \"delay(2s)\"",
    )?;
    walker.take(path, node, text.parse())
}

fn kill_ladder(walker: &mut Walker<'_>, path: &str, node: &Node<'_>) -> Option<Vec<Rung>> {
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

fn backoff(walker: &mut Walker<'_>, path: &str, node: &Node<'_>) -> Option<Backoff> {
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
            "factor" => factor = self::factor(walker, &path, value),
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

fn factor(walker: &mut Walker<'_>, path: &str, node: &Node<'_>) -> Option<f64> {
    let fix = "use a number from 1 to 10, such as 1.5";
    let number = match node.get_ref() {
        DeValue::Integer(number) => number.to_string().parse::<f64>().ok(),
        DeValue::Float(number) => number.as_str().parse::<f64>().ok(),
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

fn exit_codes(walker: &mut Walker<'_>, path: &str, node: &Node<'_>) -> Option<Vec<i32>> {
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

fn auto_reload(
    walker: &mut Walker<'_>,
    path: &str,
    node: &Node<'_>,
    base: &Path,
) -> Option<Reload> {
    let fix = "write true, an array of paths, or { paths = [\"src\"], ignore = [\"*.log\"] }";
    let mut watch = Watch {
        paths: Vec::new(),
        ignore: Vec::new(),
    };
    match node.get_ref() {
        DeValue::Boolean(true) => {}
        DeValue::Boolean(false) => return Some(Reload::Off),
        DeValue::Array(_) => watch.paths = paths(walker, path, node, base)?,
        DeValue::Table(table) => {
            for (key, value) in table {
                let name = key.get_ref().as_ref();
                let path = format!("{path}.{name}");
                match name {
                    "paths" => watch.paths = paths(walker, &path, value, base).unwrap_or_default(),
                    "ignore" => {
                        let fix = "write an array of gitignore patterns: [\"*.log\"]";
                        watch.ignore = walker.strings(&path, value, fix).unwrap_or_default();
                    }
                    _ => walker.unknown_key(key.span(), &path, name, &["paths", "ignore"], None),
                }
            }
        }
        _ => {
            walker.mismatch(path, node, fix);
            return None;
        }
    }
    Some(Reload::On(watch))
}

fn paths(
    walker: &mut Walker<'_>,
    path: &str,
    node: &Node<'_>,
    base: &Path,
) -> Option<Vec<PathBuf>> {
    let texts = walker.strings(path, node, "write an array of paths: [\"src\"]")?;
    Some(texts.into_iter().map(|text| base.join(text)).collect())
}
