//! One file on disk: made when there is something to write, found again when it was renamed away, put aside when it is
//! large or old, and given up on, for as long as it can't be written, without a word more than is needed.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{compress::Compressor, prune, sink::Plan};
use crate::{process::output::stamp, shortage::Told};

/// Opens a log, which is a plain file or a device. A pipe that nobody reads must not hold up all others' lines; and a master that is root may
/// write where whoever owns the directory may not: then a link in the file's place is refused.
///
/// # Errors
/// If it can't be opened, or is something else.
pub(super) fn open_own(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let links = match rustix::process::geteuid().is_root() {
        true => libc::O_NOFOLLOW,
        false => 0,
    };
    let options = options.mode(0o640).custom_flags(libc::O_NONBLOCK | links);
    let wrong = || io::Error::other("it is a link or a pipe: name the file itself");
    let file = options
        .open(path)
        .map_err(|error| match error.raw_os_error() {
            Some(libc::ELOOP | libc::ENXIO) => wrong(),
            _ => error,
        })?;
    let kind = file.metadata()?.file_type();
    match kind.is_file() || kind.is_char_device() {
        true => Ok(file),
        false => Err(wrong()),
    }
}

#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    open: Option<Open>,
    /// Lines lost since it could last be written.
    failed: Option<u64>,
    /// A line was begun and not finished.
    broken: bool,
    /// It could not be put aside when it should have been.
    stuck: bool,
}

#[derive(Debug)]
struct Open {
    file: File,
    length: u64,
    since: SystemTime,
}

impl Open {
    /// Whether it has been written for so long. One that began later than now began now: the clock was set back, and
    /// would have to catch up first.
    fn is_old(&mut self, age: Duration, now: SystemTime) -> bool {
        self.since = self.since.min(now);
        now.duration_since(self.since)
            .is_ok_and(|since| since >= age)
    }
}

