//! Good files give definitions; bad ones give every fault, with its place.

mod bus;
mod env;
mod formats;
mod include;
mod life;
mod names;
mod process;
mod sockets;
mod stop;
mod update;

use std::{path::Path, time::Duration};

use super::*;
use crate::config::{
    app::AppName,
    app::{Backoff, Readiness, Rung, Watch},
    settings,
};

fn good(text: &str) -> ProcessFile {
    parse(Path::new("/srv/shop/ostler.toml"), text, 6).unwrap_or_else(|errors| panic!("{errors}"))
}

/// The faults of a file, a line for each and a line for its fix; the file's name left out.
fn faults(text: &str) -> Vec<String> {
    let errors = parse(Path::new("f"), text, 6).expect_err(text);
    let strip = |line: String| {
        line.strip_prefix("f:")
            .unwrap_or(&line)
            .trim_start()
            .to_owned()
    };
    errors.lines().into_iter().map(strip).collect()
}

#[test]
fn a_full_file() {
    let file = good(
        r#"
name = "shop"

[defaults]
env = { RUST_LOG = "info", TIER = "all" }
min_uptime = "1s"

[app.web]
command = ["node", "server.js"]
cwd = "web"
env = { TIER = "web", PORT = 80, DEBUG = true }
instances = 2
listen = { zebra = "127.0.0.1:0", admin = { address = "unix:run/a.sock", backlog = 16, nonblocking = true } }
ready = "delay(2s)"
start_timeout = "1m"
min_healthy = "0"
canary_healthy = "500ms"
max_draining = 3
kill_ladder = ["INT:3s", "SIGTERM:2s", "KILL"]
backoff = { first = "10ms", factor = 2 }
max_restarts = 4
restart_window = "1h"
stop_exit_codes = [0, 3]
listen_pid = false
auto_reload = { paths = ["src"], include = ["*.py"], ignore = ["*.log"], poll = "2s" }

[app.jobs]
command = "node jobs.js"
instances = "max"
"#,
    );
    assert_eq!(file.master.as_str(), "shop");
    let [jobs, web] = file.apps.as_slice() else {
        panic!("{:?}", file.apps)
    };
    assert_eq!(jobs.command, ["node", "jobs.js"]);
    assert_eq!(
        (jobs.instances, jobs.min_uptime),
        (6, Duration::from_secs(1))
    );
    assert_eq!(jobs.cwd.as_deref(), Some(Path::new("/srv/shop")));
    assert_eq!(jobs.env["TIER"], "all");

    assert_eq!(web.cwd.as_deref(), Some(Path::new("/srv/shop/web")));
    let env: Vec<_> = web.env.iter().map(|(k, v)| format!("{k}={v}")).collect();
    assert_eq!(env, ["DEBUG=true", "PORT=80", "RUST_LOG=info", "TIER=web"]);
    // In the order of the file: workers inherit them so.
    assert_eq!(
        (web.listen[0].name.as_str(), web.listen[0].backlog),
        ("zebra", 1024)
    );
    let admin = &web.listen[1];
    assert_eq!((admin.backlog, admin.nonblocking), (16, true));
    assert_eq!(admin.address.to_string(), "unix:/srv/shop/run/a.sock");
    assert_eq!(web.ready, Readiness::Delay(Duration::from_secs(2)));
    assert_eq!(web.start_timeout, Duration::from_secs(60));
    assert_eq!(web.min_healthy, Some(Duration::ZERO));
    assert_eq!(web.canary_healthy, Some(Duration::from_millis(500)));
    assert_eq!(web.max_draining, Some(3));
    let rung = |signal, wait: Option<u64>| Rung {
        signal,
        wait: wait.map(Duration::from_secs),
    };
    let ladder = [
        rung(libc::SIGINT, Some(3)),
        rung(libc::SIGTERM, Some(2)),
        rung(libc::SIGKILL, None),
    ];
    assert_eq!(web.kill_ladder, ladder);
    let backoff = Backoff {
        first: Duration::from_millis(10),
        max: Duration::from_secs(30),
        factor: 2.0,
    };
    assert_eq!(web.backoff, backoff);
    assert_eq!(
        (web.max_restarts, web.restart_window),
        (4, Duration::from_secs(3600))
    );
    assert_eq!(
        (web.stop_exit_codes.as_slice(), web.listen_pid),
        ([0, 3].as_slice(), false)
    );
    let watch = Watch {
        paths: vec!["/srv/shop/src".into()],
        ignore: vec!["*.log".into()],
        include: vec!["*.py".into()],
        poll: Some(Duration::from_secs(2)),
    };
    assert_eq!(web.auto_reload, Some(watch));
}

