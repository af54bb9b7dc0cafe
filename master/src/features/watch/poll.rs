//! Looking for changes again and again, where the kernel doesn't tell of them: on NFS, and on overlays and shared folders
//! that another machine writes to.
//!
//! Every look is taken on a thread of its own, so that a server that doesn't answer holds up nobody. After a look that found
//! something the next comes soon: a burst has ended when nothing has changed since.

use std::{
    collections::BTreeMap,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    debounce::{Debounce, What},
    scope::Scope,
};
use crate::config::app::AppDefinition;

/// What shows that a file is another than before.
type Stamp = (u64, i64, i64, i64, i64);

/// Looks for one app.
#[derive(Debug)]
pub(super) struct PollWatch {
    /// Away while a look is taken.
    looker: Option<Looker>,
    every: Duration,
}

#[derive(Debug)]
struct Looker {
    scope: Scope,
    seen: BTreeMap<PathBuf, Stamp>,
    debounce: Debounce,
    started: Instant,
}

impl PollWatch {
    /// Takes the first look. `None` if it failed, which is said.
    pub(super) async fn start(
        app: AppDefinition,
        program: Option<PathBuf>,
        own: Vec<PathBuf>,
        every: Duration,
    ) -> Option<Self> {
        let first = tokio::task::spawn_blocking(move || {
            Looker::new(Scope::of(&app, program.as_deref(), &own))
        });
        let looker = Some(first.await.ok()?);
        Some(Self { looker, every })
    }

    /// How many files there are.
    pub(super) fn files(&self) -> usize {
        self.looker.as_ref().map_or(0, |looker| looker.seen.len())
    }

    /// Waits until files have changed and things are quiet again; gives the path of the burst that says most. `None` if no
    /// look can be taken any more.
    pub(super) async fn changed(&mut self) -> Option<PathBuf> {
        loop {
            let mut looker = self.looker.take()?;
            let regular = Instant::now() + self.every;
            let soon = looker.debounce.deadline().map(|at| looker.started + at);
            tokio::time::sleep_until(soon.map_or(regular, |soon| soon.min(regular))).await;
            let look = tokio::task::spawn_blocking(move || {
                let burst = looker.look();
                (looker, burst)
            });
            let (looker, burst) = look.await.ok()?;
            self.looker = Some(looker);
            if burst.is_some() {
                return burst;
            }
        }
    }
}

impl Looker {
    fn new(scope: Scope) -> Self {
        let seen = stamps(&scope);
        Self {
            scope,
            seen,
            debounce: Debounce::default(),
            started: Instant::now(),
        }
    }

    fn look(&mut self) -> Option<PathBuf> {
        let found = stamps(&self.scope);
        let now = self.started.elapsed();
        let seen = std::mem::take(&mut self.seen);
        for (path, stamp) in &found {
            match seen.get(path) {
                Some(before) if before == stamp => {}
                Some(_) => self.debounce.changed(now, path, What::Changed),
                None => self.debounce.changed(now, path, What::Made),
            }
        }
        for path in seen.keys().filter(|path| !found.contains_key(*path)) {
            self.debounce.changed(now, path, What::Changed);
        }
        self.seen = found;
        let held = self.scope.unfinished() || self.scope.git_is_busy();
        self.debounce.take(now, held)?.telling(Path::exists)
    }
}

fn stamps(scope: &Scope) -> BTreeMap<PathBuf, Stamp> {
    let stamp = |path: PathBuf| {
        let of = path.metadata().ok()?;
        let stamp = (
            of.len(),
            of.mtime(),
            of.mtime_nsec(),
            of.ctime(),
            of.ctime_nsec(),
        );
        Some((path, stamp))
    };
    scope.all_files().into_iter().filter_map(stamp).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::config::{
        app::Watch,
        flags::{self, AppFlags},
    };

    async fn watching(dir: &Path, watch: Watch) -> PollWatch {
        let given = AppFlags {
            command: vec!["node".into()],
            ..AppFlags::default()
        };
        let mut app = flags::define(given, dir, 1).unwrap();
        app.auto_reload = Some(watch);
        let every = Duration::from_millis(20);
        PollWatch::start(app, None, vec![], every).await.unwrap()
    }

    async fn next(watch: &mut PollWatch) -> PathBuf {
        tokio::time::timeout(Duration::from_secs(20), watch.changed())
            .await
            .expect("a change")
            .expect("it looks")
    }

    #[tokio::test]
    async fn files_made_changed_and_removed_are_found_and_no_others() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir(at("node_modules")).unwrap();
        fs::write(at("a.js"), "1").unwrap();
        let watch = Watch {
            include: vec!["*.js".into()],
            ignore: vec!["left_out.js".into()],
            ..Watch::default()
        };
        let mut watch = watching(dir.path(), watch).await;
        assert_eq!(watch.files(), 1);
        // Whatever of this counted would be told before what comes after it.
        fs::write(at("node_modules/x.js"), "1").unwrap();
        fs::write(at("left_out.js"), "1").unwrap();
        fs::write(at("notes.txt"), "1").unwrap();
        fs::create_dir_all(at("new/deep")).unwrap();
        fs::write(at("new/deep/b.js"), "1").unwrap();
        assert_eq!(next(&mut watch).await, at("new/deep/b.js"));
        // As long as before: only its time tells.
        fs::write(at("a.js"), "2").unwrap();
        assert_eq!(next(&mut watch).await, at("a.js"));
        fs::remove_dir_all(at("new")).unwrap();
        assert_eq!(next(&mut watch).await, at("new/deep/b.js"));
    }
}
