//! The keys of an app that say how its workers are told to go, and what is run beside them.
//!
//! ```toml
//! stop_signal = "INT"                                         # the first rung of `kill_ladder`
//! stop_message = "shutdown"                                   # a line for standard input instead
//! kill_group = true
//! before_start = "bin/migrate"                                # or ["bin/migrate", "{slot}"]
//! before_stop = { command = "bin/deregister", timeout = "5s" }
//! ```

use std::ops::Range;

use toml::de::DeValue;

use super::{
    app::{
        given::Stdin,
        hooks::{HOOK_TIMEOUT, Hook, Told},
    },
    errors::Wrong,
    probe_table,
    settings::Settings,
    signal,
    walk::{Node, Walker},
};
use crate::process::STDIN_LINE;

/// Every key of a hook's table.
const HOOK_KEYS: [&str; 2] = ["command", "timeout"];

/// Reads one of these keys; false if it is another.
pub(super) fn take(
    walker: &mut Walker<'_>,
    name: &str,
    path: &str,
    node: &Node<'_>,
    settings: &mut Settings,
) -> bool {
    let (stop, hooks) = (&mut settings.stop, &mut settings.hooks);
    match name {
        "stop_signal" => stop.signal = stop_signal(walker, path, node),
        "stop_message" => stop.message = message(walker, path, node),
        "kill_group" => stop.kill_group = walker.boolean(path, node),
        "before_start" => hooks.before_start = hook(walker, path, node),
        "after_ready" => hooks.after_ready = hook(walker, path, node),
        "before_stop" => hooks.before_stop = hook(walker, path, node),
        "after_exit" => hooks.after_exit = hook(walker, path, node),
        _ => return false,
    }
    true
}

fn stop_signal(walker: &mut Walker<'_>, path: &str, node: &Node<'_>) -> Option<i32> {
    let fix =
        "write a signal's name: \"INT\"; times belong into kill_ladder: [\"INT:10s\", \"KILL\"]";
    let text = walker.string(path, node, fix)?;
    let rung = match text.contains(':') {
        true => Err(Wrong::new(
            format!("{text:?} is a rung, and no signal"),
            fix,
        )),
        false => signal::rung(text),
    };
    walker.take(path, node, rung).map(|rung| rung.signal)
}

fn message(walker: &mut Walker<'_>, path: &str, node: &Node<'_>) -> Option<String> {
    let text = walker.string(path, node, "write a line, in quotes: \"shutdown\"")?;
    if text.contains('\n') || text.len() > STDIN_LINE {
        let fix = "write one line of at most 64 KiB, without its ending";
        walker.fault(node.span(), path, Wrong::new("it is no line", fix));
        return None;
    }
    Some(text.to_owned())
}

/// A command, with its time or without; or false.
fn hook(walker: &mut Walker<'_>, path: &str, node: &Node<'_>) -> Option<Told> {
    let (mut command, mut timeout) = (None, Some(HOOK_TIMEOUT));
    match node.get_ref() {
        DeValue::Boolean(false) => return Some(Told::Off),
        DeValue::Table(table) => {
            for (key, value) in table {
                let name = key.get_ref().as_ref();
                let path = format!("{path}.{name}");
                match name {
                    "command" => command = Some(probe_table::command(walker, &path, value)),
                    "timeout" => timeout = walker.positive(&path, value),
                    _ => walker.unknown_key(key.span(), &path, name, &HOOK_KEYS, None),
                }
            }
            if command.is_none() {
                let fix = "add command = \"bin/prepare\", or write false for none";
                walker.fault(
                    node.span(),
                    path,
                    Wrong::new("the hook has no command", fix),
                );
            }
        }
        _ => command = Some(probe_table::command(walker, path, node)),
    }
    let (command, timeout) = (command??, timeout?);
    Some(Told::Run(Hook { command, timeout }))
}

/// What one table says against itself.
pub(super) fn check(walker: &mut Walker<'_>, span: Range<usize>, path: &str, said: &Settings) {
    let first = said.kill_ladder.as_ref().and_then(|ladder| ladder.first());
    if let (Some(signal), Some(first)) = (said.stop.signal, first)
        && first.signal != signal
    {
        let (ours, theirs) = (signal::name(signal), signal::name(first.signal));
        let wrong = Wrong::new(
            format!("stop_signal is {ours}, and kill_ladder begins with {theirs}"),
            format!("leave stop_signal out, and let the ladder begin with \"{ours}:30s\""),
        );
        walker.fault(span, &format!("{path}.stop_signal"), wrong);
    }
}

/// What an app says against itself, its defaults laid under it.
pub(super) fn check_app(walker: &mut Walker<'_>, span: Range<usize>, path: &str, app: &Settings) {
    let has_message = app
        .stop
        .message
        .as_ref()
        .is_some_and(|line| !line.is_empty());
    match &app.given.stdin {
        None | Some(Stdin::Lines) => {}
        Some(Stdin::Null | Stdin::Socket(_)) if has_message => {
            let fix = "write stdin = \"lines\", or leave one of them out";
            let wrong = Wrong::new(
                "stop_message goes to a standard input that takes no lines",
                fix,
            );
            walker.fault(span, &format!("{path}.stop_message"), wrong);
        }
        Some(Stdin::Null | Stdin::Socket(_)) => {}
    }
}
