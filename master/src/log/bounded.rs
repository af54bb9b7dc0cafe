//! The log of a master in the background: a file that is put aside when it is large, made anew when it was renamed or removed,
//! and the master's standard output and error all the while, for whatever is said past the log's thread.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::{
        fd::AsFd as _,
        unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    },
    path::{Path, PathBuf},
};

use crate::{shortage::Told, sys};

/// How large it grows before it is put aside (`NAME.log.1`), in bytes: so there are never more than twice as many.
const MOST: u64 = 8 << 20;

/// Opens it to append.
///
/// # Errors
/// If it can't be opened, or is a link.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path)
}

/// See the module.
#[derive(Debug)]
pub(super) struct Bounded {
    path: PathBuf,
    file: File,
    most: u64,
    /// Has others write to the file too, once it is another one.
    share: fn(&File) -> io::Result<()>,
    /// Nothing stands at its path, nor can be made there.
    astray: bool,
}

impl Bounded {
    /// Standard error is the file at this path.
    pub(super) fn stderr(path: PathBuf) -> io::Result<Self> {
        let share = |file: &File| {
            [libc::STDOUT_FILENO, libc::STDERR_FILENO]
                .into_iter()
                .try_for_each(|number| sys::place_at(file.as_fd(), number))
        };
        let file = io::stderr().as_fd().try_clone_to_owned()?.into();
        Ok(Self::new(path, file, MOST, share))
    }

    fn new(path: PathBuf, file: File, most: u64, share: fn(&File) -> io::Result<()>) -> Self {
        Self {
            path,
            file,
            most,
            share,
            astray: false,
        }
    }

    /// Sees that what is written next goes into the file at its path, and that this is not too large.
    fn look(&mut self) -> io::Result<()> {
        if !self.is_there() {
            match self.reopen() {
                Ok(()) => self.astray = false,
                Err(error) if !std::mem::replace(&mut self.astray, true) => tracing::error!(
                    "{} is gone and can't be made anew: {}; the log goes on in what it was renamed to, if it was",
                    self.path.display(),
                    Told(&error)
                ),
                Err(_) => {}
            }
        }
        let length = self.file.metadata()?.len();
        if length < self.most {
            return Ok(());
        }
        // Renamed, not copied: a disk that is full has no room for another.
        let error = match fs::rename(&self.path, self.aside()) {
            Err(error) => error,
            Ok(()) => match self.reopen() {
                Ok(()) => return Ok(()),
                Err(error) => {
                    // It is written to still. As the last one is gone by this, it may be as large as both.
                    fs::rename(self.aside(), &self.path)?;
                    if length < 2 * self.most {
                        return Ok(());
                    }
                    error
                }
            },
        };
        self.file.set_len(0)?;
        tracing::error!(
            "{} can't be put aside, and was emptied: {}",
            self.path.display(),
            Told(&error)
        );
        Ok(())
    }

    fn is_there(&self) -> bool {
        let (Ok(there), Ok(ours)) = (fs::symlink_metadata(&self.path), self.file.metadata()) else {
            return false;
        };
        (there.dev(), there.ino()) == (ours.dev(), ours.ino())
    }

    fn reopen(&mut self) -> io::Result<()> {
        let file = open(&self.path)?;
        (self.share)(&file)?;
        self.file = file;
        Ok(())
    }

    fn aside(&self) -> PathBuf {
        let mut aside = self.path.clone().into_os_string();
        aside.push(".1");
        aside.into()
    }
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.look()?;
        self.file.write(bytes)
    }

    /// Called after each batch, which is 64 KiB at most, and when nothing was there to write but a word to look.
    fn flush(&mut self) -> io::Result<()> {
        self.look()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: u64 = 1000;

    struct Setting {
        dir: tempfile::TempDir,
        log: Bounded,
    }

    fn setting() -> Setting {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("shop.log");
        let file = open(&path).expect("a file");
        let log = Bounded::new(path, file, MOST, |_| Ok(()));
        Setting { dir, log }
    }

    impl Setting {
        fn say(&mut self, text: &str) {
            self.log.write_all(text.as_bytes()).expect("written");
            self.log.flush().expect("looked");
        }

        fn at(&self, name: &str) -> PathBuf {
            self.dir.path().join(name)
        }

        fn read(&self, name: &str) -> String {
            fs::read_to_string(self.at(name)).unwrap_or_default()
        }
    }

    #[test]
    fn what_is_too_large_is_put_aside_once() {
        let mut it = setting();
        for n in 0..3 {
            it.say(&format!("{n}{}\n", "x".repeat(600)));
        }
        assert!(it.read("shop.log.1").starts_with('0'));
        assert!(it.read("shop.log.1").contains("\n1"));
        assert!(it.read("shop.log").starts_with('2'));
    }

    #[test]
    fn what_was_renamed_or_removed_is_made_anew_and_the_other_file_let_alone() {
        let mut it = setting();
        it.say("one\n");
        fs::rename(it.at("shop.log"), it.at("away")).expect("renamed");
        it.say("two\n");
        assert_eq!(
            (it.read("away"), it.read("shop.log")),
            ("one\n".into(), "two\n".into())
        );
        fs::remove_file(it.at("shop.log")).expect("removed");
        // A word to look is enough.
        it.log.flush().expect("looked");
        assert!(it.at("shop.log").exists());
        it.say("three\n");
        assert_eq!(it.read("shop.log"), "three\n");
    }

    #[test]
    fn what_can_not_be_put_aside_is_emptied() {
        let mut it = setting();
        fs::create_dir_all(it.at("shop.log.1/in its way")).expect("made");
        for n in 0..21 {
            it.say(&format!("{n} {}\n", "x".repeat(300)));
        }
        let length = it.read("shop.log").len() as u64;
        assert!((1..MOST).contains(&length), "{length}");
    }

    /// A shortage of descriptors passes.
    #[test]
    fn what_can_not_be_made_anew_is_kept_and_goes_on_up_to_twice_the_size() {
        let mut it = setting();
        it.log.share = |_| Err(io::Error::from_raw_os_error(libc::EMFILE));
        for n in 0..3 {
            it.say(&format!("{n}{}\n", "x".repeat(600)));
        }
        let log = it.read("shop.log");
        assert!(log.starts_with('0') && log.contains("\n2"), "{log}");
        for _ in 0..21 {
            it.say(&format!("{}\n", "x".repeat(300)));
        }
        let length = it.read("shop.log").len() as u64;
        assert!((1..2 * MOST).contains(&length), "{length}");
        it.log.share = |_| Ok(());
        for _ in 0..4 {
            it.say(&format!("{}\n", "y".repeat(300)));
        }
        assert!(it.read("shop.log.1").contains('y'), "it is put aside");
    }

    #[test]
    fn what_has_no_place_any_more_is_bounded_all_the_same() {
        let mut it = setting();
        let home = it.at("home");
        fs::create_dir(&home).expect("made");
        it.log.path = home.join("shop.log");
        it.log.reopen().expect("a file");
        fs::rename(home.join("shop.log"), it.at("moved")).expect("renamed");
        fs::remove_dir(&home).expect("removed");
        for n in 0..21 {
            it.say(&format!("{n} {}\n", "x".repeat(300)));
        }
        let length = it.read("moved").len() as u64;
        assert!((1..MOST).contains(&length), "{length}");
        fs::create_dir(&home).expect("made");
        it.say("at home\n");
        assert_eq!(
            fs::read_to_string(home.join("shop.log")).ok().as_deref(),
            Some("at home\n")
        );
    }
}
