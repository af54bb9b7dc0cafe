//! An app's table (`[app.NAME]`, `[defaults]`): each key is read by one arm, into [`Settings`].

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use toml::de::{DeTable, DeValue};

use super::{
    app::Watch,
    bus_rights,
    errors::Wrong,
    life_table, listen_table, policy_values, probe_table, program, recycle_table,
    settings::{Instances, MOST_INSTANCES, Reload, Settings},
    walk::{Node, Walker},
};

/// Every key of an app's table.
pub(super) const KEYS: [&str; 29] = [
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
    "bus",
    "watchdog",
    "health",
    "hang_signal",
    "hang_grace",
    "restart",
    "fatal_exit_codes",
    "retry_failed",
    "oneshot",
    "max_memory",
    "max_age",
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
        "healthcheck" | "health_check" | "liveness" => "health",
        "watchdog_sec" | "worker_check_interval" => "watchdog",
        "max_memory_restart" => "max_memory",
        "max_lifetime" | "worker_max_lifetime" => "max_age",
        "autorestart" | "respawn" | "restart_policy" => "restart",
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
            "ready" => settings.ready = probe_table::ready(w, &path, node, base),
            "start_timeout" => settings.start_timeout = w.positive(&path, node),
            "min_healthy" => settings.min_healthy = w.duration(&path, node),
            "canary_healthy" => settings.canary_healthy = w.duration(&path, node),
            "min_uptime" => settings.min_uptime = w.duration(&path, node),
            "max_draining" => settings.max_draining = w.count(&path, node, 1),
            "kill_ladder" => settings.kill_ladder = policy_values::kill_ladder(w, &path, node),
            "backoff" => settings.backoff = policy_values::backoff(w, &path, node),
            "max_restarts" => settings.max_restarts = w.count(&path, node, 0),
            "restart_window" => settings.restart_window = w.positive(&path, node),
            "stop_exit_codes" => {
                settings.stop_exit_codes = policy_values::exit_codes(w, &path, node);
            }
            "listen_pid" => settings.listen_pid = w.boolean(&path, node),
            "auto_reload" => settings.auto_reload = auto_reload(w, &path, node, base),
            "bus" => settings.bus = bus_rights::read(w, &path, node),
            _ if life_table::take(w, name, &path, node, base, &mut settings.life) => {}
            _ if recycle_table::take(w, name, &path, node, &mut settings.recycle) => {}
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
