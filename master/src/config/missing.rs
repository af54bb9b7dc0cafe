//! What definitions count on besides their file, and this machine doesn't have: programs, working directories, watched paths.
//!
//! A file is valid without them, and may be checked where they aren't; it can't be run there. They are looked for before
//! anything is started: a misspelt command is one sentence, instead of sixteen failed starts, and a misspelt path would be
//! watched for ever without a word.

use std::{fmt, os::unix::ffi::OsStrExt as _, path::Path};

use super::{
    app::{
        AppDefinition, AppName,
        hooks::HookKind,
        overlay::Inherited,
        probe::{Check, ProbeKind},
    },
    errors::Wrong,
    program,
};

/// Something that is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Who counts on it.
    pub app: AppName,
    /// Where that is said, `FILE:LINE`; `None` if no file does.
    pub place: Option<String>,
    /// What is missing, and what to do.
    pub wrong: Wrong,
}

impl Missing {
    /// `FILE:LINE: APP: PROBLEM`.
    #[must_use]
    pub fn problem(&self) -> String {
        let Self { app, place, wrong } = self;
        match place {
            Some(place) => format!("{place}: {app}: {}", wrong.problem),
            None => format!("{app}: {}", wrong.problem),
        }
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.problem(), self.wrong.fix)
    }
}

/// All that is missing for these apps.
#[must_use]
pub fn of<'a>(apps: impl IntoIterator<Item = &'a AppDefinition>) -> Vec<Missing> {
    apps.into_iter().flat_map(of_app).collect()
}

/// The same where a reload has brought some of them another environment than this process's.
#[must_use]
pub fn of_inheriting(apps: &[AppDefinition], inherited: &Inherited) -> Vec<Missing> {
    let mut apps = apps.to_vec();
    for app in &mut apps {
        app.overlay.inherited = inherited.get(&app.name).cloned();
    }
    of(&apps)
}

/// A line for each.
#[must_use]
pub fn lines<'m>(missing: impl IntoIterator<Item = &'m Missing>) -> String {
    let lines: Vec<String> = missing.into_iter().map(Missing::to_string).collect();
    lines.join("\n")
}

fn of_app(app: &AppDefinition) -> Vec<Missing> {
    let missing = |(key, wrong): (&str, Wrong)| Missing {
        app: app.name.clone(),
        place: app.places.in_file(key).map(str::to_owned),
        wrong,
    };
    let unwatched = unwatched(app).map(|wrong| ("auto_reload", wrong));
    let lacks = match directory(app) {
        Ok(cwd) => programs(app, &cwd),
        // No program can be looked for then.
        Err(wrong) => vec![("cwd", wrong)],
    };
    lacks.into_iter().chain(unwatched).map(missing).collect()
}

fn directory(app: &AppDefinition) -> Result<std::path::PathBuf, Wrong> {
    let cwd = match &app.cwd {
        Some(cwd) => cwd.clone(),
        None => std::env::current_dir().map_err(|error| {
            let problem = format!("the working directory can't be read: {error}");
            Wrong::new(problem, "start it in one that exists")
        })?,
    };
    program::enter(&cwd).map(|()| cwd)
}

/// The programs that can't be run, each with the key that names it.
fn programs(app: &AppDefinition, cwd: &Path) -> Vec<(&'static str, Wrong)> {
    let path = app.search_path();
    // Filled in for each worker: where it leads is not known yet.
    let varies = path
        .as_deref()
        .is_some_and(|path| path.as_bytes().contains(&b'{'));
    let lack = |(key, command): (&'static str, &[String])| {
        let program = command.first()?;
        if varies && !program.contains('/') {
            return None;
        }
        let wrong = program::resolve(program, cwd, path.as_deref()).err()?;
        let problem = match key {
            "command" => wrong.problem,
            key => format!("{key}: {}", wrong.problem),
        };
        Some((key, Wrong { problem, ..wrong }))
    };
    let own = ("command", app.command.as_slice());
    std::iter::once(own)
        .chain(beside(app))
        .filter_map(lack)
        .collect()
}

