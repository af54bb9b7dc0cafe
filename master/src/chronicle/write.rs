//! Writing a chronicle. Every batch opens the file anew: it may have been moved away, and is written seldom enough.

use std::{
    fs::File,
    io::{self, Write as _},
    os::{fd::OwnedFd, unix::fs::FileExt as _},
    path::PathBuf,
    time::{SystemTime, UNIX_EPOCH},
};

use rustix::fs::{Mode, OFlags};
use serde_json::json;

use super::{ENDED, FILE_BYTES, LINE_BYTES, LOST, STARTED, files};
use crate::{
    home::{HomeError, MasterName, StateDir},
    shortage::Told,
};

/// What is to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// An event.
    Event {
        /// Its topic.
        topic: String,
        /// Its payload as JSON.
        json: String,
    },
    /// So many events were not heard.
    Lost(u64),
}

/// Writes a master's chronicle. It never fails: what can't be written is counted, and noted once it can be.
#[derive(Debug)]
pub struct Writer {
    directory: OwnedFd,
    shown: PathBuf,
    /// The older file, the newer one.
    files: [String; 2],
    run: u64,
    /// A file is put aside when a line would make it larger than this.
    most: u64,
    /// Entries that could not be written; something is wrong with the disk while there are any.
    lost: u64,
}

impl Writer {
    /// Begins the chronicle of a master's life.
    ///
    /// # Errors
    /// If the directory can't be made or trusted.
    pub fn begin(state: &StateDir, master: &MasterName) -> Result<Self, HomeError> {
        let mut this = Self {
            directory: state.make()?,
            shown: state.path().to_owned(),
            files: files(master),
            run: now(),
            most: FILE_BYTES,
            lost: 0,
        };
        let began = json!({"pid": std::process::id(), "version": env!("CARGO_PKG_VERSION")});
        this.write(&[Entry::Event {
            topic: STARTED.into(),
            json: began.to_string(),
        }]);
        Ok(this)
    }

    /// The same with files of so many bytes.
    #[cfg(test)]
    pub(super) fn with_files_of(mut self, most: u64) -> Self {
        self.most = most;
        self
    }

    /// Writes these.
    pub fn write(&mut self, entries: &[Entry]) {
        let mut lines: Vec<Vec<u8>> = Vec::with_capacity(entries.len() + 1);
        if self.lost > 0 {
            lines.push(self.line(&Entry::Lost(self.lost)));
        }
        lines.extend(entries.iter().map(|entry| self.line(entry)));
        match self.append(&lines) {
            Ok(()) => {
                let lost = std::mem::take(&mut self.lost);
                if lost > 0 {
                    tracing::info!(
                        "the chronicle can be written again; {lost} events are missing in it"
                    );
                }
            }
            Err(error) => {
                if self.lost == 0 {
                    tracing::warn!(
                        "the chronicle in {} can't be written: {}; `ostler why` will miss what happens now",
                        self.shown.display(),
                        Told(&error)
                    );
                }
                self.lost += entries.len() as u64;
            }
        }
    }

    /// The last word of a master that ends as it should.
    pub fn end(&mut self, code: u8) {
        let json = json!({ "code": code }).to_string();
        let topic = ENDED.into();
        self.write(&[Entry::Event { topic, json }]);
    }

    fn line(&self, entry: &Entry) -> Vec<u8> {
        let lost = |count: u64| (LOST, json!({ "count": count }).to_string());
        let too_long;
        let (topic, event) = match entry {
            Entry::Event { topic, json } if json.len() < LINE_BYTES => (topic.as_str(), json),
            Entry::Event { .. } => {
                too_long = lost(1);
                (too_long.0, &too_long.1)
            }
            Entry::Lost(count) => {
                too_long = lost(*count);
                (too_long.0, &too_long.1)
            }
        };
        // A topic needs no escapes.
        let line = format!(
            "{{\"time_ms\":{},\"run\":{},\"topic\":\"{topic}\",\"event\":{event}}}\n",
            now(),
            self.run
        );
        line.into_bytes()
    }

    /// All of these or an error; on an error some may be there, and the last of them torn.
    fn append(&self, lines: &[Vec<u8>]) -> io::Result<()> {
        let (mut file, mut length) = self.open()?;
        let mut batch = Vec::new();
        for line in lines {
            let full = length + (batch.len() + line.len()) as u64 > self.most;
            if full && length + batch.len() as u64 > 0 {
                file.write_all(&std::mem::take(&mut batch))?;
                rustix::fs::renameat(
                    &self.directory,
                    &self.files[1],
                    &self.directory,
                    &self.files[0],
                )?;
                (file, length) = self.open()?;
            }
            batch.extend_from_slice(line);
        }
        file.write_all(&batch)
    }

