//! Compressing files that were put aside, in a thread that lives as long as there are any. What doesn't fit its queue stays as
//! it is: still a log, only larger; and so does what is not done when the master ends, until the next one
//! [tidies up](Compressor::tidy).

use std::{
    collections::VecDeque,
    fs::{self, OpenOptions},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex},
    thread,
    time::Duration,
};

use flate2::{Compression, write::GzEncoder};

use super::{
    file::open_own,
    lock,
    prune::{self, Left},
    sink::Plan,
};

/// Files that may wait: logs that are put aside faster than they are compressed are better left.
const WAITING: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Compressor {
    queue: Mutex<Queue>,
    idle: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    jobs: VecDeque<(Job, Plan)>,
    at_work: bool,
}

#[derive(Debug)]
enum Job {
    /// Compress this file, which was put aside.
    Compress(PathBuf),
    /// See to what was put aside of the file at this path by a master that ended before it was done. Here, where nothing is
    /// compressed meanwhile.
    Tidy(PathBuf),
}

impl Compressor {
    pub(super) fn take(self: &Arc<Self>, file: PathBuf, plan: Plan) {
        self.put(Job::Compress(file), plan);
    }

    /// Sees to what was put aside of the file at this path, and not finished.
    pub(super) fn tidy(self: &Arc<Self>, file: PathBuf, plan: Plan) {
        self.put(Job::Tidy(file), plan);
    }

    /// Waits until nothing is left to do, or so long.
    pub(super) fn rest(&self, at_most: Duration) {
        let queue = lock(&self.queue);
        let waited = self
            .idle
            .wait_timeout_while(queue, at_most, |queue| queue.at_work);
        drop(waited);
    }

    fn put(self: &Arc<Self>, job: Job, plan: Plan) {
        let mut queue = lock(&self.queue);
        if queue.jobs.len() >= WAITING {
            return tracing::debug!("not compressed, too many wait: {job:?}");
        }
        queue.jobs.push_back((job, plan));
        if !queue.at_work {
            let this = Arc::clone(self);
            let work = move || this.work();
            let started = thread::Builder::new().name("log gz".into()).spawn(work);
            queue.at_work = started.is_ok();
        }
    }

    fn work(&self) {
        loop {
            let next = {
                let mut queue = lock(&self.queue);
                let next = queue.jobs.pop_front();
                queue.at_work = next.is_some();
                if next.is_none() {
                    self.idle.notify_all();
                }
                next
            };
            let Some((job, plan)) = next else { return };
            match job {
                Job::Compress(file) => compress_or_warn(&file),
                Job::Tidy(file) => tidy(&file, &plan),
            }
            prune::prune(&plan);
        }
    }
}

fn compress_or_warn(file: &Path) {
    match compress(file) {
        Ok(()) => {}
        // Removed meanwhile: the app keeps less than it writes.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => tracing::warn!("{} can't be compressed: {error}", file.display()),
    }
}

fn tidy(file: &Path, plan: &Plan) {
    for (path, left) in prune::put_aside(file) {
        match left {
            Left::Half => {
                if let Err(error) = fs::remove_file(&path) {
                    tracing::warn!("{} can't be removed: {error}", path.display());
                }
            }
            Left::Plain if plan.compress => compress_or_warn(&path),
            Left::Plain | Left::Compressed => {}
        }
    }
}

/// Never leaves half a file under a whole one's name.
fn compress(path: &Path) -> io::Result<()> {
    let with = |ending: &str| {
        let mut name = path.to_owned().into_os_string();
        name.push(ending);
        PathBuf::from(name)
    };
    let part = with(".gz.part");
    let write = || {
        let mut from = open_own(OpenOptions::new().read(true), path)?;
        // One that an earlier master left unfinished.
        let _none = fs::remove_file(&part);
        let to = open_own(OpenOptions::new().write(true).create_new(true), &part)?;
        let mut to = GzEncoder::new(to, Compression::default());
        io::copy(&mut from, &mut to)?;
        to.finish()?;
        fs::rename(&part, with(".gz"))
    };
    if let Err(error) = write() {
        // There may be none.
        let _ = fs::remove_file(&part);
        return Err(error);
    }
    fs::remove_file(path)
}