#[test]
fn what_is_left_out_is_the_default() {
    let file = good("[app.web]\ncommand = [\"./web\"]\n");
    let bare = settings::Settings {
        cwd: Some("/srv/shop".into()),
        ..Default::default()
    };
    let name = AppName::new("web").unwrap();
    assert_eq!(file.apps, [bare.define(name, vec!["./web".into()], 6)]);
    assert_eq!(file.apps[0].kill_ladder, settings::default_ladder());
    assert_eq!(file.apps[0].instances, 6);
}

#[test]
fn the_master_is_named_for_its_app_its_file_or_its_directory() {
    let two = "[app.a]\ncommand = \"a\"\n[app.b]\ncommand = \"b\"\n";
    let named =
        |path: &str, text: &str| parse(Path::new(path), text, 1).unwrap().master.to_string();
    assert_eq!(
        named("/srv/shop/ostler.toml", "[app.a]\ncommand = \"a\"\n"),
        "a"
    );
    assert_eq!(named("/srv/my shop/ostler.toml", two), "my_shop");
    assert_eq!(named("/srv/shop/fleet.toml", two), "fleet");
    assert_eq!(named("/ostler.toml", two), "ostler");
    assert_eq!(
        named("/srv/fleet.toml", &format!("name = \"x\"\n{two}")),
        "x"
    );
}

#[test]
fn shapes_of_listen_and_auto_reload() {
    let app = |line: &str| {
        good(&format!("[app.a]\ncommand = \"a\"\n{line}\n"))
            .apps
            .remove(0)
    };
    let names = |line: &str| -> Vec<String> {
        let sockets = app(line).listen;
        sockets
            .iter()
            .map(|socket| format!("{}={}", socket.name, socket.address))
            .collect()
    };
    assert_eq!(names("listen = \":80\""), ["http=0.0.0.0:80"]);
    assert_eq!(
        names("listen = [\"80\", \"[::1]:81\"]"),
        ["http=127.0.0.1:80", "http2=[::1]:81"]
    );
    assert_eq!(
        app("auto_reload = true").auto_reload.unwrap().paths.len(),
        0
    );
    assert_eq!(app("auto_reload = false").auto_reload, None);
    let off =
        good("[defaults]\nauto_reload = true\n[app.a]\ncommand = \"a\"\nauto_reload = false\n");
    assert_eq!(off.apps[0].auto_reload, None);
}

