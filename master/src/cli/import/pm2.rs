//! PM2's ecosystem files: what each option of theirs is with us.

use serde_json::{Map, Value};

use super::{draft::Draft, pm2_command, pm2_log, pm2_watch};
use crate::config::{app::schedule::Schedule, naming, placeholders::verbatim};

/// The apps of an ecosystem: a list of them under `apps`, the list alone, or one app.
pub(super) fn drafts(ecosystem: &Value) -> Result<Vec<Draft>, String> {
    let apps = match ecosystem {
        Value::Array(apps) => apps.clone(),
        Value::Object(all) => match all.get("apps") {
            Some(Value::Array(apps)) => apps.clone(),
            Some(one @ Value::Object(_)) => vec![one.clone()],
            Some(_) => return Err("`apps` is no list".into()),
            None => vec![ecosystem.clone()],
        },
        _ => return Err("it holds no apps".into()),
    };
    let mut drafts: Vec<Draft> = apps.iter().map(app).collect::<Result<_, _>>()?;
    if let Some(first) = drafts.first_mut() {
        let others = ecosystem.as_object().filter(|all| all.contains_key("apps"));
        let others = others
            .into_iter()
            .flat_map(Map::keys)
            .filter(|key| *key != "apps");
        others.for_each(|key| first.note(format!("no equivalent, beside the apps: {key}")));
    }
    Ok(drafts)
}

fn app(app: &Value) -> Result<Draft, String> {
    let Value::Object(given) = app else {
        return Err("an app is no table of options".into());
    };
    // A null says nothing.
    let said = given.iter().filter(|(_, value)| !value.is_null());
    let options: Map<String, Value> = said
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let options = &options;
    let command = pm2_command::command(options)?;
    let named = options.get("name").and_then(Value::as_str);
    let mut draft = match named {
        Some(name) => Draft::new(name),
        None => Draft::new(naming::app_name_of(&command).as_str()),
    };
    if let Some(name) = named.filter(|name| !naming::is_token(name)) {
        draft.note(format!(
            "named {name:?} there; names are of A-Z a-z 0-9 _ -"
        ));
    }
    let words: Vec<toml::Value> = command.iter().map(|word| verbatim(word).into()).collect();
    draft.set("command", words);
    if !options.contains_key("instances") {
        draft.set("instances", 1);
    }
    if !options.contains_key("kill_signal") && !options.contains_key("kill_timeout") {
        // What the program listens for there.
        draft.set("stop_signal", "INT");
    }
    for (key, value) in options {
        option(&mut draft, key, value, options);
    }
    pm2_log::log(&mut draft, options);
    Ok(draft)
}

pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// One option. Milliseconds stand alone there, or a string has their unit.
fn option(draft: &mut Draft, key: &str, value: &Value, all: &Map<String, Value>) {
    match key {
        "name" => {}
        key if pm2_command::KEYS.contains(&key) => {}
        "instances" => instances(draft, value),
        "exec_mode" => {
            if value
                .as_str()
                .is_some_and(|mode| mode.starts_with("cluster"))
            {
                draft.note("exec_mode \"cluster\": declare the socket (listen = { http = \":8080\" }), and listen on descriptor 3 in the program");
            }
        }
        "namespace" => draft.set("namespace", verbatim(&text(value))),
        "cwd" => draft.set("cwd", at_home(&text(value))),
        "env" => draft.env = variables(value),
        "env_file" => draft.set("env_file", verbatim(&text(value))),
        "filter_env" => filter(draft, value),
        "watch" => pm2_watch::watch(draft, value, all),
        "ignore_watch" if all.contains_key("watch") => {}
        "watch_options" if pm2_watch::polls(value).is_some() && all.contains_key("watch") => {}
        "kill_timeout" => {
            let signal = all
                .get("kill_signal")
                .and_then(Value::as_str)
                .unwrap_or("SIGINT");
            let ladder = [
                format!("{}:{}", signal.trim_start_matches("SIG"), time(value)),
                "KILL".into(),
            ];
            draft.set("kill_ladder", ladder.map(toml::Value::from).to_vec());
        }
        "kill_signal" if all.contains_key("kill_timeout") => {}
        "kill_signal" => draft.set("stop_signal", verbatim(&text(value))),
        "treekill" => {
            if value == &Value::Bool(true) {
                draft.set("kill_group", true);
            }
        }
        "shutdown_with_message" => {
            if value == &Value::Bool(true) {
                draft.note("shutdown_with_message: process.on('message') hears nothing; wait for `worker.draining` with the Node client, or read a line (stop_message = \"shutdown\") from standard input");
            }
        }
        "listen_timeout" => draft.set("start_timeout", time(value)),
        "min_uptime" => draft.set("min_uptime", time(value)),
        "max_restarts" => match value.as_i64() {
            Some(count) => draft.set("max_restarts", count),
            None => draft.note(format!("max_restarts = {value}: not a number")),
        },
        "restart_delay" if all.contains_key("exp_backoff_restart_delay") => {
            draft.note("restart_delay: exp_backoff_restart_delay goes before it, there as here");
        }
        "restart_delay" => draft.set("backoff", backoff(&time(value), Some(1.0))),
        "exp_backoff_restart_delay" => draft.set("backoff", backoff(&time(value), None)),
        "stop_exit_codes" => {
            let codes = match value {
                Value::Array(codes) => codes.clone(),
                one => vec![one.clone()],
            };
            let codes: Vec<toml::Value> = codes
                .iter()
                .filter_map(Value::as_i64)
                .map(Into::into)
                .collect();
            draft.set("stop_exit_codes", codes);
        }
        "max_memory_restart" => match size(value) {
            Some(size) => draft.set("max_memory", size),
            None => draft.note(format!("max_memory_restart = {value}: not a size")),
        },
        "cron_restart" | "cron" => cron(draft, &text(value)),
        "autorestart" => {
            if value == &Value::Bool(false) {
                draft.set("restart", "never");
            }
        }
        "uid" | "user" => account(draft, "user", value),
        "gid" => account(draft, "group", value),
        key if pm2_log::KEYS.contains(&key) => {}
        "wait_ready" => {
            if value == &Value::Bool(true) {
                draft.note("wait_ready: process.send('ready') is not heard; say `await worker.ready()` with the Node client, or READY=1 on NOTIFY_SOCKET");
            }
        }
        environment if environment.starts_with("env_") => {
            let name = environment.trim_start_matches("env_").to_owned();
            draft.environments.push((name, variables(value)));
        }
        "increment_var" => draft.note(format!("increment_var = {value}: the master binds a port for each worker and tells it in PORT: listen = {{ http = {{ address = \":3000\", per_slot = true }} }}")),
        "instance_var" => draft.note(format!("instance_var = {value}: the number is in OSTLER_SLOT and NODE_APP_INSTANCE")),
        "append_env_to_name" => draft.note("append_env_to_name: each environment has a master of its own: ostler start FILE -M NAME --env ENV"),
        "source_map_support" => draft.note("source_map_support: write --enable-source-maps behind `node`"),
        other => draft.note(format!("no equivalent: {other} = {value}")),
    }
}

