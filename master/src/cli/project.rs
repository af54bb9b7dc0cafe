//! What kind of project a directory holds, and the process file that it begins with.

use std::{fs, path::Path};

use crate::config::naming;

/// A project, as far as its files tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Project {
    /// What it is, for people: "the Cargo package shop".
    pub(super) what: String,
    /// The app's name.
    name: String,
    command: Vec<String>,
    /// What to know about the command.
    notes: Vec<&'static str>,
}

impl Project {
    fn new(what: String, name: &str, command: &[&str], notes: &[&'static str]) -> Self {
        Self {
            what,
            name: naming::token_of(name),
            command: command.iter().map(|word| (*word).to_owned()).collect(),
            notes: notes.to_vec(),
        }
    }
}

/// Looks for a `Cargo.toml`, a `package.json`, a `pyproject.toml`, in this order.
pub(super) fn find(directory: &Path) -> Project {
    let text = |name: &str| fs::read_to_string(directory.join(name)).ok();
    text("Cargo.toml")
        .and_then(|text| cargo(&text))
        .or_else(|| text("package.json").and_then(|text| node(&text, directory)))
        .or_else(|| text("pyproject.toml").and_then(|text| python(&text)))
        .unwrap_or_else(|| {
            let notes =
                ["No Cargo.toml, package.json or pyproject.toml was found: put your command here."];
            Project::new("any program".into(), "web", &["./server"], &notes)
        })
}

fn cargo(text: &str) -> Option<Project> {
    let manifest: toml::Table = text.parse().ok()?;
    let package = manifest.get("package")?;
    let name = package.get("name")?.as_str()?;
    let default = package.get("default-run").and_then(toml::Value::as_str);
    let bins = manifest.get("bin").and_then(toml::Value::as_array);
    let first = bins.and_then(|bins| bins.first()?.get("name")?.as_str());
    let program = format!("./target/release/{}", default.or(first).unwrap_or(name));
    let notes = ["Build it first: cargo build --release"];
    let what = format!("the Cargo package {name}");
    Some(Project::new(what, name, &[&program], &notes))
}

fn node(text: &str, directory: &Path) -> Option<Project> {
    let manifest: serde_json::Value = serde_json::from_str(text).ok()?;
    let string = |key: &str| manifest.get(key).and_then(serde_json::Value::as_str);
    let name = string("name").unwrap_or("web");
    // A scope is no part of the name: @acme/shop.
    let short = name.rsplit('/').next().unwrap_or(name);
    let start = manifest
        .get("scripts")
        .and_then(|scripts| scripts.get("start")?.as_str());
    let plain = start.filter(|start| {
        start.starts_with("node ") && !start.contains(['&', '|', ';', '$', '"', '\''])
    });
    let there = ["server.js", "index.js", "app.js", "main.js"];
    let script = string("main").or_else(|| {
        there
            .into_iter()
            .find(|file| directory.join(file).is_file())
    });
    let what = format!("the Node package {name}");
    let listen = "Listen on the socket that the master has bound: server.listen({ fd: 3 })";
    Some(match (plain, script, start) {
        (Some(start), _, _) => {
            let words: Vec<&str> = start.split_whitespace().collect();
            Project::new(what, short, &words, &[listen])
        }
        (None, _, Some(_)) => {
            let notes = [
                listen,
                "npm stands between the master and the program; run the program itself where you can.",
            ];
            Project::new(what, short, &["npm", "start"], &notes)
        }
        (None, Some(script), None) => Project::new(what, short, &["node", script], &[listen]),
        (None, None, None) => Project::new(what, short, &["node", "server.js"], &[listen]),
    })
}

fn python(text: &str) -> Option<Project> {
    let manifest: toml::Table = text.parse().ok()?;
    let project = manifest.get("project")?;
    let name = project.get("name")?.as_str()?;
    let module = name.replace('-', "_");
    let what = format!("the Python project {name}");
    let needs = |package: &str| {
        let all = project.get("dependencies").and_then(toml::Value::as_array);
        let mut all = all.into_iter().flatten().filter_map(toml::Value::as_str);
        all.any(|dependency| dependency.starts_with(package))
    };
    let script = project.get("scripts").and_then(toml::Value::as_table);
    let script = script.and_then(|scripts| scripts.keys().next());
    let app = format!("{module}:app");
    Some(match script {
        _ if needs("gunicorn") => {
            let notes = [
                "gunicorn finds the inherited socket by itself; one of its own workers is enough.",
            ];
            Project::new(what, name, &["gunicorn", "-w", "1", &app], &notes)
        }
        _ if needs("uvicorn") => {
            Project::new(what, name, &["uvicorn", "--fd", "{fd:http}", &app], &[])
        }
        Some(script) => Project::new(what, name, &[script], &[]),
        None => Project::new(what, name, &["python3", "-m", &module], &[]),
    })
}

/// A process file for it, with what is most often wanted next in comments.
pub(super) fn file_for(project: &Project) -> String {
    let words: Vec<toml::Value> = project
        .command
        .iter()
        .map(|word| word.as_str().into())
        .collect();
    let command = toml::Value::Array(words);
    let notes: String = project
        .notes
        .iter()
        .map(|note| format!("# {note}\n"))
        .collect();
    let name = &project.name;
    format!(
        r#"# What `ostler run` keeps running. All keys: docs/process-file.md. Check it with `ostler validate`.

[app.{name}]
{notes}command = {command}
instances = "auto"                  # one per core; or a number, or -1 for one core less
listen = {{ http = "127.0.0.1:8080" }}  # bound by the master, inherited from descriptor 3 on (LISTEN_FDS)

# ready = "notify"                  # wait for READY=1 on NOTIFY_SOCKET; the default takes silence for readiness
# start_timeout = "30s"             # one that is not ready by then has failed to start
# kill_ladder = ["TERM:30s", "KILL"] # how it is told to go
# env_file = ".env"
# env = {{ LOG = "info" }}
# auto_reload = true                # replace the workers when files change

# [app.{name}.environment.staging]  # with `ostler run --env staging`
# instances = 1
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{app::AppDefinition, file};

    /// The app that `init` makes of a directory with this file.
    fn app(name: &str, text: &str) -> AppDefinition {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(name), text).unwrap();
        let text = file_for(&find(directory.path()));
        let path = directory.path().join("ostler.toml");
        let mut file =
            file::parse(&path, &text, 4).unwrap_or_else(|errors| panic!("{text}\n{errors}"));
        assert_eq!(file.apps.len(), 1);
        file.apps.remove(0)
    }

    #[test]
    fn a_file_fits_the_project_it_is_written_for() {
        let cases = [
            (
                "Cargo.toml",
                "[package]\nname = \"shop\"\n",
                "shop",
                "./target/release/shop",
            ),
            (
                "Cargo.toml",
                "[package]\nname = \"shop\"\n[[bin]]\nname = \"shopd\"\n",
                "shop",
                "./target/release/shopd",
            ),
            (
                "Cargo.toml",
                "[package]\nname = \"a\"\ndefault-run = \"b\"\n",
                "a",
                "./target/release/b",
            ),
            (
                "package.json",
                r#"{"name": "@acme/shop", "scripts": {"start": "node --inspect dist/x.js"}}"#,
                "shop",
                "node --inspect dist/x.js",
            ),
            (
                "package.json",
                r#"{"name": "shop", "scripts": {"start": "next start"}}"#,
                "shop",
                "npm start",
            ),
            (
                "package.json",
                r#"{"main": "lib/m.js"}"#,
                "web",
                "node lib/m.js",
            ),
            (
                "pyproject.toml",
                "[project]\nname = \"my-shop\"\n",
                "my-shop",
                "python3 -m my_shop",
            ),
            (
                "pyproject.toml",
                "[project]\nname = \"s\"\ndependencies = [\"gunicorn>=20\"]\n",
                "s",
                "gunicorn -w 1 s:app",
            ),
            (
                "pyproject.toml",
                "[project]\nname = \"s\"\ndependencies = [\"uvicorn\"]\n",
                "s",
                "uvicorn --fd {fd:http} s:app",
            ),
            (
                "pyproject.toml",
                "[project]\nname = \"s\"\n[project.scripts]\nserve = \"s:main\"\n",
                "s",
                "serve",
            ),
            ("README.md", "nothing known", "web", "./server"),
            (
                "Cargo.toml",
                "[workspace]\nmembers = []\n",
                "web",
                "./server",
            ),
            ("package.json", "not json", "web", "./server"),
        ];
        for (name, text, app_name, command) in cases {
            let app = app(name, text);
            assert_eq!(
                (app.name.as_str(), app.command.join(" ").as_str()),
                (app_name, command),
                "{text}"
            );
        }
    }

    #[test]
    fn what_stands_in_comments_is_right_too() {
        let project = find(Path::new("/nonexistent"));
        let text = file_for(&project);
        let uncommented: String = text
            .lines()
            .map(|line| match line.strip_prefix("# ") {
                Some(line) if line.contains(" = ") || line.starts_with('[') => format!("{line}\n"),
                _ => format!("{line}\n"),
            })
            .collect();
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(".env"), "A=1\n").unwrap();
        let path = directory.path().join("ostler.toml");
        let file = file::parse(&path, &uncommented, 4).unwrap_or_else(|errors| panic!("{errors}"));
        assert_eq!(file.apps[0].env.len(), 2);
    }
}
