//! What comes in from others is a process file that can be used, and what it leaves out is said.

use std::path::Path;

use super::*;
use crate::config::{
    app::{AppDefinition, life::Restart},
    circumstances::Circumstances,
    file,
};

/// The text for a file of this name, and the apps that it gives.
fn imported(name: &str, text: &str, environment: Option<&str>) -> (String, Vec<AppDefinition>) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(name);
    std::fs::write(&path, text).unwrap();
    let drafts = read(&path).unwrap_or_else(|error| panic!("{error:?}"));
    let text = draft::render(name, &drafts);
    let circumstances = Circumstances {
        cores: 6,
        environment: environment.map(str::to_owned),
        ..Circumstances::default()
    };
    let file = file::parse_in(Path::new("/srv/ostler.toml"), &text, &circumstances);
    let apps = file
        .unwrap_or_else(|errors| panic!("{text}\n{errors}"))
        .apps;
    (text, apps)
}

const PM2: &str = r#"{
  "apps": [
    {
      "name": "my api", "script": "./api.js", "args": "--port 80 ${X}", "node_args": ["--inspect"],
      "instances": "max", "exec_mode": "cluster", "cwd": "/srv/api",
      "env": { "NODE_ENV": "development", "CONFIG": { "a": [1] }, "PRICE": "$$5" },
      "env_production": { "NODE_ENV": "production" },
      "filter_env": ["AWS_"],
      "watch": ["src"], "ignore_watch": ["*.log"], "watch_options": {"usePolling": true, "interval": 3000},
      "kill_timeout": 3000, "listen_timeout": 8000, "min_uptime": "10s", "max_restarts": 5,
      "exp_backoff_restart_delay": 100, "stop_exit_codes": [0, 3], "wait_ready": true,
      "max_memory_restart": "300M", "cron_restart": "0 0 * * *", "error_file": null
    },
    { "script": "worker.py", "interpreter": "python3.12", "instances": -1, "kill_signal": "SIGUSR2", "treekill": true, "shutdown_with_message": true, "restart_delay": 500, "watch": false },
    { "name": "npm", "script": "npm start", "autorestart": false },
    { "name": "npm", "script": "/opt/a b/run", "interpreter": "none", "args": ["x y"] }
  ],
  "deploy": { "production": { "host": "example" } }
}"#;

#[test]
fn a_pm2_ecosystem_becomes_a_process_file() {
    let (text, apps) = imported("ecosystem.json", PM2, None);
    let by_name = |name: &str| {
        apps.iter()
            .find(|app| app.name.as_str() == name)
            .expect(name)
    };
    let api = by_name("my_api");
    assert_eq!(
        api.command,
        ["node", "--inspect", "./api.js", "--port", "80", "${X}"]
    );
    assert_eq!(
        (api.instances, api.cwd.as_deref()),
        (6, Some(Path::new("/srv/api")))
    );
    assert_eq!(
        (api.env["PRICE"].as_str(), api.env["CONFIG"].as_str()),
        ("$$5", "{\"a\":[1]}")
    );
    assert!(!api.inherits.passes("AWS_KEY".as_ref()) && api.inherits.passes("HOME".as_ref()));
    let watch = api.auto_reload.as_ref().expect("watched");
    assert_eq!(
        (watch.paths[0].as_path(), watch.ignore[0].as_str()),
        (Path::new("/srv/api/src"), "*.log")
    );
    assert_eq!(watch.poll.map(|every| every.as_secs()), Some(3));
    let ladder: Vec<i32> = api.kill_ladder.iter().map(|rung| rung.signal).collect();
    assert_eq!(
        (ladder, api.kill_ladder[0].wait.map(|wait| wait.as_secs())),
        (vec![libc::SIGINT, libc::SIGKILL], Some(3))
    );
    assert_eq!(
        (
            api.start_timeout.as_secs(),
            api.min_uptime.as_secs(),
            api.max_restarts
        ),
        (8, 10, 5)
    );
    assert_eq!(
        (
            api.backoff.first.as_millis(),
            api.stop_exit_codes.as_slice()
        ),
        (100, [0, 3].as_slice())
    );
    let worker = by_name("worker");
    assert_eq!(
        (worker.command.join(" ").as_str(), worker.instances),
        ("python3.12 worker.py", 5)
    );
    assert_eq!(
        (worker.backoff.max.as_millis(), worker.auto_reload.as_ref()),
        (500, None)
    );
    assert_eq!(
        api.recycle.max_memory.map(|limit| limit.soft),
        Some(300 << 20)
    );
    assert_eq!(
        (api.life.restart, by_name("npm").life.restart),
        (Restart::Always, Restart::Never)
    );
    assert_eq!(by_name("npm").command, ["npm", "start"]);
    assert_eq!(
        (by_name("npm").instances, by_name("npm-2").command.len()),
        (1, 2)
    );
    for note in [
        "# named \"my api\" there",
        "# exec_mode \"cluster\": declare the socket",
        "# wait_ready: ",
        "# no equivalent, beside the apps: deploy",
    ] {
        assert!(text.contains(note), "{note} is missing in\n{text}");
    }
    assert!(!text.contains("error_file"), "a null says nothing");
    let (_, apps) = imported("ecosystem.json", PM2, Some("production"));
    assert_eq!(apps[0].env["NODE_ENV"], "production");
}

