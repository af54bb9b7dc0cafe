//! An app's table (`[app.NAME]`, `[defaults]`): each key is read by one arm, into [`Settings`].

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use toml::de::{DeTable, DeValue};

use super::{
    app::AppName,
    bus_rights, env_table,
    errors::Wrong,
    given_table, life_table, listen_table, log_table, policy_values, probe_table, process_table,
    program, recycle_table, reload_table,
    settings::{Instances, MOST_INSTANCES, Settings},
    start_order, stop_table, update_table,
    walk::{Node, Walker},
};

/// Every key of an app's table.
pub(super) const KEYS: [&str; 65] = [
    "command",
    "cwd",
    "env",
    "env_file",
    "env_clear",
    "env_allow",
    "env_deny",
    "environment",
    "extends",
    "namespace",
    "instances",
    "autostart",
    "start_parallel",
    "priority",
    "depends_on",
    "listen",
    "ready",
    "start_timeout",
    "min_healthy",
    "canary_healthy",
    "min_uptime",
    "max_draining",
    "strategy",
    "max_surge",
    "max_unavailable",
    "canary",
    "on_failure",
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
    "max_requests",
    "idle_timeout",
    "cron",
    "stop_signal",
    "stop_message",
    "kill_group",
    "before_start",
    "after_ready",
    "before_stop",
    "after_exit",
    "user",
    "group",
    "umask",
    "nice",
    "limits",
    "cpu_affinity",
    "cgroup",
    "fds",
    "stdin",
    "log",
];

/// What other tools call the same thing: ours, and theirs.
pub(super) const SYNONYMS: &[(&str, &[&str])] = &[
    (
        "command",
        &[
            "script",
            "args",
            "cmd",
            "exec",
            "exec_start",
            "run",
            "program",
            "interpreter",
            "interpreter_args",
            "node_args",
        ],
    ),
    ("depends_on", &["after", "requires", "needs"]),
    ("autostart", &["auto_start", "enabled"]),
    (
        "instances",
        &["workers", "processes", "numprocs", "replicas", "exec_mode"],
    ),
    (
        "cwd",
        &["directory", "workdir", "working_directory", "chdir"],
    ),
    ("env", &["vars", "variables"]),
    ("env_file", &["envfile", "dotenv", "environment_file"]),
    ("env_deny", &["filter_env"]),
    ("environment", &["environments"]),
    ("extends", &["<<", "inherits", "base", "template"]),
    ("listen", &["bind", "port", "socket", "sockets", "address"]),
    ("auto_reload", &["watch", "reload"]),
    ("auto_reload.ignore", &["ignore_watch"]),
    ("ready", &["wait_ready", "readiness"]),
    ("start_timeout", &["listen_timeout", "timeout_start_sec"]),
    ("min_uptime", &["startsecs"]),
    (
        "kill_ladder",
        &[
            "kill_timeout",
            "stop_timeout",
            "graceful_timeout",
            "timeout_stop_sec",
            "stopwaitsecs",
            "stop_grace_period",
        ],
    ),
    ("stop_signal", &["kill_signal", "stopsignal"]),
    ("stop_message", &["shutdown_with_message"]),
    (
        "kill_group",
        &["treekill", "kill_mode", "stopasgroup", "stop_children"],
    ),
    (
        "before_start",
        &["exec_start_pre", "pre_start", "before_spawn"],
    ),
    (
        "after_ready",
        &["exec_start_post", "post_start", "after_start"],
    ),
    ("before_stop", &["exec_stop", "pre_stop"]),
    ("after_exit", &["exec_stop_post", "post_stop", "after_stop"]),
    (
        "backoff",
        &["restart_delay", "exp_backoff_restart_delay", "restart_sec"],
    ),
    ("max_restarts", &["start_limit_burst", "startretries"]),
    (
        "restart_window",
        &["start_limit_interval", "start_limit_interval_sec"],
    ),
    ("stop_exit_codes", &["exitcodes", "success_exit_status"]),
    (
        "strategy",
        &["deploy_strategy", "update_strategy", "rollout"],
    ),
    ("max_surge", &["maxSurge", "surge"]),
    ("max_unavailable", &["maxUnavailable", "batch_size"]),
    ("on_failure", &["failure_action", "rollback"]),
    ("health", &["healthcheck", "health_check", "liveness"]),
    ("watchdog", &["watchdog_sec", "worker_check_interval"]),
    ("restart", &["autorestart", "respawn", "restart_policy"]),
    ("max_memory", &["max_memory_restart"]),
    (
        "max_age",
        &["max_lifetime", "worker_max_lifetime", "runtime_max_sec"],
    ),
    (
        "max_requests",
        &[
            "requests_limit",
            "max_requests_jitter",
            "limit_max_requests",
        ],
    ),
    ("idle_timeout", &["idle", "process_idle_timeout"]),
    (
        "cron",
        &["cron_restart", "cron_timezone", "timezone", "schedule"],
    ),
    ("user", &["uid", "run_as"]),
    ("group", &["gid"]),
    ("limits", &["rlimits", "ulimits"]),
    ("cpu_affinity", &["cpus", "affinity", "taskset"]),
    ("nice", &["niceness"]),
    ("cgroup.memory_max", &["memory_max", "mem_limit"]),
    ("cgroup.cpu_max", &["cpu_max", "cpu_quota"]),
    ("cgroup.pids_max", &["pids_max", "pids_limit", "tasks_max"]),
    (
        "log",
        &[
            "out_file",
            "error_file",
            "log_file",
            "stdout",
            "stderr",
            "logs",
            "merge_logs",
        ],
    ),
];

