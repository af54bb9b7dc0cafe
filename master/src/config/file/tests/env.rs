//! Variables: layers, files, filters, placeholders, named environments.

use std::{ffi::OsStr, path::Path};

use super::*;

/// Reads a text in `directory`, for an environment, with `TIER=blue` set.
fn read_in(
    directory: &Path,
    text: &str,
    environment: Option<&str>,
) -> Result<ProcessFile, ConfigErrors> {
    let circumstances = Circumstances {
        cores: 4,
        environment: environment.map(str::to_owned),
        variables: [("TIER".to_owned(), "blue".to_owned())].into(),
    };
    parse_in(&directory.join("ostler.toml"), text, &circumstances)
}

fn told(directory: &Path, text: &str, environment: Option<&str>) -> Vec<String> {
    let errors = read_in(directory, text, environment).expect_err(text);
    let prefix = format!("{}/", directory.display());
    let lines = errors.lines().into_iter();
    lines
        .map(|line| line.replace(&prefix, "").trim().to_owned())
        .collect()
}

fn env_of(file: &ProcessFile) -> Vec<String> {
    let pairs = file.apps[0].env.iter();
    pairs
        .map(|(name, value)| format!("{name}={value}"))
        .collect()
}

const LAYERS: &str = r#"
[defaults]
env = { A = "defaults", B = "defaults", C = "defaults", D = "defaults" }
instances = 5

[defaults.environment.staging]
env = { C = "defaults, staging", D = "defaults, staging" }
min_uptime = "1s"

[app.web]
command = "web"
env = { B = "app", C = "app", D = "app" }

[app.web.environment.staging]
env = { D = "app, staging" }
instances = 1
command = "web --staging"

[app.web.environment.prod]
instances = 9
"#;

#[test]
fn a_named_environment_stands_over_all_that_is_said_without_one() {
    let here = Path::new("/srv");
    let base = read_in(here, LAYERS, None).unwrap();
    assert_eq!(env_of(&base), ["A=defaults", "B=app", "C=app", "D=app"]);
    assert_eq!((base.apps[0].instances, base.apps[0].command.len()), (5, 1));
    let staging = read_in(here, LAYERS, Some("staging")).unwrap();
    assert_eq!(
        env_of(&staging),
        [
            "A=defaults",
            "B=app",
            "C=defaults, staging",
            "D=app, staging"
        ]
    );
    let web = &staging.apps[0];
    assert_eq!((web.instances, web.min_uptime.as_secs()), (1, 1));
    assert_eq!(web.command, ["web", "--staging"]);
    let prod = read_in(here, LAYERS, Some("prod")).unwrap();
    assert_eq!((prod.apps[0].instances, env_of(&prod)), (9, env_of(&base)));
}

#[test]
fn an_environment_that_nobody_knows_is_a_fault() {
    let here = Path::new("/srv");
    assert_eq!(
        told(here, LAYERS, Some("stagin")),
        [
            "ostler.toml:1:1: environment: no app has an environment \"stagin\"",
            "did you mean \"staging\"?"
        ]
    );
    let lines = told(here, "[app.a]\ncommand = \"a\"\n", Some("x"));
    assert_eq!(lines[1], "add one: [app.NAME.environment.x]");
    let nested = "[app.a]\ncommand = \"a\"\nenvironment = { A = \"x\" }\n\
                  [app.b]\ncommand = \"b\"\n[app.b.environment.x]\nextends = \"a\"\n";
    let lines = told(here, nested, None);
    assert!(
        lines[0].starts_with(
            "ostler.toml:3:21: app.a.environment.A: the string \"x\" can't stand here"
        )
    );
    assert!(lines[1].contains("variables belong into `env`"));
    assert_eq!(
        lines[2],
        "ostler.toml:7:1: app.b.environment.x.extends: it can't differ by environment"
    );
}

#[test]
fn files_of_variables_lie_under_those_of_the_table_they_are_named_in() {
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path();
    std::fs::write(here.join("one.env"), "A=one\nB=one\nC=one\n").unwrap();
    std::fs::write(here.join("two.env"), "B=two\nC=two\nPRICE=$5 ${TIER}\n").unwrap();
    let text = "[defaults]\nenv = { A = \"defaults\" }\n[app.web]\ncommand = \"x\"\n\
                env_file = [\"one.env\", \"two.env\"]\nenv = { C = \"app\" }\n";
    let file = read_in(here, text, None).unwrap();
    assert_eq!(
        env_of(&file),
        ["A=one", "B=two", "C=app", "PRICE=$5 ${TIER}"]
    );
}

