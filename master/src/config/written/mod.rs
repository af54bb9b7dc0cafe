//! The way back: an app's definition as a process file would say it. For `ostler save`, and for people who want to see what
//! holds.
//!
//! What is written here and read again is the same definition; the tests see to that for every key there is.

mod bus;
mod life;
mod process;
mod sockets;
mod value;

use super::{
    app::{AppDefinition, Watch},
    settings::Settings,
};
pub use bus::bus;
use value::Bare;
pub use value::Value;

/// What a definition says by one key.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// The key.
    pub name: &'static str,
    /// Its value.
    pub value: Value,
    /// Whether that is what holds anyway, where nothing is said.
    pub usual: bool,
}

/// Keys as they are collected.
#[derive(Debug, Default)]
struct Keys(Vec<Key>);

impl Keys {
    /// A key that has a value always.
    fn put(&mut self, name: &'static str, value: Value, usual: bool) {
        self.0.push(Key { name, value, usual });
    }

    /// A key that means nothing unless it is said.
    fn said(&mut self, name: &'static str, value: Option<Value>) {
        if let Some(value) = value {
            self.put(name, value, false);
        }
    }
}

/// Everything that a definition says, key by key, in the order of the reference.
#[must_use]
pub fn keys(app: &AppDefinition) -> Vec<Key> {
    let usual = Settings::default().define(app.name.clone(), app.command.clone(), 1);
    // All of them by name, so that a new one can't be forgotten here.
    let AppDefinition {
        name: _,
        command,
        cwd,
        env,
        inherits,
        namespace,
        instances,
        start,
        listen,
        ready,
        start_timeout,
        min_healthy,
        canary_healthy,
        min_uptime,
        max_draining,
        kill_ladder,
        backoff,
        max_restarts,
        restart_window,
        stop_exit_codes,
        listen_pid,
        auto_reload,
        life,
        recycle,
        stop,
        hooks,
        update,
        bus,
        process,
        given,
        log,
        // What a reload brought is no part of what was defined; whoever writes it down has put it into `env`.
        overlay: _,
        places: _,
    } = app;
    let mut keys = Keys::default();
    let k = &mut keys;
    k.put("command", Value::command(command), false);
    k.said("cwd", cwd.as_deref().map(Value::path));
    k.said("env", (!env.is_empty()).then(|| variables(env)));
    k.put("env_clear", Value::plain(inherits.clear), !inherits.clear);
    let patterns = |patterns: &[glob::Pattern]| Value::texts(patterns);
    k.said("env_allow", inherits.allow.as_deref().map(patterns));
    k.said("env_deny", some(&inherits.deny, patterns));
    k.said("namespace", namespace.as_ref().map(Value::text));
    k.put("instances", Value::plain(instances), false);
    k.put("autostart", Value::plain(start.autostart), start.autostart);
    let parallel = start.parallel;
    k.put(
        "start_parallel",
        Value::plain(parallel),
        parallel == usual.start.parallel,
    );
    let priority = start.priority;
    k.put(
        "priority",
        Value::plain(priority),
        priority == usual.start.priority,
    );
    k.said("depends_on", some(&start.depends_on, Value::texts));
    k.said("listen", some(listen, sockets::listen));
    k.put("ready", life::ready(ready), *ready == usual.ready);
    let mut time = |name, time, usual| k.put(name, Value::time(time), time == usual);
    time("start_timeout", *start_timeout, usual.start_timeout);
    time("min_uptime", *min_uptime, usual.min_uptime);
    time("restart_window", *restart_window, usual.restart_window);
    k.said("min_healthy", min_healthy.map(Value::time));
    k.said("canary_healthy", canary_healthy.map(Value::time));
    k.said("max_draining", max_draining.map(Value::plain));
    update_rules(k, update);
    k.put(
        "kill_ladder",
        life::ladder(kill_ladder),
        *kill_ladder == usual.kill_ladder,
    );
    k.put("backoff", life::backoff(backoff), *backoff == usual.backoff);
    k.put(
        "max_restarts",
        Value::plain(max_restarts),
        *max_restarts == usual.max_restarts,
    );
    k.said("stop_exit_codes", some(stop_exit_codes, Value::plains));
    k.put(
        "listen_pid",
        Value::plain(listen_pid),
        *listen_pid == usual.listen_pid,
    );
    k.put(
        "auto_reload",
        watch(auto_reload.as_ref()),
        auto_reload.is_none(),
    );
    k.said("bus", some(bus, bus::rights));
    life::life(k, life, &usual.life);
    life::recycle(k, recycle);
    life::stop(k, stop);
    life::hooks(k, hooks);
    process::attributes(k, process);
    process::given(k, given);
    process::log(k, log);
    keys.0
}