    /// The file, ready for a line of its own, and its length.
    fn open(&self) -> io::Result<(File, u64)> {
        let flags = OFlags::CREATE
            | OFlags::APPEND
            | OFlags::RDWR
            | OFlags::NOFOLLOW
            | OFlags::CLOEXEC
            | OFlags::NONBLOCK;
        let mode = Mode::RUSR | Mode::WUSR;
        let mut file: File =
            rustix::fs::openat(&self.directory, &self.files[1], flags, mode)?.into();
        let mut length = file.metadata()?.len();
        let mut last = [b'\n'];
        if length > 0 {
            file.read_exact_at(&mut last, length - 1)?;
        }
        if last != [b'\n'] {
            // A torn line: whoever wrote it was killed, or had no room.
            file.write_all(b"\n")?;
            length += 1;
        }
        Ok((file, length))
    }
}

fn now() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;
    use crate::{
        chronicle::{Chronicle, masters, read},
        home::Surroundings,
    };

    fn state(dir: &Path) -> StateDir {
        let around = Surroundings {
            ostler_home: Some(dir.join("state").into()),
            ..Surroundings::default()
        };
        StateDir::locate(&around).expect("a place")
    }

    fn web() -> MasterName {
        MasterName::new("web").expect("a name")
    }

    fn event(n: u64) -> Entry {
        Entry::Event {
            topic: "worker.exited".into(),
            json: json!({ "n": n }).to_string(),
        }
    }

    fn numbers(chronicle: &Chronicle) -> Vec<u64> {
        let number = |record: &super::super::Record| record.event["n"].as_u64();
        chronicle.records.iter().filter_map(number).collect()
    }

    #[test]
    fn lives_of_masters_follow_each_other_and_a_torn_line_is_passed_over() {
        let dir = tempfile::tempdir().expect("a directory");
        let state = state(dir.path());
        assert!(masters(&state).expect("looked").is_empty());
        let mut first = Writer::begin(&state, &web()).expect("begun");
        first.write(&[event(1), Entry::Lost(7)]);
        // Killed while it wrote.
        let file = state.path().join("web.chronicle.jsonl");
        let mut text = fs::read(&file).expect("written");
        text.extend_from_slice(b"{\"time_ms\":1,\"run\"");
        fs::write(&file, text).expect("torn");
        let mut second = Writer::begin(&state, &web()).expect("begun");
        second.write(&[event(2)]);
        second.end(3);
        let chronicle = read(&state, &web()).expect("read").expect("there");
        assert_eq!((numbers(&chronicle), chronicle.unreadable), (vec![1, 2], 1));
        let topics: Vec<&str> = chronicle.records.iter().map(|r| r.topic.as_str()).collect();
        let expected = [
            STARTED,
            "worker.exited",
            LOST,
            STARTED,
            "worker.exited",
            ENDED,
        ];
        assert_eq!(topics, expected);
        assert_eq!(masters(&state).expect("looked"), [web()]);
    }

    #[test]
    fn two_files_of_bounded_size_hold_the_newest() {
        let dir = tempfile::tempdir().expect("a directory");
        let state = state(dir.path());
        let mut writer = Writer::begin(&state, &web())
            .expect("begun")
            .with_files_of(2_000);
        for n in 0..200 {
            writer.write(&[event(n)]);
        }
        let sizes: Vec<u64> = fs::read_dir(state.path())
            .expect("there")
            .map(|entry| entry.expect("an entry").metadata().expect("a file").len())
            .collect();
        assert!(
            sizes.len() == 2 && sizes.iter().all(|size| *size <= 2_000),
            "{sizes:?}"
        );
        let chronicle = read(&state, &web()).expect("read").expect("there");
        let numbers = numbers(&chronicle);
        assert!(
            numbers.len() > 15 && numbers.ends_with(&[198, 199]),
            "{numbers:?}"
        );
        assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]));
        // One batch that is more than a file.
        let all: Vec<Entry> = (200..300).map(event).collect();
        writer.write(&all);
        let chronicle = read(&state, &web()).expect("read").expect("there");
        assert!(self::numbers(&chronicle).ends_with(&[298, 299]));
    }

    #[test]
    fn what_can_not_be_written_is_counted_and_noted_later() {
        let dir = tempfile::tempdir().expect("a directory");
        let state = state(dir.path());
        let mut writer = Writer::begin(&state, &web()).expect("begun");
        let (file, away) = (
            state.path().join("web.chronicle.jsonl"),
            dir.path().join("away"),
        );
        fs::rename(&file, &away).expect("moved");
        fs::create_dir(&file).expect("in its way");
        writer.write(&[event(1), event(2)]);
        writer.write(&[event(3)]);
        fs::remove_dir(&file).expect("removed");
        writer.write(&[event(4)]);
        let long = Entry::Event {
            topic: "worker.exited".into(),
            json: json!("x".repeat(LINE_BYTES)).to_string(),
        };
        writer.write(&[long]);
        let chronicle = read(&state, &web()).expect("read").expect("there");
        let said: Vec<_> = chronicle
            .records
            .iter()
            .map(|record| (record.topic.as_str(), record.event.clone()))
            .collect();
        assert_eq!(
            said,
            [
                (LOST, json!({"count": 3})),
                ("worker.exited", json!({"n": 4})),
                (LOST, json!({"count": 1}))
            ]
        );
    }
}