/// The commands that are run beside an app's workers, each with its key; without those whose program depends on the worker.
fn beside(app: &AppDefinition) -> impl Iterator<Item = (&'static str, &[String])> {
    let hooks = HookKind::ALL.into_iter().filter_map(|kind| {
        let hook = app.hooks.of(kind)?;
        Some((kind.name(), hook.command.as_slice()))
    });
    let probes = ProbeKind::ALL
        .into_iter()
        .filter_map(|kind| match &app.probe(kind)?.check {
            Check::Command { command } => Some((kind.name(), command.as_slice())),
            Check::Http { .. } | Check::Tcp { .. } => None,
        });
    let whole = |command: &[String]| command.first().is_some_and(|word| !word.contains('{'));
    hooks
        .chain(probes)
        .filter(move |(_, command)| whole(command))
}

fn unwatched(app: &AppDefinition) -> impl Iterator<Item = Wrong> {
    let paths = app.auto_reload.iter().flat_map(|watch| &watch.paths);
    paths.filter(|path| !path.exists()).map(|path| {
        let problem = format!("there is nothing to watch at {}", path.display());
        Wrong::new(
            problem,
            "correct the path of auto-reload, or create it first",
        )
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::file;

    #[test]
    fn a_program_is_looked_for_where_a_reload_says() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ostler.toml");
        std::os::unix::fs::symlink("/bin/sh", dir.path().join("only-here")).unwrap();
        let file = file::parse(&path, "[app.a]\ncommand = \"only-here\"\n", 1).unwrap();
        let brought = |path: &Path| {
            let variables = [("PATH".to_owned(), path.display().to_string())];
            let name = file.apps[0].name.clone();
            Inherited::from([(name, Arc::new(variables.into()))])
        };
        let missing = |inherited: &Inherited| of_inheriting(&file.apps, inherited).len();
        assert_eq!(missing(&brought(dir.path())), 0);
        assert_eq!(missing(&brought(Path::new("/nowhere"))), 1);
        assert_eq!(missing(&Inherited::new()), 1);
    }

    /// It is looked up where the worker's variables lead, which differ from slot to slot.
    #[test]
    fn a_program_by_a_path_of_the_worker_s_own_is_not_judged() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ostler.toml");
        let text = "[app.a]\ncommand = \"no-such-program\"\nenv.PATH = \"/opt/{slot}/bin\"\n\
            [app.b]\ncommand = \"./none\"\nenv.PATH = \"/opt/{slot}/bin\"\n";
        let file = file::parse(&path, text, 1).unwrap();
        let told: Vec<String> = of(&file.apps).iter().map(Missing::problem).collect();
        let [told] = told.as_slice() else {
            panic!("{told:?}");
        };
        assert!(told.contains(":5: b: "), "{told}");
    }

    #[test]
    fn all_that_is_missing_is_told_with_its_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ostler.toml");
        let text = "[app.a]\ncommand = \"no-such-program\"\nauto_reload = [\"gone\"]\nbefore_start = \"no-such-hook\"\n\
            [app.b]\ncommand = \"no-such-program\"\ncwd = \"nowhere\"\n\
            [app.c]\ncommand = \"sh\"\n";
        let file = file::parse(&path, text, 1).unwrap();
        let (path, dir) = (path.display(), dir.path().display());
        let told: Vec<String> = of(&file.apps).iter().map(Missing::problem).collect();
        assert_eq!(
            told,
            [
                format!("{path}:2: a: there is no program \"no-such-program\" in PATH"),
                format!("{path}:4: a: before_start: there is no program \"no-such-hook\" in PATH"),
                format!("{path}:3: a: there is nothing to watch at {dir}/gone"),
                format!("{path}:7: b: the working directory {dir}/nowhere does not exist"),
            ]
        );
    }
}
