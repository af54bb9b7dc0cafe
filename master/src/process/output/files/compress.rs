//! Compressing files that were put aside, in a thread that lives as long as there are any. What doesn't fit its queue stays as
//! it is: still a log, only larger.

use std::{
    collections::VecDeque,
    fs::{self, OpenOptions},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    thread,
};

use flate2::{Compression, write::GzEncoder};

use super::{file::open_own, lock, prune, sink::Plan};

/// Files that may wait: logs that are put aside faster than they are compressed are better left.
const WAITING: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Compressor(Mutex<Queue>);

#[derive(Debug, Default)]
struct Queue {
    files: VecDeque<(PathBuf, Plan)>,
    at_work: bool,
}

impl Compressor {
    pub(super) fn take(self: &Arc<Self>, file: PathBuf, plan: Plan) {
        let mut queue = lock(&self.0);
        if queue.files.len() >= WAITING {
            return tracing::debug!("{} stays uncompressed: too many wait", file.display());
        }
        queue.files.push_back((file, plan));
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
                let mut queue = lock(&self.0);
                let next = queue.files.pop_front();
                queue.at_work = next.is_some();
                next
            };
            let Some((file, plan)) = next else { return };
            match compress(&file) {
                Ok(()) => prune::prune(&plan),
                // Removed meanwhile: the app keeps less than it writes.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => tracing::warn!("{} can't be compressed: {error}", file.display()),
            }
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