/// What is meant by a key of others.
pub(super) fn meant(key: &str) -> Option<&'static str> {
    let mut synonyms = SYNONYMS.iter();
    let (ours, _) = synonyms.find(|(_, theirs)| theirs.contains(&key))?;
    Some(ours)
}

/// Reads an app's table. Relative paths start at `base`, the file's directory.
pub(super) fn read(
    walker: &mut Walker<'_>,
    path: &str,
    table: &DeTable<'_>,
    base: &Path,
) -> Settings {
    let mut settings = Settings::default();
    let mut variables = env_table::Env::new();
    for (key, node) in table {
        let name = key.get_ref().as_ref();
        let path = format!("{path}.{name}");
        let w = &mut *walker;
        settings
            .places
            .note(name, w.sources.absolute_line_of(key.span().start));
        match name {
            "command" => settings.command = command(w, &path, node),
            "cwd" => settings.cwd = directory(w, &path, node, base),
            "env" => variables = env_table::env(w, &path, node),
            "env_file" => settings.env = env_table::files(w, &path, node, base),
            "env_clear" => settings.env_clear = w.boolean(&path, node),
            "env_allow" => settings.env_allow = env_table::patterns(w, &path, node),
            "env_deny" => settings.env_deny = env_table::patterns(w, &path, node),
            "environment" => settings.environments = environments(w, &path, node, base),
            // Read where all apps are known.
            "extends" => {}
            "namespace" => settings.namespace = namespace(w, &path, node),
            "instances" => settings.instances = instances(w, &path, node),
            "autostart" => settings.autostart = w.boolean(&path, node),
            "start_parallel" => settings.start_parallel = w.count(&path, node, 1),
            "priority" => {
                let number = w.integer(&path, node, -1_000_000, 1_000_000);
                settings.priority = number.and_then(|number| i32::try_from(number).ok());
            }
            "depends_on" => settings.depends_on = start_order::depends_on(w, &path, node),
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
            "auto_reload" => settings.auto_reload = reload_table::read(w, &path, node, base),
            "log" => settings.log = log_table::read(w, &path, node, base),
            "bus" => settings.bus = bus_rights::read(w, &path, node),
            _ if process_table::KEYS.contains(&name) => {
                process_table::read(w, &path, name, node, &mut settings.process);
            }
            _ if given_table::KEYS.contains(&name) => {
                given_table::read(w, &path, name, node, base, &mut settings.given);
            }
            _ if life_table::take(w, name, &path, node, base, &mut settings.life) => {}
            _ if update_table::take(w, name, &path, node, &mut settings.update) => {}
            _ if recycle_table::take(w, name, &path, node, &mut settings.recycle) => {}
            _ if stop_table::take(w, name, &path, node, &mut settings) => {}
            "instance_var" => {
                let fix =
                    "remove it: a worker finds its number in OSTLER_SLOT and NODE_APP_INSTANCE";
                w.misfit(key.span(), &path, Wrong::new("unknown key", fix));
            }
            _ => w.unknown_key(key.span(), &path, name, &KEYS, meant(name)),
        }
    }
    if let Some(node) = table.get("stop_signal") {
        stop_table::check(walker, node.span(), path, &settings);
    }
    // What stands in the table itself is nearer than a file.
    settings.env.extend(variables);
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

/// Settings under the names of environments.
fn environments(
    walker: &mut Walker<'_>,
    path: &str,
    node: &Node<'_>,
    base: &Path,
) -> BTreeMap<String, Settings> {
    let fix = "write a table for each environment: [app.NAME.environment.staging]; variables belong into `env`";
    let mut environments = BTreeMap::new();
    let Some(table) = walker.table(path, node, fix) else {
        return environments;
    };
    for (key, node) in table {
        let path = format!("{path}.{}", key.get_ref());
        let Some(table) = walker.table(&path, node, fix) else {
            continue;
        };
        for (key, _) in table {
            let name = key.get_ref().as_ref();
            if matches!(name, "environment" | "extends") {
                let fix = "move it to the app's own table";
                let wrong = Wrong::new("it can't differ by environment", fix);
                walker.misfit(key.span(), &format!("{path}.{name}"), wrong);
            }
        }
        environments.insert(key.get_ref().to_string(), read(walker, &path, table, base));
    }
    environments
}

fn namespace(walker: &mut Walker<'_>, path: &str, node: &Node<'_>) -> Option<AppName> {
    let fix = "write one word of A-Z a-z 0-9 _ -, in quotes";
    let text = walker.string(path, node, fix)?;
    let name = match text {
        "all" => Err("\"all\" is no namespace: to commands it is every app".to_owned()),
        text => AppName::new(text).map_err(|_| format!("{text:?} is not a namespace")),
    };
    walker.take(path, node, name.map_err(|problem| Wrong::new(problem, fix)))
}

fn instances(walker: &mut Walker<'_>, path: &str, node: &Node<'_>) -> Option<Instances> {
    match node.get_ref() {
        DeValue::Integer(_) => {
            let most = i64::from(MOST_INSTANCES);
            Instances::of(walker.integer(path, node, -most, most)?)
        }
        _ => {
            let text = walker.string(
                path,
                node,
                "use a number, \"auto\" for one per core, or -1 for one fewer",
            )?;
            walker.take(path, node, text.parse())
        }
    }
}
