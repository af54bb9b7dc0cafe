//! Paths as they were when a generation began.
//!
//! A deploy often switches a symlink: `current` points at one release, then at the next. Workers of one generation must all
//! run one release, those that are started again after a crash too, and so must the commands beside them; so what a link on
//! the way to them stands for is looked up once, when the first worker of a generation is started.
//!
//! Looked up are the working directory, and the directories of programs and of arguments that are paths of something that
//! is there. Their last component stays as it is: what a program is called is how some find the rest of themselves
//! (a Python environment, busybox).

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Weak, mpsc},
    time::Duration,
};

use ostler_bus::Generation;

use crate::config::app::{AppDefinition, AppName, Readiness, probe::Check};

/// Directories whose links are the system's, or stand for something else in each process.
const SYSTEM: [&str; 8] = [
    "/bin", "/sbin", "/lib", "/lib64", "/usr", "/proc", "/dev", "/sys",
];

/// How long the master waits for a disk: other apps' workers wait with it. The worker itself will find out.
const PATIENCE: Duration = Duration::from_secs(1);

/// What the generations of all apps run.
#[derive(Debug, Default)]
pub struct Releases(BTreeMap<(AppName, Generation), Release>);

#[derive(Debug)]
struct Release {
    /// Gone once no worker can be started by it any more.
    definition: Weak<AppDefinition>,
    resolved: Arc<AppDefinition>,
}

impl Releases {
    /// A generation's definition with its paths as they were when this was first asked.
    pub fn of(
        &mut self,
        app: &AppName,
        generation: Generation,
        definition: &Arc<AppDefinition>,
    ) -> Arc<AppDefinition> {
        self.0
            .retain(|_, release| release.definition.strong_count() > 0);
        let release = self.0.entry((app.clone(), generation));
        let release = release.or_insert_with(|| Release {
            definition: Arc::downgrade(definition),
            resolved: resolve_in_time(definition),
        });
        Arc::clone(&release.resolved)
    }
}

impl Releases {
    /// What a generation runs, once its first worker was started.
    #[must_use]
    pub fn known(&self, app: &AppName, generation: Generation) -> Option<Arc<AppDefinition>> {
        let release = self.0.get(&(app.clone(), generation))?;
        Some(Arc::clone(&release.resolved))
    }
}

/// The same definition, as it stands if the disk doesn't answer in time.
fn resolve_in_time(definition: &Arc<AppDefinition>) -> Arc<AppDefinition> {
    let (done, resolved) = mpsc::sync_channel(1);
    let app = Arc::clone(definition);
    let look = move || {
        let resolved = Arc::new(resolve(&app));
        drop(app);
        // Nobody waits for it any more.
        let _late = done.send(resolved);
    };
    // A thread that can't be started drops the sender, and that is the end of the wait.
    let _begun = std::thread::Builder::new().name("paths".into()).spawn(look);
    let resolved = resolved.recv_timeout(PATIENCE);
    resolved.unwrap_or_else(|_| Arc::clone(definition))
}

/// A definition whose paths go through no link.
fn resolve(app: &AppDefinition) -> AppDefinition {
    let mut app = app.clone();
    app.cwd = app
        .cwd
        .map(|cwd| std::fs::canonicalize(&cwd).unwrap_or(cwd));
    let here = app.cwd.clone().unwrap_or_default();
    for word in words_mut(&mut app) {
        let target = resolve_word(&here, word);
        if let Some(text) = target.as_deref().and_then(Path::to_str) {
            text.clone_into(word);
        }
    }
    app
}

/// The words of all that is run: by a worker, and beside it.
fn words_mut(app: &mut AppDefinition) -> impl Iterator<Item = &mut String> {
    let ready = match &mut app.ready {
        Readiness::Probe(probe) => Some(probe),
        Readiness::Auto | Readiness::Notify | Readiness::Sdk | Readiness::Delay(_) => None,
    };
    let health = app.life.health.as_mut().map(|health| &mut health.probe);
    let probes = [ready, health].into_iter().flatten();
    let probes = probes.filter_map(|probe| match &mut probe.check {
        Check::Command { command } => Some(command),
        Check::Http { .. } | Check::Tcp { .. } => None,
    });
    let own = app.command.iter_mut();
    own.chain(app.hooks.words_mut()).chain(probes.flatten())
}