#[test]
fn one_in_yaml_and_one_without_a_list_are_taken_too() {
    let (_, apps) = imported(
        "apps.yaml",
        "apps:\n  - script: app.js\n    name: web\n    instances: 2\n",
        None,
    );
    assert_eq!((apps[0].name.as_str(), apps[0].instances), ("web", 2));
    for text in [
        r#"[{"script": "a.js"}]"#,
        r#"{"script": "a.js"}"#,
        r#"{"apps": {"script": "a.js"}}"#,
    ] {
        let (_, apps) = imported("x.json", text, None);
        assert_eq!(apps[0].command, ["node", "a.js"]);
    }
}

#[test]
fn a_procfile_becomes_a_process_file() {
    let text = "# apps\nweb: bundle exec puma -p $PORT\nworker: QUEUE=${Q:-x} ./work && echo $$\n\nrelease: ./migrate\n";
    let (text, apps) = imported("Procfile", text, None);
    let [release, web, worker] = apps.as_slice() else {
        panic!("{apps:?}")
    };
    assert_eq!(
        web.command,
        ["/bin/sh", "-c", "exec bundle exec puma -p $PORT"]
    );
    // The shell stays, and waits for what it has started.
    let line = worker.command[2].lines().last();
    assert_eq!(line, Some("QUEUE=${Q:-x} ./work && echo $$"));
    assert_eq!((web.instances, release.start.autostart), (1, false));
    assert!(text.contains("# PORT is set where"), "{text}");
}

#[test]
fn what_is_no_such_file_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let refused = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        let error = read(&path).expect_err(name);
        (error.exit, error.message)
    };
    assert_eq!(refused("x.txt", "").0, Exit::Usage);
    assert!(
        refused("Procfile.dev", "web")
            .1
            .ends_with("Procfile.dev:1: \"web\" is not NAME: COMMAND")
    );
    for text in [
        "{\"apps\": 5}",
        "{\"apps\": [5]}",
        "{\"apps\": [{}]}",
        "{",
        "5",
    ] {
        assert_eq!(refused("x.json", text).0, Exit::Config, "{text}");
    }
    let gone = read(&directory.path().join("gone.json")).expect_err("gone");
    assert!(gone.message.contains("can't read"), "{gone:?}");
}

/// The text for an ecosystem, which need not be valid on this machine.
fn drafted(ecosystem: &str) -> String {
    let ecosystem = serde_json::from_str(ecosystem).unwrap();
    draft::render("ecosystem.json", &pm2::drafts(&ecosystem).unwrap())
}