#[test]
fn every_fault_is_told_with_its_place() {
    let text = r#"name = "my shop"
colour = "red"

[app.web]
comand = ["node"]
instances = "many"
min_uptime = 5
start_timeout = "0"
listen = { http = "example.org:80", admin = { backlog = 0 } }
kill_ladder = ["TREM:3s", "KILL"]
ready = "soon"

[app."a.b"]
command = []
"#;
    assert_eq!(
        faults(text),
        [
            "1:8: name: \"my shop\" is not a master's name",
            "use 1 to 64 of A-Z a-z 0-9 _ -",
            "2:1: colour: unknown key",
            "remove it; known here: name, include, defaults, template, app, bus, signals",
            "4:6: app.web: the app has no command",
            "add command = [\"node\", \"server.js\"]",
            "5:1: app.web.comand: unknown key",
            "did you mean `command`?",
            "6:13: app.web.instances: \"many\" is not a number of workers",
            "use a number from 0 to 4096, \"auto\" for one per core, or -1 for one fewer",
            "7:14: app.web.min_uptime: 5 has no unit",
            "write \"5s\" for seconds or \"5ms\" for milliseconds",
            "8:17: app.web.start_timeout: it can't be zero",
            "use a longer duration, such as \"30s\"",
            "9:19: app.web.listen.http: \"example.org:80\" is not an address to listen on",
            "use an IP address and port (\"127.0.0.1:8080\", \"[::1]:8080\"), \":8080\" for every address, \"unix:PATH\", or \"udp:\" before one of the first",
            "9:45: app.web.listen.admin: the socket has no address",
            "add address = \"127.0.0.1:8080\"",
            "9:57: app.web.listen.admin.backlog: 0 is out of range",
            "use a whole number from 1 to 4294967295",
            "10:16: app.web.kill_ladder[0]: \"TREM\" is not a signal",
            "did you mean \"TERM\"?",
            "11:9: app.web.ready: \"soon\" is not a way to be ready",
            "use \"auto\", \"notify\", \"sdk\", \"delay(2s)\", \"http(unix:/run/web-{id}.sock /ready)\" or \"tcp(unix:/run/web-{id}.sock)\"",
            "13:6: app.a.b: \"a.b\" is not an app name: use 1 to 64 of A-Z a-z 0-9 _ -",
            "name it `a_b`",
            "14:11: app.a.b.command: the command is empty",
            "write the program and its arguments: [\"node\", \"server.js\"]",
        ]
    );
}

#[test]
fn bad_syntax_does_not_hide_bad_values() {
    let text = "[app.web]\ncommand = [\"node\" \"x\"]\ninstances = many\nmin_uptime = 5\nlisten = \"nowhere\n";
    let places: Vec<String> = faults(text).into_iter().step_by(2).collect();
    assert_eq!(
        places,
        [
            "2:19: missing comma between array elements",
            "3:13: string values must be quoted",
            "4:14: app.web.min_uptime: 5 has no unit",
            "5:18: invalid basic string",
        ]
    );
    // What an unclosed header makes of the keys below it is nobody's fault but the header's.
    assert_eq!(
        faults("[app.web\ncommand = [\"node\"]\n"),
        ["1:9: unclosed table", "close the header with `]`"]
    );
}

