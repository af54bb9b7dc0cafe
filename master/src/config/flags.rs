//! An app from the flags of `ostler run … -- COMMAND`.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use super::{
    address,
    app::{AppDefinition, AppName, Readiness, SocketDeclaration, Watch, probe},
    errors::Wrong,
    naming,
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
    /// `--ready`.
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
    let settings = Settings {
        instances: flags.instances,
        listen: Some(sockets),
        ready: flags.ready,
        auto_reload,
        cwd: Some(cwd.to_owned()),
        ..Settings::default()
    };
    let app = settings.define(name, flags.command, cores);
    probe::check(&app)?;
    Ok(app)
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
