//! `--auto-reload`: a changed file becomes `workerRestartNeeded` on the bus. It never calls the supervisor.
//!
//! Directories are watched, each by itself: a watch on a file dies at the first editor that saves by renaming. What
//! `.gitignore` leaves out isn't watched at all. A burst of changes is one change ([`debounce`]); it is held while git
//! is at work or while the program is not whole yet ([`scope`]). Where the kernel can't tell of changes they are looked for
//! ([`poll`]).

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::{sync::mpsc, time::Instant};

use self::{
    debounce::{Debounce, What},
    scope::Scope,
};
use crate::{config::app::AppDefinition, shortage::Told};

mod debounce;
mod git;
mod poll;
mod program_file;
pub mod run;
mod scope;
mod tree;

/// Changes that may wait to be looked at; beyond it, one look at everything replaces them.
const WAITING: usize = 1024;

/// Watches for one app.
#[derive(Debug)]
pub struct AppWatch {
    scope: Scope,
    watcher: RecommendedWatcher,
    watched: BTreeSet<PathBuf>,
    changes: mpsc::Receiver<Event>,
    overflowed: Arc<AtomicBool>,
    debounce: Debounce,
    started: Instant,
}

impl AppWatch {
    /// Begins to watch for `app`, whose command is the file `program`; what is in
    /// `own`, the masters' home and the process file, is passed over.
    ///
    /// # Errors
    /// If the kernel refuses: usually `fs.inotify.max_user_watches` or `max_user_instances` is used up.
    pub fn start(
        app: &AppDefinition,
        program: Option<&Path>,
        own: &[PathBuf],
    ) -> notify::Result<Self> {
        Self::over(Scope::of(app, program, own))
    }

    /// Watches single files, wherever they are.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn files(files: Vec<PathBuf>) -> notify::Result<Self> {
        Self::over(Scope::files(files))
    }

    fn over(scope: Scope) -> notify::Result<Self> {
        let (sender, changes) = mpsc::channel(WAITING);
        let overflowed = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&overflowed);
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            let event = event.unwrap_or_else(|_| Event::new(EventKind::Other));
            if !matches!(event.kind, EventKind::Access(_)) && sender.try_send(event).is_err() {
                flag.store(true, Ordering::Relaxed);
            }
        })?;
        let mut this = Self {
            scope,
            watcher,
            watched: BTreeSet::new(),
            changes,
            overflowed,
            debounce: Debounce::default(),
            started: Instant::now(),
        };
        for directory in this.scope.directories() {
            this.watch(directory)?;
        }
        Ok(this)
    }

    /// How many directories are watched.
    #[must_use]
    pub fn directories(&self) -> usize {
        self.watched.len()
    }

    /// Waits until files have changed and things are quiet again; gives the path of the burst that says most.
    pub async fn changed(&mut self) -> PathBuf {
        loop {
            let due = self.debounce.deadline().map(|at| self.started + at);
            let due = async {
                match due {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                event = self.changes.recv() => match event {
                    Some(event) => self.note(event),
                    None => std::future::pending().await,
                },
                () = due => {
                    let held = self.scope.unfinished() || self.scope.git_is_busy();
                    let burst = self.debounce.take(self.started.elapsed(), held);
                    if let Some(path) = burst.and_then(|burst| burst.telling(Path::exists)) {
                        return path;
                    }
                }
            }
        }
    }

    fn note(&mut self, event: Event) {
        let now = self.started.elapsed();
        if self.overflowed.swap(false, Ordering::Relaxed)
            || event.need_rescan()
            || event.paths.is_empty()
        {
            // Something was missed: look for new directories, and take it that something changed.
            for directory in self.scope.directories() {
                self.watch_or_warn(directory);
            }
            self.debounce
                .changed(now, Path::new("(many files)"), What::Changed);
        }
        for path in event.paths {
            if path.is_dir() && !self.watched.contains(&path) {
                let files = self.watch_new(&path);
                files
                    .iter()
                    .for_each(|file| self.debounce.changed(now, file, What::Made));
            } else if matters(&event.kind, &path) && self.scope.wants(&path) {
                let what = match event.kind {
                    EventKind::Create(_) => What::Made,
                    _ => What::Changed,
                };
                self.debounce.changed(now, &path, what);
            }
            if matches!(event.kind, EventKind::Remove(_)) && self.watched.remove(&path) {
                self.scope
                    .directories()
                    .into_iter()
                    .for_each(|directory| self.watch_or_warn(directory));
            }
        }
    }

    /// Watches a new directory and all below it; gives the files that are there. Looked at again once everything is
    /// watched: what is made between the look and the watch has no event.
    fn watch_new(&mut self, path: &Path) -> Vec<PathBuf> {
        loop {
            let before = self.watched.len();
            let (directories, files) = self.scope.appeared(path);
            directories
                .into_iter()
                .for_each(|directory| self.watch_or_warn(directory));
            if self.watched.len() == before {
                return files;
            }
        }
    }

    fn watch(&mut self, directory: PathBuf) -> notify::Result<()> {
        if self.watched.contains(&directory) {
            return Ok(());
        }
        match self.watcher.watch(&directory, RecursiveMode::NonRecursive) {
            // Gone again before it could be watched.
            Err(error) if matches!(error.kind, notify::ErrorKind::PathNotFound) => Ok(()),
            Err(error) => Err(error),
            Ok(()) => {
                self.watched.insert(directory);
                Ok(())
            }
        }
    }

    fn watch_or_warn(&mut self, directory: PathBuf) {
        if let Err(error) = self.watch(directory.clone()) {
            tracing::warn!(
                "can't watch {}: {}; changes in it won't be noticed",
                directory.display(),
                told(&error)
            );
        }
    }
}

