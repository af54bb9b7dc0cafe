//! A child's output, line by line, to wait on.

use std::{
    io::{BufRead, BufReader, Read},
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::sync::watch;

/// What a line is looked for by: a part of it, or a function.
pub trait LinePattern {
    /// Whether `line` (without its end) is the one.
    fn matches(&self, line: &str) -> bool;
    /// How it is named in a failure.
    fn name(&self) -> String {
        "a certain line".into()
    }
}

impl LinePattern for &str {
    fn matches(&self, line: &str) -> bool {
        line.contains(self)
    }

    fn name(&self) -> String {
        format!("a line with {self:?}")
    }
}

impl LinePattern for String {
    fn matches(&self, line: &str) -> bool {
        line.contains(self.as_str())
    }

    fn name(&self) -> String {
        self.as_str().name()
    }
}

impl<F: Fn(&str) -> bool> LinePattern for F {
    fn matches(&self, line: &str) -> bool {
        self(line)
    }
}

/// How many lines are kept; what comes later is read and forgotten, so that the writer never blocks.
const MOST: usize = 200_000;
/// A longer line is kept in pieces of this size.
const LONGEST: u64 = 64 * 1024;

/// Sent anew with every line: the news is that there is news.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    ended: bool,
}

/// The lines of one stream, with a place in them. Clones go their own way from the same place.
#[derive(Clone, Debug)]
pub struct Lines {
    lines: Arc<Mutex<Vec<String>>>,
    read: watch::Receiver<Seen>,
    next: usize,
}

impl Lines {
    /// Reads a stream on a thread of its own until it ends.
    pub(super) fn of(stream: impl Read + Send + 'static) -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (tell, read) = watch::channel(Seen::default());
        let kept = Arc::clone(&lines);
        std::thread::spawn(move || read_all(stream, &kept, &tell));
        Self {
            lines,
            read,
            next: 0,
        }
    }

    /// Waits for the next line that matches; the search goes on behind it. Lines before it are passed over.
    ///
    /// # Panics
    /// If it hasn't come in time, or the stream ends without it; with all that was read.
    pub async fn wait_for_line(&mut self, pattern: impl LinePattern, within: Duration) -> String {
        let looked = tokio::time::timeout(within, self.find(&pattern)).await;
        let why = match looked {
            Ok(Some(line)) => return line,
            Ok(None) => "the stream ended".to_owned(),
            Err(_) => format!("{within:?} passed"),
        };
        panic!("{why} without {}; read:\n{}", pattern.name(), self.text());
    }

    async fn find(&mut self, pattern: &impl LinePattern) -> Option<String> {
        loop {
            // In this order: what is there when `ended` is seen is all there will be.
            let ended = self.read.borrow_and_update().ended;
            {
                let lines = self.lines.lock().expect("readers don't panic");
                while let Some(line) = lines.get(self.next) {
                    self.next += 1;
                    if pattern.matches(line) {
                        return Some(line.clone());
                    }
                }
            }
            if ended || self.read.changed().await.is_err() {
                return None;
            }
        }
    }

    /// Waits until the stream has ended: its last writer is gone.
    ///
    /// # Panics
    /// If it hasn't in time.
    pub async fn ended(&mut self, within: Duration) {
        let ended = self.read.wait_for(|read| read.ended);
        let ended = tokio::time::timeout(within, ended).await.is_ok();
        assert!(
            ended,
            "{within:?} passed and the stream goes on; read:\n{}",
            self.text()
        );
    }

    /// All lines so far, from the first.
    #[must_use]
    pub fn all(&self) -> Vec<String> {
        self.lines.lock().expect("readers don't panic").clone()
    }

    /// All lines so far as one text.
    #[must_use]
    pub fn text(&self) -> String {
        let lines = self.all();
        lines.iter().flat_map(|line| [line, "\n"]).collect()
    }
}

fn read_all(stream: impl Read, kept: &Mutex<Vec<String>>, tell: &watch::Sender<Seen>) {
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    loop {
        line.clear();
        match reader.by_ref().take(LONGEST).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
        let text = String::from_utf8_lossy(line.strip_suffix(b"\n").unwrap_or(&line));
        let mut kept = kept.lock().expect("readers don't panic");
        if kept.len() < MOST {
            kept.push(text.into_owned());
        }
        drop(kept);
        tell.send_replace(Seen { ended: false });
    }
    tell.send_modify(|read| read.ended = true);
}