/// A path of theirs with `~` for the home directory.
fn at_home(path: &str) -> String {
    match path.strip_prefix('~') {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => {
            format!("${{HOME}}{}", verbatim(rest))
        }
        Some(_) | None => verbatim(path),
    }
}

/// A path of theirs: it starts at the app's directory, and not at the file's.
pub(super) fn path(path: &str, options: &Map<String, Value>) -> String {
    let directory = options.get("cwd").map(|cwd| at_home(&text(cwd)));
    match directory {
        Some(directory) if !path.starts_with(['/', '~']) => {
            format!("{}/{}", directory.trim_end_matches('/'), verbatim(path))
        }
        Some(_) | None => at_home(path),
    }
}

fn instances(draft: &mut Draft, value: &Value) {
    let number = value.as_i64().or_else(|| value.as_str()?.parse().ok());
    match (number, value.as_str()) {
        (Some(0), _) | (None, Some("max")) => draft.set("instances", "auto"),
        (Some(number), _) => draft.set("instances", number),
        (None, _) => draft.note(format!("instances = {value}: not a number")),
    }
}

/// Bytes, or a number of K, M or G, which are powers of 1024 there.
fn size(value: &Value) -> Option<toml::Value> {
    if let Some(bytes) = value.as_i64() {
        return Some(bytes.into());
    }
    let text = value.as_str()?.trim();
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let number: i64 = digits.parse().ok()?;
    match &text[digits.len()..] {
        "" | "B" => Some(number.into()),
        "K" | "KB" => Some(format!("{number}KiB").into()),
        "M" | "MB" => Some(format!("{number}MiB").into()),
        "G" | "GB" => Some(format!("{number}GiB").into()),
        _ => None,
    }
}

/// An expression of five fields, or none: 0. Seconds, in a sixth, have no equivalent.
fn cron(draft: &mut Draft, text: &str) {
    match Schedule::new(text, None) {
        _ if matches!(text, "" | "0") => {}
        Ok(_) => draft.set("cron", text),
        Err(wrong) => draft.note(format!("cron_restart: {}", wrong.problem)),
    }
}

/// A name or a number, which may be written as a text.
fn account(draft: &mut Draft, key: &'static str, value: &Value) {
    let number = value.as_i64().or_else(|| value.as_str()?.parse().ok());
    match number {
        Some(number) => draft.set(key, number),
        None => draft.set(key, verbatim(&text(value))),
    }
}

/// Variables; structured ones as JSON, as they are with PM2.
fn variables(value: &Value) -> toml::Table {
    let Value::Object(variables) = value else {
        return toml::Table::new();
    };
    let set = variables.iter().filter(|(_, value)| !value.is_null());
    set.map(|(name, value)| (name.clone(), verbatim(&text(value)).into()))
        .collect()
}

fn filter(draft: &mut Draft, value: &Value) {
    match value {
        Value::Bool(true) => draft.set("env_clear", true),
        Value::Array(names) => {
            // Prefixes, there.
            let names = names.iter().map(|name| format!("{}*", text(name)).into());
            draft.set("env_deny", names.collect::<Vec<toml::Value>>());
        }
        Value::String(name) => draft.set("env_deny", vec![toml::Value::from(format!("{name}*"))]),
        _ => {}
    }
}

fn time(value: &Value) -> String {
    match value {
        Value::Number(millis) => format!("{millis}ms"),
        other => {
            let text = text(other);
            let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            match is_plain {
                true => format!("{text}ms"),
                false => text,
            }
        }
    }
}

/// The first delay, and whether it ever grows.
fn backoff(first: &str, factor: Option<f64>) -> toml::Table {
    let mut table = toml::Table::new();
    table.insert("first".into(), first.into());
    match factor {
        Some(factor) => {
            table.insert("max".into(), first.into());
            table.insert("factor".into(), factor.into());
        }
        None => {
            table.insert("max".into(), "15s".into());
        }
    }
    table
}