#[test]
fn single_faults() {
    let app = |line: &str| format!("[app.a]\ncommand = \"a\"\n{line}\n");
    let cases = [
        (
            String::new(),
            "1:1: app: the file has no app",
            "add one: [app.web]",
        ),
        (
            "[apps.a]\ncommand = \"a\"".into(),
            "1:2: apps: unknown key",
            "did you mean `app`?",
        ),
        (
            "[app]\ncommand = \"a\"".into(),
            "2:11: app.command: the string \"a\" can't stand here",
            "name the app in the header",
        ),
        (
            "instances = 2\n[app.a]\ncommand = \"a\"".into(),
            "1:1: instances: the key belongs to an app",
            "move it below [app.NAME]",
        ),
        (
            "[defaults]\ncommand = \"a\"\n[app.a]\ncommand = \"a\"".into(),
            "2:1: defaults.command: two apps can't share it",
            "move it below",
        ),
        (
            app("workers = 4"),
            "3:1: app.a.workers: unknown key",
            "did you mean `instances`?",
        ),
        (
            app("instances = -5000"),
            "3:13: app.a.instances: -5000 is out of range",
            "from -4096 to 4096",
        ),
        (
            app("instances = 99999999999999999999"),
            "3:13: app.a.instances: 99999999999999999999 is out of range",
            "from -4096 to 4096",
        ),
        (
            app("listen = 8080"),
            "3:10: app.a.listen: the number 8080 can't stand here",
            "put it in quotes: \"8080\" is 127.0.0.1, \":8080\" every address",
        ),
        (
            app("kill_ladder = [\"TERM:3s\"]"),
            "3:15: app.a.kill_ladder: the ladder does not end with \"KILL\"",
            "add \"KILL\"",
        ),
        (
            app("backoff = { first = \"1m\", max = \"1s\" }"),
            "3:11: app.a.backoff: `first` is longer than `max`",
            "make `max`",
        ),
        (
            app("backoff = { factor = 0.5 }"),
            "3:22: app.a.backoff.factor: the factor is out of range",
            "from 1 to 10",
        ),
        (
            app("backoff = { factor = nan }"),
            "3:22: app.a.backoff.factor: the factor is out of range",
            "from 1 to 10",
        ),
        (
            app("stop_exit_codes = [0, 256]"),
            "3:23: app.a.stop_exit_codes[1]: 256 is out of range",
            "from 0 to 255",
        ),
        (
            app("listen_pid = \"no\""),
            "3:14: app.a.listen_pid: the string \"no\" can't stand here",
            "true or false",
        ),
        (
            app("auto_reload = { path = [] }"),
            "3:17: app.a.auto_reload.path: unknown key",
            "did you mean `paths`?",
        ),
        (
            app("auto_reload = { include = [\"[z-a]\"] }"),
            "3:27: app.a.auto_reload.include: \"[z-a]\" is no pattern",
            "write an array of gitignore patterns",
        ),
        (
            app("auto_reload = { poll = \"1ms\" }"),
            "3:24: app.a.auto_reload.poll: that is too often",
            "use \"100ms\" or longer",
        ),
        (
            app("env = { OSTLER_APP = \"x\" }"),
            "3:9: app.a.env.OSTLER_APP: the master sets this variable itself, for each worker",
            "remove it",
        ),
        (
            app("env = { \"A=B\" = \"x\" }"),
            "3:9: app.a.env.A=B: \"A=B\" is not the name of a variable",
            "without \"=\"",
        ),
        (
            app("env = { A = 1979-05-27 }"),
            "3:13: app.a.env.A: a date can't stand here",
            "in quotes",
        ),
        (
            app("cwd = \"\\u0000\""),
            "3:7: app.a.cwd: a string with a NUL byte can't be passed to a process",
            "",
        ),
        (
            app("listen = \":80\"\n[app.b]\ncommand = \"b\"\nlisten = \":80\""),
            "4:6: app.b.listen: 0.0.0.0:80 is already declared by app.a",
            "of its own",
        ),
        // Columns count characters, not bytes.
        (
            app("env = { \"ÜÄ\" = 1979-05-27 }"),
            "3:16: app.a.env.ÜÄ: a date can't stand here",
            "in quotes",
        ),
    ];
    for (text, problem, fix) in cases {
        let told = faults(&text);
        assert!(told.len() == 2, "{text}: {told:?}");
        assert!(
            told[0].contains(problem) && told[1].contains(fix),
            "{text}: {told:?}"
        );
    }
}

#[test]
fn files_that_cannot_be_read() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("f.toml");
    let told = |path: &Path| {
        let errors = read(path, &Circumstances::default()).expect_err("unreadable");
        let prefix = format!("{}:", path.display());
        errors.lines()[0].strip_prefix(&prefix).unwrap().to_owned()
    };
    assert_eq!(
        told(&file),
        " the file can't be read: No such file or directory (os error 2)"
    );
    assert_eq!(
        told(directory.path()),
        " the file can't be read: Is a directory (os error 21)"
    );
    std::fs::write(&file, b"name = \"x\"\nb = \"\xff\"\n").unwrap();
    assert_eq!(told(&file), "2:6: the file is not UTF-8");
    std::fs::write(&file, vec![b'\n'; load::LARGEST as usize + 1]).unwrap();
    assert_eq!(told(&file), " the file is larger than 1 MiB");
    std::fs::write(&file, "[app.a]\ncommand = \"a\"\n").unwrap();
    let read = read(&file, &Circumstances::default());
    assert_eq!(read.unwrap().apps.len(), 1);
}
