//! The keys that say how workers are told to go, and what is run beside them.

use std::time::Duration;

use super::{faults, good};
use crate::config::{
    app::{AppDefinition, given::Stdin, hooks::Hook},
    signal,
};

fn app(keys: &str) -> AppDefinition {
    let mut file = good(&format!("[app.a]\ncommand = \"a\"\n{keys}\n"));
    file.apps.remove(0)
}

fn fault(keys: &str) -> String {
    faults(&format!("[app.a]\ncommand = \"a\"\n{keys}\n")).join("\n")
}

fn ladder(app: &AppDefinition) -> String {
    let rungs = app.kill_ladder.iter().map(|rung| {
        let wait = rung.wait.map(|wait| format!(":{}s", wait.as_secs()));
        signal::name(rung.signal) + &wait.unwrap_or_default()
    });
    rungs.collect::<Vec<_>>().join(" ")
}

#[test]
fn a_stop_signal_is_a_ladder_in_short() {
    for (keys, rungs) in [
        ("", "TERM:30s KILL"),
        ("stop_signal = \"SIGINT\"", "INT:30s KILL"),
        ("stop_signal = \"KILL\"", "KILL"),
        (
            "stop_signal = \"INT\"\nkill_ladder = [\"INT:3s\", \"KILL\"]",
            "INT:3s KILL",
        ),
    ] {
        assert_eq!(ladder(&app(keys)), rungs, "{keys}");
    }
    let told = fault("stop_signal = \"INT\"\nkill_ladder = [\"TERM:3s\", \"KILL\"]");
    assert!(
        told.contains("stop_signal is INT, and kill_ladder begins with TERM"),
        "{told}"
    );
    assert!(fault("stop_signal = \"INT:3s\"").contains("kill_ladder"));
    assert!(fault("stop_signal = \"STOP\"").contains("does not end a process"));
}

#[test]
fn the_nearer_word_wins() {
    let file = good(
        "[defaults]\nkill_ladder = [\"TERM:3s\", \"KILL\"]\n\
         [app.a]\ncommand = \"a\"\nstop_signal = \"QUIT\"\n\
         [app.b]\ncommand = \"b\"\n",
    );
    assert_eq!(ladder(&file.apps[0]), "QUIT:3s KILL");
    assert_eq!(ladder(&file.apps[1]), "TERM:3s KILL");
    let file = good(
        "[defaults]\nstop_signal = \"INT\"\nafter_exit = \"x\"\nstop_message = \"bye\"\n\
         [app.a]\ncommand = \"a\"\nkill_ladder = [\"TERM:3s\", \"KILL\"]\nafter_exit = false\nstop_message = \"\"\n\
         [app.b]\ncommand = \"b\"\n",
    );
    let (a, b) = (&file.apps[0], &file.apps[1]);
    assert_eq!(ladder(a), "TERM:3s KILL");
    assert_eq!(ladder(b), "INT:30s KILL");
    assert_eq!(
        (a.hooks.after_exit.as_ref(), &a.stop.message),
        (None, &None)
    );
    assert!(b.hooks.after_exit.is_some() && b.stop.message.is_some());
}

#[test]
fn a_stop_message_needs_a_standard_input() {
    assert_eq!(
        app("stop_message = \"bye\"").given.stdin,
        Some(Stdin::Lines)
    );
    let told = fault("stop_message = \"bye\"\nstdin = \"null\"");
    assert!(told.contains("takes no lines"), "{told}");
    assert!(fault("stop_message = \"a\\nb\"").contains("no line"));
}

#[test]
fn hooks_are_commands_with_a_time() {
    let app = app(
        "before_start = \"bin/migrate now\"\nafter_ready = [\"a\", \"b c\"]\n\
         before_stop = { command = \"x\", timeout = \"5s\" }",
    );
    let hook = |words: &[&str], seconds| {
        let command = words.iter().map(|word| (*word).to_owned()).collect();
        let timeout = Duration::from_secs(seconds);
        Some(Hook { command, timeout })
    };
    assert_eq!(app.hooks.before_start, hook(&["bin/migrate", "now"], 30));
    assert_eq!(app.hooks.after_ready, hook(&["a", "b c"], 30));
    assert_eq!(app.hooks.before_stop, hook(&["x"], 5));
    assert_eq!(app.hooks.after_exit, None);
    for (keys, why) in [
        ("before_start = true", "program and its arguments"),
        ("before_start = {}", "no command"),
        ("before_start = \"\"", "empty"),
        (
            "before_start = { command = \"x\", timeout = \"0s\" }",
            "timeout",
        ),
        ("before_start = { comand = \"x\" }", "command"),
        ("exec_stop_post = \"x\"", "after_exit"),
    ] {
        assert!(fault(keys).contains(why), "{keys}: {}", fault(keys));
    }
}