/// A directory's own times change whenever something in it does; that something has an event of its own.
fn matters(kind: &EventKind, path: &Path) -> bool {
    !(matches!(
        kind,
        EventKind::Modify(notify::event::ModifyKind::Metadata(_))
    ) && path.is_dir())
}

/// An error, with the limit that was reached and how to raise it, if one was.
fn told(error: &notify::Error) -> String {
    match &error.kind {
        notify::ErrorKind::MaxFilesWatch => {
            "the limit on watches is reached (raise it with `sysctl fs.inotify.max_user_watches`, or leave directories out with `ignore`)".to_owned()
        }
        notify::ErrorKind::Io(error) if error.raw_os_error() == Some(libc::EMFILE) => format!(
            "{}, or that on watchers is (`sysctl fs.inotify.max_user_instances`)",
            Told(error)
        ),
        notify::ErrorKind::Io(error) => Told(error).to_string(),
        notify::ErrorKind::Generic(_)
        | notify::ErrorKind::PathNotFound
        | notify::ErrorKind::WatchNotFound
        | notify::ErrorKind::InvalidConfig(_) => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, time::Duration};

    use super::*;
    use crate::config::flags::{self, AppFlags};

    async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
        tokio::time::timeout(Duration::from_secs(20), future)
            .await
            .unwrap_or_else(|_| panic!("{what}: nothing within 20 s"))
    }

    #[tokio::test]
    async fn a_file_saved_by_renaming_is_noticed_each_time_and_also_after_its_folder_was_made_anew()
    {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("out/app");
        fs::create_dir(dir.path().join("out")).unwrap();
        fs::write(&file, "1").unwrap();
        let mut watch = AppWatch::files(vec![file.clone()]).unwrap();
        for text in ["2", "3"] {
            let temp = dir.path().join("out/app.tmp");
            fs::write(&temp, text).unwrap();
            fs::rename(&temp, &file).unwrap();
            assert_eq!(within("a rename", watch.changed()).await, file);
        }
        fs::remove_dir_all(dir.path().join("out")).unwrap();
        fs::create_dir(dir.path().join("out")).unwrap();
        fs::write(&file, "4").unwrap();
        assert_eq!(within("a new folder", watch.changed()).await, file);
    }

    #[tokio::test]
    async fn new_directories_are_watched_and_what_came_with_them_counts() {
        let dir = tempfile::tempdir().unwrap();
        let given = AppFlags {
            command: vec!["node".into()],
            ..AppFlags::default()
        };
        let app = flags::define(given, dir.path(), 1).unwrap();
        let mut watch = AppWatch::start(&app, None, &[]).unwrap();
        fs::create_dir_all(dir.path().join("a/b")).unwrap();
        fs::write(dir.path().join("a/b/c.js"), "x").unwrap();
        within("files in new directories", watch.changed()).await;
        fs::write(dir.path().join("a/b/d.js"), "x").unwrap();
        assert_eq!(
            within("a file in a watched new directory", watch.changed()).await,
            dir.path().join("a/b/d.js")
        );
    }
}