/// The line that sets a key for an app with these options.
fn line_of(key: &str, options: &str) -> Option<String> {
    let ecosystem = format!(r#"{{ "name": "a", "script": "a.js", {options} }}"#);
    let (text, _) = imported("ecosystem.json", &ecosystem, None);
    let mut lines = text.lines();
    lines
        .find(|line| line.starts_with(&format!("{key} = ")))
        .map(str::to_owned)
}

#[test]
fn logs_of_pm2_go_where_they_went() {
    for (options, expected) in [
        (
            r#""out_file": "o.log", "error_file": "/l/e""#,
            r#"log = { err = "/l/e", out = "o.log" }"#,
        ),
        (
            r#""cwd": "/srv", "instances": 2, "output": "o.log""#,
            r#"log = { out = "/srv/o-{slot}.log" }"#,
        ),
        (
            r#""instances": 2, "log_file": "all", "merge_logs": true, "log_type": "json""#,
            r#"log = { format = "json", out = "all" }"#,
        ),
        (
            r#""instances": 2, "error_file": "e", "time": true"#,
            r#"log = { err = "e-{slot}", prefix = ["time"] }"#,
        ),
        (r#""out_file": "/dev/null""#, r#"log = { out = "null" }"#),
    ] {
        assert_eq!(
            line_of("log", options).as_deref(),
            Some(expected),
            "{options}"
        );
    }
    assert_eq!(line_of("log", r#""time": false, "out_file": null"#), None);
}

#[test]
fn what_pm2_says_of_processes_and_their_size_is_kept() {
    for (key, options, expected) in [
        ("user", r#""uid": "0""#, "user = 0"),
        ("user", r#""user": "root""#, r#"user = "root""#),
        ("group", r#""gid": 0"#, "group = 0"),
        (
            "max_memory",
            r#""max_memory_restart": "1G""#,
            r#"max_memory = "1GiB""#,
        ),
        (
            "max_memory",
            r#""max_memory_restart": 1000000"#,
            "max_memory = 1000000",
        ),
        (
            "cron",
            r#""cron_restart": "0 4 * * *""#,
            r#"cron = "0 4 * * *""#,
        ),
    ] {
        assert_eq!(
            line_of(key, options).as_deref(),
            Some(expected),
            "{options}"
        );
    }
    assert_eq!(line_of("restart", r#""autorestart": true"#), None);
    assert_eq!(line_of("cron", r#""cron_restart": 0"#), None);
    let (text, _) = imported(
        "ecosystem.json",
        r#"{ "script": "a.js", "cron_restart": "*/2 * * * * *" }"#,
        None,
    );
    assert!(text.contains("# cron_restart: \"*/2 * * * * *\" is no cron expression"));
    let (text, _) = imported(
        "ecosystem.json",
        r#"{ "script": "a.js", "max_memory_restart": "much" }"#,
        None,
    );
    assert!(text.contains("# max_memory_restart = \"much\": not a size"));
}

#[test]
fn words_of_pm2_are_held_together_by_quotes() {
    for (options, expected) in [
        (
            r#""args": "--port 3000 --title 'a b' \"c  d\" --x=\"e f\" it's""#,
            r#"["node", "a.js", "--port", "3000", "--title", "a b", "c  d", '--x="e f"', "it's"]"#,
        ),
        (
            r#""node_args": "--a --b", "interpreter_args": ["--c d"]"#,
            r#"["node", "--c d", "--a", "--b", "a.js"]"#,
        ),
        (r#""args": """#, r#"["node", "a.js"]"#),
    ] {
        let expected = format!("command = {expected}");
        assert_eq!(line_of("command", options), Some(expected), "{options}");
    }
}

#[test]
fn paths_of_pm2_start_at_the_app_and_may_be_at_home() {
    for (key, options, expected) in [
        ("cwd", r#""cwd": "~/api""#, r#"cwd = "${HOME}/api""#),
        (
            "log",
            r#""cwd": "/srv/", "instances": 2, "out_file": "~/logs/$${x}.log", "error_file": "e""#,
            r#"log = { err = "/srv/e-{slot}", out = "${HOME}/logs/$$$${x}-{slot}.log" }"#,
        ),
        (
            "auto_reload",
            r#""cwd": "~/api", "watch": ["src", "/etc/api"]"#,
            r#"auto_reload = { paths = ["${HOME}/api/src", "/etc/api"] }"#,
        ),
        (
            "auto_reload",
            r#""watch": "src""#,
            r#"auto_reload = { paths = ["src"] }"#,
        ),
    ] {
        let ecosystem = format!(r#"{{ "name": "a", "script": "a.js", {options} }}"#);
        let text = drafted(&ecosystem);
        assert!(text.lines().any(|line| line == expected), "{key}: {text}");
    }
}

#[test]
fn a_program_is_told_to_go_as_pm2_told_it() {
    for (options, expected) in [
        (r#""env": {}"#, Some(r#"stop_signal = "INT""#)),
        (
            r#""kill_signal": "SIGTERM""#,
            Some(r#"stop_signal = "SIGTERM""#),
        ),
        (r#""kill_timeout": 1600"#, None),
        (
            r#""kill_signal": "SIGTERM", "kill_timeout": null"#,
            Some(r#"stop_signal = "SIGTERM""#),
        ),
    ] {
        let line = line_of("stop_signal", options);
        assert_eq!(line.as_deref(), expected, "{options}");
    }
    let both = r#""restart_delay": 4000, "exp_backoff_restart_delay": 100"#;
    assert_eq!(
        line_of("backoff", both).as_deref(),
        Some(r#"backoff = { first = "100ms", max = "15s" }"#)
    );
    assert_eq!(
        line_of("log", r#""disable_logs": true, "out_file": "o""#).as_deref(),
        Some(r#"log = "null""#)
    );
}