#[test]
fn a_file_of_variables_that_is_missing_or_bad_is_a_fault_with_its_place() {
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path();
    std::fs::write(here.join("bad.env"), "A=1\nnonsense\nOSTLER_APP=x\n").unwrap();
    let text =
        "[app.web]\ncommand = \"x\"\nenv_file = [\"bad.env\", \"no.env\"]\ninstances = \"x\"\n";
    assert_eq!(
        told(here, text, None),
        [
            "ostler.toml:3:24: app.web.env_file[1]: no.env: the file can't be read: No such file or directory (os error 2)",
            "create it, or correct the path: it starts at the process file's directory",
            "ostler.toml:4:13: app.web.instances: \"x\" is not a number of workers",
            "use a number from 0 to 4096, \"auto\" for one per core, or -1 for one fewer",
            "bad.env:2:1: \"nonsense\" is no variable",
            "write NAME=value, or put a # in front",
            "bad.env:3:1: OSTLER_APP: the master sets this variable itself, for each worker",
            "remove it, or use another name",
        ]
    );
}

#[test]
fn what_workers_inherit_can_be_filtered() {
    let text = "[defaults]\nenv_deny = [\"AWS_*\"]\n[app.a]\ncommand = \"a\"\nenv_clear = true\nenv_allow = [\"PATH\", \"AWS_KEY\"]\n";
    let inherits = read_in(Path::new("/srv"), text, None)
        .unwrap()
        .apps
        .remove(0)
        .inherits;
    let passes = |name: &str| inherits.passes(OsStr::new(name));
    assert_eq!(
        [passes("PATH"), passes("HOME"), passes("AWS_KEY")],
        [true, false, false]
    );
    let lines = told(
        Path::new("/srv"),
        "[app.a]\ncommand = \"a\"\nenv_deny = [\"[x\"]\n",
        None,
    );
    assert!(
        lines[0].starts_with("ostler.toml:3:12: app.a.env_deny: \"[x\" is no pattern: "),
        "{lines:?}"
    );
}

#[test]
fn placeholders_are_filled_in_anywhere() {
    let text = "name = \"shop-${TIER}\"\n[app.web]\ncommand = [\"./${TIER}/web\", \"{slot}\", \"$$x\"]\n\
                cwd = \"${DIR:-run}\"\nlisten = { http = \"127.0.0.1:${PORT:-8080}\" }\nenv = { A = \"${TIER}\" }\n";
    let file = read_in(Path::new("/srv"), text, None).unwrap();
    let web = &file.apps[0];
    assert_eq!(file.master.as_str(), "shop-blue");
    assert_eq!(web.command, ["./blue/web", "{slot}", "$x"]);
    assert_eq!(web.cwd.as_deref(), Some(Path::new("/srv/run")));
    assert_eq!(web.listen[0].address.to_string(), "127.0.0.1:8080");
    assert_eq!(env_of(&file), ["A=blue"]);
    let text = "[app.web]\ncommand = \"web\"\ninstances = \"${N:-3}\"\nnice = \"${NICE:-5}\"\nmax_restarts = \"1${NONE:-2}\"\n\
                autostart = \"${START:-false}\"\nbackoff = { factor = \"${FACTOR:-2.5}\" }\n";
    let web = &read_in(Path::new("/srv"), text, None).unwrap().apps[0];
    assert_eq!((web.instances, web.process.nice), (3, Some(5)));
    assert_eq!((web.max_restarts, web.start.autostart), (12, false));
    assert!((web.backoff.factor - 2.5).abs() < f64::EPSILON);
    let text = "[app.web]\ncommand = \"web\"\nnice = \"${NICE:-99}\"\numask = \"027\"\nmax_restarts = \"5\"\nautostart = \"${TIER}\"\n";
    let problems: Vec<String> = told(Path::new("/srv"), text, None)
        .into_iter()
        .step_by(2)
        .collect();
    assert_eq!(
        problems,
        [
            "ostler.toml:3:8: app.web.nice: 99 is out of range",
            "ostler.toml:5:16: app.web.max_restarts: the string \"5\" can't stand here",
            "ostler.toml:6:13: app.web.autostart: the string \"blue\" can't stand here",
        ]
    );
    let text = "[app.web]\ncommand = [\"web\", \"${NO}\"]\nenv = { A = \"${TIER\" }\n";
    assert_eq!(
        told(Path::new("/srv"), text, None),
        [
            "ostler.toml:2:19: app.web.command[1]: the variable NO is not set",
            "set it, or say what stands in its place: ${NO:-other}",
            "ostler.toml:3:13: app.web.env.A: \"${TIER\" has a `${` that is never closed",
            "close it with `}`, or write `$$` for a `$`",
        ]
    );
}

#[test]
fn a_structured_value_is_a_variable_in_json() {
    let text = "[app.a]\ncommand = \"a\"\nenv = { A = { b = [1, 2.5, true, \"x\"] }, C = [] }\n";
    let file = read_in(Path::new("/srv"), text, None).unwrap();
    assert_eq!(env_of(&file), ["A={\"b\":[1,2.5,true,\"x\"]}", "C=[]"]);
}
