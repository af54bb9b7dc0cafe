//! What is written down, as people read it.

use std::path::Path;

use super::*;
use crate::config::file;

#[test]
fn an_app_is_written_as_somebody_would_have_written_it() {
    let text = r#"
        [app.web]
        command = ["node", "server.js", "--greet", "$${x}"]
        instances = 2
        env = { B = "2", A = "$$HOME" }
        listen = { z = "unix:run/z.sock", a = { address = ":8080", backlog = 16 } }
        kill_ladder = ["INT:3s", "KILL"]
        cron = { at = "0 4 * * *", timezone = "UTC" }
    "#;
    let app = |text: &str, at: &str| {
        let file = file::parse(Path::new(at), text, 4).unwrap_or_else(|errors| panic!("{errors}"));
        file.apps.into_iter().next().expect("an app")
    };
    let first = app(text, "/srv/ostler.toml");
    let written = table(&first);
    assert_eq!(
        written,
        r#"[app.web]
command = ["node", "server.js", "--greet", "$${x}"]
cwd = "/srv"
instances = 2
kill_ladder = ["INT:3s", "KILL"]

[app.web.env]
A = "$HOME"
B = "2"

[app.web.listen]
z = "unix:/srv/run/z.sock"
a = { address = "0.0.0.0:8080", backlog = 16 }

[app.web.cron]
at = "0 4 * * *"
timezone = "UTC"
"#
    );
    assert_eq!(app(&written, "/elsewhere/saved.toml"), first);
}

#[test]
fn a_line_for_a_shell_is_written_as_it_was() {
    let text =
        "[app.job]\ncommand = 'echo \"$${HOME}\"; sleep 1'\nafter_exit = \"echo gone | cat\"\n";
    let app = |text: &str| {
        let file = file::parse(Path::new("/srv/ostler.toml"), text, 4);
        let file = file.unwrap_or_else(|errors| panic!("{text}\n{errors}"));
        file.apps.into_iter().next().expect("an app")
    };
    let first = app(text);
    let written = table(&first);
    let line = r#"command = "echo \"$${HOME}\"; sleep 1""#;
    assert!(written.contains(line), "{written}");
    assert!(written.contains(r#""echo gone | cat""#), "{written}");
    assert_eq!(app(&written), first);
}

#[test]
fn places_are_those_of_the_nearest_that_says_so() {
    let text = "[defaults]\nmin_uptime = \"1s\"\nmax_restarts = 3\n[template.t]\nlisten_pid = false\nmax_restarts = 4\n\
                [app.web]\ncommand = \"x\"\nextends = \"t\"\n";
    let file = file::parse(Path::new("/srv/ostler.toml"), text, 4);
    let file = file.unwrap_or_else(|errors| panic!("{errors}"));
    let place = |key| file.apps[0].places.of(key);
    assert_eq!(place("command"), Some("/srv/ostler.toml:8"));
    assert_eq!(place("min_uptime"), Some("/srv/ostler.toml:2"));
    assert_eq!(place("max_restarts"), Some("/srv/ostler.toml:6"));
    assert_eq!(place("listen_pid"), Some("/srv/ostler.toml:5"));
    assert_eq!(place("ready"), None);
}
