//! Files made of several, and apps made of others.

use std::{fs, path::Path};

use super::*;

/// A directory with these files.
fn files(texts: &[(&str, &str)]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in texts {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    directory
}

fn read_all(directory: &Path) -> Result<ProcessFile, ConfigErrors> {
    read(&directory.join("ostler.toml"), &Circumstances::default())
}

fn told(directory: &Path) -> Vec<String> {
    let prefix = format!("{}/", directory.display());
    let errors = read_all(directory).expect_err("faults");
    let lines = errors.lines().into_iter();
    lines
        .map(|line| line.replace(&prefix, "").trim().to_owned())
        .collect()
}

fn names(file: &ProcessFile) -> Vec<&str> {
    file.apps.iter().map(|app| app.name.as_str()).collect()
}

#[test]
fn every_file_that_matches_is_read_with_paths_and_defaults_of_its_own() {
    let directory = files(&[
        (
            "ostler.toml",
            "include = [\"conf.d/*.toml\", \"more/jobs.yaml\", \"*.toml\"]\n[defaults]\nenv = { A = \"1\", B = \"1\" }\n[app.web]\ncommand = \"web\"\n",
        ),
        ("conf.d/b.toml", "[app.b]\ncommand = \"b\"\n"),
        (
            "conf.d/a.toml",
            "[defaults]\nenv = { B = \"2\" }\n[app.a]\ncommand = \"a\"\ncwd = \"x\"\n",
        ),
        (
            "more/jobs.yaml",
            "include: deep/*.json\napp:\n  jobs:\n    command: jobs\n",
        ),
        (
            "more/deep/c.json",
            "{\"app\": {\"c\": {\"command\": \"c\"}}}",
        ),
        ("other.toml", "[app.other]\ncommand = \"x\"\n"),
    ]);
    let file = read_all(directory.path()).unwrap();
    assert_eq!(names(&file), ["a", "b", "c", "jobs", "other", "web"]);
    let a = &file.apps[0];
    assert_eq!(
        a.cwd.as_deref(),
        Some(directory.path().join("conf.d/x").as_path())
    );
    assert_eq!((a.env["A"].as_str(), a.env["B"].as_str()), ("1", "2"));
    assert_eq!(
        file.apps[1].env["B"], "1",
        "defaults of one file don't reach its neighbours"
    );
    assert_eq!(
        file.apps[2].cwd.as_deref(),
        Some(directory.path().join("more/deep").as_path())
    );
    assert_eq!(file.warnings, [] as [String; 0]);
}

#[test]
fn a_pattern_without_match_is_a_warning() {
    let directory = files(&[(
        "ostler.toml",
        "include = \"conf.d/*.toml\"\n[app.web]\ncommand = \"web\"\n",
    )]);
    let file = read_all(directory.path()).unwrap();
    assert!(
        file.warnings[0].ends_with("ostler.toml:1: include: no file matches \"conf.d/*.toml\"")
    );
}

#[test]
fn faults_of_included_files_have_their_places() {
    let directory = files(&[
        (
            "ostler.toml",
            "include = [\"no.toml\", \"a.toml\", \"[\", 7]\n[app.web]\ncommand = \"web\"\ninstances = \"x\"\n",
        ),
        (
            "a.toml",
            "name = \"x\"\n[app.web]\ncommand = \"web\"\n[app.b]\ncomand = \"b\"\n[template.web]\n",
        ),
    ]);
    assert_eq!(
        told(directory.path()),
        [
            "ostler.toml:1:12: include: no.toml: the file can't be read: No such file or directory (os error 2)",
            "correct the path: it starts at the directory of the file that includes it",
            "ostler.toml:1:33: include: \"[\" is no pattern: invalid range pattern",
            "use * and ? for any characters, ** for any directories",
            "ostler.toml:1:38: include[3]: the number 7 can't stand here",
            "write a path or an array of paths: [\"conf.d/*.toml\"]",
            "ostler.toml:4:13: app.web.instances: \"x\" is not a number of workers",
            "use a number from 0 to 4096, \"auto\" for one per core, or -1 for one fewer",
            "a.toml:1:1: name: an included file can't say this",
            "move it to the file that includes this one",
            "a.toml:2:6: app.web: ostler.toml:2 has app.web already",
            "give each app and each template a name of its own",
            "a.toml:4:6: app.b: the app has no command",
            "add command = [\"node\", \"server.js\"]",
            "a.toml:5:1: app.b.comand: unknown key",
            "did you mean `command`?",
            "a.toml:6:11: template.web: ostler.toml:2 has app.web already",
            "give each app and each template a name of its own",
        ]
    );
}

#[test]
fn a_circle_of_includes_is_a_fault_and_a_file_met_twice_is_not() {
    let directory = files(&[
        ("ostler.toml", "include = [\"a.toml\", \"b.toml\"]\n"),
        ("a.toml", "include = \"b.toml\"\n[app.a]\ncommand = \"a\"\n"),
        ("b.toml", "[app.b]\ncommand = \"b\"\n"),
    ]);
    assert_eq!(names(&read_all(directory.path()).unwrap()), ["a", "b"]);
    fs::write(
        directory.path().join("b.toml"),
        "include = [\"sub/../a.toml\"]\n",
    )
    .unwrap();
    fs::create_dir(directory.path().join("sub")).unwrap();
    assert_eq!(
        told(directory.path()),
        [
            "b.toml:1:12: include: sub/../a.toml includes itself, if not directly",
            "remove it: each file is read once"
        ]
    );
}

#[test]
fn an_app_extends_templates_and_other_apps() {
    let file = good(
        r#"
[defaults]
env = { A = "defaults" }
[template.base]
min_uptime = "9s"
env = { A = "base", B = "base" }
[template.node]
extends = "base"
command = ["node", "server.js"]
instances = 3
[template.node.environment.staging]
instances = 1
[app.web]
extends = "node"
listen = ":80"
env = { B = "web" }
[app.admin]
extends = "web"
instances = 1
"#,
    );
    let [admin, web] = file.apps.as_slice() else {
        panic!("{:?}", file.apps)
    };
    assert_eq!(web.command, ["node", "server.js"]);
    assert_eq!((web.instances, web.min_uptime.as_secs()), (3, 9));
    assert_eq!(
        (web.env["A"].as_str(), web.env["B"].as_str()),
        ("base", "web")
    );
    assert_eq!((admin.instances, admin.env["B"].as_str()), (1, "web"));
    assert!(admin.listen.is_empty(), "two apps can't share an address");
}

#[test]
fn faults_of_extends() {
    let text = "[app.a]\nextends = \"b\"\n[app.b]\nextends = \"a\"\n[app.c]\nextends = \"nod\"\n\
                [template.node]\ncommand = \"x\"\nlisten = \":80\"\n";
    assert_eq!(
        faults(text),
        [
            "1:6: app.a: the app has no command",
            "add command = [\"node\", \"server.js\"]",
            "2:11: app.a.extends: a extends itself, if not directly",
            "remove one `extends` of the circle",
            "3:6: app.b: the app has no command",
            "add command = [\"node\", \"server.js\"]",
            "4:11: app.b.extends: b extends itself, if not directly",
            "remove one `extends` of the circle",
            "5:6: app.c: the app has no command",
            "add command = [\"node\", \"server.js\"]",
            "6:11: app.c.extends: there is no template or app \"nod\"",
            "did you mean \"node\"?",
            "9:1: template.node.listen: two apps can't share it",
            "move it below [app.NAME]",
        ]
    );
}

#[test]
fn the_order_of_starting_is_read_and_checked() {
    let file = good(
        "[app.web]\ncommand = \"x\"\ndepends_on = [\"db\", \"cache\"]\npriority = -5\nstart_parallel = 4\ninstances = -1\n\
         [app.db]\ncommand = \"x\"\nautostart = false\n[app.cache]\ncommand = \"x\"\ndepends_on = \"db\"\ninstances = -9\n",
    );
    let [cache, db, web] = file.apps.as_slice() else {
        panic!("{:?}", file.apps)
    };
    assert_eq!(
        (web.instances, cache.instances),
        (5, 1),
        "all of 6 cores but one; at least one"
    );
    let names: Vec<&str> = web
        .start
        .depends_on
        .iter()
        .map(|name| name.as_str())
        .collect();
    assert_eq!(
        (names, web.start.priority, web.start.parallel),
        (vec!["db", "cache"], -5, 4)
    );
    assert_eq!((db.start.autostart, web.start.autostart), (false, true));
    let text = "[app.a]\ncommand = \"x\"\ndepends_on = [\"b\"]\n[app.b]\ncommand = \"x\"\ndepends_on = [\"c\"]\n\
                [app.c]\ncommand = \"x\"\ndepends_on = [\"a\", \"webb\"]\n[app.web]\ncommand = \"x\"\ndepends_on = \"web\"\nstart_parallel = 0\n";
    let problems: Vec<String> = faults(text).into_iter().step_by(2).collect();
    assert_eq!(
        problems,
        [
            "3:14: app.a.depends_on: the apps wait for each other: a, b, c, a",
            "6:14: app.b.depends_on: the apps wait for each other: b, c, a, b",
            "9:14: app.c.depends_on: there is no app \"webb\"",
            "9:14: app.c.depends_on: the apps wait for each other: c, a, b, c",
            "12:14: app.web.depends_on: the apps wait for each other: web, web",
            "13:18: app.web.start_parallel: 0 is out of range",
        ]
    );
}

#[test]
fn what_an_app_waits_for_is_checked_whatever_else_is_wrong() {
    let text = "[app.a]\ncomand = \"x\"\ndepends_on = \"b\"\n[app.b]\ncommand = \"x\"\ndepends_on = [\"a\", \"zz\"]\n";
    let problems: Vec<String> = faults(text).into_iter().step_by(2).collect();
    assert_eq!(
        problems,
        [
            "1:6: app.a: the app has no command",
            "2:1: app.a.comand: unknown key",
            "3:14: app.a.depends_on: the apps wait for each other: a, b, a",
            "6:14: app.b.depends_on: there is no app \"zz\"",
            "6:14: app.b.depends_on: the apps wait for each other: b, a, b",
        ]
    );
}