impl LogFile {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            open: None,
            failed: None,
            broken: false,
            stuck: false,
        }
    }

    /// What comes next goes into whatever stands at the path then.
    pub(super) fn close(&mut self) {
        self.open = None;
    }

    pub(super) fn empty(&mut self) {
        let emptied =
            open_own(OpenOptions::new().write(true), &self.path).and_then(|file| file.set_len(0));
        if let Err(error) = emptied
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::error!("{} can't be emptied: {error}", self.path.display());
        }
        self.open = None;
    }

    /// Writes whole lines.
    pub(super) fn write(&mut self, mut lines: &[u8], plan: &Plan, compressor: &Arc<Compressor>) {
        while !lines.is_empty() {
            let part = match self.room(lines, plan, compressor) {
                Ok(part) => part,
                Err(error) => return self.fail(&error, lines),
            };
            let (now, later) = lines.split_at(part);
            if let Err(error) = self.put(now) {
                return self.fail(&error, lines);
            }
            lines = later;
        }
    }

    /// How many of these bytes go into the file as it is, which is put aside first if it must be.
    fn room(
        &mut self,
        lines: &[u8],
        plan: &Plan,
        compressor: &Arc<Compressor>,
    ) -> io::Result<usize> {
        let open = self.opened()?;
        let Some(rotate) = plan.rotate else {
            return Ok(lines.len());
        };
        let now = SystemTime::now();
        let old = rotate.age.is_some_and(|age| open.is_old(age, now));
        let room = usize::try_from(rotate.size.saturating_sub(open.length)).unwrap_or(usize::MAX);
        let first = lines
            .iter()
            .position(|b| *b == b'\n')
            .map_or(lines.len(), |at| at + 1);
        if open.length > 0 && (old || first > room) {
            match self.put_aside(plan, compressor) {
                Ok(()) => {
                    self.stuck = false;
                    return self.room(lines, plan, compressor);
                }
                // Better too large than without these lines.
                Err(error) => {
                    self.stay(&error);
                    return Ok(lines.len());
                }
            }
        }
        let fits = lines.get(..room).unwrap_or(lines);
        let whole = fits
            .iter()
            .rposition(|b| *b == b'\n')
            .map_or(first, |at| at + 1);
        // A line longer than a whole file has one of its own.
        Ok(whole.max(first).min(lines.len()))
    }

    fn opened(&mut self) -> io::Result<&mut Open> {
        if self.open.as_ref().is_some_and(|open| !self.is_there(open)) {
            self.open = None;
        }
        if self.open.is_none() {
            if let Some(directory) = self.path.parent() {
                fs::create_dir_all(directory)?;
            }
            let file = open_own(OpenOptions::new().create(true).append(true), &self.path)?;
            let metadata = file.metadata()?;
            let length = metadata.len();
            let since = match length {
                0 => SystemTime::now(),
                _ => metadata.created().or_else(|_| metadata.modified())?,
            };
            self.open = Some(Open {
                file,
                length,
                since,
            });
        }
        self.open
            .as_mut()
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Whether the path still leads to it, and it has not been cut short.
    fn is_there(&self, open: &Open) -> bool {
        let (Ok(there), Ok(ours)) = (fs::metadata(&self.path), open.file.metadata()) else {
            return false;
        };
        (there.dev(), there.ino()) == (ours.dev(), ours.ino()) && there.len() >= open.length
    }

    fn put(&mut self, lines: &[u8]) -> io::Result<()> {
        let broken = self.broken;
        let open = self.opened()?;
        if broken {
            open.file.write_all(b"\n")?;
            open.length += 1;
        }
        let before = open.length;
        let mut rest = lines;
        while !rest.is_empty() {
            match open.file.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    open.length += written as u64;
                    rest = &rest[written..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.broken = open.length > before;
                    return Err(error);
                }
            }
        }
        self.broken = false;
        if let Some(lost) = self.failed.take() {
            tracing::info!(
                "{} can be written again; {lost} lines were lost meanwhile",
                self.path.display()
            );
        }
        Ok(())
    }

    /// Said once: whoever reads it can't free the disk faster for hearing it again with every line.
    fn fail(&mut self, error: &io::Error, lines: &[u8]) {
        let lost = lines.iter().filter(|b| **b == b'\n').count() as u64;
        match &mut self.failed {
            Some(count) => *count += lost,
            None => {
                self.failed = Some(lost);
                tracing::error!(
                    "{} can't be written: {}; its lines are lost until it can, the workers go on",
                    self.path.display(),
                    Told(error)
                );
            }
        }
        self.open = None;
    }

    /// Said once, as well.
    fn stay(&mut self, error: &io::Error) {
        if !std::mem::replace(&mut self.stuck, true) {
            tracing::error!(
                "{} can't be put aside and grows on: {}",
                self.path.display(),
                Told(error)
            );
        }
    }

    fn put_aside(&mut self, plan: &Plan, compressor: &Arc<Compressor>) -> io::Result<()> {
        let mut aside = self.aside(SystemTime::now());
        // Two in a millisecond.
        let mut more = 1;
        while aside.exists() {
            aside = self.aside(SystemTime::now() + Duration::from_millis(more));
            more += 1;
        }
        fs::rename(&self.path, &aside)?;
        self.open = None;
        self.opened()?;
        if plan.compress {
            compressor.take(aside, plan.clone());
        }
        prune::prune(plan);
        Ok(())
    }

    fn aside(&self, at: SystemTime) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{}", stamp::compact(at)));
        name.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    #[test]
    fn a_clock_that_was_set_back_or_forward_delays_no_rotation() {
        let now = SystemTime::UNIX_EPOCH + 20_000 * DAY;
        let dir = tempfile::tempdir().expect("a directory");
        let file = File::create(dir.path().join("log")).expect("a file");
        let since = now + 365 * DAY;
        let (length, age) = (1, DAY);
        let mut open = Open {
            file,
            length,
            since,
        };
        assert!(!open.is_old(age, now), "it begins now");
        assert!(!open.is_old(age, now + DAY / 2));
        assert!(open.is_old(age, now + DAY), "and is a day old in a day");
        assert!(!open.is_old(age, now - DAY), "set back again");
        assert!(open.is_old(age, now + 365 * DAY), "set forward");
    }
}
