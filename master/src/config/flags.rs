//! An app from the flags of `ostler run … -- COMMAND`.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use super::{
    address,
    app::{
        AppDefinition, AppName, Readiness, SocketDeclaration, Watch,
        places::Places,
        probe,
        update::{Strategy, UpdateSettings},
    },
    errors::Wrong,
    naming, placeholders,
    settings::{Instances, Reload, Settings},
};

/// What the flags said. Relative paths start at the directory in which `ostler` was started.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AppFlags {
    /// `-n`; `None`: from the command.
    pub name: Option<AppName>,
    /// Program and arguments.
    pub command: Vec<String>,
    /// `-i`; `None`: auto.
    pub instances: Option<Instances>,
    /// `-l`, each `[NAME=]ADDRESS`.
    pub listen: Vec<String>,
    /// `--ready`. Of a probe that the old worker of a slot could answer for the new one follows that it goes first: no flag
    /// says so.
    pub ready: Option<Readiness>,
    /// `--auto-reload`, with its paths; empty: the working directory.
    pub auto_reload: Option<Vec<PathBuf>>,
}

/// The definition that the flags make. `cores` is what `-i auto` means.
///
/// # Errors
/// If there is no command, or a socket can't be used.
pub fn define(flags: AppFlags, cwd: &Path, cores: u32) -> Result<AppDefinition, Wrong> {
    if flags.command.first().is_none_or(String::is_empty) {
        return Err(Wrong::new(
            "there is no command to run",
            "put it after `--`: ostler run -- node server.js",
        ));
    }
    let name = flags
        .name
        .unwrap_or_else(|| naming::app_name_of(&flags.command));
    let sockets = listen(&flags.listen, cwd)?;
    let auto_reload = flags.auto_reload.map(|paths| {
        let paths = paths.into_iter().map(|path| cwd.join(path)).collect();
        let ignore = Vec::new();
        Reload::On(Watch {
            paths,
            ignore,
            ..Watch::default()
        })
    });
    let strategy = strategy(flags.ready.as_ref());
    let said = [
        ("command", true),
        ("instances", flags.instances.is_some()),
        ("listen", !sockets.is_empty()),
        ("ready", flags.ready.is_some()),
        ("auto_reload", auto_reload.is_some()),
        ("strategy", strategy.is_some()),
    ];
    let said = said.into_iter().filter(|(_, said)| *said);
    let settings = Settings {
        places: Places::of_a_command(said.map(|(key, _)| key)),
        instances: flags.instances,
        listen: Some(sockets),
        ready: flags.ready,
        auto_reload,
        update: UpdateSettings {
            strategy: strategy.map(|(_, strategy)| strategy),
            ..UpdateSettings::default()
        },
        cwd: Some(cwd.to_owned()),
        ..Settings::default()
    };
    let app = settings.define(name, flags.command, cores);
    probe::check(&app)?;
    Ok(app)
}

/// How workers are replaced, where that follows from how they are found ready; and its word.
fn strategy(ready: Option<&Readiness>) -> Option<(&'static str, Strategy)> {
    let shared = ready.and_then(probe::shared_by_successor);
    shared.map(|_| ("replace", Strategy::Replace))
}

/// The same app as the text of a process file in JSON, for a master that runs already; its relative paths start at the
/// directory that it is said to lie in.
///
/// # Errors
/// If a socket can't be used.
pub fn as_text(flags: AppFlags) -> Result<String, Wrong> {
    let name = flags
        .name
        .unwrap_or_else(|| naming::app_name_of(&flags.command));
    let words = |words: &[String]| -> Value {
        let words = words.iter().map(|word| placeholders::verbatim(word).into());
        Value::Array(words.collect())
    };
    let mut keys = vec![("command", words(&flags.command).to_string())];
    let instances = flags.instances.map(|instances| match instances {
        Instances::Exactly(count) => json!(count),
        Instances::Auto => json!("auto"),
        Instances::AllBut(left) => json!(-i64::from(left)),
    });
    keys.extend(instances.map(|value| ("instances", value.to_string())));
    // Written by hand, as a map of serde_json's has no order, and sockets have one.
    let sockets = listen(&flags.listen, Path::new(""))?;
    let sockets = sockets.iter().map(|socket| {
        let address = placeholders::verbatim(&socket.address.to_string());
        (socket.name.as_str(), json!(address).to_string())
    });
    let sockets = object(&sockets.collect::<Vec<_>>());
    keys.push(("listen", sockets));
    let strategy = strategy(flags.ready.as_ref());
    keys.extend(strategy.map(|(word, _)| ("strategy", json!(word).to_string())));
    let ready = flags.ready.map(|ready| json!(ready.to_string()));
    keys.extend(ready.map(|ready| ("ready", ready.to_string())));
    let watched = flags.auto_reload.map(|paths| {
        let paths = paths.iter().map(|path| path.display().to_string());
        words(&paths.collect::<Vec<_>>())
    });
    keys.extend(watched.map(|paths| ("auto_reload", paths.to_string())));
    let app = object(&[(name.as_str(), object(&keys))]);
    Ok(object(&[("app", app)]))
}

/// A table in JSON, of values in JSON.
fn object(fields: &[(&str, String)]) -> String {
    let fields = fields.iter();
    let fields: Vec<String> = fields
        .map(|(key, value)| format!("{}: {value}", json!(key)))
        .collect();
    format!("{{{}}}", fields.join(", "))
}