/// The text of an app's table. What is usual is left out.
#[must_use]
pub fn table(app: &AppDefinition) -> String {
    let said = keys(app).into_iter().filter(|key| !key.usual);
    let said = said.map(|key| (key.name, key.value.verbatim()));
    section(&format!("app.{}", app.name), said)
}

/// A table: its plain values, and then each table in it under a header of its own.
fn section<'k>(header: &str, keys: impl Iterator<Item = (&'k str, Value)>) -> String {
    let (mut plain, mut tables) = (format!("[{header}]\n"), String::new());
    for (key, value) in keys {
        match value {
            Value::Table(fields) => {
                tables.push_str(&format!("\n[{header}.{}]\n", Bare(key)));
                for (key, value) in fields {
                    tables.push_str(&format!("{} = {value}\n", Bare(&key)));
                }
            }
            value => plain.push_str(&format!("{} = {value}\n", Bare(key))),
        }
    }
    plain + &tables
}

fn variables(env: &std::collections::BTreeMap<String, String>) -> Value {
    let variables = env.iter();
    Value::Table(
        variables
            .map(|(name, value)| (name.clone(), Value::text(value)))
            .collect(),
    )
}

/// The value of a list that says nothing where it is empty.
fn some<'a, T>(items: &'a [T], value: impl FnOnce(&'a [T]) -> Value) -> Option<Value> {
    (!items.is_empty()).then(|| value(items))
}

fn update_rules(k: &mut Keys, update: &super::app::update::UpdateRules) {
    use super::app::update::{Canary, OnFailure, Share, Strategy, UpdateRules};
    let UpdateRules {
        strategy,
        max_surge,
        max_unavailable,
        canary,
        on_failure,
    } = update;
    let share = |share: &Share| match share {
        Share::Count(count) => Value::plain(count),
        Share::Percent(_) => Value::text(share),
    };
    let usual = UpdateRules::default();
    k.put(
        "strategy",
        word(&Strategy::WORDS, strategy),
        *strategy == usual.strategy,
    );
    k.put("max_surge", share(max_surge), *max_surge == usual.max_surge);
    k.said("max_unavailable", max_unavailable.as_ref().map(share));
    let Canary {
        instances,
        max_errors,
        min_requests,
    } = canary;
    let table = Value::table([
        ("instances", Some(share(instances))),
        (
            "max_errors",
            max_errors.map(|percent| Value::Text(format!("{percent}%"))),
        ),
        ("min_requests", Some(Value::plain(min_requests))),
    ]);
    k.put("canary", table, *canary == usual.canary);
    k.put(
        "on_failure",
        word(&OnFailure::WORDS, on_failure),
        *on_failure == usual.on_failure,
    );
}

fn watch(watch: Option<&Watch>) -> Value {
    let Some(Watch {
        paths,
        ignore,
        include,
        poll,
    }) = watch
    else {
        return Value::plain(false);
    };
    let paths = some(paths, |paths| {
        Value::List(paths.iter().map(|path| Value::path(path)).collect())
    });
    Value::table([
        ("paths", paths),
        ("ignore", some(ignore, Value::texts)),
        ("include", some(include, Value::texts)),
        ("poll", poll.map(Value::time)),
    ])
}

/// The word that stands for a value.
fn word<T: PartialEq, const N: usize>(words: &[(&str, T); N], value: &T) -> Value {
    let word = words.iter().find(|(_, known)| known == value);
    Value::text(word.map_or("", |(word, _)| word))
}

#[cfg(test)]
mod tests;
