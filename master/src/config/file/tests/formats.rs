//! The same document in TOML, YAML and JSON.

use super::*;

const TOML: &str = r#"
name = "shop"
[defaults]
env = { LOG = "info" }
[app.web]
command = ["node", "server.js"]
instances = 2
listen = { zebra = ":80", admin = { address = "127.0.0.1:90", backlog = 16 } }
env = { PORT = 80, DEBUG = true, RATE = 0.5 }
backoff = { factor = 2.5 }
stop_exit_codes = [0, 3]
[app.jobs]
command = "node jobs.js"
"#;

const YAML: &str = r#"
# The same.
name: shop
defaults:
  env: &env { LOG: info }
app:
  web:
    command: [node, "server.js"]
    instances: 2
    listen:
      zebra: ":80"
      admin:
        address: 127.0.0.1:90
        backlog: 0x10
    env:
      PORT: 80
      DEBUG: true
      RATE: 0.5
      <<: ~
    backoff: {factor: 2.5}
    stop_exit_codes:
      - 0
      - 3
    kill_ladder: null
  jobs:
    command: >-
      node
      jobs.js
    env: *env
"#;

const JSON: &str = r#"{
	// The same.
	"name": "shop",
	"defaults": {"env": {"LOG": "info"}},
	"app": {
		"web": {
			"command": ["node", "server\u002ejs"],
			"instances": 2,
			"listen": {"zebra": ":80", "admin": {"address": "127.0.0.1:90", "backlog": 16}},
			"env": {"PORT": 80, "DEBUG": true, "RATE": 0.5},
			"backoff": {"factor": 2.5},
			"stop_exit_codes": [0, 3],
			"kill_ladder": null,
		},
		"jobs": {"command": "node jobs.js"}
	}
}"#;

fn read_as(extension: &str, text: &str) -> Result<ProcessFile, ConfigErrors> {
    parse(Path::new(&format!("/srv/f.{extension}")), text, 6)
}

fn told(extension: &str, text: &str) -> Vec<String> {
    let errors = read_as(extension, text).expect_err(text);
    let prefix = format!("/srv/f.{extension}:");
    let lines = errors.lines().into_iter();
    lines
        .map(|line| line.replace(&prefix, "").trim().to_owned())
        .collect()
}

#[test]
fn one_document_in_three_languages() {
    let toml = read_as("toml", TOML).unwrap();
    assert_eq!(toml.apps[1].listen[0].name, "zebra");
    for (extension, text) in [("yaml", YAML), ("yml", YAML), ("json", JSON)] {
        let other = read_as(extension, text).unwrap_or_else(|errors| panic!("{errors}"));
        assert_eq!(other.apps, toml.apps, "{extension}");
        assert_eq!(other.master, toml.master);
    }
}

#[test]
fn faults_of_values_have_their_places_in_each() {
    let yaml =
        "app:\n  wäb:\n    command: [1]\n    instances: many\n    listen: 8080\n    comand: x\n";
    let places: Vec<String> = told("yaml", yaml).into_iter().step_by(2).collect();
    assert_eq!(
        places,
        [
            "2:3: app.wäb: \"wäb\" is not an app name: use 1 to 64 of A-Z a-z 0-9 _ -",
            "3:15: app.wäb.command[0]: the number 1 can't stand here",
            "4:16: app.wäb.instances: \"many\" is not a number of workers",
            "5:13: app.wäb.listen: the number 8080 can't stand here",
            "6:5: app.wäb.comand: unknown key",
        ]
    );
    let json = "{\n  \"app\": {\n    \"web\": {\"command\": \"x\", \"instances\": \"many\", \"prot\": 1}}}";
    let places: Vec<String> = told("json", json).into_iter().step_by(2).collect();
    assert_eq!(
        places,
        [
            "3:42: app.web.instances: \"many\" is not a number of workers",
            "3:50: app.web.prot: unknown key",
        ]
    );
}

#[test]
fn bad_syntax_has_its_place_and_its_fix() {
    let cases = [
        ("yaml", "app:\n  web: [a\n", "3:1: "),
        ("yaml", "app: 1\napp: 2\n", "2:1: duplicate key"),
        (
            "yaml",
            "a: 1\n---\nb: 2\n",
            "2:1: the file has a second document",
        ),
        ("yaml", "- a\n", "1:1: the file is not a table of keys"),
        ("yaml", "[a]: 1\n", "1:1: this can't be a key"),
        ("json", "{\"a\": [1 2]}", "1:9: expected comma"),
        ("json", "{\"a\": 1,\n \"a\": 2}", "2:2: duplicate key"),
        (
            "json",
            "{'a': 1}",
            "1:2: single-quoted strings are not allowed",
        ),
        ("json", "[]", "1:1: the file is not a table of keys"),
    ];
    for (extension, text, problem) in cases {
        let lines = told(extension, text);
        assert!(lines[0].starts_with(problem), "{text}: {lines:?}");
        assert!(!lines[1].is_empty());
    }
    for (extension, text) in [("yaml", ""), ("yaml", "# nothing\n"), ("json", "")] {
        assert_eq!(told(extension, text)[0], "1:1: app: the file has no app");
    }
}

#[test]
fn nothing_small_becomes_large() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for n in 1..12 {
        let before = format!("*a{}, ", n - 1).repeat(10);
        bomb.push_str(&format!("a{n}: &a{n} [{before}]\n"));
    }
    assert!(told("yaml", &bomb)[0].contains("its aliases stand for more than 100000 values"));
    let depth = 10_000;
    for (extension, open) in [("json", "["), ("yaml", "["), ("yaml", "- "), ("toml", "[")] {
        let text = match extension {
            "toml" => format!("a = {}", open.repeat(depth)),
            _ => open.repeat(depth),
        };
        assert!(read_as(extension, &text).is_err(), "{extension}");
    }
}