/// Sockets as flags declare them: each `[NAME=]ADDRESS`, see [`address::address`].
///
/// # Errors
/// For the first that is none, or whose name another one has.
pub fn listen<S: AsRef<str>>(texts: &[S], cwd: &Path) -> Result<Vec<SocketDeclaration>, Wrong> {
    let mut names = BTreeSet::new();
    let mut sockets = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        let socket = socket(text.as_ref(), index, cwd)?;
        if !names.insert(socket.name.clone()) {
            return Err(Wrong::new(
                format!("two sockets are named {:?}", socket.name),
                "give each a name of its own: -l admin=127.0.0.1:9000",
            ));
        }
        sockets.push(socket);
    }
    Ok(sockets)
}

/// One `[NAME=]ADDRESS`.
fn socket(text: &str, index: usize, cwd: &Path) -> Result<SocketDeclaration, Wrong> {
    let (name, address) = match text.split_once('=') {
        // A path may hold a "=": what stands before it is then no name.
        Some((name, address)) if !name.contains(['/', ':']) => {
            (address::socket_name(name)?, address)
        }
        _ => (address::default_name(index), text),
    };
    Ok(address::declaration(name, address::address(address, cwd)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(command: &[&str]) -> AppFlags {
        AppFlags {
            command: command.iter().map(|word| (*word).to_owned()).collect(),
            ..AppFlags::default()
        }
    }

    #[test]
    fn flags_make_the_same_definition_as_a_file() {
        let flags = AppFlags {
            instances: Some(Instances::Exactly(3)),
            listen: vec![
                "8080".into(),
                "admin=127.0.0.1:0".into(),
                "unix:a=b.sock".into(),
            ],
            ready: Some(Readiness::Notify),
            auto_reload: Some(vec!["src".into()]),
            ..flags(&["node", "server.js"])
        };
        let text = r#"
            [app.server]
            command = ["node", "server.js"]
            instances = 3
            listen = { http = "8080", admin = "127.0.0.1:0", http3 = "unix:a=b.sock" }
            ready = "notify"
            auto_reload = ["src"]
        "#;
        let file = super::super::file::parse(Path::new("/srv/ostler.toml"), text, 8).unwrap();
        assert_eq!(
            define(flags, Path::new("/srv"), 8),
            Ok(file.apps[0].clone())
        );
    }

    #[test]
    fn flags_are_the_same_in_words_for_a_master_that_runs() {
        for flags in [
            AppFlags {
                name: AppName::new("api").ok(),
                instances: Some(Instances::AllBut(1)),
                listen: vec![
                    "8080".into(),
                    "admin=127.0.0.1:0".into(),
                    "unix:a/b.sock".into(),
                ],
                ready: Some(Readiness::Delay(std::time::Duration::from_millis(1500))),
                auto_reload: Some(vec!["src".into()]),
                ..flags(&["./x", "${HOME}", "$$", "$", "{slot}", "a b"])
            },
            AppFlags {
                instances: Some(Instances::Exactly(1)),
                ready: Some("tcp(127.0.0.1:8100)".parse().unwrap()),
                ..flags(&["./api"])
            },
            flags(&["node", "server.js"]),
        ] {
            let text = as_text(flags.clone()).unwrap();
            let file = super::super::file::parse(Path::new("/srv/command.json"), &text, 8).unwrap();
            assert_eq!(
                define(flags, Path::new("/srv"), 8).as_ref(),
                Ok(&file.apps[0])
            );
        }
    }

    #[test]
    fn where_the_old_worker_could_answer_for_the_new_one_it_goes_first() {
        for (ready, strategy) in [
            ("tcp(127.0.0.1:8100)", Strategy::Replace),
            ("http(127.0.0.1:810{slot} /up)", Strategy::Replace),
            ("tcp(unix:/run/{id}.sock)", Strategy::Surge),
            ("notify", Strategy::Surge),
        ] {
            let flags = AppFlags {
                instances: Some(Instances::Exactly(1)),
                ready: Some(ready.parse().unwrap()),
                ..flags(&["./api"])
            };
            let app = define(flags, Path::new("/srv"), 1).unwrap();
            assert_eq!(app.update.strategy, strategy, "{ready}");
        }
    }

    #[test]
    fn what_the_flags_leave_out_is_the_default() {
        let app = define(flags(&["./api"]), Path::new("/srv"), 6).unwrap();
        assert_eq!(
            (app.name.as_str(), app.instances, app.listen.len()),
            ("api", 6, 0)
        );
        assert_eq!(app.auto_reload, None);
    }

    #[test]
    fn unusable_flags_are_refused() {
        let with = |listen: &[&str]| {
            let listen = listen.iter().map(|text| (*text).to_owned()).collect();
            let flags = AppFlags {
                listen,
                ..flags(&["x"])
            };
            define(flags, Path::new("/srv"), 1).unwrap_err().problem
        };
        assert_eq!(with(&["a=1", "a=2"]), "two sockets are named \"a\"");
        assert_eq!(with(&["a b=1"]), "\"a b\" is not a socket's name");
        assert_eq!(
            define(flags(&[]), Path::new("/srv"), 1)
                .unwrap_err()
                .problem,
            "there is no command to run"
        );
    }
}
