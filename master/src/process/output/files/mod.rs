//! Workers' lines in files. A worker's line is put into its file's [queue](FileSink), in memory; one thread takes what waits
//! there and writes it, so that a slow or full disk delays nobody. **Overflow policy: of a file for which
//! [too much](sink::WAITING_BYTES) waits the newest lines are dropped**, counted, and said there in their place.
//!
//! Files belong to paths, not to workers: a slot's next worker, or all slots if they share a path, write to the same one.

mod compress;
mod file;
mod prune;
mod sink;

use std::{
    collections::{HashMap, VecDeque},
    io,
    path::PathBuf,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak},
    thread,
    time::Duration,
};

use tokio::sync::oneshot;

use self::compress::Compressor;
pub use self::sink::FileSink;
use super::{Outlet, Outlets, Streams, journal::Journal, queue::Stream};
use crate::{
    config::app::{
        AppDefinition,
        log::{LogTarget, path_for},
    },
    process::{Identity, LineQueue},
};

/// All log files of a master. Cheap to clone.
#[derive(Clone, Debug)]
pub struct LogFiles(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    desk: Desk,
    sinks: Mutex<HashMap<PathBuf, Weak<FileSink>>>,
    compressor: Arc<Compressor>,
    journal: Journal,
    done: Mutex<Option<oneshot::Receiver<()>>>,
}

/// Files with something to do, for the thread that does it: each stands here once at most.
#[derive(Debug, Default)]
struct Desk {
    work: Mutex<Work>,
    there: Condvar,
}

#[derive(Debug, Default)]
struct Work {
    ready: VecDeque<Arc<FileSink>>,
    started: bool,
    ended: bool,
}

impl Default for LogFiles {
    fn default() -> Self {
        Self(Arc::new(Shared {
            desk: Desk::default(),
            sinks: Mutex::default(),
            compressor: Arc::default(),
            journal: Journal::default(),
            done: Mutex::default(),
        }))
    }
}

impl LogFiles {
    /// Where a worker's lines go: into files, and what isn't for files into the master's `log`; all that goes anywhere, to `all`
    /// too.
    #[must_use]
    pub fn outlets(
        &self,
        app: &AppDefinition,
        who: &Identity,
        log: &LineQueue,
        all: &[Outlet],
    ) -> Outlets {
        let mut outlets = Outlets::default();
        for (target, stream) in app
            .log
            .targets()
            .into_iter()
            .zip([Stream::Stdout, Stream::Stderr])
        {
            let to = match target {
                LogTarget::Master => Some(Outlet::Queue(log.clone())),
                LogTarget::Null => continue,
                LogTarget::Bus => None,
                LogTarget::Journal => match self.0.journal.queue() {
                    Ok(queue) => Some(Outlet::Queue(queue)),
                    Err(error) => {
                        tracing::error!("{}: no journal, lines go here instead: {error}", app.name);
                        Some(Outlet::Queue(log.clone()))
                    }
                },
                LogTarget::File(template) => {
                    let path = path_for(&template, app.name.as_str(), &who.slot.to_string());
                    match self.sink(path, app) {
                        Ok(sink) => Some(Outlet::File(sink)),
                        Err(error) => {
                            tracing::error!(
                                "{}: no log files, lines go here instead: {error}",
                                app.name
                            );
                            Some(Outlet::Queue(log.clone()))
                        }
                    }
                }
            };
            for outlet in to.into_iter().chain(all.iter().cloned()) {
                outlets.add(outlet, Streams::Only(stream));
            }
        }
        outlets
    }

    /// The file at a path, as the app has it now.
    fn sink(&self, path: PathBuf, app: &AppDefinition) -> io::Result<Arc<FileSink>> {
        self.start_once()?;
        let mut sinks = lock(&self.0.sinks);
        sinks.retain(|_, sink| sink.strong_count() > 0);
        if let Some(sink) = sinks.get(&path).and_then(Weak::upgrade) {
            sink.follow(app);
            return Ok(sink);
        }
        let sink = Arc::new(FileSink::new(path.clone(), app, Arc::downgrade(&self.0)));
        sinks.insert(path, Arc::downgrade(&sink));
        sink.tidy();
        Ok(sink)
    }

    /// Opens every file anew: something else has renamed them.
    pub fn reopen(&self) {
        for sink in self.live() {
            sink.reopen();
        }
    }

    /// How many files there are to write to.
    #[must_use]
    pub fn count(&self) -> usize {
        self.live().len()
    }

    /// Empties the files of an app, or of all; those put aside stay. Tells how many.
    pub fn flush(&self, app: Option<&str>) -> usize {
        let mut sinks = self.live();
        sinks.retain(|sink| sink.is_of(app));
        for sink in &sinks {
            sink.flush();
        }
        sinks.len()
    }

    fn live(&self) -> Vec<Arc<FileSink>> {
        lock(&self.0.sinks)
            .values()
            .filter_map(Weak::upgrade)
            .collect()
    }

    /// Waits until all is written. False if that took longer than `at_most`: the disk is stuck, and the rest is lost.
    pub async fn finish(&self, at_most: Duration) -> bool {
        lock(&self.0.desk.work).ended = true;
        self.0.desk.there.notify_one();
        let done = lock(&self.0.done).take();
        let written = async {
            self.0.journal.finish().await;
            match done {
                Some(done) => done.await.is_ok(),
                None => true,
            }
        };
        let until = tokio::time::Instant::now() + at_most;
        let written = tokio::time::timeout_at(until, written).await;
        // What isn't compressed by then the next master sees to.
        let compressor = Arc::clone(&self.0.compressor);
        let rest = until.saturating_duration_since(tokio::time::Instant::now());
        let _ = tokio::task::spawn_blocking(move || compressor.rest(rest)).await;
        matches!(written, Ok(true))
    }

    /// The thread is started with the first file: who has none needs none.
    fn start_once(&self) -> io::Result<()> {
        let mut work = lock(&self.0.desk.work);
        if work.started {
            return Ok(());
        }
        let (say_done, done) = oneshot::channel();
        let shared = Arc::clone(&self.0);
        thread::Builder::new()
            .name("log files".into())
            .spawn(move || {
                while let Some(sink) = shared.desk.next() {
                    sink.write_out(&shared.compressor);
                }
                // Nobody may be waiting.
                let _ = say_done.send(());
            })?;
        work.started = true;
        *lock(&self.0.done) = Some(done);
        Ok(())
    }
}

impl Desk {
    fn put(&self, sink: Arc<FileSink>) {
        lock(&self.work).ready.push_back(sink);
        self.there.notify_one();
    }

    /// The next file to see to; `None` once it has ended and all is done.
    fn next(&self) -> Option<Arc<FileSink>> {
        let mut work = lock(&self.work);
        loop {
            if let Some(sink) = work.ready.pop_front() {
                return Some(sink);
            }
            if work.ended {
                return None;
            }
            work = self
                .there
                .wait(work)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

pub(super) fn lock<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