/// The same file, if it is one, by a way without links.
fn resolve_word(here: &Path, word: &str) -> Option<PathBuf> {
    let path = here.join(word);
    let of_the_system = SYSTEM.iter().any(|system| path.starts_with(system));
    if !word.contains('/') || of_the_system || !path.exists() {
        return None;
    }
    let through_link = path.ancestors().skip(1).any(Path::is_symlink);
    let directory = path.parent().filter(|_| through_link)?;
    let directory = std::fs::canonicalize(directory).ok()?;
    Some(directory.join(path.file_name()?))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::{
        config::app::{life::Health, probe::ProbeKind},
        fleet::testing::{self, definition},
    };

    fn link(at: &Path, to: &str) {
        let new = at.with_extension("new");
        symlink(to, &new).unwrap();
        std::fs::rename(new, at).unwrap();
    }

    #[test]
    fn a_generation_keeps_the_release_it_began_with() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        for release in ["1", "2"] {
            std::fs::create_dir_all(dir.join(release).join("bin")).unwrap();
            std::fs::write(dir.join(release).join("bin/app"), "").unwrap();
            symlink("app", dir.join(release).join("bin/alias")).unwrap();
        }
        let current = dir.join("current");
        link(&current, "1");
        let mut app = definition("web", 1);
        app.cwd = Some(dir.clone());
        let words = [
            "current/bin/alias",
            "--root=current/x",
            "current/gone",
            "current/bin/app",
            "plain",
        ];
        app.command = words.map(Into::into).to_vec();
        let mut probe = testing::probe(100, 100);
        probe.check = Check::Command {
            command: vec!["current/bin/app".into()],
        };
        app.life.health = Some(Health {
            probe: probe.clone(),
            failures: 3,
        });
        app.ready = Readiness::Probe(probe);
        let (first, second) = (Arc::new(app.clone()), Arc::new(app.clone()));
        let mut releases = Releases::default();
        let mut command = |generation, definition| {
            let app = releases.of(&app.name, Generation(generation), definition);
            for kind in ProbeKind::ALL {
                let asked = app.probe(kind).map(|probe| &probe.check);
                let command = vec![app.command[3].clone()];
                assert_eq!(asked, Some(&Check::Command { command }), "{kind:?}");
            }
            app.command.clone()
        };
        let release = |n: &str| {
            let bin = |name: &str| dir.join(n).join("bin").join(name).display().to_string();
            // The last component is left: what a program is called may matter to it.
            let (alias, app) = (bin("alias"), bin("app"));
            let words = [&alias, "--root=current/x", "current/gone", &app, "plain"];
            words.map(ToString::to_string).to_vec()
        };
        assert_eq!(command(1, &first), release("1"));
        link(&current, "2");
        assert_eq!(command(1, &first), release("1"), "started again");
        assert_eq!(command(2, &second), release("2"));
    }

    #[test]
    fn a_working_directory_behind_a_link_is_resolved_and_the_words_stay() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        std::fs::create_dir(dir.join("1")).unwrap();
        std::fs::write(dir.join("1/run"), "").unwrap();
        symlink("1", dir.join("current")).unwrap();
        let mut app = definition("web", 1);
        app.cwd = Some(dir.join("current"));
        app.command = vec!["./run".into(), "/bin/sh".into(), "/proc/self/exe".into()];
        let resolved = resolve(&app);
        assert_eq!(resolved.cwd, Some(dir.join("1")));
        assert_eq!(resolved.command, app.command);
    }

    #[test]
    fn what_no_worker_can_be_started_by_is_forgotten() {
        let app = definition("web", 1);
        let mut releases = Releases::default();
        for generation in 1..5 {
            releases.of(&app.name, Generation(generation), &Arc::new(app.clone()));
        }
        assert_eq!(releases.0.len(), 1);
    }
}
